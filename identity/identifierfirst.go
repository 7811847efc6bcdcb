package identity

import (
	"context"
	"slices"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Login in two steps: who one is, and then how one proves it. The second step offers all
// that this server has, whether or not there is an account, and does not even look for one;
// unless Options.TellTaken lets it offer what the account has.

const methodIdentifier = "identifier_first"

// identifierFirst is the method identifier_first: it asks who wants to log in. People of
// organizations go from there to their providers, see claimed; for them it is there, too,
// where a login has one step.
type identifierFirst struct{ s *Service }

var _ Strategy = (*identifierFirst)(nil)

// A namedLogin is what a flow keeps of the first step.
type namedLogin struct {
	Name string // as the user wrote it

	Tells     bool     `json:",omitempty"` // the rest says what the account has
	Methods   []string `json:",omitempty"`
	Providers []string `json:",omitempty"` // of the method oidc
}

// offers reports whether the second step has a method. The nil namedLogin is of forms that
// have one step.
func (n *namedLogin) offers(method string) bool {
	if n == nil {
		return true
	}
	return method != methodIdentifier && (!n.Tells || slices.Contains(n.Methods, method))
}

// linked reports whether it has a provider.
func (n *namedLogin) linked(provider string) bool {
	return n == nil || !n.Tells || slices.Contains(n.Providers, provider)
}

// inSteps reports whether the login has two steps. There is one for who is known already,
// from a session or because an account shall be linked.
func (s *Service) inSteps(st *Step) bool {
	f := st.Flow
	if f.Kind != Login || f.State != Choose || f.requestedAAL() != AAL1 || !s.options.flow(Login).IdentifierFirst || f.Refresh && st.Identity != nil {
		return false
	}
	var kept oidcState
	_, err := f.Recall(string(OIDC), &kept)
	return err != nil || kept.Link == ""
}

// named is what the first step of a login has said, nil while it has not.
func (s *Service) named(st *Step) *namedLogin {
	var n namedLogin
	if ok, err := st.Flow.Recall(methodIdentifier, &n); !ok || err != nil || !s.inSteps(st) {
		return nil
	}
	return &n
}

// asksName reports whether the form is the first step.
func (s *Service) asksName(st *Step) bool { return s.inSteps(st) && s.named(st) == nil }

func (*identifierFirst) Method() string { return methodIdentifier }

func (i *identifierFirst) Nodes(_ context.Context, st *Step) ([]Node, error) {
	f := st.Flow
	if f.Kind != Login || f.State != Choose || f.requestedAAL() != AAL1 || f.Refresh && st.Identity != nil {
		return nil, nil
	}
	if i.s.options.flow(Login).IdentifierFirst && !i.s.inSteps(st) {
		return nil, nil
	}
	return append(i.s.identifierNodes(st), Button(i.Method(), "method", i.Method(), textLabelContinue)), nil
}

// Submit is reached by those only who are of no organization: the form goes on.
func (i *identifierFirst) Submit(ctx context.Context, st *Step) (Outcome, error) {
	f := st.Flow
	if f.Kind != Login || f.requestedAAL() != AAL1 {
		return Done, Wrong(noStrategy(f.Kind))
	}
	delete(f.Kept, methodIdentifier)
	if st.identifier() == "" {
		return Done, WrongAt("identifier", textMissing("identifier"))
	}
	if !i.s.inSteps(st) {
		return Again, nil
	}
	n := namedLogin{Name: st.Form.Text("identifier"), Tells: i.s.options.TellTaken}
	if n.Tells {
		if err := i.look(ctx, st, &n); err != nil {
			return Done, err
		}
	}
	if err := f.Keep(methodIdentifier, n); err != nil {
		return Done, err
	}
	only, err := i.only(ctx, st, &n)
	if err != nil || only == nil {
		return Again, err
	}
	f.Active = only.Method()
	return only.login(ctx, st)
}

// look finds what the account has.
//
// A *FormError: there is no account, or no way into it.
func (i *identifierFirst) look(ctx context.Context, st *Step, n *namedLogin) error {
	who, err := i.find(ctx, st)
	if errs.KindOf(err) == errs.NotFound {
		return Wrong(textNoAccount)
	}
	if err != nil {
		return err
	}
	for _, one := range i.s.strategies {
		if first, ok := one.(FirstFactor); ok && first.First(who) > 0 {
			n.Methods = append(n.Methods, one.Method())
		}
	}
	if len(n.Methods) == 0 {
		return Wrong(textNoAccount)
	}
	linked, _, err := config[oidcConfig](who, OIDC)
	for _, a := range linked.Providers {
		n.Providers = append(n.Providers, a.Provider)
	}
	return err
}

// find returns whom the form names: by an identifier, or by an address, as of those who have
// come from another provider.
func (i *identifierFirst) find(ctx context.Context, st *Step) (*Identity, error) {
	name := st.identifier()
	for _, t := range []CredentialType{Password, CodeAuth} {
		if who, err := i.s.store.Find(ctx, t, name); errs.KindOf(err) != errs.NotFound {
			return who, err
		}
	}
	missing := errs.New(errs.NotFound, "there is no such account")
	via, to, ok := addressOf(name)
	if !ok {
		return nil, missing
	}
	for _, use := range []AddressUse{ForVerification, ForRecovery} {
		if who, err := i.s.store.FindAddress(ctx, use, via, to); errs.KindOf(err) != errs.NotFound {
			return who, err
		}
	}
	return nil, missing
}

// only returns the method code if there is nothing else to choose: then it is sent at once.
func (i *identifierFirst) only(ctx context.Context, st *Step, n *namedLogin) (*codeStrategy, error) {
	var only *codeStrategy
	for _, one := range i.s.strategies {
		if _, first := one.(FirstFactor); !first || !n.offers(one.Method()) {
			continue
		}
		nodes, err := one.Nodes(ctx, st)
		if err != nil {
			return nil, err
		}
		code, isCode := one.(*codeStrategy)
		switch {
		case len(nodes) == 0:
		case !isCode:
			return nil, nil
		default:
			only = code
		}
	}
	return only, nil
}

// named is the name in the second step of a login, "" elsewhere.
func (f *ShownFlow) named() string {
	for _, n := range f.UI.Nodes {
		if name, ok := n.Attributes.Value.(string); ok && n.Group == methodIdentifier && n.Attributes.Type == "hidden" {
			return name
		}
	}
	return ""
}
