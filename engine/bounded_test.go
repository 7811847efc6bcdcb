package engine_test

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// TestBoundedAgainstComplete asks two engines on one store the same questions,
// one of which keeps almost nothing in memory, and sets of two members are large
// for it. Between the questions the tuples change.
func TestBoundedAgainstComplete(t *testing.T) {
	r := engine.NewSeed(t)
	for range 150 {
		w := engine.NewRandomWorld(r)
		if len(w.Tuples) == 0 {
			continue
		}
		s := newStore(t)
		complete := newEngine(t, s, engine.Options{})
		if _, _, err := complete.ApplyModel(t.Context(), w.Source, engine.ApplyModel{}); err != nil {
			t.Fatal(err)
		}
		insert(t, complete, w.Tuples)
		bounded := newEngine(t, s, engine.Options{Memory: 1 + r.Int64N(complete.Stats().Bytes), LargeSet: 1 + r.IntN(3)})
		if !bounded.Stats().Bounded {
			t.Fatal("all tuples fit")
		}
		same := func(q engine.Tuple, at engine.Consistency) {
			want, wantErr := complete.Check(t.Context(), q, at)
			got, err := bounded.Check(t.Context(), q, at)
			if got.Allowed != want.Allowed || errs.KindOf(err) != errs.KindOf(wantErr) {
				t.Fatalf("%s: bounded says %v, %v; complete says %v, %v\n%s\n%v", q, got.Allowed, err, want.Allowed, wantErr, w.Source, w.Tuples)
			}
			if at.Mode == engine.Exact && err == nil && got.Token != at.Token {
				t.Fatalf("asked at %s, answered at %s", at.Token, got.Token)
			}
		}
		old, err := complete.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range w.Questions[:min(80, len(w.Questions))] {
			if i%10 == 9 {
				done, err := complete.Write(t.Context(), engine.Write{Updates: w.RandomUpdates(r, 1+r.IntN(4))})
				if err != nil {
					t.Fatal(err)
				}
				same(q, exactly(done.Token))
				same(q, atLeast(done.Token))
			}
			same(q, fully)
			same(q, exactly(old))
		}
		batch := w.Questions[:min(50, len(w.Questions))]
		want, _, err := complete.BatchCheck(t.Context(), batch, fully)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := bounded.BatchCheck(t.Context(), batch, fully)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if got[i].Allowed != want[i].Allowed || errs.KindOf(got[i].Err) != errs.KindOf(want[i].Err) {
				t.Fatalf("%s in a batch: bounded says %v, complete says %v", batch[i], got[i], want[i])
			}
		}
		for _, q := range batch[:10] {
			on := engine.Subject{Object: q.Object, Relation: q.Relation}
			want, _, wantErr := complete.Expand(t.Context(), on, 4, fully)
			got, _, err := bounded.Expand(t.Context(), on, 4, fully)
			if !reflect.DeepEqual(got, want) || errs.KindOf(err) != errs.KindOf(wantErr) {
				t.Fatalf("the trees of %s differ", on)
			}
		}
	}
}

func insert(tb testing.TB, e *engine.Engine, tuples []engine.Tuple) engine.Token {
	tb.Helper()
	var w engine.Write
	for _, x := range tuples {
		w.Updates = append(w.Updates, engine.Update{Op: engine.Insert, Tuple: x})
	}
	done, err := e.Write(tb.Context(), w)
	if err != nil {
		tb.Fatal(err)
	}
	return done.Token
}

