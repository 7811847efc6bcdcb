package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// An acrWish is by which means the client wants people to log in (OpenID Connect Core,
// section 5.5.1.1; RFC 9470).
type acrWish struct {
	values    []string // any of them; none: any at all
	essential bool     // or not at all
}

// acr returns the wish of a request: an essential one of the claims parameter, else
// what is voluntary there, or in acr_values.
func (a *authorization) acr() acrWish {
	asked := a.claims.idToken()["acr"]
	if asked != nil && asked.Essential {
		return acrWish{asked.texts(), true}
	}
	for _, values := range [][]string{
		asked.texts(), a.claims.userinfo()["acr"].texts(), strings.Fields(a.form.Get("acr_values")),
	} {
		if len(values) > 0 {
			return acrWish{values: values}
		}
	}
	return acrWish{}
}

// metBy reports whether a login by some means is what the client wants.
func (w acrWish) metBy(acr string) bool {
	if len(w.values) == 0 {
		return acr != "" || !w.essential
	}
	return slices.Contains(w.values, acr)
}

// tooWeak reports whether people are asked anew although they are logged in: always if
// the client insists, and for a wish only where it can be heard and where the login
// page tells means apart at all.
func (w acrWish) tooWeak(acr string, silent bool) bool {
	return !w.metBy(acr) && (w.essential || acr != "" && !silent)
}

var errUnmet = &fosite.RFC6749Error{
	ErrorField: "unmet_authentication_requirements", CodeField: http.StatusBadRequest,
	DescriptionField: "The person did not log in by the means that the client requires.",
}

// checkSubject reports login_required unless the person is the one that the client
// expects: by an ID token, which may have expired, or by a value of the claim sub.
func (p *Provider) checkSubject(ctx context.Context, a *authorization, account, forced string) error {
	sub := p.subject(a.client, account, forced)
	if wanted := a.claims.idToken()["sub"].texts(); len(wanted) > 0 && !slices.Contains(wanted, sub) {
		return fosite.ErrLoginRequired.WithHint("Somebody else is logged in than the one in \"claims\".")
	}
	hint := a.form.Get("id_token_hint")
	if hint == "" {
		return nil
	}
	claims, err := p.hint(ctx, hint)
	if err != nil {
		return err
	}
	if claims["sub"] != sub && claims["sub"] != account {
		return fosite.ErrLoginRequired.WithHint("Somebody else is logged in than the one in \"id_token_hint\".")
	}
	return nil
}
