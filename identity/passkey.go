package identity

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/cardea-iam/cardea/internal/errs"
)

// passkeyStrategy is the method passkey: a key that knows whom it belongs to, so that
// nobody needs to say who they are. Its identifier is the user handle in base64.
type passkeyStrategy struct{ *ceremony }

var (
	_ Strategy    = (*passkeyStrategy)(nil)
	_ Claimer     = (*passkeyStrategy)(nil)
	_ FirstFactor = (*passkeyStrategy)(nil)
	_ Importer    = (*passkeyStrategy)(nil)
)

// newPasskeyData is what the script makes a passkey by, whose name stands in a field.
type newPasskeyData struct {
	Options *protocol.CredentialCreation `json:"credentialOptions"`
	Name    string                       `json:"displayNameFieldName"`
}

func (*passkeyStrategy) Method() string { return string(Passkey) }

// Claims implements Claimer: the script submits without a button.
func (*passkeyStrategy) Claims(f Form) bool {
	return f.Has("passkey_login") || f.Has("passkey_register") || f.Has("passkey_settings_register") || f.Has("passkey_remove")
}

// First implements FirstFactor.
func (*passkeyStrategy) First(i *Identity) int {
	ring, _, err := config[keyring](i, Passkey)
	if err != nil {
		return 0
	}
	return len(ring.Keys)
}

func (p *passkeyStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	switch f := st.Flow; {
	case f.API:
		return nil, nil
	case f.Kind == Login && f.requestedAAL() == AAL1 && f.State == Choose:
		return p.loginNodes(st)
	case f.Kind == Registration && f.State == Choose:
		return p.registrationNodes(st)
	case f.Kind == Settings:
		return p.settingsNodes(st)
	default:
		return nil, nil
	}
}

// loginNodes ask for any passkey, also in the list that a browser has for the field of
// the identifier; or for one of the identity that is to log in again.
func (p *passkeyStrategy) loginNodes(st *Step) ([]Node, error) {
	group := p.Method()
	challenges, err := p.challenges(st)
	if err != nil {
		return nil, err
	}
	var who *holder
	if p.again(st) {
		ring, _, err := config[keyring](st.Identity, Passkey)
		if err != nil {
			return nil, err
		}
		h := p.holder(ring, st.Identity.ID, 0)
		if who = &h; len(h.keys) == 0 {
			return nil, nil
		}
	}
	options, _, err := p.question(challenges[0], who)
	if err != nil {
		return nil, err
	}
	challenge, err := hiddenJSON(group, "passkey_challenge", options)
	if err != nil {
		return nil, err
	}
	answer := Hidden(group, "passkey_login", "")
	nodes := []Node{p.s.script(), challenge}
	if who == nil {
		answer.Attributes.OnLoad, answer.Attributes.OnLoadTrigger = "window.oryPasskeyLoginAutocompleteInit()", "oryPasskeyLoginAutocompleteInit"
		nodes = append(p.s.identifierNodes(st), nodes...)
	}
	nodes = append(nodes, answer)
	if !p.s.asksName(st) { // else a browser offers them for the identifier
		nodes = append(nodes, trigger(group, "passkey_login_trigger", "oryPasskeyLogin", "", textUsePasskey))
	}
	return nodes, nil
}

// again reports whether the flow is for an identity that has logged in before.
func (p *passkeyStrategy) again(st *Step) bool { return st.Flow.Refresh && st.Identity != nil }

func (p *passkeyStrategy) registrationNodes(st *Step) ([]Node, error) {
	group := p.Method()
	owners, err := p.owners(st, keyring{}, "")
	if err != nil {
		return nil, err
	}
	challenges, err := p.challenges(st)
	if err != nil {
		return nil, err
	}
	options, _, err := p.creation(challenges[0], owners(0))
	if err != nil {
		return nil, err
	}
	data, err := hiddenJSON(group, "passkey_create_data", newPasskeyData{options, passkeyField(st.Schema)})
	if err != nil {
		return nil, err
	}
	return []Node{p.s.script(), data, Hidden(group, "passkey_register", ""),
		trigger(group, "passkey_register_trigger", "oryPasskeyRegistration", "", textSignUpPasskey)}, nil
}

// passkeyField is the node whose value names a new passkey.
func passkeyField(s *Schema) string {
	for _, f := range s.fields {
		if f.use.Credentials.Passkey.DisplayName {
			return f.name()
		}
	}
	for _, f := range s.fields {
		if f.use.Credentials.Password.Identifier {
			return f.name()
		}
	}
	return ""
}

// owners returns who a new passkey will belong to, by the number of the system secret. A
// new user handle follows from the flow, as its challenge does.
func (p *passkeyStrategy) owners(st *Step, ring keyring, name string) (func(n int) holder, error) {
	handles, err := p.s.derived(st, p.Method(), "handle")
	if err != nil {
		return nil, err
	}
	return func(n int) holder {
		mine := ring
		if len(mine.Handle) == 0 {
			mine.Handle = handles[n]
		}
		return p.holder(mine, name, 0)
	}, nil
}

