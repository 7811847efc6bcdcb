package bench_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/oauth"
)

// oauthTrips are the round trips to the database that each operation makes, as they are
// counted on the wire.
var oauthTrips = map[string]int64{
	bench.OAuthCredentials:      1,
	bench.OAuthJWT:              1,
	bench.OAuthIntrospect:       1,
	bench.OAuthIntrospectClient: 1,
	bench.OAuthRefresh:          2,
	bench.OAuthLogin:            8,
	bench.OAuthDiscovery:        0,
	bench.OAuthJWKS:             0,
}

// TestOAuthTrips counts what each operation asks of PostgreSQL.
func TestOAuthTrips(t *testing.T) {
	wire, err := bench.CountTrips(testdb.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	o := oauthOn(t, wire.DSN())
	for _, op := range o.Ops() {
		do, err := op.New(t.Context())
		for range 2 { // what is known of a client, and the statements with it
			if err == nil {
				err = do(t.Context())
			}
		}
		before := wire.Count()
		if err == nil {
			err = do(t.Context())
		}
		if err != nil {
			t.Fatalf("%s: %v", op.Name, err)
		}
		if got := wire.Count() - before; got != oauthTrips[op.Name] {
			t.Errorf("%s: %d round trips, expected %d", op.Name, got, oauthTrips[op.Name])
		}
	}
}

// oauthOn is a provider on the database of dsn, with nothing else beside it.
func oauthOn(t testing.TB, dsn string) *bench.OAuth {
	t.Helper()
	at := standOn(t, dsn)
	on, err := at.Grants(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := url.Parse(at.publicAt)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now() // stands still, so that keys are read once
	p, err := oauth.New(on, oauth.Options{
		Issuer: issuer, Secrets: at.secrets, Now: func() time.Time { return now },
		URLs: oauth.URLs{Login: bench.OAuthPages + "login", Consent: bench.OAuthPages + "consent"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for mux, routes := range map[*http.ServeMux][]oauth.Route{at.public: p.Public(), at.admin: p.Admin()} {
		for _, route := range routes {
			mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
				if err := route.Serve(w, r); err != nil {
					oauth.Fail(w, r, err)
				}
			})
		}
	}
	o, err := bench.NewOAuth(t.Context(), at.publicAt, at.adminAt, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}
