package storetest

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

func sessionByToken(c *folk) {
	i := c.join("ann@example.com")
	want := c.session(i, "token")
	c.write(identity.SaveSession{Session: want})
	got, who, err := c.SessionByToken(c.ctx, []byte("token"))
	c.must(err)
	want.Version = 1
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		c.Fatalf("got  %s\nwant %s", a, b)
	}
	i.Credentials = nil
	c.looks(who, i)
	_, _, err = c.SessionByToken(c.ctx, []byte("other"))
	c.fails(err, errs.NotFound)
}

func sessionVersions(c *folk) {
	s := c.session(c.join("ann@example.com"), "token")
	c.write(identity.SaveSession{Session: s})
	s.Version, s.TokenHash, s.AAL = 1, []byte("rotated"), identity.AAL2
	c.write(identity.SaveSession{Session: s})
	c.fails(c.Write(c.ctx, identity.SaveSession{Session: s}), errs.Conflict)
	_, _, err := c.SessionByToken(c.ctx, []byte("token"))
	c.fails(err, errs.NotFound)
	got, _, err := c.SessionByToken(c.ctx, []byte("rotated"))
	c.must(err)
	if got.AAL != identity.AAL2 || got.Version != 2 {
		c.Fatalf("got %+v", got)
	}
}

func listSessions(c *folk) {
	i, other := c.join("ann@example.com"), c.join("bob@example.com")
	var want []*identity.Session
	for n := range 5 {
		s := c.session(i, string(rune('a'+n)))
		s.IssuedAt = c.now.Add(time.Duration(n/2) * time.Minute) // some at the same time
		s.Active = n != 0
		if n == 1 {
			s.ExpiresAt = c.now
		}
		want = append(want, s)
		c.write(identity.SaveSession{Session: s})
	}
	c.write(identity.SaveSession{Session: c.session(other, "other")})
	var after identity.SessionPosition
	seen := map[string]bool{}
	for {
		page, err := c.Sessions(c.ctx, identity.SessionQuery{Identity: i.ID}, after, 2)
		c.must(err)
		if len(page) == 0 {
			break
		}
		for _, s := range page {
			if seen[s.ID] || after.ID != "" && s.IssuedAt.After(after.IssuedAt) {
				c.Fatalf("session %s comes again, or too late", s.ID)
			}
			seen[s.ID], after = true, identity.SessionPosition{IssuedAt: s.IssuedAt, ID: s.ID}
		}
	}
	if len(seen) != len(want) {
		c.Fatalf("%d sessions listed: expected %d", len(seen), len(want))
	}
	for active, n := range map[bool]int{true: 3, false: 2} {
		got, err := c.Sessions(c.ctx, identity.SessionQuery{Identity: i.ID, Active: &active, Now: c.now}, identity.SessionPosition{}, 10)
		c.must(err)
		if len(got) != n {
			c.Fatalf("active %t: %d sessions, expected %d", active, len(got), n)
		}
	}
	got, err := c.Sessions(c.ctx, identity.SessionQuery{IDs: []string{want[3].ID}}, identity.SessionPosition{}, 10)
	c.must(err)
	if len(got) != 1 || got[0].ID != want[3].ID {
		c.Fatalf("got %v", got)
	}
}

func revokeSessions(c *folk) {
	i, other := c.join("ann@example.com"), c.join("bob@example.com")
	var mine []*identity.Session
	for _, token := range []string{"a", "b", "c"} {
		mine = append(mine, c.session(i, token))
		c.write(identity.SaveSession{Session: mine[len(mine)-1]})
	}
	c.write(identity.SaveSession{Session: c.session(other, "other")})
	var n int64
	c.write(identity.RevokeSessions{Identity: i.ID, Except: mine[0].ID, Count: &n})
	if n != 2 {
		c.Fatalf("%d sessions revoked: expected 2", n)
	}
	for token, active := range map[string]bool{"a": true, "b": false, "c": false, "other": true} {
		s, _, err := c.SessionByToken(c.ctx, []byte(token))
		c.must(err)
		if s.Active != active {
			c.Fatalf("session %s is active: %t", token, s.Active)
		}
	}
	c.write(identity.RevokeSessions{Identity: i.ID, IDs: []string{mine[0].ID}, Delete: true, Count: &n})
	_, _, err := c.SessionByToken(c.ctx, []byte("a"))
	c.fails(err, errs.NotFound)
	c.write(identity.RevokeSessions{Count: &n})
	if s, _, err := c.SessionByToken(c.ctx, []byte("other")); err != nil || !s.Active || n != 0 {
		c.Fatalf("to revoke nothing revoked %d: %v, %v", n, s, err)
	}
}

