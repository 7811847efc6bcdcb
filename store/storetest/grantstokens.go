package storetest

import (
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

func tokenAsItWasPut(w *warden) {
	w.client("app")
	w.grant("g", "app")
	t := oauth.Token{Kind: oauth.Device, Hash: hash(), Alias: hash(), Grant: "g", Client: "app", Subject: "ann", State: oauth.Accepted,
		Created: w.now, Expires: w.at(time.Minute), Data: []byte{0, 1, 255}}
	bare := oauth.Token{Kind: oauth.UsedID, Hash: hash()}
	w.put(t, bare)
	w.same(w.token(t), t)
	got := w.token(bare)
	got.Data = nil // nil or empty
	w.same(got, bare)
	if !got.Live(w.at(1e6 * time.Hour)) {
		w.Errorf("a token without an expiry has expired: %+v", got)
	}
	_, err := w.Token(w.ctx, oauth.Code, t.Hash)
	w.fails(err, errs.NotFound)
	w.same(w.token(t).Live(t.Expires), false)
	w.same(w.token(t).Live(t.Expires.Add(-time.Microsecond)), true)
}

func tokensAllOrNone(w *warden) {
	w.must(w.PutTokens(w.ctx))
	a, b := w.made(oauth.UsedID, ""), w.made(oauth.Access, "")
	w.put(a)
	w.fails(w.PutTokens(w.ctx, a), errs.Conflict)
	w.fails(w.PutTokens(w.ctx, b, a), errs.Conflict)
	w.gone(b)
	w.put(b)
	other := a
	other.Kind = oauth.Pushed
	w.put(other)
}

func tokenAlias(w *warden) {
	t := w.made(oauth.Device, "")
	t.Alias = hash()
	w.put(t)
	got, err := w.TokenByAlias(w.ctx, oauth.Device, t.Alias)
	w.must(err)
	w.same(got, t)
	for kind, alias := range map[oauth.Kind]oauth.Hash{oauth.Device: t.Hash, oauth.Code: t.Alias, oauth.Access: {}} {
		_, err := w.TokenByAlias(w.ctx, kind, alias)
		w.fails(err, errs.NotFound)
	}
	again := w.made(oauth.Device, "")
	again.Alias = t.Alias
	w.fails(w.PutTokens(w.ctx, again), errs.Conflict)
	w.gone(again)
	w.counts(1)(w.DeleteTokens(w.ctx, oauth.TokenQuery{Kind: oauth.Device, Hash: t.Hash}))
	_, err = w.TokenByAlias(w.ctx, oauth.Device, t.Alias)
	w.fails(err, errs.NotFound)
	_, err = w.Purge(w.ctx, t.Expires, 10)
	w.must(err)
	w.put(again)
	again.Hash, again.Alias, again.Expires = hash(), hash(), time.Time{}
	w.fails(w.PutTokens(w.ctx, again), errs.Invalid)
}

// revokedTokens have a grant that was revoked, or that is not there, or a client that
// is not there.
func revokedTokens(w *warden) {
	w.client("app")
	first, alone := w.made(oauth.Refresh, "g"), w.made(oauth.Access, "")
	alone.Client = "app"
	w.grant("g", "app", first)
	w.put(alone)
	w.live(true, first, alone)
	w.counts(1)(w.RevokeGrants(w.ctx, oauth.GrantQuery{ID: "g"}, w.now))
	later, orphan, stray := w.made(oauth.Access, "g"), w.made(oauth.Access, "nobody's"), w.made(oauth.Access, "")
	stray.Client = "nobody"
	alias := w.made(oauth.Device, "g")
	alias.Alias = hash()
	w.put(later, orphan, stray, alias)
	w.live(true, alone)
	w.live(false, first, later, orphan, stray, alias)
	got, err := w.TokenByAlias(w.ctx, oauth.Device, alias.Alias)
	w.must(err)
	w.same(got.Revoked, true)
	got, err = w.Poll(w.ctx, oauth.Device, alias.Hash, w.now, 0)
	w.must(err)
	w.same(got.Revoked, true)
	for _, t := range []oauth.Token{first, later, orphan, stray} {
		w.same(w.token(t).Revoked, true)
		put := w.made(oauth.Access, "")
		w.fails(w.Redeem(w.ctx, oauth.Redemption{Kind: t.Kind, Hash: t.Hash, Now: w.now, Put: []oauth.Token{put}}), errs.Conflict)
		w.gone(put)
		w.same(w.token(t).Used, time.Time{})
	}
}

func redeemOnce(w *warden) {
	w.client("app")
	code := w.made(oauth.Code, "g")
	w.grant("g", "app", code)
	access, refresh := w.made(oauth.Access, "g"), w.made(oauth.Refresh, "g")
	r := oauth.Redemption{Kind: oauth.Code, Hash: code.Hash, Now: w.at(time.Second), Put: []oauth.Token{access, refresh}}
	w.must(w.Redeem(w.ctx, r))
	w.same(w.token(access), access)
	w.same(w.token(refresh), refresh)
	used := code
	used.Used = w.at(time.Second)
	w.same(w.token(code), used)
	again := w.made(oauth.Access, "g")
	w.fails(w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Code, Hash: code.Hash, Now: w.now, Put: []oauth.Token{again}}), errs.Conflict)
	w.gone(again)

	// What it is exchanged for is there, and so it is not used.
	next := w.made(oauth.Access, "g")
	w.fails(w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Refresh, Hash: refresh.Hash, Now: w.now, Put: []oauth.Token{next, access}}), errs.Conflict)
	w.gone(next)
	w.live(true, refresh)
	w.must(w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Refresh, Hash: refresh.Hash, Now: w.now}))
}

