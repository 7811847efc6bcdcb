package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

func grantAsItWasPut(w *warden) {
	w.client("app")
	g := oauth.Grant{ID: "g", Client: "app", Subject: "ann", Login: "l", Scopes: []string{"openid", "a b"}, Audience: []string{"https://é"},
		Remember: true, Created: w.now, Expires: w.at(time.Hour), Data: []byte{0, 255}}
	l := oauth.Login{ID: "l", Subject: "ann", Authenticated: w.now, Remember: true, Expires: w.at(time.Hour), Data: []byte{1, 0}}
	code := w.made(oauth.Code, "g")
	w.must(w.PutGrant(w.ctx, g, &l, code))
	got, err := w.Grant(w.ctx, "g")
	w.must(err)
	w.same(got, g)
	login, err := w.Login(w.ctx, "l")
	w.must(err)
	w.same(login, l)
	w.same(w.token(code), code)
	_, err = w.Grant(w.ctx, "G")
	w.fails(err, errs.NotFound)

	w.must(w.PutGrant(w.ctx, oauth.Grant{ID: "bare"}, nil))
	got, err = w.Grant(w.ctx, "bare")
	w.must(err)
	got.Data = nil // nil or empty
	w.same(got, oauth.Grant{ID: "bare"})
}

func grantIsAtomic(w *warden) {
	code := w.made(oauth.Code, "g")
	w.grant("g", "", code)
	l := &oauth.Login{ID: "l", Subject: "ann"}
	other := w.made(oauth.Code, "g")
	w.fails(w.PutGrant(w.ctx, oauth.Grant{ID: "g"}, l, other), errs.Conflict)
	w.gone(other)
	other.Grant = "h"
	w.fails(w.PutGrant(w.ctx, oauth.Grant{ID: "h"}, l, other, code), errs.Conflict)
	w.gone(other)
	_, err := w.Grant(w.ctx, "h")
	w.fails(err, errs.NotFound)
	_, err = w.Login(w.ctx, "l")
	w.fails(err, errs.NotFound)
}

// fourteen grants differ in all that a query can ask for.
func (w *warden) fourteen() (all []oauth.Grant) {
	w.Helper()
	add := func(g oauth.Grant) {
		g.ID, g.Created, g.Data = fmt.Sprintf("g%02d", len(all)), w.at(time.Duration(len(all)/3)*time.Second), []byte("d")
		w.must(w.PutGrant(w.ctx, g, nil))
		all = append(all, g)
	}
	for _, subject := range []string{"ann", "bob"} {
		for _, client := range []string{"x", "y"} {
			for _, login := range []string{"", "l"} {
				add(oauth.Grant{Subject: subject, Client: client, Login: login})
			}
		}
	}
	for _, expires := range []time.Time{{}, w.now, w.at(time.Microsecond)} {
		for _, revoked := range []time.Time{{}, w.now} {
			add(oauth.Grant{Subject: "ann", Client: "x", Remember: true, Expires: expires, Revoked: revoked})
		}
	}
	return all
}

// selects is what a GrantQuery means.
func selects(q oauth.GrantQuery, g oauth.Grant) bool {
	if q.ID == "" && q.Subject == "" && q.Client == "" && q.Login == "" {
		return false
	}
	return (q.ID == "" || q.ID == g.ID) && (q.Subject == "" || q.Subject == g.Subject) && (q.Client == "" || q.Client == g.Client) &&
		(q.Login == "" || q.Login == g.Login) &&
		(q.Remembered.IsZero() || g.Remember && g.Revoked.IsZero() && (g.Expires.IsZero() || q.Remembered.Before(g.Expires)))
}

