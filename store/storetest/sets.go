package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// set returns the rows that the state has to yield for the set with index i.
func (s state) set(i int, set engine.SetRead, limit int) []engine.SetRow {
	all := s.sorted(engine.Query{Namespace: &set.Object.Namespace, Object: &set.Object.ID, Relation: &set.Relation})
	large := len(all) > limit && !set.Whole
	var out []engine.SetRow
	for _, t := range all {
		if !large || t.Subject.Relation != "" || t.Subject == set.Member {
			out = append(out, engine.SetRow{Set: i, Large: large, Member: t.Subject})
		}
	}
	if large && len(out) == 0 {
		out = append(out, engine.SetRow{Set: i, Large: true})
	}
	return out
}

// checkSets compares what the store yields at rev with the oracle. The sets may
// come in any order, but each in one piece.
func checkSets(h *harness, now state, rev engine.Revision, sets []engine.SetRead, limit int) error {
	rows, err := h.trySets(rev, sets, limit)
	if err != nil {
		return err
	}
	got := make([][]engine.SetRow, len(sets))
	last := -1
	for _, row := range rows {
		if row.Set < 0 || row.Set >= len(sets) {
			return fmt.Errorf("row %+v is of no set: there are %d", row, len(sets))
		}
		if row.Set != last && got[row.Set] != nil {
			return fmt.Errorf("the rows of set %d come in two pieces", row.Set)
		}
		last = row.Set
		got[row.Set] = append(got[row.Set], row)
	}
	for i, set := range sets {
		if want := now.set(i, set, limit); !slices.Equal(got[i], want) {
			return fmt.Errorf("set %d, %+v, limit %d: got %d rows %v\nwant %d rows %v",
				i, set, limit, len(got[i]), got[i][:min(len(got[i]), 20)], len(want), want[:min(len(want), 20)])
		}
	}
	return nil
}

// crowd is a universe of few sets with many members.
var crowd = universe{
	namespaces:        []string{"doc", "Doc"},
	objects:           []string{"", "1", "é"},
	relations:         []string{"", "view"},
	subjectNamespaces: []string{"", "User", "doc", "group"},
	subjects:          []string{"", "ann", "ann#", "bob", "1", "2", "3", "日本"},
	subjectRelations:  []string{"", "", "view", "member"},
}

// sets returns n random sets, some of them twice, some of unknown objects.
func (u universe) sets(r *rand.Rand, n int) []engine.SetRead {
	var out []engine.SetRead
	for range n {
		t := u.tuple(r)
		switch r.IntN(12) {
		case 0:
			t.Object.ID = "nobody"
		case 1:
			t.Object.Namespace, t.Relation = "nothing", "nothing"
		}
		set := engine.SetRead{Object: t.Object, Relation: t.Relation, Member: t.Subject, Whole: r.IntN(4) == 0}
		if len(out) > 0 && r.IntN(5) == 0 {
			set = out[r.IntN(len(out))]
		}
		out = append(out, set)
	}
	return out
}

// setsAreWhatReadShows reads random sets with random limits at every revision of
// a random history.
func setsAreWhatReadShows(h *harness) {
	r := h.random()
	now := newState()
	states, revs := []state{now.clone()}, []engine.Revision{""}
	for i := range 12 {
		ups := crowd.updates(r, 60)
		now.update(ups...)
		states, revs = append(states, now.clone()), append(revs, h.at(i).write(ups...))
	}
	for round := range 150 {
		i := r.IntN(len(revs))
		limit := r.IntN(25)
		if r.IntN(10) == 0 {
			limit = math.MaxInt
		}
		h.must(checkSets(h.at(round), states[i], revs[i], crowd.sets(r, r.IntN(12)), limit))
	}
}

