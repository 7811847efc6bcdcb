package identity

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/cardea-iam/cardea/internal/egress"
	"github.com/cardea-iam/cardea/internal/errs"
)

// oidcStrategy is the method oidc: an account at another provider, by OpenID Connect, or
// by OAuth2 and an endpoint that says who somebody is.
//
// A browser leaves with a ticket as state: sealed, bound to the browser and to the flow,
// which lets each in once. It comes back to oidcreturn.go.
type oidcStrategy struct {
	s         *Service
	upstreams []*upstream
}

var (
	_ Strategy    = (*oidcStrategy)(nil)
	_ Claimer     = (*oidcStrategy)(nil)
	_ FirstFactor = (*oidcStrategy)(nil)
	_ TraitSource = (*oidcStrategy)(nil)
)

// oidcConfig is the config of a credential. Its names are Kratos's.
type oidcConfig struct {
	Providers []linkedAccount `json:"providers"`
}

// A linkedAccount is one at a provider. Tokens are sealed.
type linkedAccount struct {
	Subject      string `json:"subject"`
	Provider     string `json:"provider"`
	Organization string `json:"organization,omitempty"`
	AutoLink     bool   `json:"use_auto_link,omitempty"`
	IDToken      string `json:"initial_id_token,omitempty"`
	AccessToken  string `json:"initial_access_token,omitempty"`
	RefreshToken string `json:"initial_refresh_token,omitempty"`
}

// oidcState is what the strategy keeps with a flow.
type oidcState struct {
	Ticket  string `json:",omitempty"` // the one that lets in
	Account string `json:",omitempty"` // who it was, sealed
	Link    string `json:",omitempty"` // the identifier of who must log in, to link the account
}

func (s *Service) addOIDC() {
	if len(s.options.OIDC.Providers) == 0 || s.options.Disabled[OIDC] {
		return
	}
	o := &oidcStrategy{s: s}
	client := egress.Client(s.options.OIDC.Private, 0)
	for _, p := range s.options.OIDC.Providers {
		redirect := s.options.OIDC.RedirectBase + callbackPath
		if p.PKCE != "force" {
			redirect += "/" + p.ID
		}
		o.upstreams = append(o.upstreams, &upstream{Provider: p, http: client, redirect: redirect, now: s.now})
	}
	if len(s.options.OIDC.Organizations) > 0 {
		if !s.options.flow(Login).IdentifierFirst {
			s.add(&identifierFirst{s})
		}
		s.hooks[Login], s.hooks[Recovery] = append(s.hooks[Login], s.onlySSO), append(s.hooks[Recovery], s.onlySSO)
	}
	s.add(o)
	s.hooks[Login] = append(s.hooks[Login], o.link)
}

func (*oidcStrategy) Method() string    { return string(OIDC) }
func (*oidcStrategy) FindsTraits() bool { return true }

// Claims implements Claimer: the buttons have the name of what they do.
func (*oidcStrategy) Claims(f Form) bool {
	return f.Has("provider") || f.Has("link") || f.Has("unlink")
}

// First implements FirstFactor: an account counts while its provider does.
func (o *oidcStrategy) First(i *Identity) (n int) {
	c, _, err := config[oidcConfig](i, OIDC)
	if err != nil {
		return 0
	}
	for _, a := range c.Providers {
		if o.upstream(a.Provider) != nil {
			n++
		}
	}
	return n
}

func (o *oidcStrategy) upstream(id string) *upstream {
	for _, u := range o.upstreams {
		if u.ID == id {
			return u
		}
	}
	return nil
}

// offered are the providers of a flow: those of its organization, or those for everybody.
func (o *oidcStrategy) offered(f *Flow) []*upstream {
	return slices.DeleteFunc(slices.Clone(o.upstreams), func(u *upstream) bool { return u.Organization != f.Organization })
}

