package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/cardea-iam/cardea/engine"
)

// tailIsChangesToTheHead makes a random history and reads the tail from each of
// its states.
func tailIsChangesToTheHead(h *harness) {
	r := h.random()
	now := newState()
	states, revs := []state{now.clone()}, []engine.Revision{""}
	for i := range 25 {
		var rev engine.Revision
		if r.IntN(8) == 0 {
			m := h.at(i).putModel(fmt.Sprint("// ", i), now.model)
			now.model, rev = m.Number, m.Revision
		} else {
			ups := small.updates(r, 1+r.IntN(30))
			now.update(ups...)
			rev = h.at(i).write(ups...)
		}
		states, revs = append(states, now.clone()), append(revs, rev)
		for k := range revs {
			h := h.at(i + k)
			head, changes := h.tail(revs[k])
			h.covers(head, rev)
			tailed, replayed := states[k].clone(), states[k].clone()
			h.must(tailed.apply(changes))
			h.must(replayed.apply(h.changes(revs[k], head)))
			if !tailed.equal(now) || !replayed.equal(now) {
				h.Fatalf("the tail from state %d of %d does not lead there: %v", k, i, changes)
			}
		}
	}
	h.shows(revs[len(revs)-1], now.sorted(engine.Query{})...)
}

func tailOfNothing(h *harness) {
	head, changes := h.tail("")
	if len(changes) != 0 {
		h.Fatalf("the tail of an empty store is %v", changes)
	}
	h.shows(head)
	for _, from := range []engine.Revision{h.insert(parse("doc:1#viewer@ann")...), h.head()} {
		head, changes := h.tail(from)
		if len(changes) != 0 {
			h.Fatalf("the tail from the head is %v", changes)
		}
		h.covers(head, from)
		h.shows(head, parse("doc:1#viewer@ann")...)
		// Where nothing happens a follower stays: the next tail starts there.
		if _, changes := h.tail(head); len(changes) != 0 {
			h.Fatalf("the tail from the head of a tail is %v", changes)
		}
	}
}

// tailOfMany goes beyond what a backend may read at once.
func tailOfMany(h *harness) {
	const n = 10_500
	ts := numbered(0, n)
	start := h.head()
	h.insert(ts[:n/2]...)
	h.putModel("// text", 0)
	h.insert(ts[n/2:]...)
	_, changes := h.tail(start)
	now := newState()
	h.must(now.apply(changes))
	if want := newState(ts...); now.model != 1 || len(now.tuples) != len(want.tuples) {
		h.Fatalf("%d changes lead to %d tuples under model %d", len(changes), len(now.tuples), now.model)
	}
	middle := h.delete(ts[:n/3]...)
	h.deleteAll(engine.Query{})
	head, changes := h.tail(middle)
	if len(changes) != n-n/3 {
		h.Fatalf("%d changes: expected %d", len(changes), n-n/3)
	}
	h.shows(head)
}

// tailStops has the consumer refuse a change, which ends the tail with the
// consumer's own error.
func tailStops(h *harness) {
	start := h.head()
	h.insert(numbered(0, 20)...)
	h.putModel("", 0)
	h.delete(numbered(0, 5)...)
	enough := errors.New("enough")
	_, all := h.tail(start)
	for stop := 1; stop <= len(all); stop++ {
		calls := 0
		head, err := h.Tail(h.ctx, start, func(engine.Change) error {
			if calls++; calls >= stop {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || calls != stop || head != "" {
			h.Fatalf("refused call %d: %d calls, revision %q, error %v", stop, calls, head, err)
		}
	}
	for range 100 { // more than any pool has connections
		if _, err := h.Tail(h.ctx, start, func(engine.Change) error { return enough }); !errors.Is(err, enough) {
			h.Fatalf("error %v: expected the consumer's", err)
		}
	}
	_, again := h.tail(start)
	now := newState()
	h.must(now.apply(again))
	h.shows(h.head(), now.sorted(engine.Query{})...)
}

// tailUnderWriters follows the log on each node while others write, and compares
// with what the store shows at each revision: a gap or a repetition is an error
// of apply, or a difference.
func tailUnderWriters(h *harness) {
	seed := h.random().Uint64()
	written := make(chan struct{})
	var wg sync.WaitGroup
	followed := make(chan error, 3)
	for i := range 3 {
		wg.Go(func() { followed <- follow(h.at(i), written) })
	}
	err := all(4, func(i int) error {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for n := range 40 {
			w := engine.Write{Updates: small.updates(r, 1+r.IntN(6))}
			if r.IntN(4) == 0 {
				w.Delete = []engine.Query{queryOf(small.tuple(r), 1+r.IntN(15))}
			}
			if _, err := h.node(i+n).Write(h.ctx, w); err != nil {
				return err
			}
			if i == 0 && n%8 == 0 {
				if _, err := h.node(n).PutModel(h.ctx, fmt.Sprint("// ", n), int64(n/8)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	close(written)
	wg.Wait()
	h.must(err)
	for range 3 {
		h.must(<-followed)
	}
}

// follow reads tails until one began after written was closed.
func follow(h *harness, written <-chan struct{}) error {
	now, at := newState(), engine.Revision("")
	for last := false; !last; {
		select {
		case <-written:
			last = true
		default:
		}
		head, changes, err := h.tryTail(at)
		if err != nil {
			return err
		}
		if ok, err := h.Covers(head, at); err != nil || !ok {
			return fmt.Errorf("the tail from %q leads back to %q; error %v", at, head, err)
		}
		if err := now.apply(changes); err != nil {
			return fmt.Errorf("from %q to %q: %w", at, head, err)
		}
		at = head
		got, err := collect(h, at, engine.Query{})
		if err != nil {
			return err
		}
		m, err := h.Model(h.ctx, at)
		if err != nil {
			return err
		}
		shown := newState(got...)
		shown.model = m.Number
		if !shown.equal(now) {
			return fmt.Errorf("at %q the store shows %v under model %d, and its tails lead to %v under model %d",
				at, shown.sorted(engine.Query{}), shown.model, now.sorted(engine.Query{}), now.model)
		}
	}
	return nil
}

// tailCoversAcknowledged reads a tail after writes by others have returned, which
// it must show.
func tailCoversAcknowledged(h *harness) {
	var mu sync.Mutex
	var acknowledged []engine.Tuple
	ts := numbered(0, 200)
	stop := background(h, func(n int) error {
		mu.Lock()
		want := acknowledged
		mu.Unlock()
		_, changes, err := h.at(n).tryTail("")
		if err != nil {
			return err
		}
		now := newState()
		if err := now.apply(changes); err != nil {
			return err
		}
		for _, t := range want {
			if !now.tuples[t] {
				return fmt.Errorf("the tail lacks %v, which was acknowledged before", t)
			}
		}
		return nil
	})
	parallel(h, 4, func(i int) error {
		for _, t := range ts[i*50 : (i+1)*50] {
			if _, err := h.node(i).Write(h.ctx, adding(t)); err != nil {
				return err
			}
			mu.Lock()
			acknowledged = append(acknowledged[:len(acknowledged):len(acknowledged)], t)
			mu.Unlock()
		}
		return nil
	})
	stop()
}
