package identity

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Keys of WebAuthn (https://www.w3.org/TR/webauthn-3/) serve in two ways: as a second
// factor by the method webauthn, in this file, and by themselves by the method passkey.
// Both make challenges that follow from the flow, so that showing a form stores nothing.
// A flow ends when a challenge was met, so each is met once.

// KeyOptions say for whom keys are made.
type KeyOptions struct {
	ID      string   // of the relying party, a domain; "": the host of BaseURL
	Name    string   // that people see; "": the ID
	Origins []string // of pages; none: the origin of BaseURL

	ResidentKey      string // of passkeys: required, preferred or discouraged; "": required
	UserVerification string // the same; "": preferred
	Attachment       string // platform, cross-platform, or "" for both

	// Clones lets a key in whose counter went back, as those of copies do.
	Clones bool
}

// maxKeys bounds the keys of one type that an identity has.
const maxKeys = 100

// A keyring is the config of a credential. Its JSON is Kratos's.
type keyring struct {
	Keys   []key  `json:"credentials"`
	Handle []byte `json:"user_handle"` // what the authenticator knows the identity by
}

// A key is what is known of one. None of it is secret.
type key struct {
	ID              []byte     `json:"id"`
	PublicKey       []byte     `json:"public_key"`
	AttestationType string     `json:"attestation_type"`
	Authenticator   keyDevice  `json:"authenticator"`
	Flags           *keyFlags  `json:"flags,omitempty"` // nil: not known yet
	Transports      []string   `json:"transports,omitempty"`
	DisplayName     string     `json:"display_name"`
	AddedAt         time.Time  `json:"added_at"`
	Passwordless    bool       `json:"is_passwordless"`
	UsedAt          *time.Time `json:"used_at,omitempty"`
}

type keyDevice struct {
	AAGUID       []byte `json:"aaguid"`
	SignCount    uint32 `json:"sign_count"`
	CloneWarning bool   `json:"clone_warning"`
}

type keyFlags struct {
	UserPresent    bool `json:"user_present"`
	UserVerified   bool `json:"user_verified"`
	BackupEligible bool `json:"backup_eligible"`
	BackupState    bool `json:"backup_state"`
}

// A holder is whose keys they are, as the library wants to know it.
type holder struct {
	handle []byte
	name   string
	keys   []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return h.handle }
func (h holder) WebAuthnName() string                       { return h.name }
func (h holder) WebAuthnDisplayName() string                { return h.name }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

// A ceremony makes keys of one type, and asks for them.
type ceremony struct {
	s      *Service
	t      CredentialType
	web    *webauthn.WebAuthn
	clones bool
}

// newCeremony returns nil if the method is off.
//
// Invalid: the options name no domain, or no origin.
func (s *Service) newCeremony(t CredentialType, o KeyOptions, selection protocol.AuthenticatorSelection) (*ceremony, error) {
	if s.options.Disabled[t] {
		return nil, nil
	}
	base, err := url.Parse(s.options.BaseURL)
	if err != nil {
		return nil, errs.New(errs.Invalid, "base URL %q: %v", s.options.BaseURL, err)
	}
	if o.ID == "" {
		o.ID = base.Hostname()
	}
	if o.Name == "" {
		o.Name = o.ID
	}
	if len(o.Origins) == 0 {
		o.Origins = []string{base.Scheme + "://" + base.Host}
	}
	if err := protocol.ValidateRPID(o.ID); err != nil {
		return nil, errs.New(errs.Invalid, "identity: methods.%s.config.rp.id %q: expected a domain: %v", t, o.ID, err)
	}
	web, err := webauthn.New(&webauthn.Config{
		RPID: o.ID, RPDisplayName: o.Name, RPOrigins: o.Origins, AuthenticatorSelection: selection,
		AttestationPreference:             protocol.PreferNoAttestation,
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, errs.New(errs.Invalid, "identity: methods.%s.config.rp: %v", t, err)
	}
	return &ceremony{s: s, t: t, web: web, clones: o.Clones}, nil
}

// holder returns who has the keys, and what a key shows of them.
func (c *ceremony) holder(r keyring, name string, flags protocol.AuthenticatorFlags) holder {
	h := holder{handle: r.Handle, name: name}
	for _, k := range r.Keys {
		if k.Passwordless == (c.t == Passkey) {
			h.keys = append(h.keys, k.credential(flags))
		}
	}
	return h
}

// credential is the key for the library. flags stand for those that were not kept.
func (k key) credential(flags protocol.AuthenticatorFlags) webauthn.Credential {
	out := webauthn.Credential{ID: k.ID, PublicKey: k.PublicKey, AttestationType: k.AttestationType, Flags: webauthn.NewCredentialFlags(flags),
		Authenticator: webauthn.Authenticator{AAGUID: k.Authenticator.AAGUID, SignCount: k.Authenticator.SignCount}}
	if f := k.Flags; f != nil {
		out.Flags.UserPresent, out.Flags.UserVerified = f.UserPresent, f.UserVerified
		out.Flags.BackupEligible, out.Flags.BackupState = f.BackupEligible, f.BackupState
	}
	for _, t := range k.Transports {
		out.Transport = append(out.Transport, protocol.AuthenticatorTransport(t))
	}
	return out
}

func flagsOf(f webauthn.CredentialFlags) *keyFlags {
	return &keyFlags{f.UserPresent, f.UserVerified, f.BackupEligible, f.BackupState}
}

// challenges are those of the flow in its present round, one for each system secret.
func (c *ceremony) challenges(st *Step) ([][]byte, error) {
	return c.s.derived(st, string(c.t), "challenge")
}

// creation returns what a browser makes a key by.
func (c *ceremony) creation(challenge []byte, who holder) (*protocol.CredentialCreation, *webauthn.SessionData, error) {
	var exclude []protocol.CredentialDescriptor
	for _, k := range who.keys {
		exclude = append(exclude, k.Descriptor())
	}
	options, session, err := c.web.BeginRegistration(who, webauthn.WithExclusions(exclude), func(o *protocol.PublicKeyCredentialCreationOptions) error {
		o.Challenge = challenge
		return nil
	})
	if err != nil {
		return nil, nil, errs.Wrap(errs.Internal, err, "a key cannot be asked for")
	}
	return options, session, nil
}

// created checks a new key. who says whose it is, by the number of the system secret
// that the form was made with, which is returned.
//
// A *FormError: it is not what was asked for.
func (c *ceremony) created(st *Step, text string, who func(n int) holder) (key, int, error) {
	wrong := Wrong(textWrongKey)
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(text))
	if err != nil {
		return key{}, 0, wrong
	}
	n, challenge, err := c.met(st, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return key{}, 0, err
	}
	owner := who(n)
	if len(owner.keys) >= maxKeys {
		return key{}, 0, Wrong(textManyKeys)
	}
	_, session, err := c.creation(challenge, owner)
	if err != nil {
		return key{}, 0, err
	}
	made, err := c.web.CreateCredential(owner, *session, parsed)
	if err != nil || slices.ContainsFunc(owner.keys, func(k webauthn.Credential) bool { return bytes.Equal(k.ID, made.ID) }) {
		return key{}, 0, wrong
	}
	k := key{
		ID: made.ID, PublicKey: made.PublicKey, AttestationType: made.AttestationType, Flags: flagsOf(made.Flags), AddedAt: st.Now,
		Authenticator: keyDevice{AAGUID: made.Authenticator.AAGUID, SignCount: made.Authenticator.SignCount}, Passwordless: c.t == Passkey,
	}
	for _, t := range made.Transport {
		k.Transports = append(k.Transports, string(t))
	}
	return k, n, nil
}

// met returns which of the flow's challenges a browser has met.
func (c *ceremony) met(st *Step, challenge string) (int, []byte, error) {
	all, err := c.challenges(st)
	if err != nil {
		return 0, nil, err
	}
	for n, one := range all {
		if base64.RawURLEncoding.EncodeToString(one) == challenge {
			return n, one, nil
		}
	}
	return 0, nil, Wrong(textWrongKey)
}

// question returns what a browser is asked for: one of the keys of who, or any that it
// has for this server if who is nil.
func (c *ceremony) question(challenge []byte, who *holder) (*protocol.CredentialAssertion, *webauthn.SessionData, error) {
	var options *protocol.CredentialAssertion
	var session *webauthn.SessionData
	var err error
	if who == nil {
		options, session, err = c.web.BeginDiscoverableLogin(webauthn.WithChallenge(challenge))
	} else {
		options, session, err = c.web.BeginLogin(*who, webauthn.WithChallenge(challenge))
	}
	if err != nil {
		return nil, nil, errs.Wrap(errs.Internal, err, "a key cannot be asked for")
	}
	return options, session, nil
}

// answered checks an answer of a key of i, and notes it in i's credential. It reports
// whether that changed. known says that i is who the form was made for.
//
// A *FormError: it is none, or the key seems to be a copy.
func (c *ceremony) answered(st *Step, parsed *protocol.ParsedCredentialAssertionData, i *Identity, known bool) (changed bool, err error) {
	_, challenge, err := c.met(st, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return false, err
	}
	ring, _, err := config[keyring](i, c.t)
	if err != nil {
		return false, err
	}
	who := c.holder(ring, i.ID, parsed.Response.AuthenticatorData.Flags)
	if len(who.keys) == 0 {
		return false, Wrong(textNoKey)
	}
	var used *webauthn.Credential
	if known {
		_, session, err2 := c.question(challenge, &who)
		if err2 != nil {
			return false, err2
		}
		used, err = c.web.ValidateLogin(who, *session, parsed)
	} else {
		_, session, err2 := c.question(challenge, nil)
		if err2 != nil {
			return false, err2
		}
		used, err = c.web.ValidateDiscoverableLogin(func(_, _ []byte) (webauthn.User, error) { return who, nil }, *session, parsed)
	}
	if err != nil {
		return false, Wrong(textWrongKey)
	}
	if used.Authenticator.CloneWarning && !c.clones {
		c.s.options.Log.Warn("a key was refused: its counter went back, as if it were a copy", "identity", i.ID, "method", string(c.t))
		return false, Wrong(textWrongKey)
	}
	at := slices.IndexFunc(ring.Keys, func(k key) bool { return bytes.Equal(k.ID, used.ID) })
	k := &ring.Keys[at]
	if k.Flags != nil && *k.Flags == *flagsOf(used.Flags) && k.Authenticator.SignCount == used.Authenticator.SignCount &&
		k.Authenticator.CloneWarning == used.Authenticator.CloneWarning {
		return false, nil // synchronized keys do not count
	}
	k.Flags, k.Authenticator.SignCount = flagsOf(used.Flags), used.Authenticator.SignCount
	k.Authenticator.CloneWarning = used.Authenticator.CloneWarning
	k.UsedAt = &st.Now
	return true, st.setConfig(i, c.t, ring)
}

// remove takes the key with an id in hexadecimal out of i's credential.
//
// A *FormError: there is no such key.
func (c *ceremony) remove(st *Step, id string) error {
	ring, _, err := config[keyring](st.Identity, c.t)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(ring.Keys), func(k key) bool { return hex.EncodeToString(k.ID) == id })
	switch len(left) {
	case len(ring.Keys):
		return Wrong(textNoKey)
	case 0:
		delete(st.Identity.Credentials, c.t)
		return nil
	default:
		ring.Keys = left
		return st.setConfig(st.Identity, c.t, ring)
	}
}

