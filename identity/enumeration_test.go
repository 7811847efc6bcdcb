package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/secret"
)

// A tally is a store that notes what is asked of it.
type tally struct {
	identity.Store
	calls []string
}

func (t *tally) note(format string, args ...any) {
	t.calls = append(t.calls, fmt.Sprintf(format, args...))
}

func (t *tally) Write(ctx context.Context, ops ...identity.Op) error {
	var kinds []string
	for _, op := range ops {
		kinds = append(kinds, strings.TrimPrefix(fmt.Sprintf("%T", op), "identity."))
	}
	t.note("write %s", strings.Join(kinds, " "))
	return t.Store.Write(ctx, ops...)
}

func (t *tally) Identity(ctx context.Context, id string, credentials bool) (*identity.Identity, error) {
	t.note("identity")
	return t.Store.Identity(ctx, id, credentials)
}

func (t *tally) Find(ctx context.Context, kind identity.CredentialType, identifier string) (*identity.Identity, error) {
	t.note("find %s", kind)
	return t.Store.Find(ctx, kind, identifier)
}

func (t *tally) FindAddress(ctx context.Context, use identity.AddressUse, via, value string) (*identity.Identity, error) {
	t.note("find address %s %s", use, via)
	return t.Store.FindAddress(ctx, use, via, value)
}

func (t *tally) Holders(ctx context.Context, i *identity.Identity) ([]identity.Holder, error) {
	t.note("holders")
	return t.Store.Holders(ctx, i)
}

func (t *tally) Attempt(ctx context.Context, key string, l identity.Limit, now time.Time) (bool, time.Time, error) {
	t.note("attempt")
	return t.Store.Attempt(ctx, key, l, now)
}

func (t *tally) Flow(ctx context.Context, id string) (*identity.StoredFlow, error) {
	t.note("flow")
	return t.Store.Flow(ctx, id)
}

func (t *tally) Code(ctx context.Context, flow, purpose string, hashes [][]byte) (*identity.Code, error) {
	t.note("code %s", purpose)
	return t.Store.Code(ctx, flow, purpose, hashes)
}

// TestSameWork does the same for an address that has an account and for one that has
// none, and compares what that asks of the database, each call and each kind of op, and how
// often a password is hashed.
func TestSameWork(t *testing.T) {
	c := newCourier(t)
	work := &tally{Store: c.people}
	keys, err := secret.New("a secret of the system")
	if err != nil {
		t.Fatal(err)
	}
	s, err := identity.New(work, keys, identity.Options{BaseURL: "http://id.example", Hashing: identity.HashOptions{Memory: 64, Iterations: 1},
		Flows: map[identity.Kind]identity.FlowOptions{identity.Login: {IdentifierFirst: true}}, Code: identity.CodeOptions{Passwordless: true}, Courier: identity.CourierOptions{Carrier: &c.office, Letters: plainLetters{}, PerClient: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	routes := slices.DeleteFunc(identity.AdminRoutes(), func(r identity.Route) bool { return r.Pattern != "POST /admin/identities" })
	for _, route := range append(identity.PublicRoutes(), routes...) {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.Handle(s, w, r); err != nil {
				t.Errorf("%s: %v", route.Pattern, err)
			}
		})
	}
	do := func(method, path string, body any) map[string]any {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(method, path, bytes.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return answer
	}
	do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": "ann@example.com"},
		"credentials": map[string]any{"password": map[string]any{"config": map[string]any{"password": "a stone wall of 7 colours"}}}})

	for name, form := range map[string]func(email string) (kind string, form map[string]any){
		"recovery": func(email string) (string, map[string]any) {
			return "recovery", map[string]any{"method": "code", "email": email}
		},
		"verification": func(email string) (string, map[string]any) {
			return "verification", map[string]any{"method": "code", "email": email}
		},
		"login that begins with who one is": func(email string) (string, map[string]any) {
			return "login", map[string]any{"method": "identifier_first", "identifier": email}
		},
		"login by code": func(email string) (string, map[string]any) {
			return "login", map[string]any{"method": "code", "identifier": email}
		},
		"login by password": func(email string) (string, map[string]any) {
			return "login", map[string]any{"method": "password", "identifier": email, "password": "wrong"}
		},
		"registration by code": func(email string) (string, map[string]any) {
			return "registration", map[string]any{"method": "code", "traits": map[string]any{"email": email}}
		},
		"registration by password": func(email string) (string, map[string]any) {
			return "registration", map[string]any{"method": "password", "password": "a stone wall of 7 colours", "traits": map[string]any{"email": email}}
		},
	} {
		var seen [2]string
		for i, email := range []string{"ann@example.com", "bob@example.com"} {
			kind, form := form(email)
			flow := do("GET", "/self-service/"+kind+"/api", nil)["id"].(string)
			work.calls = nil
			hashes := s.Hashes()
			answer := do("POST", "/self-service/"+kind+"?flow="+flow, form)
			form["code"] = "000000"
			if next, ok := answer["continue_with"].([]any); ok {
				kind, flow = "verification", next[0].(map[string]any)["flow"].(map[string]any)["id"].(string)
				form = map[string]any{"method": "code", "code": "000000"}
			}
			for range 2 { // a wrong code
				do("POST", "/self-service/"+kind+"?flow="+flow, form)
			}
			work.note("%d hashes", s.Hashes()-hashes)
			seen[i] = strings.Join(work.calls, "\n")
		}
		if seen[0] != seen[1] || !strings.Contains(seen[0], "write") {
			t.Errorf("%s: somebody costs\n%s\n\nnobody costs\n%s", name, seen[0], seen[1])
		}
		if byPassword := strings.HasSuffix(name, "by password"); byPassword == strings.HasSuffix(seen[1], "\n0 hashes") {
			t.Errorf("%s costs\n%s", name, seen[1])
		}
	}
}
