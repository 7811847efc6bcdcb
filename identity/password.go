package identity

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// maxPassword bounds what is hashed, in bytes.
const maxPassword = 1024

// passwordStrategy is the method password: something that only one person knows.
type passwordStrategy struct{ s *Service }

var _ Strategy = (*passwordStrategy)(nil)

// passwordConfig is the config of a credential. Its name is Kratos's.
type passwordConfig struct {
	Hash string `json:"hashed_password"`
}

func (*passwordStrategy) Method() string { return string(Password) }

// First implements FirstFactor.
func (*passwordStrategy) First(i *Identity) int {
	if len(i.Credentials[Password].Identifiers) == 0 {
		return 0
	}
	return 1
}

func (p *passwordStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	switch f := st.Flow; {
	case f.Refresh && st.Identity != nil && p.First(st.Identity) == 0:
		return nil, nil
	case f.Kind == Login && f.requestedAAL() == AAL1 && f.State == Choose:
		return append(p.s.identifierNodes(st), p.node("current-password"), p.button(textSignInPassword)), nil
	case f.Kind == Registration && f.State == Choose:
		return []Node{p.node("new-password"), p.button(textSignUp)}, nil
	case f.Kind == Settings:
		return []Node{p.node("new-password"), p.button(textLabelSave)}, nil
	default:
		return nil, nil
	}
}

func (p *passwordStrategy) node(autocomplete string) Node {
	return Input(p.Method(), "password", "password", &textLabelPassword).Required().Autocomplete(autocomplete)
}

func (p *passwordStrategy) button(label Text) Node {
	return Button(p.Method(), "method", p.Method(), label)
}

func (p *passwordStrategy) Submit(ctx context.Context, st *Step) (Outcome, error) {
	switch {
	case st.Flow.Kind == Login && st.Flow.requestedAAL() == AAL1:
		return Done, p.login(ctx, st)
	case st.Flow.Kind == Registration:
		return Done, p.register(ctx, st)
	case st.Flow.Kind == Settings:
		return Done, p.set(ctx, st)
	default:
		return Done, Wrong(textNoLoginMethod)
	}
}

func (p *passwordStrategy) login(ctx context.Context, st *Step) error {
	password := st.Form.Text("password")
	identifier := st.identifier()
	missing := &FormError{Nodes: map[string][]Text{}}
	if identifier == "" {
		missing.Nodes["identifier"] = []Text{textMissing("identifier")}
	}
	if password == "" {
		missing.Nodes["password"] = []Text{textMissing("password")}
	}
	if len(missing.Nodes) > 0 {
		return missing
	}
	key := loginKey(Password, identifier)
	if err := p.s.attempt(ctx, st, key); err != nil {
		return err
	}
	if err := p.prove(ctx, st, identifier, password); err != nil {
		p.s.untried(ctx, key, err)
		return err
	}
	st.Also(Forgive{[]string{key}})
	return nil
}

// prove says who somebody is who knows a password.
func (p *passwordStrategy) prove(ctx context.Context, st *Step, identifier, password string) error {
	i, err := p.s.store.Find(ctx, Password, identifier)
	if errs.KindOf(err) == errs.NotFound {
		if err := p.s.hasher.waste(ctx, password); err != nil {
			return err
		}
		return Wrong(textWrongCredentials)
	}
	if err != nil {
		return err
	}
	if err := p.check(ctx, st, i, password); err != nil {
		return err
	}
	st.Prove(i, p.Method(), AAL1)
	return nil
}

// check compares the password, and replaces a hash that is older than it should be.
func (p *passwordStrategy) check(ctx context.Context, st *Step, i *Identity, password string) error {
	c := i.Credentials[Password]
	config, err := p.config(c)
	if err != nil {
		return err
	}
	ok, old, err := p.s.hasher.verify(ctx, config.Hash, password)
	if err != nil {
		return err
	}
	if !ok {
		st.about = i
		return Wrong(textWrongCredentials)
	}
	if old {
		if err := p.put(ctx, i, password, st); err != nil {
			return err
		}
		st.Also(SaveIdentity{i})
	}
	return nil
}

func (p *passwordStrategy) config(c Credential) (config passwordConfig, err error) {
	if err := json.Unmarshal(c.Config, &config); err != nil {
		return config, errs.Wrap(errs.Internal, err, "the config of a password is malformed")
	}
	return config, nil
}

// put gives the identity the password.
func (p *passwordStrategy) put(ctx context.Context, i *Identity, password string, st *Step) error {
	hash, err := p.s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	config, err := json.Marshal(passwordConfig{hash})
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the config of a password cannot be encoded")
	}
	i.SetCredential(Credential{Type: Password, Identifiers: st.Schema.read(i.Traits).identifiers[Password], Config: config}, st.Now)
	return nil
}

func (p *passwordStrategy) register(ctx context.Context, st *Step) error {
	password := st.Form.Text("password")
	identifiers := st.Schema.read(st.Identity.Traits).identifiers[Password]
	if err := p.policy(ctx, password, identifiers); err != nil {
		return err
	}
	if len(identifiers) == 0 {
		return Wrong(textNoIdentifier)
	}
	if err := p.put(ctx, st.Identity, password, st); err != nil {
		return err
	}
	st.Prove(st.Identity, p.Method(), AAL1)
	return nil
}

