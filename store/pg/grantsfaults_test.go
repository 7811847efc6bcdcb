package pg

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/grants"
	"github.com/cardea-iam/cardea/store/script"
	"github.com/cardea-iam/cardea/store/storetest"
)

// explicit is a server whose scripts need open transactions, as those of CockroachDB do.
type explicit struct{ postgres }

func (explicit) transacts() bool { return false }

// TestGrantsInTransactions runs the suite the way it is run on CockroachDB.
func TestGrantsInTransactions(t *testing.T) {
	storetest.RunGrants(t, func(tb testing.TB) storetest.Scripts[Runner] {
		db, err := Open(tb.Context(), testdb.Postgres(tb), Options{MaxConns: 8, Migrate: true})
		if err != nil {
			tb.Fatal(err)
		}
		db.server = explicit{}
		return db
	})
}

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// A grantsCall is one method of oauth.Store. n tells apart what it is called with; the
// things called n are there, and new n are not.
type grantsCall struct {
	name   string
	trips  int64
	do     func(ctx context.Context, s oauth.Store, n byte) (any, error)
	writes bool
}

func numberedToken(kind oauth.Kind, n byte, by string) oauth.Token {
	h := oauth.Hash{n}
	copy(h[1:], by)
	return oauth.Token{Kind: kind, Hash: h, Grant: fmt.Sprint("g", n), Client: "app", Created: noon, Expires: noon.Add(time.Hour), Data: []byte("d")}
}

