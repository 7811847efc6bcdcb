package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// parallel runs do n times at once, waits, and fails the test with what failed.
func parallel(h *harness, n int, do func(i int) error) {
	h.Helper()
	h.must(all(n, do))
}

func all(n int, do func(i int) error) error {
	failed := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { failed[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(failed...)
}

// background repeats do until the function it returns is called, which fails
// the test if do failed.
func background(h *harness, do func(i int) error) (stop func()) {
	h.Helper()
	quit := make(chan struct{})
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		for i := 0; failed == nil; i++ {
			select {
			case <-quit:
				return
			default:
				failed = do(i)
			}
		}
	})
	var once sync.Once
	end := func() {
		once.Do(func() { close(quit) })
		wg.Wait()
	}
	h.Cleanup(end) // also when the test fails before
	return func() {
		h.Helper()
		end()
		h.must(failed)
	}
}

// parallelWriters has each writer work on tuples of its own, so that it knows
// what it must read at the revisions of its writes. In the end the log must
// lead to the state.
func parallelWriters(h *harness) {
	seed := h.random().Uint64()
	parallel(h, 8, func(i int) error {
		own := small
		own.namespaces = []string{fmt.Sprint("ns", i)}
		q := engine.Query{Namespace: &own.namespaces[0]}
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		now := newState()
		for range 25 {
			ups := own.updates(r, 1+r.IntN(10))
			now.update(ups...)
			rev, err := h.Write(h.ctx, ups, 0)
			if err != nil {
				return err
			}
			got, err := collect(h, rev, q)
			if err != nil {
				return err
			}
			if !newState(got...).equal(now) {
				return fmt.Errorf("writer %d at %q reads %v: expected %v", i, rev, got, now.sorted(q))
			}
		}
		return nil
	})
	replayed := newState()
	replayed.apply(h.changes("", h.head()))
	h.shows(h.head(), replayed.sorted(engine.Query{})...)
}