// notesOfTheEnded keeps notes of sessions that were active, until they are forgotten.
func notesOfTheEnded(c *folk) {
	i, other := c.join("ann@example.com"), c.join("bob@example.com")
	ids := map[string]string{}
	for _, token := range []string{"a", "b", "c", "d", "e"} {
		s := c.session(i, token)
		c.write(identity.SaveSession{Session: s})
		ids[token] = s.ID
	}
	c.write(identity.SaveSession{Session: c.session(other, "other")})
	at := func(n int) time.Time { return c.now.Add(time.Duration(n) * time.Second) }
	notes := func(want ...identity.Ended) []identity.Ended {
		c.Helper()
		got, err := c.Ended(c.ctx, 10)
		c.must(err)
		slices.SortFunc(want, func(a, b identity.Ended) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Session, b.Session))
		})
		if !slices.Equal(got, want) {
			c.Fatalf("notes %v, expected %v", got, want)
		}
		return got
	}
	note := func(token string, n int) identity.Ended {
		return identity.Ended{Identity: i.ID, Session: ids[token], At: at(n)}
	}

	c.write(identity.RevokeSessions{IDs: []string{ids["a"]}}) // nobody wants to know
	notes()
	c.write(identity.RevokeSessions{IDs: []string{ids["a"], ids["b"]}, Tell: at(1)})
	notes(note("b", 1))
	c.write(identity.RevokeSessions{Identity: i.ID, IDs: []string{ids["c"]}, Delete: true, Tell: at(2)})
	notes(note("b", 1), note("c", 2))
	var n int64
	c.write(identity.LimitSessions{Identity: i.ID, New: ids["d"], Now: c.now, Count: &n, Tell: at(3)})
	all := notes(note("b", 1), note("c", 2), note("e", 3))
	if n != 1 {
		c.Errorf("%d sessions ended, expected 1", n)
	}
	c.fails(c.Write(c.ctx, identity.RevokeSessions{Identity: other.ID, Tell: at(4)}, identity.DeleteIdentity{ID: identity.NewID()}), errs.NotFound)
	notes(all...)
	if got, err := c.Ended(c.ctx, 2); err != nil || !slices.Equal(got, all[:2]) {
		c.Errorf("the first two are %v, %v", got, err)
	}
	if got, err := c.other.Ended(c.ctx, 10); err != nil || len(got) != 0 {
		c.Errorf("another network has %v, %v", got, err)
	}

	gone := identity.Ended{Identity: other.ID, At: at(5)}
	c.write(identity.NoteEnded{Ended: gone}, identity.DeleteIdentity{ID: other.ID})
	notes(append(all, gone)...)
	later := gone
	later.At = at(6)
	c.write(identity.NoteEnded{Ended: later})
	c.write(identity.ForgetEnded{Ended: []identity.Ended{all[0], all[1], gone}})
	notes(all[2], later)
	c.write(identity.ForgetEnded{Ended: []identity.Ended{all[2], later}})
	notes()
}

// usedSessions asks for sessions that were used, which is noted forwards only.
func usedSessions(c *folk) {
	i := c.join("ann@example.com")
	s := c.session(i, "a")
	s.SeenAt = c.now
	c.write(identity.SaveSession{Session: s})
	s.Version = 1
	seen := func(want time.Time) {
		c.Helper()
		got, _, err := c.SessionByToken(c.ctx, []byte("a"))
		c.must(err)
		if !got.SeenAt.Equal(want) || got.Version != s.Version {
			c.Fatalf("version %d, seen at %v: expected %d, %v", got.Version, got.SeenAt, s.Version, want)
		}
	}
	later := c.now.Add(10 * time.Minute)
	c.write(identity.TouchSession{ID: s.ID, SeenAt: later, Before: c.now.Add(-time.Second)})
	seen(c.now)
	c.write(identity.TouchSession{ID: s.ID, SeenAt: later, Before: c.now})
	seen(later)
	c.write(identity.SaveSession{Session: s}) // by who has read it before
	s.Version = 2
	seen(later)
	s.SeenAt = later.Add(time.Minute)
	c.write(identity.SaveSession{Session: s})
	s.Version = 3
	seen(s.SeenAt)
	for idle, active := range map[time.Duration]bool{0: true, time.Minute: false, time.Minute + time.Microsecond: true} {
		for _, want := range []bool{true, false} {
			got, err := c.Sessions(c.ctx, identity.SessionQuery{Identity: i.ID, Active: &want, Now: s.SeenAt.Add(time.Minute), Idle: idle}, identity.SessionPosition{}, 10)
			c.must(err)
			if (len(got) == 1) != (want == active) {
				c.Errorf("idle for %v: %d sessions are active %t", idle, len(got), want)
			}
		}
	}
}

