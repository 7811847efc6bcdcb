package bench_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// identityCosts are what each operation asks of the database: round trips, as they are
// counted on the wire, and how many of the calls of its store write.
var identityCosts = map[string]struct{ trips, writes int64 }{
	bench.IdentityWhoami:       {1, 0},
	bench.IdentityWhoamiCookie: {1, 0},
	bench.IdentityWhoamiBad:    {1, 0},
	bench.IdentityLoginFlow:    {0, 0},
	bench.IdentityLoginNative:  {0, 0},
	bench.IdentityFetch:        {1, 0},
	bench.IdentitySettingsFlow: {2, 0},
	bench.IdentitySessions:     {2, 0},
	bench.IdentityAdminGet:     {1, 0},
	bench.IdentityAdminList:    {1, 0},
	bench.IdentityExtend:       {4, 1}, // one is the entry of the audit log
	bench.IdentityLogin:        {5, 2},
	bench.IdentityRegistration: {3, 1},
	bench.IdentityLogout:       {2, 1},
}

// writes is a store that counts them.
type writes struct {
	identity.Store
	n atomic.Int64
}

func (w *writes) Write(ctx context.Context, ops ...identity.Op) error {
	w.n.Add(1)
	return w.Store.Write(ctx, ops...)
}

func (w *writes) Attempt(ctx context.Context, key string, l identity.Limit, now time.Time) (bool, time.Time, error) {
	w.n.Add(1)
	return w.Store.Attempt(ctx, key, l, now)
}

// TestIdentityCosts counts what each operation asks of PostgreSQL.
func TestIdentityCosts(t *testing.T) {
	wire, err := bench.CountTrips(testdb.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	i := identityOn(t, wire.DSN())
	for _, op := range i.Ops() {
		want, counted := identityCosts[op.Name]
		if !counted { // it takes the whole server
			continue
		}
		do, err := op.New(t.Context())
		if err == nil {
			err = do(t.Context()) // prepares the statements
		}
		trips, writes := wire.Count(), i.n.Load()
		if err == nil {
			err = do(t.Context())
		}
		if err != nil {
			t.Fatalf("%s: %v", op.Name, err)
		}
		if trips, writes = wire.Count()-trips, i.n.Load()-writes; trips != want.trips || writes != want.writes {
			t.Errorf("%s: %d round trips and %d writes, expected %d and %d", op.Name, trips, writes, want.trips, want.writes)
		}
	}
}

// whoamiAllocations are those of the handler and SQLite together.
const whoamiAllocations = 168

// TestWhoamiAllocations counts what whoami allocates.
func TestWhoamiAllocations(t *testing.T) {
	notRacing(t)
	i := identityOn(t, "mem:")
	token, err := i.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/sessions/whoami", nil)
	r.Header.Set("Cookie", "ory_kratos_session="+token)
	within(t, "allocations of whoami", testing.AllocsPerRun(200, func() {
		w := httptest.NewRecorder()
		if i.public.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatal(w.Body)
		}
	}), whoamiAllocations)
}

// people are identities that are kept with nothing else beside them.
type people struct {
	*bench.Identity
	*writes
	public *http.ServeMux
}

// identityOn keeps identities in the database of dsn.
func identityOn(t testing.TB, dsn string) people {
	t.Helper()
	at := standOn(t, dsn)
	kept, err := at.People(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	on := &writes{Store: kept}
	s, err := identity.New(on, at.secrets, identity.Options{BaseURL: strings.Replace(at.publicAt, "127.0.0.1", "localhost", 1), Hashing: identity.HashOptions{Memory: 64, Iterations: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for mux, routes := range map[*http.ServeMux][]identity.Route{at.public: identity.PublicRoutes(), at.admin: identity.AdminRoutes()} {
		for _, route := range routes {
			mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
				if err := route.Handle(s, w, r); err != nil {
					s.Fail(w, r, err, statusOf(err), err.Error())
				}
			})
		}
	}
	i, err := bench.NewIdentity(t.Context(), at.publicAt, at.adminAt, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return people{i, on, at.public}
}

// statusOf is that of the errors that operations expect.
func statusOf(err error) int {
	if errs.KindOf(err) == errs.Unauthenticated {
		return http.StatusUnauthorized
	}
	return http.StatusInternalServerError
}