// importKeys gives the identity keys from another server.
func (c *ceremony) importKeys(i *Identity, text json.RawMessage, now time.Time) (keyring, error) {
	var ring keyring
	if err := json.Unmarshal(text, &ring); err != nil || len(ring.Keys) == 0 || len(ring.Keys) > maxKeys || len(ring.Handle) == 0 || len(ring.Handle) > 64 {
		return ring, errs.New(errs.Invalid, "credentials.%s.config: expected credentials, 1 to %d, and user_handle of 1 to 64 bytes in base64", c.t, maxKeys)
	}
	for n := range ring.Keys {
		k := &ring.Keys[n]
		if len(k.ID) == 0 || len(k.PublicKey) == 0 {
			return ring, errs.New(errs.Invalid, "credentials.%s.config: key %d has no id or no public_key", c.t, n)
		}
		if k.Passwordless = c.t == Passkey; k.AddedAt.IsZero() {
			k.AddedAt = now
		}
	}
	return ring, nil
}

// name is what a key is called in the settings.
func (k key) name() string {
	if k.DisplayName != "" {
		return k.DisplayName
	}
	return "added " + k.AddedAt.UTC().Format("2 January 2006, 15:04 UTC")
}

// A trigger is a button that calls a function of the script.
func trigger(group, name, function, argument string, label Text) Node {
	n := Input(group, name, "button", &label)
	n.Attributes.Value = argument
	n.Attributes.OnClick, n.Attributes.OnClickTrigger = "window."+function+"("+argument+")", function
	return n
}