// limitedSessions keeps the newest ones.
func limitedSessions(c *folk) {
	i, other := c.join("ann@example.com"), c.join("bob@example.com")
	c.write(identity.SaveSession{Session: c.session(other, "other")})
	for n, token := range []string{"expired", "old", "idle", "b", "c", "new"} {
		s := c.session(i, token)
		s.IssuedAt, s.SeenAt = c.now.Add(time.Duration(n)*time.Minute), c.now.Add(time.Hour)
		s.ExpiresAt = c.now.Add(3 * time.Hour)
		switch token {
		case "expired":
			s.ExpiresAt = c.now
		case "idle":
			s.SeenAt = c.now
		case "new":
			s.IssuedAt = c.now // clocks differ
		}
		c.write(identity.SaveSession{Session: s},
			identity.LimitSessions{Identity: i.ID, New: s.ID, Others: 2, Now: c.now.Add(2 * time.Hour), Idle: 90 * time.Minute})
	}
	for token, active := range map[string]bool{"expired": true, "old": false, "idle": true, "b": true, "c": true, "new": true, "other": true} {
		s, _, err := c.SessionByToken(c.ctx, []byte(token))
		c.must(err)
		if s.Active != active {
			c.Errorf("session %s is active: %t", token, s.Active)
		}
	}
}

func flowVersions(c *folk) {
	f := identity.StoredFlow{ID: identity.NewID(), ExpiresAt: c.now.Add(time.Hour), Data: []byte{0, 1, 255}}
	_, err := c.Flow(c.ctx, f.ID)
	c.fails(err, errs.NotFound)
	c.write(identity.SaveFlow{Flow: f})
	c.fails(c.Write(c.ctx, identity.SaveFlow{Flow: f}), errs.Conflict)
	got, err := c.Flow(c.ctx, f.ID)
	c.must(err)
	if got.Version != 1 || string(got.Data) != string(f.Data) || !got.ExpiresAt.Equal(f.ExpiresAt) {
		c.Fatalf("got %+v", got)
	}
	var won atomic.Int64
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			if c.Write(c.ctx, identity.SaveFlow{Flow: *got}) == nil {
				won.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		c.Fatalf("%d of the same version were saved", won.Load())
	}
}

func (c *folk) code(flow, hash string) identity.Code {
	return identity.Code{ID: identity.NewID(), Flow: flow, Purpose: "login", Hash: []byte(hash), Identity: "i", Via: "email",
		Address: "ann@example.com", IssuedAt: c.now, ExpiresAt: c.now.Add(time.Hour)}
}

func codeOnce(c *folk) {
	code := c.code("flow", "hash")
	c.write(identity.PutCode{Code: code})
	for _, tt := range []struct{ flow, purpose, hash string }{{"other", "login", "hash"}, {"flow", "recovery", "hash"}, {"flow", "login", "other"}} {
		_, err := c.Code(c.ctx, tt.flow, tt.purpose, [][]byte{[]byte(tt.hash)})
		c.fails(err, errs.NotFound)
	}
	got, err := c.Code(c.ctx, "flow", "login", [][]byte{[]byte("newer"), []byte("hash")})
	c.must(err)
	if got.ID != code.ID || got.Address != code.Address || !got.ExpiresAt.Equal(code.ExpiresAt) || !got.UsedAt.IsZero() {
		c.Fatalf("got %+v", got)
	}
	c.fails(c.Write(c.ctx, identity.UseCode{ID: code.ID, Now: code.ExpiresAt}), errs.Refused)
	i := c.join("ann@example.com")
	var won atomic.Int64
	var wait sync.WaitGroup
	for n := range 8 {
		s := c.session(i, string(rune('a'+n)))
		wait.Go(func() {
			err := c.Write(c.ctx, identity.UseCode{ID: code.ID, Now: c.now}, identity.SaveSession{Session: s})
			if err == nil {
				won.Add(1)
			} else {
				c.fails(err, errs.Refused)
			}
		})
	}
	wait.Wait()
	sessions, err := c.Sessions(c.ctx, identity.SessionQuery{Identity: i.ID}, identity.SessionPosition{}, 10)
	c.must(err)
	if won.Load() != 1 || len(sessions) != 1 {
		c.Fatalf("the code was used %d times, for %d sessions", won.Load(), len(sessions))
	}
	got, err = c.Code(c.ctx, "flow", "login", [][]byte{[]byte("hash")})
	c.must(err)
	if !got.UsedAt.Equal(c.now) {
		c.Fatalf("used at %v", got.UsedAt)
	}
}

