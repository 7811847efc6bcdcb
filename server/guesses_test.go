package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

func TestOrigin(t *testing.T) {
	o := newOrigin([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for _, tt := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:5", "", "192.0.2.1"},
		{"192.0.2.1:5", "198.51.100.7", "192.0.2.1"}, // nobody trusts it
		{"10.0.0.1:5", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:5", "203.0.113.9, 198.51.100.7", "198.51.100.7"}, // what the client wrote itself
		{"10.0.0.1:5", "198.51.100.7, 10.0.0.2", "198.51.100.7"},    // two proxies
		{"10.0.0.1:5", "nonsense", "10.0.0.1"},
		{"[::ffff:192.0.2.1]:5", "", "192.0.2.1"},
		{"[2001:db8:1:2:3:4:5:6]:5", "", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:7:8:9:a]:5", "", "2001:db8:1:2::/64"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.remote
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if got := o.of(r); got != tt.want {
			t.Errorf("%s for %q: %q, want %q", tt.remote, tt.forwarded, got, tt.want)
		}
	}
}

// TestGuesses: wrong guesses run out, for their address only, and right ones do not
// count.
func TestGuesses(t *testing.T) {
	o := newOrigin(nil)
	bad := errors.New("wrong")
	answer := error(nil)
	h := o.guarded(func(err error) bool { return errors.Is(err, bad) }, func(http.ResponseWriter, *http.Request) error { return answer })
	call := func(from string) (wait string, err error) {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		err = h(w, r)
		return w.Header().Get("Retry-After"), err
	}
	for range 10 * guesses {
		if _, err := call("192.0.2.1:1"); err != nil {
			t.Fatal(err)
		}
	}
	answer = bad
	for range guesses {
		if _, err := call("192.0.2.1:1"); !errors.Is(err, bad) {
			t.Fatal(err)
		}
	}
	if wait, err := call("192.0.2.1:2"); errs.KindOf(err) != errs.Exhausted || wait == "" {
		t.Errorf("after %d wrong guesses: %v, wait %q", guesses, err, wait)
	}
	if _, err := call("192.0.2.2:1"); !errors.Is(err, bad) {
		t.Errorf("another address: %v", err)
	}
}

func TestRations(t *testing.T) {
	o := newOrigin(nil)
	h := o.rationed(func(http.ResponseWriter, *http.Request) error { return nil })
	call := func() error { return h(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)) }
	for range strangers {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	if err := call(); errs.KindOf(err) != errs.Exhausted {
		t.Errorf("one more: %v", err)
	}
}

// TestWhatCounts: who shows wrong secrets of clients has to wait with that, and others
// at the same address need not; nor need a client whose tokens have expired.
func TestWhatCounts(t *testing.T) {
	wrong, stale := fosite.ErrInvalidClient, fosite.ErrInvalidGrant
	for _, tt := range []struct {
		name, pattern, body string
		answer              error
		times               int // until there is a wait; 0: never
	}{
		{"wrong secrets", "POST /oauth2/token", "client_id=a&client_secret=b", wrong, guesses},
		{"wrong secrets for introspection", "POST /oauth2/introspect", "client_id=a&client_secret=b", wrong, guesses},
		{"expired tokens of a client that proves who it is", "POST /oauth2/token", "client_id=a&client_secret=b", stale, 0},
		{"expired tokens of others", "POST /oauth2/token", "client_id=a", stale, refusals},
		{"the metadata", "GET /.well-known/openid-configuration", "", wrong, 0},
		{"logins", "GET /oauth2/auth", "", wrong, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOrigin(nil)
			call := func(pattern, body string, answer error) error {
				h := o.limited(oauth.Route{Pattern: pattern, Serve: func(http.ResponseWriter, *http.Request) error { return answer }})
				r := httptest.NewRequest("POST", "/", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				return h(httptest.NewRecorder(), r)
			}
			waits := func(err error) bool { return errs.KindOf(err) == errs.Exhausted }
			for i := range refusals {
				if waits(call(tt.pattern, tt.body, tt.answer)) {
					if i != tt.times {
						t.Fatalf("after %d there is a wait: expected after %d", i, tt.times)
					}
					break
				}
			}
			if got := waits(call(tt.pattern, tt.body, tt.answer)); got != (tt.times > 0) {
				t.Errorf("at the end there is a wait: %v", got)
			}
			for _, other := range []struct{ pattern, body string }{{"GET /.well-known/jwks.json", ""}, {"GET /oauth2/auth", ""}, {"GET /userinfo", ""}} {
				if waits(call(other.pattern, other.body, nil)) {
					t.Errorf("%s waits, too", other.pattern)
				}
			}
			if tt.times == guesses && waits(call("POST /oauth2/token", "client_id=public", nil)) {
				t.Error("a client without a secret waits, too")
			}
			if tt.times == refusals && waits(call("POST /oauth2/token", "client_id=a&client_secret=b", nil)) {
				t.Error("a client with a secret waits, too")
			}
		})
	}
}

// TestRationsOfStrangers: clients that authenticate are not rationed.
func TestRationsOfStrangers(t *testing.T) {
	o := newOrigin(nil)
	h := o.limited(oauth.Route{Pattern: "POST /oauth2/par", Serve: func(http.ResponseWriter, *http.Request) error { return nil }})
	call := func(header, body string) error {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		return h(httptest.NewRecorder(), r)
	}
	for range 2 * strangers {
		for _, c := range []struct{ header, body string }{{"Basic YTpi", ""}, {"", "client_id=a&client_secret=b"}, {"", "client_assertion=x"}} {
			if err := call(c.header, c.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	failed := 0
	for range 2 * strangers {
		if errs.KindOf(call("", "client_id=a")) == errs.Exhausted {
			failed++
		}
	}
	if failed < strangers/2 {
		t.Errorf("of %d strangers %d are refused", 2*strangers, failed)
	}
}
