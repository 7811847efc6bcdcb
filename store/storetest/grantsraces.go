package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

const (
	callers = 8
	rounds  = 200
)

// race has all callers do something at once, of which one may succeed while the others
// get a Conflict, and returns who did.
func (w *warden) race(do func(i int) error) (winner int) {
	w.Helper()
	var won, last atomic.Int64
	w.must(all(callers, func(i int) error {
		err := do(i)
		if err == nil {
			won.Add(1)
			last.Store(int64(i))
			return nil
		}
		if errs.KindOf(err) == errs.Conflict {
			return nil
		}
		return err
	}))
	if won.Load() != 1 {
		w.Fatalf("%d of %d callers succeeded: expected one", won.Load(), callers)
	}
	return int(last.Load())
}

// exactlyOnce is what may be redeemed once, in all its kinds. What the losers wanted
// in exchange is not there.
func exactlyOnce(w *warden) {
	w.client("app")
	for round := range rounds {
		id := fmt.Sprint(round)
		w.must(w.PutGrant(w.ctx, oauth.Grant{ID: id, Client: "app", Subject: "ann", Created: w.now}, nil))
		for _, kind := range []oauth.Kind{oauth.Code, oauth.Refresh, oauth.Device} {
			t := w.made(kind, id)
			t.Client, t.State = "app", map[oauth.Kind]oauth.State{oauth.Device: oauth.Accepted}[kind]
			w.put(t)
			puts := make([][]oauth.Token, callers)
			winner := w.race(func(i int) error {
				puts[i] = []oauth.Token{w.made(oauth.Access, id), w.made(oauth.Refresh, id)}
				return w.Redeem(w.ctx, oauth.Redemption{Kind: kind, Hash: t.Hash, Now: w.now, Put: puts[i], Replace: []oauth.Kind{oauth.Access}})
			})
			for i, ts := range puts {
				if i == winner {
					w.live(true, ts...)
				} else {
					w.gone(ts...)
				}
			}
			w.live(false, t)
		}
		pushed := w.put(w.made(oauth.Pushed, ""))
		w.race(func(i int) error {
			return w.Redeem(w.ctx, oauth.Redemption{Kind: oauth.Pushed, Hash: pushed.Hash, Now: w.now})
		})
		once := w.made(oauth.UsedID, "")
		w.race(func(i int) error { return w.PutTokens(w.ctx, once) })
	}
}

// revokeAgainstRedeem has callers who redeem a refresh token, each in the hope of new
// ones, and others who revoke its grant, or delete its client. In the end nothing of
// the family is live, whoever came first.
func revokeAgainstRedeem(w *warden) {
	for round := range rounds {
		id := fmt.Sprint(round)
		w.client(id)
		t := w.made(oauth.Refresh, id)
		t.Client = id
		w.grant(id, id, t)
		var redeemed, revoked atomic.Int64
		puts := make([]oauth.Token, callers)
		w.must(all(callers, func(i int) error {
			puts[i] = w.made(oauth.Refresh, id)
			puts[i].Client = id
			switch {
			case i == 0 && round%4 == 0:
				revoked.Add(1) // one of them, at least
				return w.DeleteClient(w.ctx, id)
			case i < 3:
				n, err := w.RevokeGrants(w.ctx, oauth.GrantQuery{ID: id}, w.now)
				if round%4 > 0 {
					revoked.Add(n)
				}
				return err
			case i == 3:
				return w.PutTokens(w.ctx, puts[i])
			}
			err := w.Redeem(w.ctx, oauth.Redemption{Kind: t.Kind, Hash: t.Hash, Now: w.now, Put: puts[i : i+1]})
			if err == nil {
				redeemed.Add(1)
			} else if errs.KindOf(err) != errs.Conflict {
				return err
			}
			return nil
		}))
		if redeemed.Load() > 1 || revoked.Load() != 1 {
			w.Fatalf("round %d: redeemed %d times, and %d grants were revoked", round, redeemed.Load(), revoked.Load())
		}
		for _, t := range append(puts, t) {
			got, err := w.Token(w.ctx, t.Kind, t.Hash)
			if err == nil && got.Live(w.now) {
				w.Fatalf("round %d: %+v is live", round, got)
			}
			if err != nil {
				w.fails(err, errs.NotFound)
			}
		}
		w.fails(w.Redeem(w.ctx, oauth.Redemption{Kind: t.Kind, Hash: t.Hash, Now: w.now, Grace: time.Hour}), errs.Conflict)
	}
}