// prepareGrants makes the things called n.
func prepareGrants(t *testing.T, s oauth.Store, n byte) {
	t.Helper()
	id := func(kind string) string { return fmt.Sprint(kind, n) }
	device := numberedToken(oauth.Device, n, "there")
	device.Grant, device.Alias = "", device.Hash
	for _, err := range []error{
		s.CreateClient(t.Context(), oauth.ClientRow{ID: id("c"), Version: 1}),
		s.CreateClient(t.Context(), oauth.ClientRow{ID: id("gone"), Version: 1}),
		s.PutGrant(t.Context(), oauth.Grant{ID: id("g"), Client: "app", Subject: id("ann"), Created: noon}, &oauth.Login{ID: id("l"), Subject: "ann"},
			numberedToken(oauth.Code, n, "there"), numberedToken(oauth.Access, n, "old"), device),
		s.PutGrant(t.Context(), oauth.Grant{ID: id("r"), Client: "app", Subject: id("bob"), Created: noon}, nil),
		s.PutKeys(t.Context(), id("s"), oauth.AddKeys, oauth.Key{ID: "k"}),
		s.PutIssuer(t.Context(), oauth.Issuer{ID: id("i"), Issuer: id("i")}),
		s.AddDeliveries(t.Context(), oauth.Delivery{ID: id("d"), Due: noon}, oauth.Delivery{ID: id("e"), Due: noon}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

var grantsCalls = []grantsCall{
	{"Look", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		id := fmt.Sprint("c", n)
		return s.Look(ctx, oauth.Look{Client: id, Kind: oauth.Code, Grants: oauth.GrantQuery{Client: id}})
	}, false},
	{"Client", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return s.Client(ctx, fmt.Sprint("c", n))
	}, false},
	{"CreateClient", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.CreateClient(ctx, oauth.ClientRow{ID: fmt.Sprint("new", n)})
	}, true},
	{"UpdateClient", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.UpdateClient(ctx, oauth.ClientRow{ID: fmt.Sprint("c", n), Version: 1})
	}, true},
	{"DeleteClient", 3, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.DeleteClient(ctx, fmt.Sprint("gone", n))
	}, false}, // not in one script
	{"Token", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return s.Token(ctx, oauth.Device, numberedToken(oauth.Device, n, "there").Hash)
	}, false},
	{"TokenByAlias", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return s.TokenByAlias(ctx, oauth.Device, numberedToken(oauth.Device, n, "there").Hash)
	}, false},
	{"PutTokens", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		device := numberedToken(oauth.Device, n, "new")
		device.Alias = device.Hash
		return nil, s.PutTokens(ctx, numberedToken(oauth.Access, n, "new"), device)
	}, true},
	{"Redeem", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.Redeem(ctx, oauth.Redemption{Kind: oauth.Code, Hash: numberedToken(oauth.Code, n, "there").Hash, Now: noon, Replace: []oauth.Kind{oauth.Access},
			Put: []oauth.Token{numberedToken(oauth.Access, n, "redeemed"), numberedToken(oauth.Refresh, n, "redeemed")}})
	}, true},
	{"Redeem again", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.Redeem(ctx, oauth.Redemption{Kind: oauth.Code, Hash: numberedToken(oauth.Code, n, "there").Hash, Now: noon.Add(time.Second), Grace: time.Minute,
			Put: []oauth.Token{numberedToken(oauth.Access, n, "again")}})
	}, true},
	{"Poll", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		got, err := s.Poll(ctx, oauth.Device, numberedToken(oauth.Device, n, "there").Hash, noon, 0)
		return got.Polled, err
	}, true},
	{"Decide", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		device := numberedToken(oauth.Device, n, "there")
		device.State = oauth.Accepted
		return nil, s.Decide(ctx, device, noon)
	}, true},
	{"DeleteTokens", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		_, err := s.DeleteTokens(ctx, oauth.TokenQuery{Grant: fmt.Sprint("g", n), Kind: oauth.Access})
		return nil, err // the count may be too low
	}, true},
	{"PutGrant", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		id := fmt.Sprint("newg", n)
		return nil, s.PutGrant(ctx, oauth.Grant{ID: id, Client: "app"}, &oauth.Login{ID: id}, numberedToken(oauth.Code, n, "granted"))
	}, true},
	{"Grant", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) { return s.Grant(ctx, "g1") }, false},
	{"Grants", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return s.Grants(ctx, oauth.GrantQuery{Subject: "ann1"})
	}, false},
	{"RevokeGrants", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return s.RevokeGrants(ctx, oauth.GrantQuery{Subject: fmt.Sprint("bob", n)}, noon)
	}, true},
	{"PutLogin", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.PutLogin(ctx, oauth.Login{ID: fmt.Sprint("l", n), Subject: "bob"})
	}, true},
	{"EndLogins", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		ls, err := s.EndLogins(ctx, fmt.Sprint("l", n), "", noon)
		return len(ls), err
	}, true},
	{"PutKeys", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.PutKeys(ctx, fmt.Sprint("new", n), oauth.FirstOfSet, oauth.Key{ID: "a"}, oauth.Key{ID: "b"})
	}, true},
	{"DeleteKeys", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.DeleteKeys(ctx, fmt.Sprint("s", n), "k")
	}, true},
	{"PutIssuer", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.PutIssuer(ctx, oauth.Issuer{ID: fmt.Sprint("new", n), Issuer: fmt.Sprint("new", n)})
	}, true},
	{"DeleteIssuer", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.DeleteIssuer(ctx, fmt.Sprint("i", n))
	}, true},
	{"AddDeliveries", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.AddDeliveries(ctx, oauth.Delivery{ID: fmt.Sprint("new", n), Due: noon.Add(time.Hour)})
	}, true},
	{"TakeDeliveries", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		ds, err := s.TakeDeliveries(ctx, noon.Add(5*time.Minute), noon.Add(time.Hour+time.Duration(n)), 1)
		return len(ds), err
	}, true},
	{"EndDelivery", 1, func(ctx context.Context, s oauth.Store, n byte) (any, error) {
		return nil, s.EndDelivery(ctx, fmt.Sprint("new", n), time.Time{})
	}, true},
}