func (w *warden) grantQueries() []oauth.GrantQuery {
	return []oauth.GrantQuery{
		{}, {ID: "g00"}, {ID: "none"}, {Subject: "ann"}, {Subject: "bob"}, {Subject: "Ann"}, {Client: "x"}, {Login: "l"}, {Login: "m"},
		{ID: "g01", Subject: "ann"}, {ID: "g01", Subject: "bob"}, {Subject: "ann", Client: "y"}, {Subject: "ann", Client: "y", Login: "l"},
		{Client: "x", Login: "l"}, {Subject: "bob", Login: "l"}, {Subject: "ann", Client: "x", Remembered: w.now}, {Client: "y", Remembered: w.now},
		{Subject: "ann", Remembered: w.at(-time.Hour)}, {Subject: "ann", Remembered: w.at(time.Hour)}, {Remembered: w.now}, {ID: "g08", Remembered: w.now},
	}
}

func listGrants(w *warden) {
	all := w.fourteen()
	for _, q := range w.grantQueries() {
		var want []oauth.Grant
		for _, g := range slices.Backward(all) { // the newest first, and by id those of the same time
			if selects(q, g) {
				want = append(want, g)
			}
		}
		got, err := w.Grants(w.ctx, q)
		w.must(err)
		w.same(got, want)
		for _, size := range []int{1, 2, 5} {
			var paged []oauth.Grant
			q := q
			for q.Limit = size; ; {
				page, err := w.Grants(w.ctx, q)
				w.must(err)
				if len(page) > size {
					w.Fatalf("a page of %d has %d", size, len(page))
				}
				if len(page) == 0 {
					break
				}
				paged = append(paged, page...)
				q.After = oauth.Grant{ID: page[len(page)-1].ID, Created: page[len(page)-1].Created}
			}
			w.same(paged, want)
		}
	}
}

func revokeGrants(w *warden) {
	w.client("x")
	for i, q := range w.grantQueries() {
		all := w.fourteen()
		n := int64(0)
		for k, g := range all {
			if selects(q, g) && g.Revoked.IsZero() {
				all[k].Revoked = w.at(time.Second)
				n++
			}
		}
		w.counts(n)(w.RevokeGrants(w.ctx, q, w.at(time.Second)))
		w.counts(0)(w.RevokeGrants(w.ctx, q, w.at(2*time.Second)))
		for _, want := range all {
			got, err := w.Grant(w.ctx, want.ID)
			w.must(err)
			if !got.Revoked.Equal(want.Revoked) {
				w.Fatalf("query %d %+v: got %+v, expected %+v", i, q, got, want)
			}
			t := w.put(w.made(oauth.Access, want.ID))
			w.live(want.Revoked.IsZero(), t)
		}
		w.forgetGrants()
	}
}

// forgetGrants empties the tables of tokens and grants.
func (w *warden) forgetGrants() {
	w.Helper()
	for _, subject := range []string{"ann", "bob"} {
		_, err := w.RevokeGrants(w.ctx, oauth.GrantQuery{Subject: subject}, w.now)
		w.must(err)
	}
	for n := int64(1); n > 0; {
		var err error
		n, err = w.Purge(w.ctx, w.at(100*24*time.Hour), 1000)
		w.must(err)
	}
}

func revokeManyGrants(w *warden) {
	const n = 2300
	must := func(i int) error {
		for k := i; k < n; k += 8 {
			if err := w.PutGrant(w.ctx, oauth.Grant{ID: fmt.Sprint(k), Subject: "ann", Created: w.now}, nil); err != nil {
				return err
			}
		}
		return nil
	}
	w.must(all(8, must))
	w.counts(n)(w.RevokeGrants(w.ctx, oauth.GrantQuery{Subject: "ann"}, w.now))
	got, err := w.Grants(w.ctx, oauth.GrantQuery{Subject: "ann"})
	w.must(err)
	if len(got) != n || slices.ContainsFunc(got, func(g oauth.Grant) bool { return g.Revoked.IsZero() }) {
		w.Fatalf("%d grants, of which not all are revoked", len(got))
	}
}