func redeemWithGrace(w *warden) {
	w.client("app")
	t := w.made(oauth.Refresh, "g")
	w.grant("g", "app", t)
	redeem := func(at, grace time.Duration) (oauth.Token, error) {
		put := w.made(oauth.Access, "g")
		return put, w.Redeem(w.ctx, oauth.Redemption{Kind: t.Kind, Hash: t.Hash, Now: w.at(at), Grace: grace, Put: []oauth.Token{put}})
	}
	for _, at := range []time.Duration{0, time.Second, 10*time.Second - time.Microsecond} {
		put, err := redeem(at, 10*time.Second)
		w.must(err)
		w.live(true, put)
		w.same(w.token(t).Used, w.now)
	}
	for _, at := range []time.Duration{10 * time.Second, time.Minute} {
		put, err := redeem(at, 10*time.Second)
		w.fails(err, errs.Conflict)
		w.gone(put)
	}
	_, err := redeem(time.Second, 0)
	w.fails(err, errs.Conflict)
	_, err = redeem(2*time.Hour, 3*time.Hour)
	w.fails(err, errs.Conflict) // it has expired
}

func redeemReplaces(w *warden) {
	w.client("app")
	used, refresh := w.made(oauth.Refresh, "g"), w.made(oauth.Refresh, "g")
	access, second, code := w.made(oauth.Access, "g"), w.made(oauth.Access, "g"), w.made(oauth.Code, "g")
	w.grant("g", "app", used, refresh, access, second, code)
	other, alone, foreign := w.made(oauth.Access, "h"), w.made(oauth.Access, ""), w.made(oauth.Access, "g")
	w.grant("h", "app", other)
	w.client("another")
	foreign.Client = "another"
	w.put(alone, foreign)
	w.must(w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Refresh, Hash: used.Hash, Now: w.now}))
	nextAccess, nextRefresh := w.made(oauth.Access, "g"), w.made(oauth.Refresh, "g")
	r := oauth.Redemption{Kind: oauth.Refresh, Hash: refresh.Hash, Now: w.now, Put: []oauth.Token{nextAccess, nextRefresh}, Replace: []oauth.Kind{oauth.Access, oauth.Refresh}}
	w.must(w.Redeem(w.ctx, r))
	w.gone(access, second)
	w.live(true, nextAccess, nextRefresh, other, alone, foreign, code)
	w.live(false, used, refresh)
	late := w.made(oauth.Access, "g")
	r.Put = []oauth.Token{late}
	w.fails(w.Redeem(w.ctx, r), errs.Conflict)
	w.gone(late)
	w.live(true, nextAccess, nextRefresh)

	// A token of no grant has no family to replace.
	pushed := w.put(w.made(oauth.Pushed, ""))
	w.must(w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Pushed, Hash: pushed.Hash, Now: w.now, Replace: []oauth.Kind{oauth.Access}}))
	w.live(true, alone, other)
}

func redeemNothing(w *warden) {
	expired := w.made(oauth.Code, "")
	expired.Expires = w.now
	pending, rejected, accepted := w.made(oauth.Device, ""), w.made(oauth.Device, ""), w.made(oauth.Device, "")
	rejected.State, accepted.State = oauth.Rejected, oauth.Accepted
	w.put(expired, pending, rejected, accepted)
	put := w.made(oauth.Access, "")
	for _, t := range []oauth.Token{expired, pending, rejected, w.made(oauth.Code, "")} {
		w.fails(w.Redeem(w.ctx, oauth.Redemption{Kind: t.Kind, Hash: t.Hash, Now: w.now, Put: []oauth.Token{put}}), errs.Conflict)
		w.gone(put)
	}
	w.same(w.token(expired).Used, time.Time{})
	w.must(w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Device, Hash: accepted.Hash, Now: w.now, Put: []oauth.Token{put}}))
	w.live(true, put)
}