func collect(h *harness, rev engine.Revision, q engine.Query) ([]engine.Tuple, error) {
	var out []engine.Tuple
	for t, err := range h.Read(h.ctx, rev, q, engine.Page{}) {
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// pairsAreNeverHalf has writers swap one tuple for another in one write, while
// readers look at the newest state: they must always find one of the two.
func pairsAreNeverHalf(h *harness) {
	const writers = 4
	a, b := numbered(0, writers), numbered(writers, 2*writers)
	h.insert(a...)
	stop := background(h, func(int) error {
		head, err := h.Head(h.ctx)
		if err != nil {
			return err
		}
		got, err := collect(h, head, engine.Query{})
		if err != nil {
			return err
		}
		have := newState(got...)
		for i := range writers {
			if have.tuples[a[i]] == have.tuples[b[i]] {
				return fmt.Errorf("at %q pair %d is half there: %v", head, i, got)
			}
		}
		return nil
	})
	parallel(h, writers, func(i int) error {
		for n := range 40 {
			from, to := a[i], b[i]
			if n%2 == 1 {
				from, to = to, from
			}
			ups := []engine.Update{{Op: engine.Delete, Tuple: from}, {Op: engine.Insert, Tuple: to}}
			if _, err := h.Write(h.ctx, ups, 0); err != nil {
				return err
			}
		}
		return nil
	})
	stop()
}

// followerStaysExact replays the log behind parallel writers, step by step, and
// compares with the store at each step.
func followerStaysExact(h *harness) {
	seed := h.random().Uint64()
	written := make(chan error, 1)
	go func() {
		written <- all(4, func(i int) error {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 40 {
				if _, err := h.Write(h.ctx, small.updates(r, 1+r.IntN(6)), 0); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	now, at := newState(), engine.Revision("")
	for done := false; !done; {
		select {
		case err := <-written:
			h.must(err)
			done = true // one last step sees everything
		default:
		}
		head := h.head()
		h.covers(head, at)
		now.apply(h.changes(at, head))
		at = head
		h.shows(at, now.sorted(engine.Query{})...)
	}
}

// headCoversAcknowledged asks for the head after writes by others have
// returned.
func headCoversAcknowledged(h *harness) {
	var mu sync.Mutex
	var acknowledged engine.Revision
	stop := background(h, func(int) error {
		mu.Lock()
		want := acknowledged
		mu.Unlock()
		head, err := h.Head(h.ctx)
		if err != nil {
			return err
		}
		if ok, err := h.Covers(head, want); err != nil || !ok {
			return fmt.Errorf("head %q does not cover %q, which was acknowledged before; error %v", head, want, err)
		}
		return nil
	})
	ts := numbered(0, 200)
	parallel(h, 4, func(i int) error {
		for _, t := range ts[i*50 : (i+1)*50] {
			rev, err := h.Write(h.ctx, updates(engine.Insert, []engine.Tuple{t}), 0)
			if err != nil {
				return err
			}
			mu.Lock()
			acknowledged = rev
			mu.Unlock()
		}
		return nil
	})
	stop()
}

// purgeUnderLoad forgets history while others write and read the newest state.
// A reader may be told that its revision has expired, but never lied to.
func purgeUnderLoad(h *harness) {
	const n = 50
	ts, spare := numbered(0, n), numbered(n, 2*n)
	h.insert(ts...)
	stopPurge := background(h, func(int) error {
		_, err := h.Purge(h.ctx, afterwards())
		return err
	})
	stopRead := background(h, func(int) error {
		head, err := h.Head(h.ctx)
		if err != nil {
			return err
		}
		got, err := collect(h, head, engine.Query{})
		if errs.KindOf(err) == errs.Expired {
			return nil
		}
		if err == nil && len(got) != n {
			return fmt.Errorf("at %q there are %d tuples: expected %d", head, len(got), n)
		}
		return err
	})
	for range 3 {
		for i := range ts { // each write keeps the number of tuples
			h.write(engine.Update{Op: engine.Delete, Tuple: ts[i]}, engine.Update{Op: engine.Insert, Tuple: spare[i]})
		}
		ts, spare = spare, ts
	}
	stopRead()
	stopPurge()
	h.shows(h.head(), ts...)
}

func cancelledBefore(h *harness) {
	t := numbered(0, 2)
	rev := h.insert(t[0])
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	check := func(name string, err error) {
		h.Helper()
		if !cancelled(err) || errs.KindOf(err) == errs.OK {
			h.Errorf("%s with a cancelled context: error %v (%s)", name, err, errs.KindOf(err))
		}
	}
	_, err := h.Write(ctx, updates(engine.Insert, t[1:]), 0)
	check("Write", err)
	_, _, err = h.DeleteAll(ctx, engine.Query{})
	check("DeleteAll", err)
	_, err = h.PutModel(ctx, "", 0)
	check("PutModel", err)
	_, err = h.Model(ctx, rev)
	check("Model", err)
	_, err = h.Models(ctx, 0, 1)
	check("Models", err)
	_, err = h.Purge(ctx, afterwards())
	check("Purge", err)
	check("Ping", h.Store.Ping(ctx))
	for _, err := range h.Read(ctx, rev, engine.Query{}, engine.Page{}) {
		check("Read", err)
	}
	for _, err := range h.Changes(ctx, "", rev) {
		check("Changes", err)
	}
	h.shows(h.head(), t[0])
}

// cancelledMeanwhile cuts writes off at any moment. One that reports success is
// there; one that reports an error may be there, but never half.
func cancelledMeanwhile(h *harness) {
	const n = 60
	done := make([]bool, n)
	ts := numbered(0, 2*n)
	parallel(h, 4, func(i int) error {
		for k := i; k < n; k += 4 {
			ctx, cancel := context.WithCancel(h.ctx)
			var wg sync.WaitGroup
			wg.Go(cancel)
			_, err := h.Write(ctx, updates(engine.Insert, ts[2*k:2*k+2]), 0)
			wg.Wait()
			switch {
			case err == nil:
				done[k] = true
			case !cancelled(err):
				return err
			}
		}
		return nil
	})
	h.insert(parse("doc:end#view@ann")...)
	have := newState(h.read(h.head(), engine.Query{})...)
	for k := range n {
		first, second := have.tuples[ts[2*k]], have.tuples[ts[2*k+1]]
		if first != second || done[k] && !first {
			h.Errorf("write %d, acknowledged %v: its tuples are there %v and %v", k, done[k], first, second)
		}
	}
}

func ping(h *harness) { h.must(h.Store.Ping(h.ctx)) }

func identity(h *harness) {
	id := h.ID()
	if id == (engine.StoreID{}) {
		h.Fatal("the store has no identity")
	}
	h.insert(parse("doc:1#viewer@ann")...)
	if h.ID() != id {
		h.Fatal("the identity of the store has changed")
	}
	other := h.open()
	defer other.close()
	if other.ID() == id {
		h.Fatal("two stores have the same identity")
	}
	other.shows(other.head())
}
