package storetest

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// writesMatchTheOracle does random writes with everything a write can have, and
// compares the result, the state and the log after each.
func writesMatchTheOracle(h *harness) {
	r := h.random()
	now, rev := newState(), engine.Revision("")
	refused := 0
	for i := range 150 {
		h := h.at(i)
		w := small.write(r)
		before := now.clone()
		inserted, deleted, ok := now.write(w)
		done, err := h.Write(h.ctx, w)
		if !ok {
			refused++
			h.fails(err, errs.Refused)
			if done != (engine.Written{}) {
				h.Fatalf("write %d is refused and did %+v", i, done)
			}
			h.shows(h.head(), now.sorted(engine.Query{})...)
			continue
		}
		h.must(err)
		if done.Inserted != inserted || done.Deleted != deleted {
			h.Fatalf("write %d did %+v: expected %d inserted, %d deleted: %+v", i, done, inserted, deleted, w)
		}
		h.shows(done.Revision, now.sorted(engine.Query{})...)
		h.covers(done.Revision, rev)
		changes := h.changes(rev, done.Revision)
		h.must(before.apply(changes))
		if !before.equal(now) {
			h.Fatalf("the changes of write %d do not lead to the state: %v", i, changes)
		}
		rev = done.Revision
	}
	if refused == 0 || refused == 150 {
		h.Fatalf("%d of 150 writes were refused: the test has no edge", refused)
	}
}

// netCounts are those of a write whose parts work on the same tuples.
func netCounts(h *harness) {
	ts := parse("doc:a#view@ann", "doc:a#view@bob", "doc:a#view@cid", "doc:b#view@ann")
	ns := "doc"
	object := "a"
	ofA := engine.Query{Namespace: &ns, Object: &object}
	insert := func(t engine.Tuple) engine.Update { return engine.Update{Op: engine.Insert, Tuple: t} }
	remove := func(t engine.Tuple) engine.Update { return engine.Update{Op: engine.Delete, Tuple: t} }
	for name, c := range map[string]struct {
		before            []engine.Tuple
		w                 engine.Write
		inserted, deleted int64
		after             []engine.Tuple
	}{
		"insert":                         {nil, adding(ts[0], ts[1]), 2, 0, ts[:2]},
		"insert twice":                   {nil, adding(ts[0], ts[0]), 1, 0, ts[:1]},
		"insert what is there":           {ts[:1], adding(ts[0], ts[1]), 1, 0, ts[:2]},
		"delete twice":                   {ts[:1], removing(ts[0], ts[0]), 0, 1, nil},
		"delete what is not there":       {ts[:1], removing(ts[1]), 0, 0, ts[:1]},
		"insert and delete":              {nil, engine.Write{Updates: []engine.Update{insert(ts[0]), remove(ts[0])}}, 0, 0, nil},
		"delete and insert":              {ts[:1], engine.Write{Updates: []engine.Update{remove(ts[0]), insert(ts[0])}}, 0, 0, ts[:1]},
		"delete and insert, not there":   {nil, engine.Write{Updates: []engine.Update{remove(ts[0]), insert(ts[0])}}, 1, 0, ts[:1]},
		"to and fro":                     {ts[:1], engine.Write{Updates: []engine.Update{remove(ts[0]), insert(ts[0]), remove(ts[0])}}, 0, 1, nil},
		"swap":                           {ts[:1], engine.Write{Updates: []engine.Update{remove(ts[0]), insert(ts[1])}}, 1, 1, ts[1:2]},
		"query":                          {ts, engine.Write{Delete: []engine.Query{ofA}}, 0, 3, ts[3:]},
		"query twice":                    {ts, engine.Write{Delete: []engine.Query{ofA, ofA, exactly(ts[1])}}, 0, 3, ts[3:]},
		"query of nothing":               {ts[3:], engine.Write{Delete: []engine.Query{ofA}}, 0, 0, ts[3:]},
		"query and its tuple back":       {ts, engine.Write{Delete: []engine.Query{ofA}, Updates: []engine.Update{insert(ts[1])}}, 0, 2, []engine.Tuple{ts[1], ts[3]}},
		"query and all back":             {ts, engine.Write{Delete: []engine.Query{{}}, Updates: updates(engine.Insert, ts)}, 0, 0, ts},
		"query and a new one":            {ts[:2], engine.Write{Delete: []engine.Query{ofA}, Updates: []engine.Update{insert(ts[2])}}, 1, 2, ts[2:3]},
		"query and delete":               {ts[:2], engine.Write{Delete: []engine.Query{ofA}, Updates: []engine.Update{remove(ts[1])}}, 0, 2, nil},
		"query, back and gone":           {ts[:1], engine.Write{Delete: []engine.Query{ofA}, Updates: []engine.Update{insert(ts[0]), remove(ts[0])}}, 0, 1, nil},
		"query does not see the updates": {nil, engine.Write{Delete: []engine.Query{ofA}, Updates: []engine.Update{insert(ts[0])}}, 1, 0, ts[:1]},
		"nothing":                        {ts[:1], engine.Write{}, 0, 0, ts[:1]},
	} {
		h.do(engine.Write{Delete: []engine.Query{{}}, Updates: updates(engine.Insert, c.before)})
		before := h.head()
		done := h.do(c.w)
		if done.Inserted != c.inserted || done.Deleted != c.deleted {
			h.Errorf("%s: %+v: expected %d inserted, %d deleted", name, done, c.inserted, c.deleted)
		}
		h.shows(done.Revision, c.after...)
		h.shows(before, c.before...)
		now := newState(c.before...)
		h.must(now.apply(h.changes(before, done.Revision)))
		h.same(now.sorted(engine.Query{}), newState(c.after...).sorted(engine.Query{}))
	}
}

