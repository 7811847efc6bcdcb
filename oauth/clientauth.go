package oauth

import (
	"context"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// authenticate finds out which client a request comes from, by the one method that
// it is registered with (RFC 6749, section 2.3). It is fosite's strategy.
func (p *Provider) authenticate(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	id, secret, method, err := credentials(r, form)
	if err != nil {
		return nil, err
	}
	c, err := p.client(ctx, id)
	if isKind(err, errs.NotFound) {
		return nil, errClient
	}
	if err != nil {
		return nil, err
	}
	want := c.AuthMethod
	if want == "" {
		want = authBasic
	}
	if method != want {
		return nil, errClient.WithHintf("The client is registered with the authentication method %q, and the request uses %q.", want, method)
	}
	if method != authNone && !c.knows(secret) {
		return nil, errClient
	}
	return c, nil
}

// errClient does not tell an unknown client from a wrong secret.
var errClient = fosite.ErrInvalidClient.WithHint("The client is not known, or did not prove that it is the one.")

// credentials returns what a request says of its client, by which method.
func credentials(r *http.Request, form url.Values) (id, secret, method string, err error) {
	if user, password, ok := r.BasicAuth(); ok {
		id, err = url.QueryUnescape(user)
		if err == nil {
			secret, err = url.QueryUnescape(password)
		}
		if err != nil {
			return "", "", "", fosite.ErrInvalidRequest.WithHint("The credentials in the Authorization header are not in the form application/x-www-form-urlencoded (RFC 6749, section 2.3.1).")
		}
		if form.Get("client_secret") != "" || form.Get("client_id") != "" && form.Get("client_id") != id {
			return "", "", "", fosite.ErrInvalidRequest.WithHint("The request has more than one client authentication.")
		}
		return id, secret, authBasic, nil
	}
	id = form.Get("client_id")
	if id == "" {
		return "", "", "", errClient
	}
	if secret = form.Get("client_secret"); secret != "" {
		return id, secret, authPost, nil
	}
	return id, "", authNone, nil
}

// knows reports whether a secret is one of the client's.
func (c *Client) knows(secret string) bool {
	found := false
	for _, s := range c.secrets {
		if s.matches(secret) {
			found = true
		}
	}
	return found
}
