package oauth

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"
)

// Response modes of JARM, in which the client gets one JWT.
const (
	modeJWT         fosite.ResponseModeType = "jwt" // one of the others, as the response type has it
	modeQueryJWT    fosite.ResponseModeType = "query.jwt"
	modeFragmentJWT fosite.ResponseModeType = "fragment.jwt"
	modeFormPostJWT fosite.ResponseModeType = "form_post.jwt"
)

// responseLife is how long the JWT of a response is good.
const responseLife = 10 * time.Minute

var modesOfJWT = []fosite.ResponseModeType{modeJWT, modeQueryJWT, modeFragmentJWT, modeFormPostJWT}

// ourModes makes fosite accept the response modes of JARM. Responses are written by
// answer.
type ourModes struct {
	*fosite.DefaultResponseModeHandler
}

// ResponseModes implements fosite.ResponseModeHandler.
func (ourModes) ResponseModes() fosite.ResponseModeTypes { return modesOfJWT }

// mode is the response mode, also of a request that was not read to its end, and whether
// the response is a JWT.
func (a *authorization) mode() (mode fosite.ResponseModeType, signed bool) {
	mode = a.GetResponseMode()
	if mode == fosite.ResponseModeDefault {
		mode = fosite.ResponseModeType(a.form.Get("response_mode"))
	}
	usual := fosite.ResponseModeFragment
	if types := fosite.Arguments(fosite.RemoveEmpty([]string{a.form.Get("response_type")})); len(types) == 0 || types.ExactOne("code") {
		usual = fosite.ResponseModeQuery
	}
	signed = slices.Contains(modesOfJWT, mode)
	switch mode {
	case modeQueryJWT:
		return fosite.ResponseModeQuery, signed
	case modeFragmentJWT:
		return fosite.ResponseModeFragment, signed
	case modeFormPostJWT:
		return fosite.ResponseModeFormPost, signed
	case fosite.ResponseModeQuery, fosite.ResponseModeFragment, fosite.ResponseModeFormPost:
		return mode, false
	default:
		return usual, signed
	}
}

// signResponse puts the parameters of a response into one JWT.
func (p *Provider) signResponse(ctx context.Context, c *Client, params url.Values) (url.Values, error) {
	claims := map[string]any{}
	for name := range params {
		claims[name] = params.Get(name)
	}
	claims["iss"], claims["aud"], claims["exp"] = p.issuer(), c.ID, p.o.Now().Add(responseLife).Unix()
	token, err := p.signFor(ctx, c, protection{c.AuthorizationAlg, c.AuthorizationKey, c.AuthorizationEnc}, "JWT", claims)
	return url.Values{"response": {token}}, err
}
