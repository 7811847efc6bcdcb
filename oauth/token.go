package oauth

import (
	"context"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// maxParameter bounds one parameter, in bytes.
const maxParameter = 32 << 10

// grantTypes are those that the token endpoint knows.
var grantTypes = []string{grantCode, grantRefresh, grantCredentials, grantDevice, grantBearer, grantExchange}

// serveToken is the token endpoint (RFC 6749, section 3.2).
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := readForm(r); err != nil {
		return err
	}
	if g := r.PostForm.Get("grant_type"); g != "" && !slices.Contains(grantTypes, g) {
		return fosite.ErrUnsupportedGrantType
	}
	proof, err := p.proofOf(w, r, p.own.token, "")
	if err != nil {
		return err
	}
	x := &exchange{trusting: p.mayTrust(r)}
	out, err := p.carryOut(ctx, r, x, proof)
	if x.trusted != "" && err != nil && !isKind(err, errs.Unavailable) && !isKind(err, errs.Unknown) {
		x = &exchange{} // the client may have changed
		out, err = p.carryOut(ctx, r, x, proof)
	}
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out.response(x))
}

// carryOut takes an exchange from the request to the tokens.
func (p *Provider) carryOut(ctx context.Context, r *http.Request, x *exchange, proof *proof) (*issued, error) {
	if err := p.accessRequest(ctx, r, x); err != nil {
		return nil, err
	}
	if err := p.bind(r, x, proof); err != nil {
		return nil, err
	}
	if err := p.permit(ctx, x); err != nil {
		return nil, err
	}
	if err := p.renew(ctx, x); err != nil {
		return nil, err
	}
	if err := p.askHooks(ctx, x, r.PostForm); err != nil {
		return nil, err
	}
	out, err := p.issue(ctx, x)
	if err != nil {
		return nil, err
	}
	return out, p.settle(ctx, x, out.rows)
}

// A tokenResponse is the body of RFC 6749, section 5.1, and RFC 8693, section 2.2.1.
type tokenResponse struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires *int64 `json:"expires_in,omitempty"` // seconds
	Scope   string `json:"scope"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Issued  string `json:"issued_token_type,omitempty"`
}

func (out *issued) response(x *exchange) *tokenResponse {
	body := &tokenResponse{Scope: strings.Join(x.given(), " "), Refresh: out.refresh, ID: out.id, Issued: x.want}
	if x.want == typeRefresh {
		body.Access, body.Type = out.refresh, "N_A"
		return body
	}
	seconds := int64(out.expiresIn.Seconds())
	body.Access, body.Type, body.Expires = out.access, tokenType(x), &seconds
	return body
}

// tokenType says how a token is presented.
func tokenType(x *exchange) string {
	if x.Confirm != nil && x.Confirm.Key != "" {
		return "DPoP"
	}
	return "bearer"
}

// readForm reads the form of a POST. Each parameter may be there once, those excepted
// of which RFC 8693 and RFC 8707 allow several.
func readForm(r *http.Request) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		return fosite.ErrInvalidRequest.WithHint("The body must be application/x-www-form-urlencoded.")
	}
	if err := r.ParseForm(); err != nil {
		return fosite.ErrInvalidRequest.WithHint("The body is no form (application/x-www-form-urlencoded).").WithWrap(err)
	}
	return checkForm(r.Form)
}

func checkForm(form map[string][]string) error {
	for name, values := range form {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return fosite.ErrInvalidRequest.WithHintf("The parameter %.100q is there more than once.", name)
		}
		for _, v := range values {
			if len(v) > maxParameter {
				return fosite.ErrInvalidRequest.WithHintf("The parameter %.100q has more than %d bytes.", name, maxParameter)
			}
			if !utf8.ValidString(v) || strings.Contains(v, "\x00") {
				return fosite.ErrInvalidRequest.WithHintf("The parameter %.100q is no text in UTF-8.", name)
			}
		}
	}
	return nil
}