// largeSets reads one set of many members beside small ones, with limits around
// its size and each kind of member.
func largeSets(h *harness) {
	const n = 10_500
	doc := engine.Object{Namespace: "doc", ID: "1"}
	member := func(s engine.Subject) engine.Tuple { return engine.Tuple{Object: doc, Relation: "view", Subject: s} }
	var ts []engine.Tuple
	for i := range n - 3 {
		ts = append(ts, member(engine.SubjectSet("User", fmt.Sprint(i), "")))
	}
	groups := []engine.Subject{engine.SubjectSet("A", "eng", "member"), engine.SubjectSet("User", "5", "friends"), engine.SubjectSet("Z", "eng", "member")}
	for _, g := range groups {
		ts = append(ts, member(g))
	}
	other := parse("doc:0#view@User:1", "doc:1#edit@User:1", "doc:1#edit@User:2", "doc:2#view@User:1")
	h.insert(other...)
	rev := h.insert(ts...)
	now := newState(append(ts, other...)...)
	h.deleteAll(engine.Query{})

	set := engine.SetRead{Object: doc, Relation: "view"}
	for i, m := range []engine.Subject{
		{}, engine.SubjectSet("User", "77", ""), engine.SubjectSet("User", "5", ""), engine.SubjectSet("User", "999999", ""),
		engine.SubjectID("77"), groups[0], groups[1], groups[2], engine.SubjectSet("User", "6", "friends"),
	} {
		set.Member = m
		sets := []engine.SetRead{{Object: doc, Relation: "edit", Member: m}, set, {Object: other[0].Object, Relation: "view"}, set}
		h.must(checkSets(h, now, rev, sets, [...]int{0, 1, 100}[i%3]))
	}
	for _, limit := range []int{4999, 5000, n - 1, n, n + 1} {
		h.must(checkSets(h, now, rev, []engine.SetRead{set}, limit))
	}
	whole := engine.SetRead{Object: doc, Relation: "view", Whole: true}
	h.must(checkSets(h, now, rev, []engine.SetRead{whole, set, whole}, 3))
	h.must(checkSets(h, newState(), h.head(), []engine.SetRead{whole, {Object: doc, Relation: "view"}}, 3))

	rev = h.insert(ts[:200]...) // now without subject sets
	now = newState(ts[:200]...)
	h.must(checkSets(h, now, rev, []engine.SetRead{{Object: doc, Relation: "view", Member: engine.SubjectID("nobody")}}, 199))
	h.must(checkSets(h, now, rev, []engine.SetRead{{Object: doc, Relation: "view", Member: ts[7].Subject}}, 199))
}

// manySubjectSets has a large set whose subject sets alone are more than a
// backend may read at once.
func manySubjectSets(h *harness) {
	doc := engine.Object{Namespace: "doc", ID: "1"}
	var ts []engine.Tuple
	for i := range 11_000 {
		s := engine.SubjectSet("group", fmt.Sprintf("%05d", i), "member")
		if i%2 == 0 {
			s.Relation = ""
		}
		ts = append(ts, engine.Tuple{Object: doc, Relation: "view", Subject: s})
	}
	rev := h.insert(ts...)
	now := newState(ts...)
	for _, i := range []int{0, 1, 5000, 5001, 10_000, 10_999} {
		h.must(checkSets(h, now, rev, []engine.SetRead{{Object: doc, Relation: "view", Member: ts[i].Subject}}, 50))
	}
}

// manySets asks for thousands of sets in one call, as a wide walk does.
func manySets(h *harness) {
	r := h.random()
	now, rev := fill(h, 300)
	for _, n := range []int{0, 1, 3000} {
		h.must(checkSets(h, now, rev, small.sets(r, n), 2))
	}
	ts := numbered(0, 3000)
	rev = h.insert(ts...)
	now.update(updates(engine.Insert, ts)...)
	var sets []engine.SetRead
	for _, t := range ts {
		sets = append(sets, engine.SetRead{Object: t.Object, Relation: t.Relation, Member: t.Subject})
	}
	h.must(checkSets(h, now, rev, sets, 10))
	h.must(checkSets(h, now, rev, sets, 0))
	rows, err := h.trySets("no revision", sets, 10)
	h.fails(err, errs.Invalid)
	if len(rows) > 0 {
		h.Fatalf("%d rows at no revision", len(rows))
	}
}

// setsWhileWriting reads sets at a fixed revision while others write, as a walk
// does.
func setsWhileWriting(h *harness) {
	r := h.random()
	now := newState()
	ups := crowd.updates(r, 500)
	now.update(ups...)
	rev := h.write(ups...)
	seed := r.Uint64()
	stop := background(h, func(i int) error {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		_, err := h.node(i).Write(h.ctx, engine.Write{Updates: crowd.updates(r, 20)})
		return err
	})
	for i := range 60 {
		h.must(checkSets(h.at(i), now, rev, crowd.sets(r, 8), r.IntN(20)))
	}
	stop()
}
