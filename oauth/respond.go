package oauth

import (
	"html/template"
	"maps"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// answer sends parameters to the client by way of the browser, in the response mode
// that it asked for, with the issuer (RFC 9207).
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, a *authorization, params url.Values) error {
	params = maps.Clone(params)
	params.Set("iss", p.issuer())
	if state := a.form.Get("state"); state != "" {
		params.Set("state", state)
	}
	mode, signed := a.mode()
	if signed {
		var err error
		if params, err = p.signResponse(r.Context(), a.client, params); err != nil {
			return p.errorPage(w, r, err)
		}
	}
	to := *a.RedirectURI
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	switch mode {
	case fosite.ResponseModeFormPost:
		h.Set("Content-Type", "text/html;charset=UTF-8")
		return writeForm(w, to.String(), params)
	case fosite.ResponseModeFragment:
		http.Redirect(w, r, to.String()+"#"+params.Encode(), http.StatusSeeOther)
	default:
		addQuery(&to, params)
		http.Redirect(w, r, to.String(), http.StatusSeeOther)
	}
	return nil
}

// formPage sends itself. Its script is allowed by its hash.
var formPage = template.Must(template.New("form").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Going on</title></head>
<body><form method="post" action="{{.To}}">{{range $name, $values := .Params}}{{range $values}}
<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}
<noscript><button type="submit">Go on</button></noscript></form>
<script>document.forms[0].submit()</script></body></html>
`))

// formScript is the hash of the script in formPage.
const formScript = "'sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE='"

func writeForm(w http.ResponseWriter, to string, params url.Values) error {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src "+formScript+"; frame-ancestors 'none'; base-uri 'none'")
	if err := formPage.Execute(w, struct {
		To     string
		Params url.Values
	}{to, params}); err != nil {
		return errs.Wrap(errs.Internal, err, "the page cannot be written")
	}
	return nil
}

// refuse tells the client of an error, if it is sure where the client is, and else the
// person at the browser.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, a *authorization, err error) error {
	if a == nil || a.client == nil || a.RedirectURI == nil || !redirectAllowed(a.client.RedirectURIs, a.RedirectURI) {
		return p.errorPage(w, r, err)
	}
	e := rfcError(p.outward(err))
	if e.CodeField >= http.StatusInternalServerError || e.CodeField == 0 {
		p.o.Log.ErrorContext(r.Context(), "authorization failed", "client", a.client.ID, "err", err)
	}
	return p.answer(w, r, a, url.Values{"error": {e.ErrorField}, "error_description": {describe(e)}})
}

// errorPage shows an error to the person at the browser.
func (p *Provider) errorPage(w http.ResponseWriter, r *http.Request, err error) error {
	e := rfcError(p.outward(err))
	if e.CodeField >= http.StatusInternalServerError || e.CodeField == 0 {
		p.o.Log.ErrorContext(r.Context(), "authorization failed", "err", err)
	}
	return redirect(w, r, p.page(p.o.URLs.Error, "error"), url.Values{"error": {e.ErrorField}, "error_description": {describe(e)}})
}