func (p *passwordStrategy) set(ctx context.Context, st *Step) error {
	password := st.Form.Text("password")
	identifiers := st.Schema.read(st.Identity.Traits).identifiers[Password]
	if err := p.policy(ctx, password, identifiers); err != nil {
		return err
	}
	if len(identifiers) == 0 {
		return Wrong(textNoIdentifier)
	}
	if c, ok := st.Identity.Credentials[Password]; ok {
		config, err := p.config(c)
		if err != nil {
			return err
		}
		if same, _, err := p.s.hasher.verify(ctx, config.Hash, password); err == nil && same {
			return WrongAt("password", textSamePassword)
		}
	}
	if err := p.put(ctx, st.Identity, password, st); err != nil {
		return err
	}
	st.Also(RevokeSessions{Identity: st.Identity.ID, Except: st.Session.ID})
	return nil
}

// identifierNodes ask who wants to log in, unless that is known.
func (s *Service) identifierNodes(st *Step) []Node {
	if st.Flow.Refresh && st.Identity != nil {
		u := st.Schema.read(st.Identity.Traits)
		if ids := append(u.identifiers[Password], u.identifiers[CodeAuth]...); len(ids) > 0 {
			return []Node{Hidden(groupDefault, "identifier", ids[0])}
		}
	}
	group, kind, named := groupDefault, "text", s.named(st)
	if named != nil || s.asksName(st) {
		group = methodIdentifier
	}
	if named != nil {
		kind = "hidden"
	}
	n := Input(group, "identifier", kind, s.identifierLabel(st.Schema)).Required().Autocomplete(s.usernameHint(st.Flow))
	if named != nil {
		n.Attributes.Value = named.Name
	}
	return []Node{n}
}

// usernameHint lets browsers offer passkeys, too.
func (s *Service) usernameHint(f *Flow) string {
	if s.options.Disabled[Passkey] || f.API {
		return "username"
	}
	return "username webauthn"
}

// identifierLabel is the title of the trait that is the identifier, if there is one.
func (s *Service) identifierLabel(schema *Schema) *Text {
	label, n := textLabelID, 0
	for _, f := range schema.fields {
		if c := f.use.Credentials; (c.Password.Identifier || c.Code.Identifier) && f.title != "" {
			label = labelOf(f.title, f.name())
			n++
		}
	}
	if n != 1 {
		label = textLabelID
	}
	return &label
}

// identifier is what the form says about who wants to log in, normalized; "" if
// nothing usable.
func (st *Step) identifier() string {
	text := st.Form.Text("identifier")
	if text == "" {
		text = st.Form.Text("password_identifier")
	}
	id, ok := normalize(text)
	if !ok {
		return ""
	}
	return id
}

// attempt counts an attempt to log in, before it is looked at.
//
// A *FormError: it comes too soon after others.
func (s *Service) attempt(ctx context.Context, st *Step, key string) error {
	allowed, next, err := s.count(ctx, st, key, s.options.LoginLimit)
	if err != nil {
		return err
	}
	if !allowed {
		return Wrong(textLocked(next.Sub(st.Now)))
	}
	return nil
}

// untried gives an attempt back that could not be made, so that those who try again when
// there is much to do are not locked out for it. Else it stays counted.
func (s *Service) untried(ctx context.Context, key string, why error) {
	if errs.KindOf(why) != errs.Unavailable {
		return
	}
	if err := s.store.Write(context.WithoutCancel(ctx), ReturnAttempt{Key: key, Limit: s.options.LoginLimit}); err != nil {
		s.options.Log.Warn("an attempt to log in stays counted, though it was not made", "err", err)
	}
}

// Import implements Importer: a password, or the hash of one.
func (p *passwordStrategy) Import(ctx context.Context, i *Identity, config json.RawMessage, schema *Schema, now time.Time) error {
	var given struct {
		Password string `json:"password"`
		Hash     string `json:"hashed_password"`
		Hook     bool   `json:"use_password_migration_hook"`
	}
	if err := json.Unmarshal(config, &given); err != nil {
		return errs.New(errs.Invalid, "credentials.password.config: expected password or hashed_password")
	}
	if given.Hook {
		return errs.New(errs.Unsupported, "credentials.password.config.use_password_migration_hook: this server has no such hook")
	}
	if given.Hash == "" && given.Password == "" || len(given.Password) > maxPassword {
		return errs.New(errs.Invalid, "credentials.password.config: expected a password of at most %d bytes, or hashed_password", maxPassword)
	}
	if given.Password != "" {
		return p.put(ctx, i, given.Password, &Step{Schema: schema, Now: now})
	}
	if err := checkHash(given.Hash); err != nil {
		return errs.New(errs.Invalid, "credentials.password.config.hashed_password: %v", err)
	}
	stored, err := json.Marshal(passwordConfig{given.Hash})
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the config of a password cannot be encoded")
	}
	i.SetCredential(Credential{Type: Password, Identifiers: schema.read(i.Traits).identifiers[Password], Config: stored}, now)
	return nil
}