func decideOnce(w *warden) {
	w.client("app")
	w.grant("g", "app")
	t := w.made(oauth.Device, "")
	t.Alias, t.Client = hash(), "app"
	w.put(t)
	w.fails(w.Decide(w.ctx, w.made(oauth.Device, ""), w.now), errs.Conflict)
	w.fails(w.Decide(w.ctx, t, t.Expires), errs.Conflict)
	settled := t
	settled.State, settled.Grant, settled.Subject, settled.Data = oauth.Accepted, "g", "ann", []byte("other")
	w.must(w.Decide(w.ctx, settled, w.now))
	w.same(w.token(t), settled)
	w.fails(w.Decide(w.ctx, settled, w.now), errs.Conflict)
	rejected := t
	rejected.State = oauth.Rejected
	w.fails(w.Decide(w.ctx, rejected, w.now), errs.Conflict)
	w.same(w.token(t), settled)
}

func pollTells(w *warden) {
	t := w.put(w.made(oauth.Device, ""))
	for i, want := range []time.Time{{}, w.at(time.Second), w.at(2 * time.Second)} {
		got, err := w.Poll(w.ctx, t.Kind, t.Hash, w.at(time.Duration(i+1)*time.Second), time.Minute)
		w.must(err)
		w.same(got.Polled, want)
		w.same(got.Pause, time.Duration(0))
	}
	w.same(w.token(t).Polled, w.at(3*time.Second))
	_, err := w.Poll(w.ctx, oauth.Code, t.Hash, w.now, 0)
	w.fails(err, errs.NotFound)

	slow := w.made(oauth.Device, "")
	slow.Pause = 4 * time.Second
	w.put(slow)
	w.same(w.token(slow).Pause, 4*time.Second)
	for _, step := range []struct{ at, pause time.Duration }{
		{0, 4 * time.Second},
		{4 * time.Second, 4 * time.Second},
		{8*time.Second - time.Microsecond, 9 * time.Second},
		{16 * time.Second, 14 * time.Second},
		{30 * time.Second, 14 * time.Second},
	} {
		got, err := w.Poll(w.ctx, slow.Kind, slow.Hash, w.at(step.at), 5*time.Second)
		w.must(err)
		w.same(got.Pause, step.pause)
	}
	w.same(w.token(slow).Pause, 14*time.Second)
}

func deleteTokens(w *warden) {
	w.counts(0)(w.DeleteTokens(w.ctx, oauth.TokenQuery{}))
	_, err := w.DeleteTokens(w.ctx, oauth.TokenQuery{Hash: hash()})
	w.fails(err, errs.Invalid)
	var all []oauth.Token
	for _, kind := range []oauth.Kind{oauth.Access, oauth.Refresh} {
		for _, client := range []string{"a", "b"} {
			for _, grant := range []string{"", "g", "h"} {
				t := w.made(kind, grant)
				t.Client = client
				all = append(all, t)
			}
		}
	}
	for _, q := range []oauth.TokenQuery{
		{Kind: oauth.Access},
		{Client: "a"},
		{Grant: "g"},
		{Kind: oauth.Refresh, Client: "b"},
		{Kind: oauth.Refresh, Grant: "h"},
		{Client: "b", Grant: "h"},
		{Kind: oauth.Access, Client: "b", Grant: "g"},
		{Kind: oauth.Access, Hash: all[0].Hash},
		{Kind: oauth.Refresh, Hash: all[0].Hash},
		{Kind: oauth.Access, Hash: all[1].Hash, Grant: "g", Client: "a"},
		{Kind: oauth.Access, Hash: all[1].Hash, Grant: "h"},
		{Client: "c"},
	} {
		w.put(all...)
		matches := func(t oauth.Token) bool {
			return (q.Kind == "" || q.Kind == t.Kind) && (q.Client == "" || q.Client == t.Client) &&
				(q.Grant == "" || q.Grant == t.Grant) && (q.Hash == oauth.Hash{} || q.Hash == t.Hash)
		}
		var went, stayed []oauth.Token
		for _, t := range all {
			if matches(t) {
				went = append(went, t)
			} else {
				stayed = append(stayed, t)
			}
		}
		w.counts(int64(len(went)))(w.DeleteTokens(w.ctx, q))
		w.gone(went...)
		for _, t := range stayed {
			w.token(t)
		}
		for _, client := range []string{"a", "b"} {
			_, err := w.DeleteTokens(w.ctx, oauth.TokenQuery{Client: client})
			w.must(err)
		}
	}
	var many []oauth.Token
	for range 2001 {
		many = append(many, w.made(oauth.Access, "many"))
	}
	for page := range slices.Chunk(many, 700) {
		w.put(page...)
	}
	w.counts(2001)(w.DeleteTokens(w.ctx, oauth.TokenQuery{Grant: "many"}))
	w.counts(0)(w.DeleteTokens(w.ctx, oauth.TokenQuery{Grant: "many"}))
}
