package storetest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// keyRepeats repeats a write after others, also after one that undid it.
func keyRepeats(h *harness) {
	ts := parse("doc:a#view@ann", "doc:a#view@bob", "doc:b#view@ann", "doc:c#view@ann")
	ns, object := "doc", "a"
	h.insert(ts[0], ts[3])
	w := engine.Write{
		If:      []engine.Precondition{exists(exactly(ts[0])), absent(exactly(ts[2]))},
		Delete:  []engine.Query{{Namespace: &ns, Object: &object}},
		Updates: updates(engine.Insert, ts[1:3]),
		Key:     "replace",
	}
	first := h.do(w)
	if first.Inserted != 2 || first.Deleted != 1 {
		h.Fatalf("%+v: expected 2 inserted, 1 deleted", first)
	}
	again := func(i int, tuples ...engine.Tuple) {
		h.Helper()
		h := h.at(i)
		before := h.head()
		if done := h.do(w); done != first {
			h.Fatalf("the repeated write did %+v: expected %+v", done, first)
		}
		if _, changes := h.tail(before); len(changes) != 0 {
			h.Fatalf("the repeated write is in the log: %v", changes)
		}
		h.shows(h.head(), tuples...)
		h.shows(first.Revision, ts[1:]...)
	}
	again(0, ts[1:]...)
	again(1, ts[1:]...)
	h.insert(ts[0])
	again(2, ts...)
	h.delete(ts[1:3]...) // what the write did is undone
	again(1, ts[0], ts[3])
	h.deleteAll(engine.Query{})
	again(0)
	if n, err := h.dbs[0].Purge(h.ctx, afterwards().AddDate(-1, 0, 0)); err != nil || n != 0 {
		h.Fatalf("%d rows purged, error %v", n, err)
	}
	again(1)
}

// keyOfANoOp stays one, though the same write would do something later on.
func keyOfANoOp(h *harness) {
	t := parse("doc:a#view@ann")[0]
	w := removing(t)
	w.Key = "no-op"
	first := h.do(w)
	if first.Inserted != 0 || first.Deleted != 0 {
		h.Fatalf("%+v: expected nothing", first)
	}
	h.insert(t)
	if done := h.do(w); done != first {
		h.Fatalf("the repeated write did %+v: expected %+v", done, first)
	}
	h.shows(h.head(), t)
	empty := engine.Write{Key: "nothing at all"}
	first = h.do(empty)
	h.insert(parse("doc:b#view@ann")...)
	if done := h.do(empty); done != first {
		h.Fatalf("the repeated write did %+v: expected %+v", done, first)
	}
}

// keyOutlivesItsPreconditions repeats writes that could not be done any more:
// because of what they did themselves, or because of a new model.
func keyOutlivesItsPreconditions(h *harness) {
	t := parse("doc:a#view@ann")[0]
	h.putModel("// 1", 0)
	w := adding(t)
	w.If = []engine.Precondition{absent(exactly(t))}
	w.Model = 1
	w.Key = "once"
	first := h.do(w)
	if done := h.do(w); done != first {
		h.Fatalf("the repeated write did %+v: expected %+v", done, first)
	}
	h.putModel("// 2", 1)
	for _, w.Model = range []int64{1, 2, 0} { // a caller may have learnt of the new model
		if done := h.do(w); done != first {
			h.Fatalf("repeated under model %d the write did %+v: expected %+v", w.Model, done, first)
		}
	}
	w.Key, w.Model = "twice", 2
	_, err := h.Write(h.ctx, w)
	h.fails(err, errs.Refused)
}

// keyOfOtherContents uses a key again for writes that differ in one part.
func keyOfOtherContents(h *harness) {
	ts := parse("doc:a#view@ann", "doc:b#view@ann", "doc:c#view@ann", "doc:d#view@ann")
	base := func() engine.Write {
		return engine.Write{
			If:      []engine.Precondition{absent(exactly(ts[0]))},
			Delete:  []engine.Query{exactly(ts[2])},
			Updates: updates(engine.Insert, ts[:2]),
			Key:     "k",
		}
	}
	h.insert(ts[2:]...)
	first := h.do(base())
	before := h.head()
	ns, empty := "doc", ""
	for name, change := range map[string]func(w *engine.Write){
		"another tuple":            func(w *engine.Write) { w.Updates[1].Tuple = ts[3] },
		"another operation":        func(w *engine.Write) { w.Updates[1].Op = engine.Delete },
		"an update less":           func(w *engine.Write) { w.Updates = w.Updates[:1] },
		"an update more":           func(w *engine.Write) { w.Updates = append(w.Updates, w.Updates[0]) },
		"no update":                func(w *engine.Write) { w.Updates = nil },
		"another deletion":         func(w *engine.Write) { w.Delete[0] = exactly(ts[3]) },
		"a wider deletion":         func(w *engine.Write) { w.Delete[0] = engine.Query{Namespace: &ns} },
		"a deletion of an empty":   func(w *engine.Write) { w.Delete[0].Object = &empty },
		"a deletion of any object": func(w *engine.Write) { w.Delete[0].Object = nil },
		"a deletion elsewhere":     func(w *engine.Write) { w.Delete[0] = engine.Query{Object: &ns} },
		"no deletion":              func(w *engine.Write) { w.Delete = nil },
		"another precondition":     func(w *engine.Write) { w.If[0].Query = exactly(ts[3]) },
		"the contrary":             func(w *engine.Write) { w.If[0].Exists = true },
		"no precondition":          func(w *engine.Write) { w.If = nil },
		"the query elsewhere":      func(w *engine.Write) { w.If, w.Delete = nil, append(w.Delete, w.If[0].Query) },
		"a subject cut elsewhere":  func(w *engine.Write) { w.Updates[1].Tuple.Relation, w.Updates[1].Tuple.Subject.ID = "viewa", "nn" },
	} {
		w := base()
		change(&w)
		done, err := h.Write(h.ctx, w)
		if errs.KindOf(err) != errs.Invalid || done != (engine.Written{}) {
			h.Fatalf("%s: %+v, error %v: expected invalid", name, done, err)
		}
	}
	if _, changes := h.tail(before); len(changes) != 0 {
		h.Fatalf("writes with a used key are in the log: %v", changes)
	}
	if done := h.do(base()); done != first {
		h.Fatalf("the repeated write did %+v: expected %+v", done, first)
	}
	w := base()
	w.Key, w.If = "K", nil
	if done := h.do(w); done.Inserted != 0 || done.Deleted != 0 { // keys compare by bytes
		h.Fatalf("%+v: expected a write of its own, which changes nothing", done)
	}
}