func (o *oidcStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	f := st.Flow
	var kept oidcState
	if _, err := f.Recall(o.Method(), &kept); err != nil {
		return nil, err
	}
	switch {
	case f.Kind == Settings:
		return o.settingsNodes(st)
	case f.Kind != Login && f.Kind != Registration, f.State != Choose, f.requestedAAL() != AAL1:
		return nil, nil
	}
	label := textSignInWith
	switch {
	case f.Kind == Registration:
		label = textSignUpWith
	case kept.Link != "":
		label = textConfirmWith
	}
	linked, _, err := config[oidcConfig](st.Identity, OIDC)
	if err != nil {
		return nil, err
	}
	named := o.s.named(st)
	var only *account
	if f.Kind == Registration && kept.Account != "" {
		if only, err = o.keptAccount(f, kept); err != nil {
			return nil, err
		}
	}
	var nodes []Node
	for _, u := range o.offered(f) {
		if f.Refresh && st.Identity != nil && !linked.has(u.ID) || only != nil && only.Provider != u.ID || !named.linked(u.ID) {
			continue
		}
		nodes = append(nodes, Button(o.Method(), "provider", u.ID, label(u.Label, u.ID)))
	}
	return nodes, nil
}

func (c oidcConfig) has(provider string) bool {
	return slices.ContainsFunc(c.Providers, func(a linkedAccount) bool { return a.Provider == provider })
}

// settingsNodes link what is not linked, and unlink the rest unless it is the last way in.
func (o *oidcStrategy) settingsNodes(st *Step) (nodes []Node, err error) {
	if st.Flow.API { // a link needs a browser
		return nil, nil
	}
	linked, _, err := config[oidcConfig](st.Identity, OIDC)
	if err != nil {
		return nil, err
	}
	several := o.s.firstFactors(st.Identity) > 1
	for _, u := range o.upstreams {
		switch {
		case !linked.has(u.ID) && (u.Organization == "" || u.Organization == st.Identity.OrganizationID):
			nodes = append(nodes, Button(o.Method(), "link", u.ID, textLinkTo(u.Label, u.ID)))
		case linked.has(u.ID) && several && u.Organization == "":
			nodes = append(nodes, Button(o.Method(), "unlink", u.ID, textUnlink(u.Label, u.ID)))
		}
	}
	return nodes, nil
}

func (o *oidcStrategy) Submit(ctx context.Context, st *Step) (Outcome, error) {
	f := st.Flow
	switch {
	case f.Kind == Settings && f.API:
		return Done, errs.New(errs.Unsupported, "accounts at other providers are linked in browsers")
	case f.Kind == Settings && st.Form.Has("unlink"):
		return Done, o.unlink(st, st.Form.Text("unlink"))
	case f.Kind == Settings:
		if err := o.s.recent(st); err != nil {
			return Done, err
		}
		return o.leave(ctx, st, o.upstream(st.Form.Text("link")))
	case f.Kind != Login && f.Kind != Registration || f.requestedAAL() != AAL1:
		return Done, Wrong(noStrategy(f.Kind))
	}
	u := o.upstream(st.Form.Text("provider"))
	if u == nil || !slices.Contains(o.offered(f), u) {
		return Done, Wrong(noStrategy(f.Kind))
	}
	if st.Form.Has("id_token") {
		return o.submitToken(ctx, st, u)
	}
	var kept oidcState
	if _, err := f.Recall(o.Method(), &kept); err != nil {
		return Done, err
	}
	if f.Kind == Registration && kept.Account != "" {
		who, err := o.keptAccount(f, kept)
		if err != nil {
			return Done, err
		}
		if who.Provider == u.ID {
			return o.register(ctx, st, u, who, true)
		}
	}
	return o.leave(ctx, st, u)
}

// upstreamParameters are what a page may add to the request. login_hint is not among
// them: with it somebody is led to log in as another one.
var upstreamParameters = []string{"hd", "prompt", "auth_type", "acr_values"}