func loginAsItWasPut(w *warden) {
	l := oauth.Login{ID: "l", Subject: "ann", Authenticated: w.now, Remember: true, Expires: w.at(time.Hour), Data: []byte("d")}
	w.must(w.PutLogin(w.ctx, l))
	got, err := w.Login(w.ctx, "l")
	w.must(err)
	w.same(got, l)
	l = oauth.Login{ID: "l", Subject: "bob", Authenticated: w.at(time.Second), Expires: w.at(time.Minute), Data: []byte("e")}
	w.must(w.PutLogin(w.ctx, l))
	got, err = w.Login(w.ctx, "l")
	w.must(err)
	w.same(got, l)
	_, err = w.Login(w.ctx, "m")
	w.fails(err, errs.NotFound)
}

func loginsEnd(w *warden) {
	var logins []oauth.Login
	for i := range 5 {
		l := oauth.Login{ID: fmt.Sprint(i), Subject: [...]string{"ann", "bob"}[i%2], Authenticated: w.now, Expires: w.at(time.Duration(i-2) * time.Hour), Data: []byte("d")}
		w.must(w.PutLogin(w.ctx, l))
		logins = append(logins, l)
	}
	ended := func(id, subject string, want ...int) {
		w.Helper()
		got, err := w.EndLogins(w.ctx, id, subject, w.now)
		w.must(err)
		var expected []oauth.Login
		for _, i := range want {
			expected = append(expected, logins[i])
		}
		w.same(got, expected)
	}
	has := func(subject string, want ...int) {
		w.Helper()
		got, err := w.Logins(w.ctx, subject)
		w.must(err)
		var expected []oauth.Login
		for _, i := range want {
			expected = append(expected, logins[i])
		}
		w.same(got, expected)
	}
	has("ann", 0, 2, 4)
	has("bob", 1, 3)
	has("carl")
	has("")
	ended("", "")
	ended("none", "")
	ended("1", "ann")
	ended("1", "", 1)
	ended("1", "")
	ended("2", "ann", 2)
	has("ann", 0, 4)
	ended("", "ann", 0, 4)
	ended("", "ann")
	_, err := w.Login(w.ctx, "4")
	w.fails(err, errs.NotFound)
	_, err = w.Login(w.ctx, "3")
	w.must(err)

	// A request that was on its way does not begin it anew.
	w.must(w.PutLogin(w.ctx, logins[4]))
	w.must(w.PutGrant(w.ctx, oauth.Grant{ID: "g", Login: "4"}, &logins[4]))
	_, err = w.Login(w.ctx, "4")
	w.fails(err, errs.NotFound)
	ended("4", "")
}

func keysOfASet(w *warden) {
	key := func(set, id string, n int) oauth.Key {
		return oauth.Key{Set: set, ID: id, Created: w.at(time.Duration(n) * time.Second), Active: w.at(time.Duration(n) * time.Minute), Data: []byte(fmt.Sprint(n))}
	}
	has := func(set string, want ...oauth.Key) {
		w.Helper()
		got, err := w.Keys(w.ctx, set)
		w.must(err)
		w.same(got, want)
	}
	has("s")
	w.must(w.PutKeys(w.ctx, "s", oauth.AddKeys, key("s", "a", 1), key("s", "b", 2)))
	w.must(w.PutKeys(w.ctx, "t", oauth.AddKeys, key("t", "a", 3)))
	has("s", key("s", "b", 2), key("s", "a", 1))
	has("", key("t", "a", 3), key("s", "b", 2), key("s", "a", 1))
	w.must(w.PutKeys(w.ctx, "s", oauth.AddKeys, key("s", "a", 4), key("", "c", 0)))
	has("s", key("s", "a", 4), key("s", "b", 2), key("s", "c", 0))
	w.must(w.PutKeys(w.ctx, "s", oauth.ReplaceSet, key("s", "b", 5), key("s", "d", 5)))
	has("s", key("s", "b", 5), key("s", "d", 5))
	w.must(w.PutKeys(w.ctx, "s", oauth.AddKeys))
	has("s", key("s", "b", 5), key("s", "d", 5))
	w.fails(w.PutKeys(w.ctx, "s", oauth.AddKeys, key("t", "x", 1)), errs.Invalid)
	has("t", key("t", "a", 3))

	w.must(w.DeleteKeys(w.ctx, "s", "b"))
	has("s", key("s", "d", 5))
	w.fails(w.DeleteKeys(w.ctx, "s", "b"), errs.NotFound)
	w.must(w.PutKeys(w.ctx, "s", oauth.AddKeys, key("s", "e", 6)))
	w.must(w.DeleteKeys(w.ctx, "s", ""))
	has("s")
	w.fails(w.DeleteKeys(w.ctx, "s", ""), errs.NotFound)
	w.must(w.PutKeys(w.ctx, "t", oauth.ReplaceSet))
	has("")
}

