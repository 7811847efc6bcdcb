package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/oauth"
)

// TestHints: strangers learn what exactly is wrong only if that is on; operators always
// do, and statuses and codes are the same.
func TestHints(t *testing.T) {
	for _, on := range []bool{true, false} {
		w := start(t, func(o *oauth.Options) { o.Hints = on })
		c := w.client(map[string]any{"grant_types": []string{"client_credentials"}, "scope": "read", "token_endpoint_auth_method": "client_secret_post"})
		form := credentialsOf(c)
		form.Set("client_secret", c["client_secret"].(string))
		form.Set("scope", "write")
		status, body := w.token(form, func(r *http.Request) {})
		if status != 400 || body["error"] != "invalid_scope" {
			t.Fatalf("hints %t: %d %v", on, status, body)
		}
		if got := strings.Contains(body["error_description"].(string), "write"); got != on {
			t.Errorf("hints %t: the token endpoint says %q", on, body["error_description"])
		}
		direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := direct.Get(w.public + "/oauth2/auth?" + url.Values{"client_id": {c["client_id"].(string)}, "response_type": {"code"}, "redirect_uri": {"https://elsewhere.test/"}}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		if said := to.Query().Get("error_description"); strings.Contains(said, "redirect_uri") != on || said == "" {
			t.Errorf("hints %t: the error page is told %q", on, said)
		}
		if status, body := w.call("POST", w.admin+"/admin/clients", map[string]any{"redirect_uris": []string{"nonsense"}}); status != 400 || !strings.Contains(body["error_description"].(string), "redirect_uris") {
			t.Errorf("hints %t: operators are told %d %v", on, status, body)
		}
	}
}