func (p *passkeyStrategy) settingsNodes(st *Step) ([]Node, error) {
	group := p.Method()
	ring, _, err := config[keyring](st.Identity, Passkey)
	if err != nil {
		return nil, err
	}
	owners, err := p.owners(st, ring, p.nameOf(st))
	if err != nil {
		return nil, err
	}
	challenges, err := p.challenges(st)
	if err != nil {
		return nil, err
	}
	options, _, err := p.creation(challenges[0], owners(0))
	if err != nil {
		return nil, err
	}
	data, err := hiddenJSON(group, "passkey_create_data", options)
	if err != nil {
		return nil, err
	}
	nodes := []Node{p.s.script()}
	last := p.s.firstFactors(st.Identity) < 2
	for _, one := range ring.Keys {
		n := Button(group, "passkey_remove", hex.EncodeToString(one.ID), textRemoveKey(1050020, "passkey", one))
		n.Attributes.Disabled = &last
		nodes = append(nodes, n)
	}
	return append(nodes, data, Hidden(group, "passkey_settings_register", ""),
		trigger(group, "passkey_register_trigger", "oryPasskeySettingsRegistration", "", textAddPasskey)), nil
}

// nameOf is what a passkey of the identity shows.
func (p *passkeyStrategy) nameOf(st *Step) string {
	u := st.Schema.read(st.Identity.Traits)
	switch {
	case u.passkeyName != "":
		return u.passkeyName
	case len(u.identifiers[Password]) > 0:
		return u.identifiers[Password][0]
	default:
		return st.Identity.ID
	}
}

func (p *passkeyStrategy) Submit(ctx context.Context, st *Step) (Outcome, error) {
	switch f := st.Form; {
	case st.Flow.API:
		return Done, Wrong(noStrategy(st.Flow.Kind))
	case st.Flow.Kind == Login && st.Flow.requestedAAL() == AAL1:
		return Done, p.login(ctx, st)
	case st.Flow.Kind == Registration && f.Has("passkey_register"):
		return Done, p.add(st, f.Text("passkey_register"))
	case st.Flow.Kind == Settings && f.Has("passkey_settings_register"):
		return Done, p.add(st, f.Text("passkey_settings_register"))
	case st.Flow.Kind == Settings && f.Has("passkey_remove"):
		if p.s.firstFactors(st.Identity) < 2 {
			return Done, WrongAt("passkey_remove", textLastFactor)
		}
		return Done, p.remove(st, f.Text("passkey_remove"))
	default:
		return Done, Wrong(noStrategy(st.Flow.Kind))
	}
}

// login finds out whose the key is, and what it says.
func (p *passkeyStrategy) login(ctx context.Context, st *Step) error {
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(st.Form.Text("passkey_login")))
	if err != nil {
		return Wrong(textWrongKey)
	}
	var i *Identity
	known := p.again(st)
	if known {
		i = st.own()
	} else {
		i, err = p.s.store.Find(ctx, Passkey, handleText(parsed.Response.UserHandle))
		if errs.KindOf(err) == errs.NotFound {
			return Wrong(textNoKeyUser)
		}
		if err != nil {
			return err
		}
	}
	changed, err := p.answered(st, parsed, i, known)
	if err != nil {
		return err
	}
	if changed {
		st.Also(SaveIdentity{i})
	}
	st.Prove(i, p.Method(), AAL1)
	return nil
}

// add gives the identity, which may be new, another passkey.
func (p *passkeyStrategy) add(st *Step, text string) error {
	ring, _, err := config[keyring](st.Identity, Passkey)
	if err != nil {
		return err
	}
	owners, err := p.owners(st, ring, p.nameOf(st))
	if err != nil {
		return err
	}
	made, n, err := p.created(st, text, owners)
	if err != nil {
		return err
	}
	ring.Handle, ring.Keys = owners(n).handle, append(ring.Keys, made)
	if err := st.setConfig(st.Identity, Passkey, ring, handleText(ring.Handle)); err != nil {
		return err
	}
	st.Prove(st.Identity, p.Method(), AAL1)
	return st.nextRound(p.Method())
}

func handleText(handle []byte) string { return base64.RawURLEncoding.EncodeToString(handle) }

// Import implements Importer.
func (p *passkeyStrategy) Import(_ context.Context, i *Identity, text json.RawMessage, _ *Schema, now time.Time) error {
	ring, err := p.importKeys(i, text, now)
	if err != nil {
		return err
	}
	return (&Step{Now: now}).setConfig(i, Passkey, ring, handleText(ring.Handle))
}