func codesDropped(c *folk) {
	used, unused, other := c.code("flow", "used"), c.code("flow", "unused"), c.code("other", "unused")
	c.write(identity.PutCode{Code: used}, identity.PutCode{Code: unused}, identity.PutCode{Code: other})
	c.write(identity.UseCode{ID: used.ID, Now: c.now}, identity.DropCodes{Flow: "flow", Purpose: "login"})
	_, err := c.Code(c.ctx, "flow", "login", [][]byte{[]byte("unused")})
	c.fails(err, errs.NotFound)
	_, err = c.Code(c.ctx, "flow", "login", [][]byte{[]byte("used")})
	c.must(err)
	_, err = c.Code(c.ctx, "other", "login", [][]byte{[]byte("unused")})
	c.must(err)
}

var limit = identity.Limit{Free: 3, Delay: time.Minute, MaxDelay: 5 * time.Hour, Forget: 24 * time.Hour}

func attemptsAreCounted(c *folk) {
	now := c.now
	try := func(key string, want bool) time.Time {
		c.Helper()
		allowed, next, err := c.Attempt(c.ctx, key, limit, now)
		c.must(err)
		if allowed != want {
			c.Fatalf("an attempt at %v is allowed: %t, the next at %v", now, allowed, next)
		}
		return next
	}
	for range limit.Free {
		try("a", true)
	}
	wait := limit.Delay
	for range 12 {
		next := try("a", false)
		if got := next.Sub(now); got != wait {
			c.Fatalf("wait %v: expected %v", got, wait)
		}
		now = next.Add(-time.Microsecond)
		try("a", false)
		now = next
		try("a", true)
		wait = min(2*wait, limit.MaxDelay)
	}
	try("b", true) // another key
	c.write(identity.Forgive{Keys: []string{"a", "none"}})
	for range limit.Free {
		try("a", true)
	}
	try("a", false)
	now = now.Add(limit.Forget + time.Second)
	for range limit.Free {
		try("a", true)
	}
	try("a", false)
	one := identity.Limit{Free: 1, Delay: time.Minute, MaxDelay: time.Hour, Forget: time.Hour}
	for _, want := range []bool{true, false} {
		allowed, _, err := c.Attempt(c.ctx, "c", one, now)
		c.must(err)
		if allowed != want {
			c.Fatalf("allowed: %t", allowed)
		}
	}
}

// attemptsAreReturned: an attempt that is returned leaves everything as it was.
func attemptsAreReturned(c *folk) {
	now := c.now
	try := func(want time.Duration) {
		c.Helper()
		allowed, next, err := c.Attempt(c.ctx, "key", limit, now)
		c.must(err)
		if got := next.Sub(now); allowed != (want == 0) || !allowed && got != want {
			c.Fatalf("allowed: %t, the next in %v, want %v", allowed, got, want)
		}
	}
	c.write(identity.ReturnAttempt{Key: "key", Limit: limit}) // there was none
	for range 3 * limit.Free {
		try(0)
		c.write(identity.ReturnAttempt{Key: "key", Limit: limit})
	}
	for range limit.Free {
		try(0)
	}
	wait := limit.Delay
	for range 12 {
		try(wait)
		now = now.Add(wait)
		for range 3 {
			try(0)
			c.write(identity.ReturnAttempt{Key: "key", Limit: limit})
		}
		try(0)
		wait = min(2*wait, limit.MaxDelay)
	}
}

func attemptsAtOnce(c *folk) {
	var allowed atomic.Int64
	var wait sync.WaitGroup
	for n := range 50 { // clocks are read before they are compared
		wait.Go(func() {
			ok, _, err := c.Attempt(c.ctx, "key", limit, c.now.Add(-time.Duration(n%7)*time.Microsecond))
			if err != nil {
				c.Error(err)
			}
			if ok {
				allowed.Add(1)
			}
		})
	}
	wait.Wait()
	if got := allowed.Load(); got != int64(limit.Free) {
		c.Fatalf("%d of 50 attempts at the same time are allowed: expected %d", got, limit.Free)
	}
}

