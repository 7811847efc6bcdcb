package oauth

import (
	"crypto/subtle"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// registerRoutes is where clients register and manage themselves (RFC 7591, RFC 7592).
// No cookie is part of it, so scripts of any site may do so, too.
func (p *Provider) registerRoutes() []Route {
	const all, one = "/oauth2/register", "/oauth2/register/{id}"
	return []Route{
		{"POST " + all, p.registering(p.serveRegister)},
		{"GET " + one, p.registering(p.serveRegistered)},
		{"PUT " + one, p.registering(p.serveReregister)},
		{"DELETE " + one, p.registering(p.serveUnregister)},
		{"OPTIONS " + all, serveRegisterPreflight},
		{"OPTIONS " + one, serveRegisterPreflight},
	}
}

func serveRegisterPreflight(w http.ResponseWriter, _ *http.Request) error {
	return allowAll(w, "GET, POST, PUT, DELETE", "Authorization, Content-Type")
}

// registering is what all of it has in common: it may be off, and who may not is told
// as RFC 6750 has it.
func (p *Provider) registering(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !p.o.Register.Enabled {
			return errs.New(errs.NotFound, "clients cannot register themselves here")
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		err := serve(w, r)
		if err != nil && rfcError(err).CodeField == http.StatusUnauthorized {
			return p.bearerError(w, r, err)
		}
		return err
	}
}

// serveRegister is the client registration endpoint.
func (p *Provider) serveRegister(w http.ResponseWriter, r *http.Request) error {
	if err := p.mayRegister(r); err != nil {
		return err
	}
	c, err := readClient(r.Body)
	if err != nil {
		return err
	}
	c.ID = "" // it is ours to choose
	if c.Secret != "" {
		return errMetadata.WithHint("client_secret: it is made here.")
	}
	if err := p.mayBe(c, &Client{}); err != nil {
		return err
	}
	if err := p.createClient(r.Context(), c); err != nil {
		return err
	}
	return reply(w, http.StatusCreated, p.shown(c))
}

// mayRegister checks the initial access token, if there must be one.
func (p *Provider) mayRegister(r *http.Request) error {
	want := p.o.Register.InitialToken
	if want == "" {
		return nil
	}
	token, err := bearerOf(r)
	if err != nil {
		return err
	}
	given, expected := hashOf(token), hashOf(want)
	if subtle.ConstantTimeCompare(given[:], expected[:]) != 1 {
		return errInitialToken
	}
	return nil
}

// errInitialToken is errToken for a token that an operator has chosen.
var errInitialToken = &fosite.RFC6749Error{ErrorField: errToken.ErrorField, DescriptionField: "The initial access token is wrong.", CodeField: errToken.CodeField}

// registered returns the client of the address, whose registration access token the
// request has. Who has not does not learn whether there is such a client.
func (p *Provider) registered(r *http.Request) (c *Client, token string, err error) {
	if token, err = bearerOf(r); err != nil {
		return nil, "", err
	}
	c, err = p.client(r.Context(), r.PathValue("id"))
	if isKind(err, errs.NotFound) {
		return nil, "", errToken
	}
	if err != nil {
		return nil, "", err
	}
	return c, token, c.managedBy(token)
}

// managedBy reports whether a token is the registration access token of c.
func (c *Client) managedBy(token string) error {
	hash := hashOf(token)
	if c.managed == (Hash{}) || subtle.ConstantTimeCompare(hash[:], c.managed[:]) != 1 {
		return errToken
	}
	return nil
}

func (p *Provider) serveRegistered(w http.ResponseWriter, r *http.Request) error {
	c, token, err := p.registered(r)
	if err != nil {
		return err
	}
	c.RegistrationToken = token
	return reply(w, http.StatusOK, p.shown(c))
}

// serveReregister replaces what a client has registered, and its registration access
// token, of which one use wins.
func (p *Provider) serveReregister(w http.ResponseWriter, r *http.Request) error {
	c, token, err := p.registered(r)
	if err != nil {
		return err
	}
	given, err := readClient(r.Body)
	if err != nil {
		return err
	}
	c, err = p.updateClient(r.Context(), c.ID, func(c *Client) error {
		if err := c.managedBy(token); err != nil {
			return err // another request was first
		}
		asked := *given
		if asked.ID != c.ID {
			return errMetadata.WithHintf("client_id: expected %q, which cannot be changed.", c.ID)
		}
		if asked.Secret != "" && !c.knows(p, asked.Secret) {
			return errMetadata.WithHint("client_secret: it is not the client's, and cannot be chosen.")
		}
		asked.Secret = ""
		if err := p.mayBe(&asked, c); err != nil {
			return err
		}
		if err := p.replace(c, &asked); err != nil {
			return err
		}
		c.RegistrationToken, c.managed = newToken(registerPrefix)
		return nil
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, p.shown(c))
}

func (p *Provider) serveUnregister(w http.ResponseWriter, r *http.Request) error {
	c, _, err := p.registered(r)
	if err != nil {
		return err
	}
	if err := p.store.DeleteClient(r.Context(), c.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// openGrants are those that strangers can be allowed to register for: people are asked
// before a token is handed out.
var openGrants = []string{grantCode, grantImplicit, grantRefresh, grantDevice}

// mayBe reports what a client that registers itself may not say of itself. What it
// leaves out stays as it was.
func (p *Provider) mayBe(c, old *Client) error {
	for _, f := range operatorsFields(c, old) {
		given, stored := reflect.ValueOf(f.given).Elem(), reflect.ValueOf(f.stored).Elem()
		if given.IsZero() {
			given.Set(stored)
		}
		if !reflect.DeepEqual(given.Interface(), stored.Interface()) {
			return errMetadata.WithHintf("%s: it is for the operators of this server to set.", f.name)
		}
	}
	if hasPeople(c) && len(c.RedirectURIs) == 0 && (len(c.GrantTypes) == 0 || slices.Contains(c.GrantTypes, grantCode) || slices.Contains(c.GrantTypes, grantImplicit)) {
		return errRedirect.WithHint("redirect_uris: it is missing.")
	}
	return p.mayAsk(c, old)
}

// mayAsk reports what a client may not register to ask for. A pattern of scopes is none
// of those that it stands for.
func (p *Provider) mayAsk(c, old *Client) error {
	o := p.o.Register
	if c.Scope == "" && old.ID == "" && hasPeople(c) {
		c.Scope = strings.Join(slices.DeleteFunc(slices.Clone(o.DefaultScope), func(s string) bool { return !slices.Contains(o.Scopes, s) }), " ")
	}
	for _, f := range []struct {
		name            string
		asked, may, had []string
	}{
		{"grant_types", c.GetGrantTypes(), o.Grants, old.GrantTypes},
		{"scope", strings.Fields(c.Scope), o.Scopes, strings.Fields(old.Scope)},
	} {
		for _, value := range f.asked {
			if !slices.Contains(f.may, value) && !slices.Contains(f.had, value) {
				return errMetadata.WithHintf("%s: %.100q is for clients that operators register. Others may have: %s.", f.name, value, strings.Join(f.may, " "))
			}
		}
	}
	if a := uncovered(slices.Concat(o.Audience, old.Audience), c.Audience); a != "" {
		return errMetadata.WithHintf("audience: %.100q is for clients that operators register.", a)
	}
	return nil
}

// A restricted field is one of two clients that only operators set.
type restricted struct {
	name          string
	given, stored any // pointers
}

func operatorsFields(c, old *Client) []restricted {
	return []restricted{
		{"owner", &c.Owner, &old.Owner},
		{"metadata", &c.Metadata, &old.Metadata},
		{"access_token_strategy", &c.AccessStrategy, &old.AccessStrategy},
		{"skip_consent", &c.SkipConsent, &old.SkipConsent},
		{"skip_logout_consent", &c.SkipLogoutConsent, &old.SkipLogoutConsent},
		{"the lifespans of tokens", &c.Lifespans, &old.Lifespans},
	}
}