// hiddenJSON is a hidden input with options in it.
func hiddenJSON(group, name string, v any) (Node, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return Node{}, errs.Wrap(errs.Internal, err, "options of WebAuthn cannot be encoded")
	}
	return Hidden(group, name, string(text)), nil
}

const scriptPath = "/.well-known/ory/webauthn.js"

// script is the node of the script, which is the same for both methods.
func (s *Service) script() Node {
	async := true
	return Node{Type: "script", Group: string(WebAuthn), Messages: []Text{}, Attributes: NodeAttributes{
		ID: "webauthn_script", Src: s.options.BaseURL + scriptPath, Async: &async, CrossOrigin: "anonymous", Integrity: s.integrity,
		ReferrerPolicy: "no-referrer", Type: "text/javascript", Nonce: NewID(), NodeType: "script",
	}}
}

// webauthnScript answers with the script. It has no secrets, and pages of other origins
// load it with a check of its hash, for which they must be allowed to read it.
func (s *Service) webauthnScript(w http.ResponseWriter, _ *http.Request) error {
	if len(s.options.Script) == 0 {
		return errs.New(errs.Unsupported, "this server has no script for WebAuthn")
	}
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(s.options.Script)
	return nil
}

// keyStrategy is the method webauthn: a security key as second factor.
type keyStrategy struct{ *ceremony }