// TestBoundedRounds: a cold question costs a round trip per level, whatever the
// width, and a warm one none.
func TestBoundedRounds(t *testing.T) {
	const width = 300
	s := newStore(t)
	writer := newEngine(t, s, engine.Options{})
	if _, _, err := writer.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	var tuples []string
	for i := range width {
		// Level 1: the document. 2: its parents. 3: their groups. 4: groups in those.
		tuples = append(tuples,
			fmt.Sprintf("Doc:top#parents@Doc:p%d", i),
			fmt.Sprintf("Doc:p%d#viewers@Group:g%d#members", i, i),
			fmt.Sprintf("Group:g%d#members@Group:h%d#members", i, i))
	}
	write(t, writer, append(tuples, "Group:h7#members@User:ann")...)
	for _, q := range []string{"Doc:top#view@User:ann", "Doc:top#view@User:nobody"} {
		e := newEngine(t, s, engine.Options{Memory: 1, LargeSet: 2 * width})
		if !e.Stats().Bounded {
			t.Fatal("the engine is not in bounded mode")
		}
		answer, err := e.Check(t.Context(), parse(t, q), latency)
		if err != nil || answer.Reads.Rounds != 4 {
			t.Errorf("%s took %+v, error %v: expected 4 round trips", q, answer.Reads, err)
		}
		if got := e.Stats().CheckRounds; got != 4 {
			t.Errorf("counted %d round trips: expected 4", got)
		}
	}
}

// TestBoundedStoreDown: what memory does not know is an error, not a "no".
func TestBoundedStoreDown(t *testing.T) {
	s := &faulty{Store: newStore(t)}
	writer := newEngine(t, s, engine.Options{})
	if _, _, err := writer.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	write(t, writer, "Doc:1#viewers@User:ann", "Doc:1#viewers@Group:eng#members", "Group:eng#members@User:bob")
	e := newEngine(t, s, engine.Options{Memory: 1})
	if !check(t, e, "Doc:1#viewers@User:ann", latency) {
		t.Error("ann is no viewer")
	}
	s.down.Store(true)
	if !check(t, e, "Doc:1#viewers@User:ann", latency) {
		t.Error("what memory knows is not answered")
	}
	_, err := e.Check(t.Context(), parse(t, "Doc:1#viewers@User:eve"), latency)
	wantKind(t, err, errs.Unavailable, "down")
	s.down.Store(false)
	if check(t, e, "Doc:1#viewers@User:eve", latency) || !check(t, e, "Doc:1#viewers@User:bob", latency) {
		t.Error("wrong after the store is back")
	}
}

// TestBoundedWarm: what is asked for again is in memory, the negative answers of
// the store too, and changes reach it.
func TestBoundedWarm(t *testing.T) {
	s := newStore(t)
	writer := newEngine(t, s, engine.Options{})
	if _, _, err := writer.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	var tuples []string
	for i := range 3000 {
		tuples = append(tuples, fmt.Sprintf("Group:big#members@User:u%d", i), fmt.Sprintf("Doc:d%d#viewers@User:u%d", i, i))
	}
	write(t, writer, append(tuples, "Doc:1#viewers@Group:big#members")...)
	e := newEngine(t, s, engine.Options{Memory: 200_000, LargeSet: 100})
	ask := func(q string, want bool, rounds int64) {
		t.Helper()
		answer, err := e.Check(t.Context(), parse(t, q), fully)
		if err != nil || answer.Allowed != want || answer.Reads.Rounds != rounds {
			t.Errorf("%s: %v in %+v, error %v: expected %v in %d round trips", q, answer.Allowed, answer.Reads, err, want, rounds)
		}
		if answer.Reads.Rows > 10 {
			t.Errorf("%s read %d rows of a large set", q, answer.Reads.Rows)
		}
	}
	ask("Doc:1#view@User:u7", true, 2)
	ask("Doc:1#view@User:u7", true, 0)
	ask("Doc:1#view@User:nobody", false, 1) // a look-up in the large set
	ask("Doc:1#view@User:nobody", false, 0)
	write(t, writer, "Group:big#members@User:nobody", "-Group:big#members@User:u7")
	ask("Doc:1#view@User:nobody", true, 0)
	ask("Doc:1#view@User:u7", false, 0)
	write(t, writer, "Doc:1#banned@User:nobody")
	ask("Doc:1#view@User:nobody", false, 0)
}