func deleteEveryQuery(h *harness) {
	r := h.random()
	now := newState()
	for range 3 {
		for _, q := range append(small.queries(r), engine.Query{}) {
			ups := small.updates(r, 60)
			now.update(ups...)
			before := h.write(ups...)
			replayed := now.clone()
			_, want, _ := now.write(engine.Write{Delete: []engine.Query{q}})
			done := h.deleteAll(q)
			if done.Deleted != want || done.Inserted != 0 {
				h.Fatalf("query %s: %+v: expected %d deleted", show(q), done, want)
			}
			h.shows(done.Revision, now.sorted(engine.Query{})...)
			h.must(replayed.apply(h.changes(before, done.Revision)))
			if !replayed.equal(now) {
				h.Fatalf("query %s: the changes do not lead to the state", show(q))
			}
			h.covers(h.deleteAll(q).Revision, done.Revision)
		}
	}
}

// deleteMany goes beyond what a backend may change at once, and is still one
// write.
func deleteMany(h *harness) {
	const n = 10_500
	ts := numbered(0, n)
	before := h.insert(ts...)
	stop := background(h, func(int) error {
		head, err := h.Head(h.ctx)
		if err != nil {
			return err
		}
		first, err := collect(h, head, exactly(ts[0]))
		if err != nil {
			return err
		}
		last, err := collect(h, head, exactly(ts[n-1]))
		if err != nil {
			return err
		}
		if len(first) != len(last) {
			return fmt.Errorf("the deletion is half done: the first tuple is there %d times, the last %d", len(first), len(last))
		}
		return nil
	})
	ns := "doc"
	w := engine.Write{Delete: []engine.Query{{Namespace: &ns}}, Updates: updates(engine.Insert, ts[n/2:n/2+10])}
	done := h.do(w)
	stop()
	if done.Deleted != n-10 || done.Inserted != 0 {
		h.Fatalf("%+v: expected %d deleted", done, n-10)
	}
	h.shows(done.Revision, ts[n/2:n/2+10]...)
	h.same(h.read(before, engine.Query{}), ts)
}

var digits = regexp.MustCompile(`\d+`)