var (
	_ Strategy     = (*keyStrategy)(nil)
	_ Claimer      = (*keyStrategy)(nil)
	_ SecondFactor = (*keyStrategy)(nil)
	_ Importer     = (*keyStrategy)(nil)
)

func (*keyStrategy) Method() string { return string(WebAuthn) }

// Claims implements Claimer: the script submits without a button.
func (*keyStrategy) Claims(f Form) bool {
	return f.Has("webauthn_login") || f.Has("webauthn_register") || f.Has("webauthn_remove")
}

// Second implements SecondFactor.
func (*keyStrategy) Second(i *Identity, _ *Session) bool { _, ok := i.Credentials[WebAuthn]; return ok }

func (k *keyStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	switch {
	case st.Flow.API:
		return nil, nil
	case st.stepsUp() && st.Identity != nil && k.Second(st.Identity, nil):
		return k.loginNodes(st)
	case st.Flow.Kind == Settings:
		return k.settingsNodes(st)
	default:
		return nil, nil
	}
}

func (k *keyStrategy) loginNodes(st *Step) ([]Node, error) {
	group := k.Method()
	ring, _, err := config[keyring](st.Identity, WebAuthn)
	if err != nil {
		return nil, err
	}
	challenges, err := k.challenges(st)
	if err != nil {
		return nil, err
	}
	who := k.holder(ring, st.Identity.ID, 0)
	if len(who.keys) == 0 {
		return nil, nil
	}
	options, _, err := k.question(challenges[0], &who)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(options)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "options of WebAuthn cannot be encoded")
	}
	return []Node{k.s.script(), trigger(group, "webauthn_login_trigger", "oryWebAuthnLogin", string(text), textUseKey), Hidden(group, "webauthn_login", "")}, nil
}

func (k *keyStrategy) settingsNodes(st *Step) ([]Node, error) {
	group := k.Method()
	ring, _, err := config[keyring](st.Identity, WebAuthn)
	if err != nil {
		return nil, err
	}
	challenges, err := k.challenges(st)
	if err != nil {
		return nil, err
	}
	options, _, err := k.creation(challenges[0], k.owner(st, ring))
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(options)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "options of WebAuthn cannot be encoded")
	}
	nodes := []Node{k.s.script()}
	for _, one := range ring.Keys {
		nodes = append(nodes, Button(group, "webauthn_remove", hex.EncodeToString(one.ID), textRemoveKey(1050018, "security key", one)))
	}
	return append(nodes, Input(group, "webauthn_register_displayname", "text", &textLabelKeyName), Hidden(group, "webauthn_register", ""),
		trigger(group, "webauthn_register_trigger", "oryWebAuthnRegistration", string(text), textAddKey)), nil
}

