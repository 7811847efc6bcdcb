package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// frames returns the pages of clients that end their sessions when a browser opens
// them (OpenID Connect Front-Channel Logout 1.0).
func (p *Provider) frames(told []participant) []*url.URL {
	var out []*url.URL
	for _, t := range told {
		u, err := url.Parse(t.client.FrontLogout)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			continue
		}
		addQuery(u, url.Values{"iss": {p.issuer()}, "sid": {t.Login}})
		out = append(out, u)
	}
	return out
}

// frameScript goes on when all frames are there, or have not come for five seconds.
const frameScript = `(function () {
  var frames = document.getElementsByTagName("iframe"), left = frames.length;
  function go() { location.replace(document.getElementById("next").href); }
  for (var i = 0; i < frames.length; i++) {
    frames[i].addEventListener("load", function () { if (--left === 0) go(); });
  }
  setTimeout(go, 5000);
})();`

var frameScriptHash = func() string {
	sum := sha256.Sum256([]byte(frameScript))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

var framePage = template.Must(template.New("frames").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Logging out</title></head>
<body><p>Logging out. <a id="next" href="{{.Next}}">Go on</a></p>
{{range .Frames}}<iframe src="{{.}}" hidden></iframe>
{{end}}<script>{{.Script}}</script></body></html>
`))

func writeFrames(w http.ResponseWriter, frames []*url.URL, to string, more url.Values) error {
	next, err := url.Parse(to)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "a page has no URL")
	}
	addQuery(next, more)
	var origins, pages []string
	for _, u := range frames {
		origins = append(origins, u.Scheme+"://"+u.Host)
		pages = append(pages, u.String())
	}
	slices.Sort(origins)
	h := w.Header()
	h.Set("Content-Type", "text/html;charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src "+frameScriptHash+
		"; frame-src "+strings.Join(slices.Compact(origins), " ")+"; frame-ancestors 'none'; base-uri 'none'")
	err = framePage.Execute(w, struct {
		Next   template.URL // registered, and no script
		Frames []string
		Script template.JS
	}{template.URL(next.String()), pages, frameScript})
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the page cannot be written")
	}
	return nil
}