func oneDecides(w *warden) {
	for range rounds / 4 {
		t := w.put(w.made(oauth.Device, ""))
		winner := w.race(func(i int) error {
			settled := t
			settled.State, settled.Subject = []oauth.State{oauth.Accepted, oauth.Rejected}[i%2], fmt.Sprint(i)
			return w.Decide(w.ctx, settled, w.now)
		})
		got := w.token(t)
		w.same(got.Subject, fmt.Sprint(winner))
		w.same(got.State, []oauth.State{oauth.Accepted, oauth.Rejected}[winner%2])
	}
}

func oneIsFirst(w *warden) {
	for round := range rounds / 4 {
		set := fmt.Sprint(round)
		winner := w.race(func(i int) error {
			return w.PutKeys(w.ctx, set, oauth.FirstOfSet, oauth.Key{ID: fmt.Sprint(i)}, oauth.Key{ID: fmt.Sprint(i, "b")})
		})
		got, err := w.Keys(w.ctx, set)
		w.must(err)
		if len(got) != 2 || got[0].ID != fmt.Sprint(winner) {
			w.Fatalf("there is %+v: expected the two of %d", got, winner)
		}
	}
}

// oneSetReplaces has callers who each replace the set by two keys of their own.
func oneSetReplaces(w *warden) {
	for range rounds / 4 {
		w.must(all(callers, func(i int) error {
			return w.PutKeys(w.ctx, "s", oauth.ReplaceSet, oauth.Key{ID: fmt.Sprint(i)}, oauth.Key{ID: fmt.Sprint(i, "b")})
		}))
		got, err := w.Keys(w.ctx, "s")
		w.must(err)
		if len(got) != 2 || got[1].ID != got[0].ID+" b" && got[1].ID != got[0].ID+"b" {
			w.Fatalf("there is %+v: expected the two of one caller", got)
		}
	}
}

func oneTakesADelivery(w *warden) {
	const n = 40
	for round := range 10 {
		var ds []oauth.Delivery
		for i := range n {
			ds = append(ds, oauth.Delivery{ID: fmt.Sprint(round, " ", i), Due: w.at(time.Duration(i) * time.Millisecond)})
		}
		w.must(w.AddDeliveries(w.ctx, ds...))
		var mu sync.Mutex
		taken := map[string]int{}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(taken)
		}
		w.must(all(callers, func(i int) error {
			for count() < n {
				got, err := w.TakeDeliveries(w.ctx, w.at(time.Second), w.at(time.Hour), 3)
				if err != nil {
					return err
				}
				if len(got) > 3 {
					return fmt.Errorf("%d deliveries: expected at most 3", len(got))
				}
				mu.Lock()
				for _, d := range got {
					taken[d.ID]++
				}
				mu.Unlock()
			}
			return nil
		}))
		for id, times := range taken {
			if times != 1 {
				w.Fatalf("delivery %s was taken %d times", id, times)
			}
			w.must(w.EndDelivery(w.ctx, id, time.Time{}))
		}
	}
}

func oneEndsALogin(w *warden) {
	for round := range rounds / 4 {
		id := fmt.Sprint(round)
		w.must(w.PutLogin(w.ctx, oauth.Login{ID: id, Subject: "ann"}))
		w.must(w.PutLogin(w.ctx, oauth.Login{ID: id + "b", Subject: "ann"}))
		var mu sync.Mutex
		ended := map[string]int{}
		w.must(all(callers, func(i int) error {
			name, subject := id, ""
			if i%2 == 0 {
				name, subject = "", "ann"
			}
			got, err := w.EndLogins(w.ctx, name, subject, w.now)
			mu.Lock()
			defer mu.Unlock()
			for _, l := range got {
				ended[l.ID]++
			}
			return err
		}))
		w.same(ended, map[string]int{id: 1, id + "b": 1})
	}
}

// pollsAtOnce are told apart: each sees another one before it.
func pollsAtOnce(w *warden) {
	for range rounds / 4 {
		t := w.put(w.made(oauth.Device, ""))
		var mu sync.Mutex
		seen := map[time.Time]bool{}
		w.must(all(callers, func(i int) error {
			got, err := w.Poll(w.ctx, t.Kind, t.Hash, w.at(time.Duration(i)*time.Second), time.Minute)
			mu.Lock()
			defer mu.Unlock()
			seen[got.Polled] = true
			return err
		}))
		if len(seen) != callers || !seen[time.Time{}] {
			w.Fatalf("%d callers saw %v", callers, seen)
		}
	}
}

func clientUpdatesAtOnce(w *warden) {
	w.client("app")
	for round := range rounds / 4 {
		winner := w.race(func(i int) error {
			return w.UpdateClient(w.ctx, oauth.ClientRow{ID: "app", Version: int64(round + 1), Name: fmt.Sprint(i)})
		})
		got, err := w.Client(w.ctx, "app")
		w.must(err)
		w.same(got.Name, fmt.Sprint(winner))
	}
}
