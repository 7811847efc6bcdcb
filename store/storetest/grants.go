package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/grants"
	"github.com/cardea-iam/cardea/store/script"
)

// A warden is the oauth.Store of a network, with methods that fail the test.
type warden struct {
	*testing.T
	oauth.Store
	ctx   context.Context
	other *warden // another network of the same database
	now   time.Time
}

// If again, the test also runs with scripts that are all run again after they were
// committed, as they are if the answer is lost. What then counts deleted rows, or says
// that there were none, may be wrong.
var grantsSuite = []struct {
	name  string
	run   func(*warden)
	again bool
}{
	{"ClientAsItWasSaved", clientAsItWasSaved, true},
	{"ClientVersions", clientVersions, true},
	{"ClientDeleted", clientDeleted, false},
	{"ListClients", listClients, true},

	{"TokenAsItWasPut", tokenAsItWasPut, true},
	{"TokensAllOrNone", tokensAllOrNone, true},
	{"TokenAlias", tokenAlias, false},
	{"RevokedTokens", revokedTokens, true},
	{"RedeemOnce", redeemOnce, true},
	{"RedeemWithGrace", redeemWithGrace, true},
	{"RedeemReplaces", redeemReplaces, true},
	{"RedeemNothing", redeemNothing, true},
	{"DecideOnce", decideOnce, true},
	{"PollTells", pollTells, true},
	{"DeleteTokens", deleteTokens, false},

	{"GrantAsItWasPut", grantAsItWasPut, true},
	{"GrantIsAtomic", grantIsAtomic, true},
	{"ListGrants", listGrants, true},
	{"RevokeGrants", revokeGrants, false},
	{"RevokeManyGrants", revokeManyGrants, true},
	{"LoginAsItWasPut", loginAsItWasPut, true},
	{"LoginsEnd", loginsEnd, true},

	{"KeysOfASet", keysOfASet, false},
	{"FirstKeys", firstKeys, true},
	{"IssuerAsItWasPut", issuerAsItWasPut, false},
	{"ListIssuers", listIssuers, true},
	{"DeliveriesAreLent", deliveriesAreLent, true},
	{"LookSeesAll", lookSeesAll, true},
	{"LookKnowsClients", lookKnowsClients, true},
	{"TokenOfAKnownClient", tokenOfAKnownClient, true},
	{"TextsThatNobodyStores", textsThatNobodyStores, false},
	{"GrantsOfNetworksAreApart", grantsOfNetworksAreApart, false},

	{"PurgeOfTokens", purgeOfTokens, false},
	{"PurgeOfUsedTokens", purgeOfUsedTokens, false},
	{"PurgeOfGrants", purgeOfGrants, false},
	{"PurgeOfTheRest", purgeOfTheRest, false},

	{"ExactlyOnce", exactlyOnce, false},
	{"RevokeAgainstRedeem", revokeAgainstRedeem, false},
	{"OneDecides", oneDecides, false},
	{"OneIsFirst", oneIsFirst, false},
	{"OneSetReplaces", oneSetReplaces, false},
	{"OneTakesADelivery", oneTakesADelivery, false},
	{"OneEndsALogin", oneEndsALogin, false},
	{"PollsAtOnce", pollsAtOnce, false},
	{"ClientUpdatesAtOnce", clientUpdatesAtOnce, false},
}

// RunGrants runs the tests of oauth.Store on one database, each in two networks of its
// own. open returns a database, or calls tb.Skip if there is none to be had. RunGrants
// closes it.
func RunGrants[R script.Runner](t *testing.T, open func(tb testing.TB) Scripts[R]) {
	db := open(t)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, c := range grantsSuite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newWarden(t, db, func(r R) script.Runner { return r }))
		})
		if c.again {
			t.Run(c.name+"Again", func(t *testing.T) {
				t.Parallel()
				c.run(newWarden(t, db, func(r R) script.Runner { return twice{r} }))
			})
		}
	}
}

func newWarden[R script.Runner](t *testing.T, db Scripts[R], through func(R) script.Runner) *warden {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	network := func() *warden {
		r, err := db.Runner(ctx, strings.ToLower(rand.Text()))
		if err != nil {
			t.Fatal(err)
		}
		return &warden{T: t, Store: grants.New(through(r)), ctx: ctx, now: time.Date(2030, 5, 6, 7, 8, 9, 123456000, time.UTC)}
	}
	w := network()
	w.other = network()
	return w
}