// preconditionsAreNamed has one of many fail, of each kind, and reads its index
// from the message.
func preconditionsAreNamed(h *harness) {
	ts := parse("doc:there#view@ann", "doc:missing#view@ann", "doc:new#view@ann")
	rev := h.insert(ts[0])
	for fields := range 16 {
		there, missing := queryOf(ts[0], fields), queryOf(ts[1], fields|2)
		for _, bad := range []engine.Precondition{absent(there), exists(missing)} {
			for _, i := range []int{0, 1, 7, 11} {
				var ifs []engine.Precondition
				for k := range 12 {
					good := [...]engine.Precondition{exists(there), absent(missing)}[k%2]
					ifs = append(ifs, good)
				}
				ifs[i] = bad
				w := adding(ts[2])
				w.If = ifs
				done, err := h.Write(h.ctx, w)
				h.fails(err, errs.Refused)
				if done != (engine.Written{}) {
					h.Fatalf("a refused write did %+v", done)
				}
				if got := digits.FindString(err.Error()); got != strconv.Itoa(i) {
					h.Fatalf("message %q: expected it to name %d", err, i)
				}
			}
		}
	}
	h.shows(h.head(), ts[0])
	if got := h.changes(rev, h.head()); len(got) != 0 {
		h.Fatalf("refused writes are in the log: %v", got)
	}
	w := removing(ts[0]) // the whole write is refused, whatever it does
	w.If = []engine.Precondition{exists(exactly(ts[1]))}
	w.Delete = []engine.Query{{}}
	_, err := h.Write(h.ctx, w)
	h.fails(err, errs.Refused)
	h.shows(h.head(), ts[0])
}

// preconditionsSeeTheStateBefore has writes that make their own precondition
// true or false.
func preconditionsSeeTheStateBefore(h *harness) {
	t := parse("doc:a#view@ann")[0]
	ns := "doc"
	q := engine.Query{Namespace: &ns}
	insert, remove := updates(engine.Insert, []engine.Tuple{t}), updates(engine.Delete, []engine.Tuple{t})
	all := []engine.Query{{}}
	for _, c := range []struct {
		there bool
		w     engine.Write
		ok    bool
	}{
		{false, engine.Write{If: []engine.Precondition{absent(q)}, Updates: insert}, true},
		{true, engine.Write{If: []engine.Precondition{absent(q)}, Updates: insert}, false},
		{false, engine.Write{If: []engine.Precondition{exists(q)}, Updates: insert}, false},
		{true, engine.Write{If: []engine.Precondition{exists(q)}, Updates: remove}, true},
		{true, engine.Write{If: []engine.Precondition{absent(q)}, Updates: remove}, false},
		{true, engine.Write{If: []engine.Precondition{absent(q)}, Delete: all}, false},
		{true, engine.Write{If: []engine.Precondition{exists(q)}, Delete: all}, true},
		{true, engine.Write{If: []engine.Precondition{exists(q)}, Delete: all, Updates: insert}, true},
		{true, engine.Write{If: []engine.Precondition{exists(q), absent(q)}, Updates: remove}, false},
		{true, engine.Write{If: []engine.Precondition{exists(q)}}, true},
		{false, engine.Write{If: []engine.Precondition{exists(q)}}, false},
	} {
		for _, q := range []engine.Query{q, exactly(t), {}} {
			for i := range c.w.If {
				c.w.If[i].Query = q
			}
			h.delete(t)
			now := newState()
			if c.there {
				h.insert(t)
				now = newState(t)
			}
			_, _, ok := now.write(c.w)
			if ok != c.ok {
				h.Fatalf("the oracle disagrees with the table on %+v", c.w)
			}
			_, err := h.Write(h.ctx, c.w)
			if ok {
				h.must(err)
			} else {
				h.fails(err, errs.Refused)
			}
			h.shows(h.head(), now.sorted(engine.Query{})...)
		}
	}
}

// manyPreconditions is what a bulk import sends that may not overwrite.
func manyPreconditions(h *harness) {
	const n = 2000
	ts := numbered(0, n)
	w := adding(ts...)
	for _, t := range ts {
		w.If = append(w.If, absent(exactly(t)))
	}
	if done := h.do(w); done.Inserted != n {
		h.Fatalf("%+v: expected %d inserted", done, n)
	}
	_, err := h.Write(h.ctx, w)
	h.fails(err, errs.Refused)
	h.delete(ts[:n-1]...)
	_, err = h.Write(h.ctx, w)
	h.fails(err, errs.Refused)
	h.shows(h.head(), ts[n-1])
}