// keyOfARefusedWrite is still free: nothing was done under it.
func keyOfARefusedWrite(h *harness) {
	ts := parse("doc:a#view@ann", "doc:b#view@ann")
	w := adding(ts[0])
	w.If = []engine.Precondition{exists(exactly(ts[1]))}
	w.Key = "k"
	_, err := h.Write(h.ctx, w)
	h.fails(err, errs.Refused)
	stale := adding(ts[0])
	stale.Key, stale.Model = "k", 9
	_, err = h.Write(h.ctx, stale)
	h.fails(err, errs.Conflict)
	h.insert(ts[1])
	first := h.do(w)
	if first.Inserted != 1 {
		h.Fatalf("%+v: expected 1 inserted", first)
	}
	h.delete(ts...)
	if done := h.do(w); done != first {
		h.Fatalf("the repeated write did %+v: expected %+v", done, first)
	}
	h.shows(h.head())
}

// keyLimits uses keys of any bytes: they are the caller's.
func keyLimits(h *harness) {
	ts := numbered(0, 20)
	keys := []string{strings.Repeat("k", engine.MaxKey), strings.Repeat("k", engine.MaxKey-1) + "l", " ", "k", "k ", "K",
		"'", "日本", "\x00", "k\x00", "\xff", "\n", `\x6b`}
	for i, key := range keys {
		w := adding(ts[i])
		w.Key = key
		first := h.do(w)
		if first.Inserted != 1 {
			h.Fatalf("key %q: %+v: expected 1 inserted", key, first)
		}
		h.delete(ts[i])
		if done := h.do(w); done != first {
			h.Fatalf("key %q: the repeated write did %+v: expected %+v", key, done, first)
		}
	}
	w := adding(ts[19])
	w.Key = strings.Repeat("k", engine.MaxKey+1)
	done, err := h.Write(h.ctx, w)
	h.fails(err, errs.Invalid)
	if done != (engine.Written{}) {
		h.Fatalf("a refused write did %+v", done)
	}
	h.shows(h.head())
}

// keyRepeatsAtOnce has several callers do the same write at the same time, as
// after a time-out. It is done once, and all are told the same.
func keyRepeatsAtOnce(h *harness) {
	const callers = 6
	for round := range 15 {
		ts := numbered(round, round+3)
		h.deleteAll(engine.Query{})
		w := engine.Write{
			If:      []engine.Precondition{absent(exactly(ts[0]))},
			Updates: updates(engine.Insert, ts),
			Key:     fmt.Sprint("round ", round),
		}
		start := h.head()
		var mu sync.Mutex
		told := map[engine.Written]int{}
		parallel(h, callers, func(i int) error {
			done, err := h.node(i).Write(h.ctx, w)
			if err != nil {
				return err
			}
			mu.Lock()
			told[done]++
			mu.Unlock()
			return nil
		})
		if len(told) != 1 {
			h.Fatalf("round %d: the callers were told %v", round, told)
		}
		for done := range told {
			if done.Inserted != 3 || done.Deleted != 0 {
				h.Fatalf("round %d: %+v: expected 3 inserted", round, done)
			}
			h.shows(done.Revision, ts...)
		}
		if _, changes := h.tail(start); len(changes) != 3 {
			h.Fatalf("round %d: the log has %v", round, changes)
		}
	}
	// Different contents under one key at the same time: one is done.
	for round := range 15 {
		h.deleteAll(engine.Query{})
		var mu sync.Mutex
		won := 0
		parallel(h, callers, func(i int) error {
			w := adding(numbered(i, i+1)...)
			w.Key = fmt.Sprint("contest ", round)
			_, err := h.node(i).Write(h.ctx, w)
			if errs.KindOf(err) == errs.Invalid {
				return nil
			}
			mu.Lock()
			won++
			mu.Unlock()
			return err
		})
		if left := h.read(h.head(), engine.Query{}); won != 1 || len(left) != 1 {
			h.Fatalf("round %d: %d callers had the key, and there is %v", round, won, left)
		}
	}
}