func firstKeys(w *warden) {
	a, b := oauth.Key{Set: "s", ID: "a", Created: w.now, Data: []byte("a")}, oauth.Key{Set: "s", ID: "b", Created: w.now, Data: []byte("b")}
	w.must(w.PutKeys(w.ctx, "s", oauth.FirstOfSet, a, b))
	for _, k := range []oauth.Key{a, {ID: "c"}} {
		w.fails(w.PutKeys(w.ctx, "s", oauth.FirstOfSet, k), errs.Conflict)
	}
	w.must(w.PutKeys(w.ctx, "t", oauth.FirstOfSet, oauth.Key{ID: "c", Created: w.now}))
	got, err := w.Keys(w.ctx, "s")
	w.must(err)
	w.same(got, []oauth.Key{a, b})
	w.must(w.DeleteKeys(w.ctx, "s", ""))
	w.must(w.PutKeys(w.ctx, "s", oauth.FirstOfSet, b))
}

func deliveriesAreLent(w *warden) {
	var ds []oauth.Delivery
	for i := range 5 {
		ds = append(ds, oauth.Delivery{ID: fmt.Sprint(i), Created: w.at(time.Duration(i)), Due: w.at(time.Duration(i) * time.Second), Tries: i, Data: []byte("d")})
		ds[i].Created = w.at(time.Duration(i) * time.Microsecond)
	}
	w.must(w.AddDeliveries(w.ctx))
	w.must(w.AddDeliveries(w.ctx, ds...))
	w.fails(w.AddDeliveries(w.ctx, oauth.Delivery{ID: "new", Due: w.now}, ds[0]), errs.Conflict)
	takes := func(now, until time.Duration, n int, want ...int) {
		w.Helper()
		got, err := w.TakeDeliveries(w.ctx, w.at(now), w.at(until), n)
		w.must(err)
		var expected []oauth.Delivery
		for _, i := range want {
			ds[i].Tries++
			ds[i].Due = w.at(until)
			expected = append(expected, ds[i])
		}
		w.same(got, expected)
	}
	takes(-1*time.Second, 0, 9)
	takes(2*time.Second, 10*time.Second, 2, 0, 1) // the oldest first
	takes(2*time.Second, 10*time.Second, 2, 2)
	takes(2*time.Second, 10*time.Second, 2)
	takes(3*time.Second, 20*time.Second, 0)
	w.must(w.EndDelivery(w.ctx, "0", time.Time{}))
	w.must(w.EndDelivery(w.ctx, "0", time.Time{}))
	w.must(w.EndDelivery(w.ctx, "0", w.now))
	w.must(w.EndDelivery(w.ctx, "1", w.at(time.Hour)))
	takes(10*time.Second, 11*time.Second, 9, 2, 3, 4)
	takes(time.Hour-time.Microsecond, time.Hour, 9, 2, 3, 4)
	takes(time.Hour, 2*time.Hour, 9, 1, 2, 3, 4)
	_, err := w.TakeDeliveries(w.ctx, w.now, w.now, 1)
	w.fails(err, errs.Invalid)
}