// TestBoundedMemory walks over more than fits, and sees that the budget holds.
func TestBoundedMemory(t *testing.T) {
	const docCount, budget = 4000, 300_000
	s := newStore(t)
	writer := newEngine(t, s, engine.Options{})
	if _, _, err := writer.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	var tuples []string
	for i := range docCount {
		tuples = append(tuples, fmt.Sprintf("Doc:document-%d#viewers@User:user-%d", i, i))
	}
	write(t, writer, tuples...)
	e := newEngine(t, s, engine.Options{Memory: budget})
	for i := range docCount {
		if !check(t, e, fmt.Sprintf("Doc:document-%d#view@User:user-%d", i, i), latency) {
			t.Fatalf("lost document %d", i)
		}
		if got := e.Stats().Bytes; got > budget*3/2 {
			t.Fatalf("after %d documents %d bytes are in memory: expected about %d at most", i, got, budget)
		}
	}
	if e.Stats().Compactions == 0 {
		t.Error("memory was never cleared of names")
	}
}

// TestGoesBounded: an engine whose tuples outgrow the budget goes on in bounded
// mode, and nobody who asks meanwhile notices.
func TestGoesBounded(t *testing.T) {
	var told atomic.Int64
	e := withDocs(t, engine.Options{Memory: withDocs(t, engine.Options{}).Stats().Bytes + 20_000, OnBounded: func() { told.Add(1) }})
	if e.Stats().Bounded {
		t.Fatal("an empty store does not fit")
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if answer, err := e.Check(t.Context(), parse(t, "Doc:0#view@User:u0"), fully); err != nil {
				t.Errorf("%v, %v", answer, err)
				return
			}
		}
	})
	for i := range 300 {
		token := write(t, e, fmt.Sprintf("Doc:%d#viewers@User:u%d", i, i), fmt.Sprintf("Doc:%d#parents@Doc:%d", i+1, i))
		if !check(t, e, fmt.Sprintf("Doc:%d#view@User:u%d", i, i), atLeast(token)) {
			t.Fatalf("document %d is not there", i)
		}
	}
	close(stop)
	wg.Wait()
	if !e.Stats().Bounded || told.Load() != 1 {
		t.Errorf("the engine did not go over to bounded mode, or said so %d times", told.Load())
	}
	if !check(t, e, "Doc:20#view@User:u0", fully) || check(t, e, "Doc:0#view@User:u20", fully) {
		t.Error("wrong answer")
	}
}

// TestBoundedConcurrent has several callers ask an engine in bounded mode while
// others write. Each answer must be right at the revision that it names, as the
// complete engine sees that revision, and that must show the token asked with.
func TestBoundedConcurrent(t *testing.T) {
	r := engine.NewSeed(t)
	w := engine.NewRandomWorld(r)
	for len(w.Tuples) < 20 {
		w = engine.NewRandomWorld(r)
	}
	s := newStore(t)
	complete := newEngine(t, s, engine.Options{})
	if _, _, err := complete.ApplyModel(t.Context(), w.Source, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	var newest atomic.Value
	newest.Store(insert(t, complete, w.Tuples))
	bounded := newEngine(t, s, engine.Options{Memory: 1 + complete.Stats().Bytes/2, LargeSet: 2})
	const rounds = 400
	batches := make([][]engine.Update, rounds)
	for i := range batches {
		batches[i] = w.RandomUpdates(r, 1+r.IntN(3))
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for _, ups := range batches {
			receipt, err := complete.Write(t.Context(), engine.Write{Updates: ups})
			if err != nil {
				t.Error(err)
				return
			}
			newest.Store(receipt.Token)
		}
	})
	for caller := range 4 {
		wg.Go(func() {
			for i := caller; ; i += 4 {
				select {
				case <-done:
					return
				default:
				}
				q := w.Questions[i%len(w.Questions)]
				got, err := bounded.Check(t.Context(), q, atLeast(newest.Load().(engine.Token)))
				if errs.KindOf(err) == errs.Unavailable {
					t.Error(err)
					return
				}
				want, wantErr := complete.Check(t.Context(), q, exactly(got.Token))
				if got.Allowed != want.Allowed || errs.KindOf(err) != errs.KindOf(wantErr) {
					t.Errorf("%s: bounded says %v, %v; complete at the same revision %v, %v", q, got.Allowed, err, want.Allowed, wantErr)
					return
				}
			}
		})
	}
	wg.Wait()
}
