package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

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
	_, err := h.Write(ctx, adding(t[1]))
	check("Write", err)
	_, err = h.Write(ctx, engine.Write{Delete: []engine.Query{{}}, Key: "k"})
	check("Write with a key", err)
	_, err = h.PutModel(ctx, "", 0)
	check("PutModel", err)
	_, err = h.Model(ctx, rev)
	check("Model", err)
	_, err = h.Models(ctx, 0, 1)
	check("Models", err)
	_, err = h.Head(ctx)
	check("Head", err)
	_, err = h.Tail(ctx, "", func(engine.Change) error { return nil })
	check("Tail", err)
	_, err = h.dbs[0].Purge(ctx, afterwards())
	check("Purge", err)
	check("Ping of the database", h.dbs[0].Ping(ctx))
	check("Ping", h.Store.Ping(ctx))
	for _, err := range h.Read(ctx, rev, engine.Query{}, engine.Page{}) {
		check("Read", err)
	}
	for _, err := range h.Changes(ctx, "", rev) {
		check("Changes", err)
	}
	for _, err := range h.ReadSets(ctx, rev, []engine.SetRead{{Object: t[0].Object, Relation: t[0].Relation}}, 10) {
		check("ReadSets", err)
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
			_, err := h.node(i).Write(ctx, adding(ts[2*k:2*k+2]...))
			wg.Wait()
			switch {
			case err == nil:
				done[k] = true
			case !cancelled(err) && errs.KindOf(err) != errs.Unknown:
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

// cancelledWithAKey cuts writes off at any moment and then repeats them. After
// the repetition each is there once, however the first try ended.
func cancelledWithAKey(h *harness) {
	const n = 40
	ts := numbered(0, n)
	parallel(h, 4, func(i int) error {
		for k := i; k < n; k += 4 {
			w := adding(ts[k])
			w.If = []engine.Precondition{absent(exactly(ts[k]))}
			w.Key = ts[k].String()
			ctx, cancel := context.WithCancel(h.ctx)
			var wg sync.WaitGroup
			wg.Go(cancel)
			first, err := h.node(i).Write(ctx, w)
			wg.Wait()
			if err != nil && !cancelled(err) && errs.KindOf(err) != errs.Unknown {
				return err
			}
			again, repeated := h.node(i+k).Write(h.ctx, w)
			if repeated != nil {
				return repeated
			}
			if again.Inserted != 1 || err == nil && again != first {
				return fmt.Errorf("the first try of write %d says %+v and error %v, the second %+v", k, first, err, again)
			}
		}
		return nil
	})
	h.shows(h.head(), ts...)
	now := newState()
	h.must(now.apply(h.changes("", h.head())))
}
