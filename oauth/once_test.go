package oauth_test

import (
	"net/url"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestOnce: of many requests at the same time with what may be used once, one gets
// tokens, and the others an error that says so.
func TestOnce(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"grant_types": []string{"authorization_code", "refresh_token", deviceType, bearerType}})
	k := key(t, jose.ES256, "k")
	w.trust(k)
	for name, make := range map[string]func() url.Values{
		"device code": func() url.Values {
			codes := w.codes(c)
			w.browser().enter(text(codes, "user_code"), ann())
			return url.Values{"grant_type": {deviceType}, "device_code": {text(codes, "device_code")}}
		},
		"assertion": func() url.Values { return vouch(signed(t, jose.ES256, k, "JWT", w.voucher())) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				form := make()
				var wait sync.WaitGroup
				statuses, bodies := [8]int{}, [8]map[string]any{}
				for i := range statuses {
					wait.Go(func() { statuses[i], bodies[i] = w.token(form, basic(c)) })
				}
				wait.Wait()
				won := 0
				for i, status := range statuses {
					switch {
					case status == 200:
						won++
					case status != 400 || bodies[i]["error"] != "invalid_grant":
						t.Errorf("a loser gets %d %v", status, bodies[i])
					}
				}
				if won != 1 {
					t.Fatalf("%d requests won", won)
				}
			}
		})
	}
}

// TestOneAnswer: of many people who let one device in at the same time, one does.
func TestOneAnswer(t *testing.T) {
	w := start(t)
	c := w.device()
	for range 10 {
		codes := w.codes(c)
		browsers, last := [4]*browser{}, [4]string{}
		for i := range browsers {
			b := w.browser()
			at := b.open(w.public + "/oauth2/device/verify")
			at = b.open(text(w.must("PUT", w.acceptDevice(at), map[string]any{"user_code": codes["user_code"]}), "redirect_to"))
			at = b.open(b.answer("login", at.Query().Get("login_challenge"), ann().login, nil))
			browsers[i], last[i] = b, b.answer("consent", at.Query().Get("consent_challenge"), map[string]any{}, nil)
		}
		var wait sync.WaitGroup
		ends := [4]*url.URL{}
		for i, b := range browsers {
			wait.Go(func() { ends[i] = b.open(last[i]) })
		}
		wait.Wait()
		won := 0
		for _, at := range ends {
			if at.Query().Get("error") == "" {
				won++
			}
		}
		status, body := w.poll(c, codes)
		if won != 1 || status != 200 || w.introspect(text(body, "access_token"), nil)["active"] != true {
			t.Fatalf("%d people let it in, and it gets %d %v", won, status, body)
		}
	}
}