func messagesTakenOnce(c *folk) {
	want := map[string]bool{}
	for n := range 20 {
		m := identity.Message{ID: identity.NewID(), Status: "queued", Type: "email", Recipient: "ann@example.com", Template: "stub",
			Data: "sealed", DueAt: c.now.Add(time.Duration(n%2) * time.Hour), CreatedAt: c.now.Add(time.Duration(n)), UpdatedAt: c.now}
		if n%2 == 0 {
			want[m.ID] = true
		}
		c.write(identity.PutMessage{Message: m})
	}
	var mu sync.Mutex
	got := map[string]int{}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				taken, err := c.TakeMessages(c.ctx, c.now, time.Minute, 3)
				if err != nil {
					c.Error(err)
				}
				if len(taken) == 0 {
					return
				}
				mu.Lock()
				for _, m := range taken {
					got[m.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for id := range want {
		if got[id] != 1 {
			c.Errorf("message %s was taken %d times", id, got[id])
		}
	}
	if len(got) != len(want) {
		c.Errorf("%d messages were taken: expected %d", len(got), len(want))
	}
	again, err := c.TakeMessages(c.ctx, c.now.Add(time.Minute), time.Minute, 1)
	c.must(err)
	if len(again) != 1 || again[0].Status != "processing" {
		c.Fatalf("after the lease: %v", again)
	}
	done := *again[0]
	done.Status, done.SendCount, done.Data, done.DueAt = "sent", 1, "", c.now.Add(time.Hour)
	for _, lease := range []time.Time{again[0].DueAt.Add(-time.Microsecond), done.DueAt} { // of somebody else
		c.fails(c.Write(c.ctx, identity.ReturnMessage{Message: done, Lease: lease}), errs.Conflict)
	}
	c.write(identity.ReturnMessage{Message: done, Lease: again[0].DueAt})
	c.fails(c.Write(c.ctx, identity.ReturnMessage{Message: done, Lease: again[0].DueAt}), errs.Conflict) // it is done
	sent, err := c.ListMessages(c.ctx, identity.MessageQuery{Status: "sent", Recipient: "ann@example.com"}, identity.MessagePosition{}, 10)
	c.must(err)
	if len(sent) != 1 || sent[0].ID != again[0].ID || sent[0].SendCount != 1 || sent[0].Data != "" {
		c.Fatalf("sent %v", sent)
	}
	other, err := c.TakeMessages(c.ctx, c.now.Add(time.Minute), time.Minute, 1)
	c.must(err)
	c.write(identity.ReturnMessage{Message: *other[0], Lease: other[0].DueAt, Drop: true})
	_, err = c.Message(c.ctx, other[0].ID)
	c.fails(err, errs.NotFound)
	n, err := c.Purge(c.ctx, done.DueAt.Add(time.Second))
	c.must(err)
	if _, err = c.Message(c.ctx, done.ID); n != 1 || errs.KindOf(err) != errs.NotFound {
		c.Fatalf("%d rows purged, and then %v", n, err)
	}
}

func eventsInOrder(c *folk) {
	for n, who := range []string{"a", "b", "a", "a"} {
		c.write(identity.Record{Event: identity.Event{ID: string(rune('0' + n)), At: c.now, Type: "t", Identity: who}})
	}
	list := func(who, before string, limit int) (ids string) {
		found, err := c.ListEvents(c.ctx, who, before, limit)
		c.must(err)
		for _, e := range found {
			ids += e.ID
		}
		return ids
	}
	for _, tt := range []struct {
		who, before string
		limit       int
		want        string
	}{{"", "", 10, "3210"}, {"a", "", 10, "320"}, {"a", "", 2, "32"}, {"a", "2", 2, "0"}, {"c", "", 2, ""}} {
		if got := list(tt.who, tt.before, tt.limit); got != tt.want {
			c.Errorf("events of %q before %q: %s, want %s", tt.who, tt.before, got, tt.want)
		}
	}
}

func purgeOfFlows(c *folk) {
	i := c.join("ann@example.com")
	old := c.session(i, "old")
	old.ExpiresAt = c.now
	code := c.code("flow", "old")
	code.ExpiresAt = c.now
	c.write(identity.SaveSession{Session: old}, identity.SaveSession{Session: c.session(i, "new")}, identity.PutCode{Code: code},
		identity.SaveFlow{Flow: identity.StoredFlow{ID: "old", ExpiresAt: c.now, Data: []byte("x")}},
		identity.SaveFlow{Flow: identity.StoredFlow{ID: "new", ExpiresAt: c.now.Add(time.Hour), Data: []byte("x")}})
	n, err := c.Purge(c.ctx, c.now.Add(time.Second))
	c.must(err)
	if n != 3 {
		c.Fatalf("%d rows purged: expected 3", n)
	}
	_, err = c.Flow(c.ctx, "old")
	c.fails(err, errs.NotFound)
	_, err = c.Flow(c.ctx, "new")
	c.must(err)
	_, _, err = c.SessionByToken(c.ctx, []byte("new"))
	c.must(err)
}
