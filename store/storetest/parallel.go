package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
		for n := range 25 {
			ups := own.updates(r, 1+r.IntN(10))
			now.update(ups...)
			done, err := h.node(i).Write(h.ctx, engine.Write{Updates: ups})
			if err != nil {
				return err
			}
			rev := done.Revision
			got, err := collect(h.at(n), rev, q)
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
	h.must(replayed.apply(h.changes("", h.head())))
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
	stop := background(h, func(n int) error {
		h := h.at(n)
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
			if _, err := h.node(i).Write(h.ctx, engine.Write{Updates: ups}); err != nil {
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
				if _, err := h.node(i).Write(h.ctx, engine.Write{Updates: small.updates(r, 1+r.IntN(6))}); err != nil {
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
		h.must(now.apply(h.changes(at, head)))
		at = head
		h.shows(at, now.sorted(engine.Query{})...)
	}
}

// headCoversAcknowledged asks for the head after writes by others have
// returned.
func headCoversAcknowledged(h *harness) {
	var mu sync.Mutex
	var acknowledged engine.Revision
	stop := background(h, func(n int) error {
		mu.Lock()
		want := acknowledged
		mu.Unlock()
		head, err := h.node(n).Head(h.ctx)
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
			done, err := h.node(i).Write(h.ctx, adding(t))
			if err != nil {
				return err
			}
			mu.Lock()
			acknowledged = done.Revision
			mu.Unlock()
		}
		return nil
	})
	stop()
}

// revisionsShowWhatCameBefore has writers that note, before each write, what was
// acknowledged by then. The revision of the write must show that, and cover
// its revisions: the snapshot of a document must not be older than one that
// was there when the document was written.
func revisionsShowWhatCameBefore(h *harness) {
	var mu sync.Mutex
	var acknowledged []engine.Tuple
	var revs []engine.Revision
	ts := numbered(0, 120)
	parallel(h, 4, func(i int) error {
		for n, t := range ts[i*30 : (i+1)*30] {
			mu.Lock()
			before, beforeRevs := slices.Clone(acknowledged), slices.Clone(revs)
			mu.Unlock()
			done, err := h.node(i+n).Write(h.ctx, adding(t))
			if err != nil {
				return err
			}
			mu.Lock()
			acknowledged, revs = append(acknowledged, t), append(revs, done.Revision)
			mu.Unlock()
			got, err := collect(h.at(n), done.Revision, engine.Query{})
			if err != nil {
				return err
			}
			have := newState(got...)
			for k, b := range append(before, t) {
				if !have.tuples[b] {
					return fmt.Errorf("revision %q does not show %v, number %d of %d acknowledged before", done.Revision, b, k, len(before))
				}
			}
			for _, rev := range beforeRevs {
				if ok, err := h.Covers(done.Revision, rev); err != nil || !ok {
					return fmt.Errorf("revision %q does not cover %q, acknowledged before; error %v", done.Revision, rev, err)
				}
			}
		}
		return nil
	})
}

// revisionsOfParallelWriters compares pairs of revisions that were made at the same
// time. Of two that cover each other the log leads from one to the other, and
// from each to the head; two that do not have no changes between them.
func revisionsOfParallelWriters(h *harness) {
	seed := h.random().Uint64()
	var mu sync.Mutex
	var revs []engine.Revision // in about the order of the writes
	states := map[engine.Revision]state{}
	ts := numbered(0, 100)
	h.insert(ts[:50]...)
	shown := func(h *harness, rev engine.Revision) (state, error) {
		got, err := collect(h, rev, engine.Query{})
		return newState(got...), err
	}
	parallel(h, 6, func(i int) error {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for n := range 20 {
			node := h.at(i)
			// Few writes meet, so that none waits for another.
			ups := updates(engine.Insert+engine.Op(r.IntN(2)), ts[r.IntN(len(ts)):][:1])
			done, err := node.Write(h.ctx, engine.Write{Updates: ups})
			if err != nil {
				return err
			}
			now, err := shown(h.at(n), done.Revision)
			if err != nil {
				return err
			}
			mu.Lock()
			revs = append(revs, done.Revision)
			states[done.Revision] = now
			mu.Unlock()
			// The tail of a revision that others overtook on their way.
			head, changes, err := node.tryTail(done.Revision)
			if err != nil {
				return err
			}
			end, err := shown(h.at(n), head)
			if err != nil {
				return err
			}
			if now = now.clone(); now.apply(changes) != nil || !now.equal(end) {
				return fmt.Errorf("the tail from %q to %q does not lead there: %v", done.Revision, head, changes)
			}
		}
		return nil
	})
	r := rand.New(rand.NewPCG(seed, 99))
	apart := 0
	for range 400 {
		i := r.IntN(len(revs))
		a, b := revs[i], revs[max(0, min(len(revs)-1, i+r.IntN(12)-4))]
		ok, err := h.Covers(b, a)
		h.must(err)
		changes, err := h.tryChanges(a, b)
		if !ok {
			h.fails(err, errs.Invalid)
			if back, err := h.Covers(a, b); err != nil || !back {
				apart++
			}
			continue
		}
		h.must(err)
		replayed := states[a].clone()
		h.must(replayed.apply(changes))
		if !replayed.equal(states[b]) {
			h.Fatalf("the changes from %q to %q do not lead there: %v", a, b, changes)
		}
	}
	h.Logf("%d of 400 pairs do not cover each other", apart)
}

func ping(h *harness) {
	for _, s := range h.nodes {
		h.must(s.Ping(h.ctx))
	}
	for _, db := range h.dbs {
		h.must(db.Ping(h.ctx))
	}
}