// leave sends the browser to the provider.
func (o *oidcStrategy) leave(ctx context.Context, st *Step, u *upstream) (Outcome, error) {
	f := st.Flow
	if u == nil {
		return Done, Wrong(noStrategy(f.Kind))
	}
	if f.API && f.Exchange == "" {
		return Done, errs.New(errs.Invalid, "a native application opens the flow with return_session_token_exchange_code=true, or submits an id_token")
	}
	var kept oidcState
	if _, err := f.Recall(o.Method(), &kept); err != nil {
		return Done, err
	}
	t := ticket{Flow: f.ID, Kind: f.Kind, Provider: u.ID, Key: rand.Text(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text()}
	if !f.API {
		t.Browser = o.s.browser(st.Request)
	}
	kept.Ticket = t.Key
	if f.Kind != Login {
		kept.Account = ""
	}
	more := url.Values{}
	given, _ := st.Form.values["upstream_parameters"].(map[string]any)
	for _, name := range upstreamParameters {
		if text, ok := given[name].(string); ok && text != "" {
			more.Set(name, text)
		}
	}
	sealed, err := o.s.sealTicket(t)
	if err != nil {
		return Done, err
	}
	if st.Location, err = u.ask(ctx, t, sealed, more); err != nil {
		return Done, o.failed(u, err)
	}
	return Leave, f.Keep(o.Method(), kept)
}

// failed is what somebody sees of a provider that did not answer as it should.
func (o *oidcStrategy) failed(u *upstream, err error) error {
	if k := errs.KindOf(err); k != errs.Unavailable && k != errs.Denied {
		return err
	}
	o.s.options.Log.Warn("a login at another provider failed", "provider", u.ID, "error", err)
	return Wrong(textProviderFailed(u.Label))
}

// submitToken takes an ID token that an app has got by itself.
func (o *oidcStrategy) submitToken(ctx context.Context, st *Step, u *upstream) (Outcome, error) {
	if !u.openID() {
		return Done, errs.New(errs.Unsupported, "id_token: %s has no ID tokens", u.ID)
	}
	nonce := st.Form.Text("id_token_nonce")
	if nonce == "" {
		return Done, Wrong(textMissing("id_token_nonce"))
	}
	claims, err := u.idToken(ctx, st.Form.Text("id_token"), nonce, append([]string{u.ClientID}, u.Audiences...))
	if err != nil {
		return Done, o.failed(u, err)
	}
	who := &account{Provider: u.ID, Claims: claims, IDToken: st.Form.Text("id_token")}
	if err := u.name(who); err != nil {
		return Done, o.failed(u, err)
	}
	return o.arrive(ctx, st, u, who)
}

// unlink takes an account away.
func (o *oidcStrategy) unlink(st *Step, provider string) error {
	if err := o.s.recent(st); err != nil {
		return err
	}
	c, _, err := config[oidcConfig](st.Identity, OIDC)
	if err != nil {
		return err
	}
	u := o.upstream(provider)
	if u == nil || !c.has(provider) || u.Organization != "" {
		return Wrong(textNotLinked)
	}
	own := st.own()
	left := slices.DeleteFunc(slices.Clone(c.Providers), func(a linkedAccount) bool { return a.Provider == provider })
	if err := st.setAccounts(own, left); err != nil {
		return err
	}
	if o.s.firstFactors(own) == 0 {
		return Wrong(textLastFactor)
	}
	st.Identity = own
	return nil
}

// setAccounts stores the accounts of an identity.
func (st *Step) setAccounts(i *Identity, all []linkedAccount) error {
	if len(all) == 0 {
		delete(i.Credentials, OIDC)
		return nil
	}
	ids := []string{}
	for _, a := range all {
		ids = append(ids, a.Provider+":"+a.Subject)
	}
	return st.setConfig(i, OIDC, oidcConfig{all}, ids...)
}

// connect gives an identity an account, in the place of the same one.
func (o *oidcStrategy) connect(st *Step, i *Identity, u *upstream, who *account) error {
	c, _, err := config[oidcConfig](i, OIDC)
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(slices.Clone(c.Providers), func(a linkedAccount) bool {
		return a.Provider == who.Provider && a.Subject == who.Subject
	})
	if len(all) >= maxAccounts {
		return Wrong(textManyAccounts)
	}
	seal := func(token string) string {
		if token == "" {
			return ""
		}
		return o.s.sealed(OIDC, i.ID, token)
	}
	return st.setAccounts(i, append(all, linkedAccount{
		Subject: who.Subject, Provider: who.Provider, Organization: u.Organization,
		IDToken: seal(who.IDToken), AccessToken: seal(who.AccessToken), RefreshToken: seal(who.RefreshToken),
	}))
}

// keepAccount keeps who it was with the flow, sealed.
func (o *oidcStrategy) keepAccount(f *Flow, who *account, link string) error {
	text, err := json.Marshal(who)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "an account cannot be encoded")
	}
	return f.Keep(o.Method(), oidcState{Account: o.s.sealed(OIDC, f.ID, string(text)), Link: link})
}

func (o *oidcStrategy) keptAccount(f *Flow, kept oidcState) (*account, error) {
	text, err := o.s.unsealed(OIDC, f.ID, kept.Account)
	if err != nil {
		return nil, err
	}
	who := &account{}
	if err := json.Unmarshal([]byte(text), who); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "an account is malformed")
	}
	return who, nil
}