// twice runs again what was committed.
type twice struct{ script.Runner }

func (r twice) Write(ctx context.Context, doing string, build func(*script.Script)) error {
	if err := r.Runner.Write(ctx, doing, build); err != nil {
		return err
	}
	return r.Runner.Write(ctx, doing, func(sc *script.Script) {
		sc.Again = true
		build(sc)
	})
}

func (w *warden) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error (%s): %v", errs.KindOf(err), err)
	}
}

// fails asserts the kind of an error.
func (w *warden) fails(err error, kind errs.Kind) {
	w.Helper()
	if got := errs.KindOf(err); got != kind {
		w.Fatalf("error %v has kind %s: expected %s", err, got, kind)
	}
}

// same compares what was read with what was written.
func (w *warden) same(got, want any) {
	w.Helper()
	if !reflect.DeepEqual(got, want) {
		w.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// counts asserts how many rows something touched.
func (w *warden) counts(want int64) func(int64, error) {
	w.Helper()
	return func(got int64, err error) {
		w.Helper()
		w.must(err)
		if got != want {
			w.Fatalf("%d rows: expected %d", got, want)
		}
	}
}

func (w *warden) at(d time.Duration) time.Time { return w.now.Add(d) }

// hash returns a new one.
func hash() (h oauth.Hash) {
	rand.Read(h[:])
	return h
}

// client adds a client.
func (w *warden) client(id string) string {
	w.Helper()
	w.must(w.CreateClient(w.ctx, oauth.ClientRow{ID: id, Version: 1, Created: w.now, Updated: w.now}))
	return id
}

// grant adds a grant to a client with tokens.
func (w *warden) grant(id, client string, ts ...oauth.Token) string {
	w.Helper()
	w.must(w.PutGrant(w.ctx, oauth.Grant{ID: id, Client: client, Subject: "ann", Created: w.now}, nil, ts...))
	return id
}

// put adds tokens and returns the last one.
func (w *warden) put(ts ...oauth.Token) oauth.Token {
	w.Helper()
	w.must(w.PutTokens(w.ctx, ts...))
	return ts[len(ts)-1]
}

// made returns a token that lives for an hour.
func (w *warden) made(kind oauth.Kind, grant string) oauth.Token {
	return oauth.Token{Kind: kind, Hash: hash(), Grant: grant, Created: w.now, Expires: w.at(time.Hour), Data: []byte("sealed")}
}

func (w *warden) token(t oauth.Token) oauth.Token {
	w.Helper()
	got, err := w.Token(w.ctx, t.Kind, t.Hash)
	w.must(err)
	return got
}

func (w *warden) gone(ts ...oauth.Token) {
	w.Helper()
	for _, t := range ts {
		_, err := w.Token(w.ctx, t.Kind, t.Hash)
		w.fails(err, errs.NotFound)
	}
}

// live asserts whether tokens are good for something.
func (w *warden) live(want bool, ts ...oauth.Token) {
	w.Helper()
	for _, t := range ts {
		if got := w.token(t); got.Live(w.now) != want {
			w.Fatalf("token %+v is live: %t, expected %t", got, !want, want)
		}
	}
}

func clientAsItWasSaved(w *warden) {
	c := oauth.ClientRow{ID: "app", Version: 3, Owner: "ann", Name: "An app é", Created: w.now, Updated: w.at(time.Second), Data: []byte{0, 255, 'x'}}
	w.must(w.CreateClient(w.ctx, c))
	got, err := w.Client(w.ctx, "app")
	w.must(err)
	w.same(got, c)
	w.fails(w.CreateClient(w.ctx, c), errs.Conflict)
	w.must(w.CreateClient(w.ctx, oauth.ClientRow{ID: "bare"}))
	got, err = w.Client(w.ctx, "bare")
	w.must(err)
	got.Data = nil // nil or empty
	w.same(got, oauth.ClientRow{ID: "bare"})
	for _, id := range []string{"ap", "app ", "APP", ""} {
		_, err = w.Client(w.ctx, id)
		w.fails(err, errs.NotFound)
	}
}

func clientVersions(w *warden) {
	c := oauth.ClientRow{ID: "app", Version: 1, Owner: "ann", Name: "one", Created: w.now, Updated: w.now, Data: []byte("1")}
	w.fails(w.UpdateClient(w.ctx, c), errs.NotFound)
	w.must(w.CreateClient(w.ctx, c))
	next := oauth.ClientRow{ID: "app", Version: 1, Owner: "bob", Name: "two", Created: w.at(time.Hour), Updated: w.at(time.Minute), Data: []byte("2")}
	w.must(w.UpdateClient(w.ctx, next))
	w.fails(w.UpdateClient(w.ctx, next), errs.Conflict)
	next.Version, next.Created = 2, w.now
	got, err := w.Client(w.ctx, "app")
	w.must(err)
	w.same(got, next)
	next.Version = 3
	w.fails(w.UpdateClient(w.ctx, next), errs.Conflict)
}

func clientDeleted(w *warden) {
	w.fails(w.DeleteClient(w.ctx, "app"), errs.NotFound)
	w.client("app")
	w.client("stays")
	mine, alone, others := w.made(oauth.Access, "g"), w.made(oauth.Access, ""), w.made(oauth.Access, "")
	mine.Client, alone.Client, others.Client = "app", "app", "stays"
	w.grant("g", "app", mine)
	w.grant("h", "stays")
	w.put(alone, others)
	w.live(true, mine, alone, others)
	w.must(w.DeleteClient(w.ctx, "app"))
	w.gone(mine, alone)
	w.live(true, others)
	_, err := w.Client(w.ctx, "app")
	w.fails(err, errs.NotFound)
	_, err = w.Grant(w.ctx, "g")
	w.fails(err, errs.NotFound)
	_, err = w.Grant(w.ctx, "h")
	w.must(err)
	w.fails(w.DeleteClient(w.ctx, "app"), errs.NotFound)

	w.client("many")
	var ts []oauth.Token
	for range 1200 {
		t := w.made(oauth.Access, "")
		t.Client = "many"
		ts = append(ts, t)
	}
	w.put(ts...)
	w.must(w.DeleteClient(w.ctx, "many"))
	w.gone(ts[0], ts[1199])
}

func listClients(w *warden) {
	var all []oauth.ClientRow
	for i := range 6 {
		c := oauth.ClientRow{ID: fmt.Sprint("c", i), Owner: [...]string{"ann", "bob"}[i%2], Name: [...]string{"x", "y", "z"}[i%3], Created: w.now, Updated: w.now, Data: []byte("d")}
		all = append(all, c)
		w.must(w.CreateClient(w.ctx, all[i]))
	}
	for _, tt := range []struct {
		q    oauth.ClientQuery
		want []int
	}{
		{oauth.ClientQuery{}, []int{0, 1, 2, 3, 4, 5}},
		{oauth.ClientQuery{Limit: 2}, []int{0, 1}},
		{oauth.ClientQuery{Limit: 2, After: "c1"}, []int{2, 3}},
		{oauth.ClientQuery{After: "c2b"}, []int{3, 4, 5}},
		{oauth.ClientQuery{Owner: "ann"}, []int{0, 2, 4}},
		{oauth.ClientQuery{Owner: "ann", After: "c0", Limit: 1}, []int{2}},
		{oauth.ClientQuery{Name: "x"}, []int{0, 3}},
		{oauth.ClientQuery{Name: "x", Owner: "bob"}, []int{3}},
		{oauth.ClientQuery{Name: "X"}, nil},
		{oauth.ClientQuery{After: "c5"}, nil},
	} {
		var want []oauth.ClientRow
		for _, i := range tt.want {
			want = append(want, all[i])
		}
		got, err := w.Clients(w.ctx, tt.q)
		w.must(err)
		w.same(got, want)
	}
}

func issuerAsItWasPut(w *warden) {
	i := oauth.Issuer{ID: "1", Issuer: "https://a", Subject: "ann", KeyID: "k", Created: w.now, Expires: w.at(time.Hour), Data: []byte("d")}
	w.must(w.PutIssuer(w.ctx, i))
	got, err := w.Issuer(w.ctx, "1")
	w.must(err)
	w.same(got, i)
	w.fails(w.PutIssuer(w.ctx, i), errs.Conflict)
	i.ID = "2"
	w.fails(w.PutIssuer(w.ctx, i), errs.Conflict)
	i.Subject = ""
	w.must(w.PutIssuer(w.ctx, i))
	i.ID = "3"
	w.fails(w.PutIssuer(w.ctx, i), errs.Conflict)
	_, err = w.Issuer(w.ctx, "3")
	w.fails(err, errs.NotFound)
	w.must(w.DeleteIssuer(w.ctx, "2"))
	w.fails(w.DeleteIssuer(w.ctx, "2"), errs.NotFound)
	w.must(w.PutIssuer(w.ctx, i))
}

func listIssuers(w *warden) {
	for i := range 5 {
		w.must(w.PutIssuer(w.ctx, oauth.Issuer{ID: fmt.Sprint(i), Issuer: [...]string{"a", "b"}[i%2], KeyID: fmt.Sprint(i), Created: w.now}))
	}
	for _, tt := range []struct {
		issuer, after string
		limit         int
		want          string
	}{{"", "", 0, "01234"}, {"a", "", 0, "024"}, {"a", "0", 1, "2"}, {"", "1", 2, "23"}, {"c", "", 0, ""}, {"", "4", 0, ""}} {
		got, err := w.Issuers(w.ctx, tt.issuer, tt.after, tt.limit)
		w.must(err)
		ids := ""
		for _, i := range got {
			ids += i.ID
		}
		w.same(ids, tt.want)
	}
}

// textsThatNobodyStores looks for what no database could hold, as it comes from
// anybody in a request, and tries to add it.
func textsThatNobodyStores(w *warden) {
	for _, bad := range []string{"\x00", "a\x00b", "\xff\xfe", strings.Repeat("x", 513)} {
		_, err := w.Client(w.ctx, bad)
		w.fails(err, errs.NotFound)
		_, err = w.Grant(w.ctx, bad)
		w.fails(err, errs.NotFound)
		_, err = w.Login(w.ctx, bad)
		w.fails(err, errs.NotFound)
		_, err = w.Issuer(w.ctx, bad)
		w.fails(err, errs.NotFound)
		_, err = w.Token(w.ctx, oauth.Kind(bad), hash())
		w.fails(err, errs.NotFound)
		_, err = w.Poll(w.ctx, oauth.Kind(bad), hash(), w.now, 0)
		w.fails(err, errs.NotFound)
		w.fails(w.DeleteClient(w.ctx, bad), errs.NotFound)
		w.fails(w.DeleteKeys(w.ctx, bad, ""), errs.NotFound)
		w.fails(w.DeleteIssuer(w.ctx, bad), errs.NotFound)
		w.fails(w.UpdateClient(w.ctx, oauth.ClientRow{ID: bad}), errs.NotFound)
		w.fails(w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Kind(bad), Hash: hash(), Now: w.now}), errs.Conflict)
		w.must(w.EndDelivery(w.ctx, bad, w.now))

		clients, err := w.Clients(w.ctx, oauth.ClientQuery{Name: bad})
		w.must(err)
		gs, err := w.Grants(w.ctx, oauth.GrantQuery{Subject: bad})
		w.must(err)
		keys, err := w.Keys(w.ctx, bad)
		w.must(err)
		issuers, err := w.Issuers(w.ctx, bad, "", 0)
		w.must(err)
		logins, err := w.EndLogins(w.ctx, "", bad, w.now)
		w.must(err)
		if len(clients)+len(gs)+len(keys)+len(issuers)+len(logins) > 0 {
			w.Fatalf("%q finds something", bad)
		}
		w.counts(0)(w.RevokeGrants(w.ctx, oauth.GrantQuery{Client: bad}, w.now))
		w.counts(0)(w.DeleteTokens(w.ctx, oauth.TokenQuery{Client: bad}))

		w.fails(w.CreateClient(w.ctx, oauth.ClientRow{ID: "a", Name: bad}), errs.Invalid)
		w.fails(w.PutTokens(w.ctx, oauth.Token{Kind: oauth.Code, Subject: bad}), errs.Invalid)
		w.fails(w.PutGrant(w.ctx, oauth.Grant{ID: bad}, nil), errs.Invalid)
		w.fails(w.PutLogin(w.ctx, oauth.Login{ID: "l", Subject: bad}), errs.Invalid)
		w.fails(w.PutGrant(w.ctx, oauth.Grant{ID: "g"}, &oauth.Login{ID: bad}), errs.Invalid)
		w.fails(w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Code, Put: []oauth.Token{{Kind: oauth.Access, Client: bad}}}), errs.Invalid)
		w.fails(w.Decide(w.ctx, oauth.Token{Kind: oauth.Device, Subject: bad}, w.now), errs.Invalid)
		w.fails(w.PutIssuer(w.ctx, oauth.Issuer{ID: "i", Issuer: bad}), errs.Invalid)
		w.fails(w.PutKeys(w.ctx, "s", oauth.AddKeys, oauth.Key{ID: bad}), errs.Invalid)
		w.fails(w.AddDeliveries(w.ctx, oauth.Delivery{ID: bad}), errs.Invalid)
	}
	long := strings.Repeat("ü", 256)
	w.must(w.PutIssuer(w.ctx, oauth.Issuer{ID: long, Issuer: long, Subject: long, KeyID: long}))
	w.must(w.PutGrant(w.ctx, oauth.Grant{ID: long, Client: long, Subject: long, Login: long, Scopes: []string{long, long}, Audience: []string{"a b", "\"\x00"}}, nil))
	g, err := w.Grant(w.ctx, long)
	w.must(err)
	w.same(g.Audience, []string{"a b", "\"\x00"})
	w.fails(w.PutGrant(w.ctx, oauth.Grant{ID: "g", Scopes: []string{"\xff"}}, nil), errs.Invalid)
}

