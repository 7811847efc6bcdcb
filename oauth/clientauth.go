package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// authMethods are the ways in which a client can say who it is.
var authMethods = []string{authNone, authBasic, authPost, authSecretJWT, authPrivateJWT, authTLS, authSelfTLS}

// authMethod is the one that the client is registered with.
func (c *Client) authMethod() string {
	if c.AuthMethod == "" {
		return authBasic
	}
	return c.AuthMethod
}

// authenticated returns the client that a request with a form comes from.
//
// The error is one of RFC 6749 but for those of the store.
func (p *Provider) authenticated(r *http.Request) (*Client, error) {
	if err := readForm(r); err != nil {
		return nil, err
	}
	c, _, err := p.authenticate(r.Context(), r, r.PostForm, Look{})
	return c, err
}

// authenticate finds out which client a request comes from, by the one method that
// it is registered with (RFC 6749, section 2.3), and returns what else is to be seen.
func (p *Provider) authenticate(ctx context.Context, r *http.Request, form url.Values, also Look) (*Client, Seen, error) {
	k, err := credentialsOf(r, form)
	if err != nil {
		return nil, Seen{}, err
	}
	also.Client = k.id
	c, seen, err := p.look(ctx, also)
	if err != nil {
		return nil, Seen{}, err
	}
	if c == nil {
		nobody.knows(p, k.secret) // takes as long as for somebody
		return nil, Seen{}, errClient
	}
	if !slices.Contains(k.methods, c.authMethod()) {
		return nil, Seen{}, errClient.WithHintf("The client is registered with the authentication method %q, and the request uses %q.", c.authMethod(), k.methods[0])
	}
	if err := p.prove(ctx, r, c, k); err != nil {
		return nil, Seen{}, err
	}
	return c, seen, nil
}

// prove checks what the method of a client asks for.
func (p *Provider) prove(ctx context.Context, r *http.Request, c *Client, k credentials) error {
	switch c.authMethod() {
	case authNone:
		return nil
	case authBasic, authPost:
		if !c.knows(p, k.secret) {
			return errClient
		}
		return nil
	case authPrivateJWT, authSecretJWT:
		return p.checkAssertion(ctx, c, k.assertion, p.issuer()+r.URL.Path)
	case authTLS, authSelfTLS:
		return p.checkCertificate(ctx, r, c)
	default:
		return errs.New(errs.Internal, "the client %s is stored with the authentication method %q", c.ID, c.AuthMethod)
	}
}

// errClient does not tell an unknown client from a wrong secret.
var errClient = fosite.ErrInvalidClient.WithHint("The client is not known, or did not prove that it is the one.")

// credentials are what a request says of its client, before anything is checked, with
// the methods that they can be for.
type credentials struct {
	id, secret, assertion string
	methods               []string
}

// The type of an assertion that is a JWT (RFC 7523, section 2.2).
const assertionJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func credentialsOf(r *http.Request, form url.Values) (credentials, error) {
	user, password, basic := r.BasicAuth()
	secret, assertion := form.Get("client_secret"), form.Get("client_assertion")
	if basic && (secret != "" || assertion != "") || secret != "" && assertion != "" {
		return credentials{}, fosite.ErrInvalidRequest.WithHint("The request has more than one client authentication.")
	}
	k := credentials{id: form.Get("client_id"), methods: []string{authNone, authTLS, authSelfTLS}}
	var err error
	switch {
	case basic:
		k, err = basicCredentials(user, password)
	case assertion != "" || form.Get("client_assertion_type") != "":
		k, err = assertionCredentials(form.Get("client_assertion_type"), assertion)
	case secret != "":
		k.secret, k.methods = secret, []string{authPost}
	}
	if err != nil {
		return k, err
	}
	if k.id == "" {
		return k, errClient
	}
	if id := form.Get("client_id"); id != "" && id != k.id {
		return k, fosite.ErrInvalidRequest.WithHint("The parameter \"client_id\" is not the client that the request authenticates.")
	}
	return k, nil
}

func basicCredentials(user, password string) (credentials, error) {
	id, err := url.QueryUnescape(user)
	if err != nil {
		return credentials{}, errEscapes
	}
	secret, err := url.QueryUnescape(password)
	if err != nil {
		return credentials{}, errEscapes
	}
	return credentials{id: id, secret: secret, methods: []string{authBasic}}, nil
}

var errEscapes = fosite.ErrInvalidRequest.WithHint("The credentials in the Authorization header are not in the form application/x-www-form-urlencoded (RFC 6749, section 2.3.1).")

func assertionCredentials(kind, assertion string) (credentials, error) {
	if kind != assertionJWT {
		return credentials{}, fosite.ErrInvalidRequest.WithHintf("The parameter \"client_assertion_type\" must be %q.", assertionJWT)
	}
	return credentials{id: claimedSubject(assertion), assertion: assertion, methods: []string{authPrivateJWT, authSecretJWT}}, nil
}

// knows reports whether a secret is one of the client's.
func (c *Client) knows(p *Provider, secret string) bool {
	found := false
	for _, s := range c.secrets {
		if p.matches(s, secret) {
			found = true
		}
	}
	return found
}

// provedBefore is knows without the cost of a slow hash: a secret that needs one must have
// been right before.
func (c *Client) provedBefore(p *Provider, secret string) bool {
	return slices.ContainsFunc(c.secrets, func(s storedSecret) bool {
		if s.Salt != nil {
			return p.proven.has(p.proven.name(s, secret))
		}
		return p.matches(s, secret)
	})
}

// nobody stands for clients that are not known. That somebody is one can be learned at
// the authorization endpoint, so that its secret is of the cheap kind.
var nobody = &Client{secrets: []storedSecret{{Hash: make([]byte, 32)}}}

// Authenticates reports whether a request claims to show which client it comes from.
func Authenticates(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.ParseForm() == nil && (r.PostForm.Get("client_secret") != "" || r.PostForm.Get("client_assertion") != "")
}