// TestGrantsTrips counts round trips, and loses the answers to those that write: each
// must come to the same end as if the connection had held.
func TestGrantsTrips(t *testing.T) {
	var w wire
	db, store := openWire(t, &w)
	s := grants.New(Runner{store})
	if err := s.CreateClient(t.Context(), oauth.ClientRow{ID: "app", Version: 1}); err != nil {
		t.Fatal(err)
	}
	for n := range byte(3) {
		prepareGrants(t, s, n)
	}
	for _, c := range grantsCalls {
		if _, err := c.do(t.Context(), s, 0); err != nil { // prepares the statements
			t.Fatalf("%s: %v", c.name, err)
		}
		before := db.Stats().Rounds
		var want any
		var err error
		trips := w.count(func() { want, err = c.do(t.Context(), s, 1) })
		if rounds := db.Stats().Rounds - before; err != nil || rounds != c.trips || int64(trips) != c.trips {
			t.Errorf("%s: %d rounds, %d on the wire, error %v; expected %d", c.name, rounds, trips, err, c.trips)
		}
		if !c.writes {
			continue
		}
		cut := w.cut
		w.loseNext()
		got, err := c.do(t.Context(), s, 2)
		if err != nil || w.cut != cut+1 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v and error %v after %d lost answers: expected %v", c.name, got, err, w.cut-cut, want)
		}
		if _, err := c.do(t.Context(), s, 0); err != nil && errs.KindOf(err) != errs.Conflict && errs.KindOf(err) != errs.NotFound { // prepares the new connection
			t.Fatalf("%s: %v", c.name, err)
		}
	}
}

// A recorder notes the statements of scripts before it runs them.
type recorder struct {
	script.Runner
	texts map[string]string // what they do
}

func (r recorder) note(doing string, build func(*script.Script)) {
	var sc script.Script
	build(&sc)
	for _, step := range sc.Steps {
		r.texts[step.SQL] = doing
	}
}

func (r recorder) Read(ctx context.Context, doing string, build func(*script.Script)) error {
	r.note(doing, build)
	return r.Runner.Read(ctx, doing, build)
}

func (r recorder) Write(ctx context.Context, doing string, build func(*script.Script)) error {
	r.note(doing, build)
	return r.Runner.Write(ctx, doing, build)
}

var networkOnly = regexp.MustCompile(`Index Cond: \(network = [^ ]*\)$`)

// TestGrantsPlans looks at the plans of all statements: each finds its rows by an
// index, with more than the network to go by.
func TestGrantsPlans(t *testing.T) {
	db := openTest(t, testdb.Postgres(t), Options{})
	rec := recorder{Runner{networkTest(t, db, "default")}, map[string]string{}}
	s := grants.New(rec)
	for _, n := range []byte{0, 1} {
		prepareGrants(t, s, n)
	}
	for _, c := range grantsCalls {
		if _, err := c.do(t.Context(), s, 0); err != nil && errs.KindOf(err) != errs.Conflict {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	if _, err := s.Purge(t.Context(), noon, 10); err != nil {
		t.Fatal(err)
	}
	for _, q := range []oauth.GrantQuery{{Client: "a", Limit: 1, After: oauth.Grant{ID: "x"}}, {Subject: "a", Client: "b", Remembered: noon}, {Login: "l"}} {
		if _, err := s.Grants(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RevokeGrants(t.Context(), q, noon); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []oauth.TokenQuery{{Client: "a"}, {Grant: "g"}, {Kind: oauth.Code, Hash: oauth.Hash{1}}} {
		if _, err := s.DeleteTokens(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	for text, doing := range rec.texts {
		if doing == "delete old issuers" {
			continue // they are few
		}
		p := plan(t, db, text, nil)
		lines := strings.Split(p, "\n")
		for i, line := range lines {
			if !strings.Contains(line, "Scan") || strings.Contains(line, "Subquery Scan") {
				continue
			}
			cond := ""
			if i+1 < len(lines) {
				cond = lines[i+1]
			}
			if !strings.Contains(line, "Index") || !strings.Contains(cond, "Index Cond") || networkOnly.MatchString(cond) {
				t.Errorf("%s: %s\n%s\n%s", doing, strings.TrimSpace(line), text, p)
				break
			}
		}
	}
	t.Logf("%d statements", len(rec.texts))
}
