package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	// pushedPrefix begins the request_uri of what was pushed.
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
	sealPushed   = "oauth pushed request"
	// maxPushed bounds the parameters that are stored, in bytes.
	maxPushed = 32 << 10
)

// A source is the way in which an authorization request came.
type source struct {
	Pushed bool `json:"-"`
	Signed bool `json:"s,omitempty"`
}

// A pushedRequest is what is stored of one.
type pushedRequest struct {
	source
	Query string `json:"q"`
}

// servePushed is the pushed authorization request endpoint (RFC 9126). The request is
// checked now, so that the client learns of its mistakes.
func (p *Provider) servePushed(w http.ResponseWriter, r *http.Request) error {
	c, err := p.authenticated(r)
	if err != nil {
		return err
	}
	form, from, err := p.pushed(r.Context(), c, r.PostForm)
	if err == nil {
		err = p.bindPushed(w, r, c, form)
	}
	if err != nil {
		return err
	}
	a, err := p.authorization(r.Context(), form, c)
	if err == nil {
		err = a.checkSource(from)
	}
	if err != nil {
		return err
	}
	life := lifeFor(p.o.TTL.Pushed, c.rules().request)
	uri, err := p.storePushed(r.Context(), c, form, from, life)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": int64(life / time.Second)})
}

// pushed returns the parameters of a request that a client pushes, without those that
// authenticate it.
func (p *Provider) pushed(ctx context.Context, c *Client, posted url.Values) (url.Values, source, error) {
	form := url.Values{}
	for name, values := range posted {
		switch name {
		case "client_secret", "client_assertion", "client_assertion_type":
		case "request_uri":
			return nil, source{}, fosite.ErrInvalidRequest.WithHint("The parameter \"request_uri\" cannot be pushed.")
		default:
			form[name] = values
		}
	}
	form.Set("client_id", c.ID)
	from := source{Pushed: true}
	if object := form.Get("request"); object != "" {
		var err error
		if form, err = p.readObject(ctx, c, object); err != nil {
			return nil, from, err
		}
		from.Signed = true
	}
	if len(form.Encode()) > maxPushed {
		return nil, from, fosite.ErrInvalidRequest.WithHintf("The request has more than %d bytes.", maxPushed)
	}
	return form, from, nil
}

// bindPushed lets a DPoP proof do what dpop_jkt does (RFC 9449, section 10.1).
func (p *Provider) bindPushed(w http.ResponseWriter, r *http.Request, c *Client, form url.Values) error {
	f, err := p.proofOf(w, r, p.own.pushed, "")
	if err != nil || f == nil {
		return err
	}
	if key := form.Get("dpop_jkt"); key != "" && key != f.key {
		return errProof.WithHint("Its key is not that of the parameter \"dpop_jkt\".")
	}
	form.Set("dpop_jkt", f.key)
	return p.useProof(r.Context(), c, f)
}

func (p *Provider) storePushed(ctx context.Context, c *Client, form url.Values, from source, life time.Duration) (string, error) {
	uri, hash := newToken(pushedPrefix)
	now := p.o.Now()
	data, err := p.seal(sealPushed, string(hash[:]), pushedRequest{from, form.Encode()})
	if err != nil {
		return "", err
	}
	return uri, p.store.PutTokens(ctx, Token{
		Kind: Pushed, Hash: hash, Client: c.ID, Created: now, Expires: now.Add(life), Data: data,
	})
}

// redeemPushed returns what a client pushed, once.
func (p *Provider) redeemPushed(ctx context.Context, c *Client, uri string) (url.Values, source, error) {
	t, err := p.store.Token(ctx, Pushed, hashOf(uri))
	if err == nil && t.Client != c.ID {
		err = errPushed
	}
	if err == nil {
		err = p.store.Redeem(ctx, Redemption{Kind: Pushed, Hash: t.Hash, Now: p.o.Now()})
	}
	if isKind(err, errs.NotFound) || isKind(err, errs.Conflict) {
		err = errPushed
	}
	if err != nil {
		return nil, source{}, err
	}
	var stored pushedRequest
	if err := p.unseal(sealPushed, string(t.Hash[:]), t.Data, &stored); err != nil {
		if isKind(err, errs.NotFound) {
			err = errPushed
		}
		return nil, source{}, err
	}
	form, err := url.ParseQuery(stored.Query)
	if err != nil {
		return nil, source{}, errs.Wrap(errs.Internal, err, "what is stored of a pushed request cannot be read")
	}
	return form, source{Pushed: true, Signed: stored.Signed}, nil
}

var errPushed = fosite.ErrInvalidRequestURI.WithHint("It is not known, has expired, was used, or belongs to another client.")

// resolve returns the parameters of an authorization request, which are in the query, in
// what was pushed before, or in a request object.
func (p *Provider) resolve(ctx context.Context, query url.Values) (url.Values, source, error) {
	object, uri := query.Get("request"), query.Get("request_uri")
	switch {
	case object == "" && uri == "":
		return query, source{}, nil
	case object != "" && uri != "":
		return nil, source{}, fosite.ErrInvalidRequest.WithHint("The request has both \"request\" and \"request_uri\".")
	}
	c, err := p.client(ctx, query.Get("client_id"))
	if isKind(err, errs.NotFound) {
		return nil, source{}, fosite.ErrInvalidClient.WithHint("The client is not known.")
	}
	if err != nil {
		return nil, source{}, err
	}
	if strings.HasPrefix(uri, pushedPrefix) {
		return p.redeemPushed(ctx, c, uri)
	}
	if uri != "" {
		if object, err = p.fetchObject(ctx, c, uri); err != nil {
			return nil, source{}, err
		}
	}
	form, err := p.readObject(ctx, c, object)
	return form, source{Signed: true}, err
}

// checkSource requires the way in which requests of the client must come.
func (a *authorization) checkSource(from source) error {
	c := a.client
	if c.rules().strict && a.form.Get("redirect_uri") == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter \"redirect_uri\" is missing.")
	}
	if (c.RequirePushed || c.rules().pushed) && !from.Pushed {
		return fosite.ErrInvalidRequest.WithHint("This client must push its requests (RFC 9126).")
	}
	if c.RequireSigned && !from.Signed {
		return fosite.ErrInvalidRequest.WithHint("This client must sign its requests (RFC 9101).")
	}
	return nil
}

// outside is what the query says of a request whose parameters are elsewhere and cannot
// be read: enough to tell the client of it if it is registered with the redirect_uri.
func (p *Provider) outside(ctx context.Context, query url.Values) *authorization {
	a := &authorization{AuthorizeRequest: fosite.NewAuthorizeRequest(), form: query}
	c, err := p.client(ctx, query.Get("client_id"))
	if err != nil {
		return a
	}
	a.client, a.Client = c, c
	if to, err := url.Parse(query.Get("redirect_uri")); err == nil && redirectAllowed(c.RedirectURIs, to) {
		a.RedirectURI = to
	}
	return a
}
