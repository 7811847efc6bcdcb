package oauth_test

import (
	"net/url"
	"testing"
)

// TestChangedClient: what is changed about a client counts for the next request of a
// node that knows the client from before, also where the change was made by another.
func TestChangedClient(t *testing.T) {
	w := start(t)
	other := startOn(t, w.store)
	c := w.client(nil)
	at := other.admin + "/admin/clients/" + c["client_id"].(string)
	asks := func(want int) {
		t.Helper()
		if status, body := w.token(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}, basic(c)); status != want {
			t.Errorf("the client gets %d %v, expected %d", status, body, want)
		}
	}
	asks(200)
	change := map[string]any{"scope": "write", "grant_types": []string{"client_credentials"}}
	other.must("PUT", at, change)
	asks(400)
	change["scope"] = "read"
	other.must("PUT", at, change)
	asks(200)
	change["grant_types"] = []string{"authorization_code"}
	change["redirect_uris"] = []string{callback}
	other.must("PUT", at, change)
	asks(400)
	change["grant_types"] = []string{"client_credentials"}
	other.must("PUT", at, change)
	asks(200)
	other.must("DELETE", at, nil)
	asks(401)
	change["client_id"], change["client_secret"] = c["client_id"], "another secret of the client"
	other.must("POST", other.admin+"/admin/clients", change)
	asks(401)
	c["client_secret"] = "another secret of the client"
	asks(200)
}