// owner is the identity as an authenticator knows it.
func (k *keyStrategy) owner(st *Step, ring keyring) holder {
	if len(ring.Handle) == 0 {
		ring.Handle = []byte(st.Identity.ID)
	}
	name := st.Schema.read(st.Identity.Traits).passkeyName
	if name == "" {
		name = st.Identity.ID
	}
	return k.holder(ring, name, 0)
}

func (k *keyStrategy) Submit(_ context.Context, st *Step) (Outcome, error) {
	switch f := st.Form; {
	case st.Flow.API:
		return Done, Wrong(noStrategy(st.Flow.Kind))
	case st.stepsUp():
		return Done, k.login(st)
	case st.Flow.Kind == Settings && f.Has("webauthn_remove"):
		return Done, k.remove(st, f.Text("webauthn_remove"))
	case st.Flow.Kind == Settings && f.Has("webauthn_register"):
		return Done, k.register(st)
	default:
		return Done, Wrong(noStrategy(st.Flow.Kind))
	}
}

const maxKeyName = 100 // characters

func (k *keyStrategy) register(st *Step) error {
	ring, _, err := config[keyring](st.Identity, WebAuthn)
	if err != nil {
		return err
	}
	owner := k.owner(st, ring)
	made, _, err := k.created(st, st.Form.Text("webauthn_register"), func(int) holder { return owner })
	if err != nil {
		return err
	}
	made.DisplayName = st.Form.Text("webauthn_register_displayname")
	if n := utf8.RuneCountInString(made.DisplayName); n > maxKeyName {
		return WrongAt("webauthn_register_displayname", textMaxLength(maxKeyName, n))
	}
	ring.Handle, ring.Keys = owner.handle, append(ring.Keys, made)
	if err := st.setConfig(st.Identity, WebAuthn, ring, st.Identity.ID); err != nil {
		return err
	}
	st.Prove(st.Identity, k.Method(), AAL2)
	return st.nextRound(k.Method())
}

func (k *keyStrategy) login(st *Step) error {
	i, err := st.known()
	if err != nil {
		return err
	}
	if !k.Second(i, nil) {
		return Wrong(textNoKey)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(st.Form.Text("webauthn_login")))
	if err != nil {
		return Wrong(textWrongKey)
	}
	i = st.own()
	changed, err := k.answered(st, parsed, i, true)
	if err != nil {
		return err
	}
	if changed {
		st.Also(SaveIdentity{i})
	}
	st.Prove(i, k.Method(), AAL2)
	return nil
}

// Import implements Importer.
func (k *keyStrategy) Import(_ context.Context, i *Identity, text json.RawMessage, _ *Schema, now time.Time) error {
	ring, err := k.importKeys(i, text, now)
	if err != nil {
		return err
	}
	return (&Step{Now: now}).setConfig(i, WebAuthn, ring, i.ID)
}

// addKeys adds the methods that use keys, unless they are off.
//
// Invalid: the options name no domain.
func (s *Service) addKeys() error {
	sum := sha512.Sum512(s.options.Script)
	s.integrity = "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	or := func(text, other string) string {
		if text == "" {
			return other
		}
		return text
	}
	o := s.options.Passkey
	passkeys, err := s.newCeremony(Passkey, o, protocol.AuthenticatorSelection{
		AuthenticatorAttachment: protocol.AuthenticatorAttachment(o.Attachment),
		RequireResidentKey:      new(or(o.ResidentKey, "required") == "required"),
		ResidentKey:             protocol.ResidentKeyRequirement(or(o.ResidentKey, "required")),
		UserVerification:        protocol.UserVerificationRequirement(or(o.UserVerification, "preferred")),
	})
	if err != nil {
		return err
	}
	second, err := s.newCeremony(WebAuthn, s.options.WebAuthn, protocol.AuthenticatorSelection{
		RequireResidentKey: new(false),
		ResidentKey:        protocol.ResidentKeyRequirementDiscouraged,
		UserVerification:   protocol.VerificationDiscouraged, // it is a second factor
	})
	if err != nil {
		return err
	}
	if passkeys != nil {
		s.add(&passkeyStrategy{passkeys})
	}
	if second != nil {
		s.add(&keyStrategy{second})
	}
	return nil
}