// grantsOfNetworksAreApart fills one network, and does everything in another one with
// the same names.
func grantsOfNetworksAreApart(w *warden) {
	fill := func(w *warden) (device, code oauth.Token) {
		w.client("app")
		device, code = oauth.Token{Kind: oauth.Device, Hash: oauth.Hash{1}, Alias: oauth.Hash{2}, Expires: w.at(time.Hour)}, oauth.Token{Kind: oauth.Code, Hash: oauth.Hash{3}, Grant: "g"}
		w.must(w.PutGrant(w.ctx, oauth.Grant{ID: "g", Client: "app", Subject: "ann", Login: "l"}, &oauth.Login{ID: "l", Subject: "ann"}, code, device))
		w.must(w.PutKeys(w.ctx, "s", oauth.FirstOfSet, oauth.Key{ID: "k"}))
		w.must(w.PutIssuer(w.ctx, oauth.Issuer{ID: "i", Issuer: "a"}))
		w.must(w.AddDeliveries(w.ctx, oauth.Delivery{ID: "d", Due: w.now}))
		return device, code
	}
	fill(w)
	device, code := fill(w.other)
	o := w.other
	w.must(o.Decide(w.ctx, oauth.Token{Kind: oauth.Device, Hash: device.Hash, State: oauth.Rejected}, w.now))
	w.must(o.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Code, Hash: code.Hash, Now: w.now}))
	_, err := o.Poll(w.ctx, oauth.Device, device.Hash, w.now, 0)
	w.must(err)
	w.counts(1)(o.RevokeGrants(w.ctx, oauth.GrantQuery{Subject: "ann"}, w.now))
	w.counts(1)(o.DeleteTokens(w.ctx, oauth.TokenQuery{Kind: oauth.Device}))
	if ls, err := o.EndLogins(w.ctx, "", "ann", w.now); err != nil || len(ls) != 1 {
		w.Fatalf("logins %v, error %v", ls, err)
	}
	w.must(o.PutKeys(w.ctx, "s", oauth.ReplaceSet))
	w.must(o.DeleteIssuer(w.ctx, "i"))
	ds, err := o.TakeDeliveries(w.ctx, w.now, w.at(time.Second), 9)
	w.must(err)
	w.same(len(ds), 1)
	w.must(o.EndDelivery(w.ctx, "d", time.Time{}))
	w.must(o.DeleteClient(w.ctx, "app"))
	for range 9 {
		_, err := o.Purge(w.ctx, w.at(99*24*time.Hour), 10)
		w.must(err)
	}

	w.live(true, code, device)
	got := w.token(device)
	w.same([]any{got.State, got.Polled}, []any{oauth.Pending, time.Time{}})
	_, err = w.TokenByAlias(w.ctx, oauth.Device, device.Alias)
	w.must(err)
	_, err = w.Client(w.ctx, "app")
	w.must(err)
	_, err = w.Login(w.ctx, "l")
	w.must(err)
	_, err = w.Issuer(w.ctx, "i")
	w.must(err)
	keys, err := w.Keys(w.ctx, "")
	w.must(err)
	w.same(len(keys), 1)
	ds, err = w.TakeDeliveries(w.ctx, w.now, w.at(time.Second), 9)
	w.must(err)
	w.same(len(ds), 1)
}
