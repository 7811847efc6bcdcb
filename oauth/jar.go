package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// maxObject is how long a request object with a jti may be good, since the jti is kept
// for that time.
const maxObject = 24 * time.Hour

// fetchObject reads a request object from where the client said at its registration
// that it would be.
func (p *Provider) fetchObject(ctx context.Context, c *Client, uri string) (string, error) {
	if !slices.Contains(c.RequestURIs, uri) {
		return "", fosite.ErrInvalidRequestURI.WithHint("It is neither one that the client is registered with nor one that was pushed.")
	}
	text, err := p.fetch(ctx, uri)
	if isKind(err, errs.Invalid) {
		p.o.Log.WarnContext(ctx, "a request object cannot be read", "client", c.ID, "err", err)
		return "", fosite.ErrInvalidRequestURI.WithHint("What is there cannot be read.")
	}
	return strings.TrimSpace(string(text)), err
}

// readObject returns the parameters in a request object (RFC 9101). Those outside of it
// do not count.
func (p *Provider) readObject(ctx context.Context, c *Client, object string) (url.Values, error) {
	form, err := p.openObject(ctx, c, object)
	var e *errs.Error
	if errors.As(err, &e) && e.Kind == errs.Invalid {
		return nil, fosite.ErrInvalidRequestObject.WithHintf("It is refused: %s.", e.Msg)
	}
	if err != nil {
		return nil, err
	}
	return form, checkForm(form)
}

func (p *Provider) openObject(ctx context.Context, c *Client, object string) (url.Values, error) {
	object, err := p.decrypt(ctx, object)
	if err != nil {
		return nil, err
	}
	text, typ, err := p.verifyByClient(ctx, c, object, c.algs(c.RequestAlg))
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"", "jwt", "oauth-authz-req+jwt"}, typ) {
		return nil, errs.New(errs.Invalid, "typ is %.50q: it was made for something else", typ)
	}
	var claims jwt.Claims
	var params map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(text, &claims), json.Unmarshal(text, &params)); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "its claims cannot be read")
	}
	form, err := objectForm(params)
	if err != nil {
		return nil, err
	}
	if id := form.Get("client_id"); id != "" && id != c.ID {
		return nil, errs.New(errs.Invalid, "its client_id is not that of the request")
	}
	form.Set("client_id", c.ID)
	return form, p.checkObject(ctx, c, claims)
}

// checkObject checks what an object says of itself, and uses up its jti after all else
// is right.
func (p *Provider) checkObject(ctx context.Context, c *Client, claims jwt.Claims) error {
	strict := c.rules().strict
	if strict && (claims.Issuer == "" || len(claims.Audience) == 0 || claims.NotBefore == nil) {
		return errs.New(errs.Invalid, "the profile %s needs iss, aud, nbf and exp", c.profile())
	}
	if claims.Issuer != "" && claims.Issuer != c.ID {
		return errs.New(errs.Invalid, "iss must be the client_id")
	}
	if len(claims.Audience) > 0 && !claims.Audience.Contains(p.issuer()) && !claims.Audience.Contains(p.own.authorize) {
		return errs.New(errs.Invalid, "aud must be %s", p.issuer())
	}
	if claims.Subject == c.ID {
		return errs.New(errs.Invalid, "sub is the client_id, as in a client assertion")
	}
	life := time.Duration(0)
	switch {
	case strict:
		life = time.Hour
	case claims.ID != "":
		life = maxObject
	}
	if err := p.checkTimes(claims, life); err != nil || claims.ID == "" {
		return err
	}
	return p.useID(ctx, c, claims.Expiry.Time().Add(skew), "request", claims.ID)
}

// objectForm turns claims into parameters. What is no text is written as JSON, but for
// the texts of resource and audience.
func objectForm(params map[string]json.RawMessage) (url.Values, error) {
	form := url.Values{}
	for name, raw := range params {
		switch name {
		case "iss", "sub", "aud", "exp", "nbf", "iat", "jti":
			continue
		case "request", "request_uri":
			return nil, errs.New(errs.Invalid, "%s cannot be in it", name)
		}
		var text string
		var texts []string
		switch {
		case string(raw) == "null":
		case json.Unmarshal(raw, &text) == nil:
			form.Set(name, text)
		case (name == "resource" || name == "audience") && json.Unmarshal(raw, &texts) == nil:
			form[name] = texts
		default:
			form.Set(name, string(raw))
		}
	}
	return form, nil
}
