package storetest

import (
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

const day = 24 * time.Hour

// purge purges until nothing is left to do and asserts how many rows went.
func (w *warden) purge(at time.Duration, want int64) {
	w.Helper()
	total := int64(0)
	for {
		n, err := w.Purge(w.ctx, w.at(at), 2)
		w.must(err)
		if n == 0 {
			break
		}
		total += n
	}
	if total != want {
		w.Fatalf("%d rows went: expected %d", total, want)
	}
}

func purgeOfTokens(w *warden) {
	w.purge(1000*day, 0)
	w.client("app")
	w.grant("g", "app")
	expired, stays, endless, alone := w.made(oauth.Access, "g"), w.made(oauth.Access, "g"), w.made(oauth.Refresh, "g"), w.made(oauth.UsedID, "")
	stays.Expires, endless.Expires = expired.Expires.Add(time.Microsecond), time.Time{}
	var more []oauth.Token
	for range 5 {
		more = append(more, w.made(oauth.Code, "g"))
	}
	w.put(append(more, expired, stays, endless, alone)...)
	w.purge(time.Hour-time.Microsecond, 0)
	n, err := w.Purge(w.ctx, w.at(time.Hour), 2)
	w.must(err)
	w.same(n, int64(2))
	w.purge(time.Hour, 5)
	w.gone(append(more, expired, alone)...)
	w.token(stays)
	w.token(endless)
	w.purge(1000*day, 1)
	w.token(endless)
	w.counts(1)(w.RevokeGrants(w.ctx, oauth.GrantQuery{ID: "g"}, w.at(1000*day)))
	w.live(false, endless)
	w.purge(1000*day, 0)
	w.purge(1001*day, 2)
	w.gone(endless)
}

// purgeOfUsedTokens keeps what shows that somebody has a stolen token as long as that
// matters.
func purgeOfUsedTokens(w *warden) {
	w.client("app")
	w.grant("g", "app")
	var used []oauth.Token
	for range 7 { // more than a batch
		t := w.put(w.made(oauth.Refresh, "g"))
		w.must(w.Redeem(w.ctx, oauth.Redemption{Kind: t.Kind, Hash: t.Hash, Now: w.now}))
		used = append(used, t)
	}
	live, late := w.made(oauth.Refresh, "g"), w.made(oauth.Access, "")
	live.Expires, late.Expires = w.at(30*day), w.at(2*time.Hour)
	w.put(live, late)
	w.purge(3*time.Hour, 1)
	w.gone(late)
	for _, at := range []time.Duration{day, 7 * day, 8 * day, 30*day - time.Second} {
		w.purge(at, 0)
	}
	for _, t := range used {
		w.token(t)
	}
	w.purge(60*day, 8)
	w.gone(append(used, live)...)
	w.purge(67*day, 1) // the grant, which had tokens when it was looked at
}

func purgeOfGrants(w *warden) {
	w.client("app")
	access, code := w.made(oauth.Access, "tokens"), w.made(oauth.Code, "revoked")
	access.Expires = w.at(40 * day)
	w.grant("bare", "app")
	w.grant("tokens", "app", access)
	w.grant("revoked", "app", code)
	for id, expires := range map[string]time.Time{"remembered": {}, "until": w.at(50 * day)} {
		w.must(w.PutGrant(w.ctx, oauth.Grant{ID: id, Client: "app", Subject: "ann", Remember: true, Created: w.now, Expires: expires}, nil))
	}
	w.counts(1)(w.RevokeGrants(w.ctx, oauth.GrantQuery{ID: "revoked"}, w.at(time.Minute)))
	has := func(want ...string) {
		w.Helper()
		all, err := w.Grants(w.ctx, oauth.GrantQuery{Client: "app"})
		w.must(err)
		got := map[string]bool{}
		for _, g := range all {
			got[g.ID] = true
		}
		for _, id := range want {
			if !got[id] || len(got) != len(want) {
				w.Fatalf("there is %v: expected %v", got, want)
			}
		}
	}
	w.purge(time.Minute, 0)
	w.purge(day+time.Minute, 2)
	w.gone(code)
	has("bare", "tokens", "remembered", "until")
	w.purge(7*day, 1)
	w.purge(15*day, 0)
	has("tokens", "remembered", "until")
	w.purge(50*day-time.Microsecond, 2)
	has("remembered", "until")
	w.purge(51*day, 1)
	w.purge(5000*day, 0)
	has("remembered")
	w.counts(1)(w.RevokeGrants(w.ctx, oauth.GrantQuery{ID: "remembered"}, w.at(5000*day)))
	w.purge(5001*day, 1)
}

func purgeOfTheRest(w *warden) {
	device := w.made(oauth.Device, "")
	device.Alias = hash()
	w.put(device)
	w.must(w.PutLogin(w.ctx, oauth.Login{ID: "expires", Subject: "ann", Expires: w.at(time.Hour)}))
	w.must(w.PutLogin(w.ctx, oauth.Login{ID: "stays", Subject: "ann"}))
	w.must(w.PutIssuer(w.ctx, oauth.Issuer{ID: "expires", Issuer: "a", Expires: w.at(time.Hour)}))
	w.must(w.PutIssuer(w.ctx, oauth.Issuer{ID: "stays", Issuer: "b"}))
	w.must(w.PutKeys(w.ctx, "s", oauth.AddKeys, oauth.Key{ID: "k"}))
	w.must(w.AddDeliveries(w.ctx, oauth.Delivery{ID: "d", Due: w.now}))
	w.purge(time.Hour-time.Microsecond, 0)
	w.purge(time.Hour, 4) // with the alias
	w.gone(device)
	_, err := w.Login(w.ctx, "expires")
	w.fails(err, errs.NotFound)
	_, err = w.Issuer(w.ctx, "expires")
	w.fails(err, errs.NotFound)
	ended := oauth.Login{ID: "ended", Subject: "bob"}
	w.must(w.PutLogin(w.ctx, ended))
	_, err = w.EndLogins(w.ctx, "ended", "", w.at(day))
	w.must(err)
	w.purge(2*day-time.Microsecond, 0)
	w.must(w.PutLogin(w.ctx, ended))
	_, err = w.Login(w.ctx, "ended")
	w.fails(err, errs.NotFound)
	w.purge(9999*day, 1)
	_, err = w.Login(w.ctx, "stays")
	w.must(err)
	_, err = w.Issuer(w.ctx, "stays")
	w.must(err)
	keys, err := w.Keys(w.ctx, "s")
	w.must(err)
	w.same(len(keys), 1)
	ds, err := w.TakeDeliveries(w.ctx, w.now, w.at(1), 2)
	w.fails(err, errs.Invalid) // less than a microsecond
	w.same(len(ds), 0)
	ds, err = w.TakeDeliveries(w.ctx, w.now, w.at(time.Second), 2)
	w.must(err)
	w.same(len(ds), 1)
}
