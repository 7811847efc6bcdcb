package storetest

import (
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

func readYourWrite(h *harness) {
	ts := parse("doc:1#viewer@User:ann", "doc:1#viewer@group:eng#member", "doc:2#owner@bob")
	rev := h.insert(ts...)
	h.shows(rev, ts...)
	h.shows(h.head(), ts...)
	rev = h.delete(ts[1])
	h.shows(rev, ts[0], ts[2])
	h.shows(h.head(), ts[0], ts[2])
}

func oldRevisionIsStable(h *harness) {
	r := h.random()
	now := newState()
	states, revs := []state{now.clone()}, []engine.Revision{h.head()}
	for range 20 {
		ups := small.updates(r, 1+r.IntN(8))
		now.update(ups...)
		states, revs = append(states, now.clone()), append(revs, h.write(ups...))
	}
	for i := range revs {
		for _, q := range append(small.queries(r), engine.Query{}) {
			h.same(h.read(revs[i], q), states[i].sorted(q))
		}
	}
}

func emptyStore(h *harness) {
	for _, rev := range []engine.Revision{"", h.head()} {
		h.shows(rev)
		if m, err := h.Model(h.ctx, rev); err != nil || m.Number != 0 {
			h.Fatalf("model %+v, error %v: expected none", m, err)
		}
		if got := h.changes("", rev); len(got) != 0 {
			h.Fatalf("changes %v: expected none", got)
		}
	}
	h.insert(parse("doc:1#viewer@ann")...)
	h.shows("")
}

func emptyWrite(h *harness) {
	t := parse("doc:1#viewer@ann")
	before := h.insert(t...)
	rev := h.write()
	h.covers(rev, before)
	h.shows(rev, t...)
}

func writeIsAtomic(h *harness) {
	ts := parse("doc:1#viewer@ann", "doc:2#viewer@ann", "doc:3#viewer@ann")
	first := h.insert(ts[0])
	ok := engine.Update{Op: engine.Insert, Tuple: ts[1]}
	for name, bad := range map[string]engine.Update{
		"no operation":      {Tuple: ts[2]},
		"unknown operation": {Op: 9, Tuple: ts[2]},
		"no namespace":      {Op: engine.Insert, Tuple: engine.Tuple{Relation: "viewer", Subject: engine.SubjectID("ann")}},
		"NUL byte":          {Op: engine.Insert, Tuple: engine.Tuple{Object: engine.Object{Namespace: "doc", ID: "a\x00b"}}},
		"not UTF-8":         {Op: engine.Insert, Tuple: engine.Tuple{Object: engine.Object{Namespace: "doc", ID: "\xff"}}},
		"too long":          {Op: engine.Insert, Tuple: engine.Tuple{Object: engine.Object{Namespace: "doc", ID: strings.Repeat("x", engine.MaxID+1)}}},
		"half a subject":    {Op: engine.Delete, Tuple: engine.Tuple{Object: engine.Object{Namespace: "doc"}, Subject: engine.SubjectSet("", "x", "y")}},
	} {
		ups := []engine.Update{ok, {Op: engine.Delete, Tuple: ts[0]}, bad, {Op: engine.Insert, Tuple: ts[2]}}
		done, err := h.Write(h.ctx, engine.Write{Updates: ups})
		if done != (engine.Written{}) || errs.KindOf(err) != errs.Invalid {
			h.Fatalf("%s: %+v, error %v: expected one of kind invalid", name, done, err)
		}
	}
	h.shows(h.head(), ts[0])
	if got := h.changes(first, h.head()); len(got) != 0 {
		h.Fatalf("refused writes are in the log: %v", got)
	}
}

func insertIsIdempotent(h *harness) {
	t := parse("doc:1#viewer@ann")[0]
	first := h.insert(t)
	again := h.insert(t)
	h.covers(again, first)
	h.shows(again, t)
	twice := h.insert(t, t)
	h.shows(twice, t)
	if got := h.changes(first, h.head()); len(got) != 0 {
		h.Fatalf("no-ops are in the log: %v", got)
	}
	h.shows(h.delete(t))
}

func deleteIsIdempotent(h *harness) {
	ts := parse("doc:1#viewer@ann", "doc:1#viewer@bob")
	start := h.delete(ts...)
	h.shows(start)
	h.insert(ts...)
	gone := h.delete(ts[0])
	again := h.delete(ts[0], ts[0])
	h.covers(again, gone)
	h.shows(again, ts[1])
	if got := h.changes(gone, h.head()); len(got) != 0 {
		h.Fatalf("no-ops are in the log: %v", got)
	}
}

// updatesApplyInOrder runs every sequence of up to four insertions (+) and
// deletions (-) of one tuple in one write, on a store that has it or not.
func updatesApplyInOrder(h *harness) {
	t := parse("doc:1#viewer@ann")[0]
	other := parse("doc:0#viewer@ann", "doc:2#viewer@ann")
	h.insert(other...)
	for _, there := range []bool{false, true} {
		for n := 1; n <= 4; n++ {
			for bits := range 1 << n {
				now := newState(other...)
				before := h.delete(t)
				if there {
					before = h.insert(t)
					now.update(engine.Update{Op: engine.Insert, Tuple: t})
				}
				replayed := now.clone()
				var ups []engine.Update
				for i := range n {
					ups = append(ups, engine.Update{Op: engine.Insert + engine.Op(bits>>i&1), Tuple: t})
				}
				now.update(ups...)
				rev := h.write(ups...)
				h.shows(rev, now.sorted(engine.Query{})...)
				h.must(replayed.apply(h.changes(before, rev)))
				if !replayed.equal(now) {
					h.Fatalf("there before: %v, updates %v: the changes %v do not lead to the state", there, ups, h.changes(before, rev))
				}
			}
		}
	}
}

// textComparesByBytes uses names that collations, trimming, normalization,
// patterns and UTF-16 would confuse or order otherwise.
func textComparesByBytes(h *harness) {
	names := []string{"a", "A", "b", "B", "a ", " a", "a\t", "ab", "a\x01", "é", "e\u0301", "ß", "ss", "ı", "i", "İ",
		"%", "_", "*", "?", "'", `"`, `\`, ";--", "a:b", "a#b", "a@b", "0", "00", "1e0", "1", "01", "NULL", "null", "true",
		"\uffff", "\U00010000", "\ue000", "日本", "\u200b", "a\u200b", "\n", "\x7f", "\u0080"}
	var ts []engine.Tuple
	for i, name := range names {
		o := engine.Object{Namespace: "doc", ID: name}
		ts = append(ts,
			engine.Tuple{Object: o, Relation: "viewer", Subject: engine.SubjectID("ann")},
			engine.Tuple{Object: engine.Object{Namespace: name, ID: "x"}, Relation: names[(i+1)%len(names)], Subject: engine.SubjectSet(name, name, name)})
	}
	rev := h.insert(ts...)
	want := newState(ts...)
	h.shows(rev, ts...)
	for _, t := range ts {
		for fields := range 16 {
			q := queryOf(t, fields)
			h.same(h.read(rev, q), want.sorted(q))
		}
	}
	for _, t := range ts[:len(ts)/2] {
		h.delete(t)
	}
	h.shows(h.head(), ts[len(ts)/2:]...)
}

func emptyStrings(h *harness) {
	empty := ""
	doc := engine.Object{Namespace: "doc"}
	ts := []engine.Tuple{
		{Object: doc},
		{Object: doc, Subject: engine.SubjectID("ann")},
		{Object: doc, Relation: "viewer"},
		{Object: doc, Subject: engine.SubjectSet("User", "", "")},
		{Object: engine.Object{Namespace: "doc", ID: "1"}, Relation: "viewer", Subject: engine.SubjectSet("User", "", "member")},
	}
	rev := h.insert(ts...)
	want := newState(ts...)
	for _, q := range []engine.Query{
		{Namespace: &empty}, {Object: &empty}, {Relation: &empty}, {Subject: &engine.Subject{}},
		{Object: &empty, Relation: &empty, Subject: &engine.Subject{}},
	} {
		h.same(h.read(rev, q), want.sorted(q))
	}
	h.shows(h.delete(ts[0]), ts[1:]...)
}

func namesAtTheLimits(h *harness) {
	long := func(c string, n int) string { return strings.Repeat(c, n/len(c)) }
	t := engine.Tuple{
		Object:   engine.Object{Namespace: long("n", engine.MaxNamespace), ID: long("é", engine.MaxID)},
		Relation: long("r", engine.MaxRelation),
		Subject:  engine.SubjectSet(long("s", engine.MaxNamespace), long("日", engine.MaxID), long("q", engine.MaxRelation)),
	}
	u := t
	u.Subject.Relation = u.Subject.Relation[1:] + "z" // differs in the last byte only
	h.must(t.Validate())
	before := h.insert(t, u)
	h.shows(before, t, u)
	for fields := range 16 {
		q := queryOf(t, fields)
		h.same(h.read(before, q), newState(t, u).sorted(q))
	}
	h.same(h.page(before, engine.Query{}, engine.Page{After: &t}), []engine.Tuple{u})
	after := h.delete(t)
	h.shows(after, u)
	if got := h.changes(before, after); len(got) != 1 || got[0].Tuple != t {
		h.Fatalf("changes %v", got)
	}
}

func kindsOfSubjects(h *harness) {
	doc := engine.Object{Namespace: "doc", ID: "1"}
	ts := []engine.Tuple{
		{Object: doc, Relation: "viewer", Subject: engine.SubjectID("User:ann")},
		{Object: doc, Relation: "viewer", Subject: engine.SubjectID("ann")},
		{Object: doc, Relation: "viewer", Subject: engine.SubjectSet("User", "ann", "")},
		{Object: doc, Relation: "viewer", Subject: engine.SubjectSet("User", "ann", "member")},
	}
	rev := h.insert(ts...)
	for _, t := range ts {
		h.same(h.read(rev, engine.Query{Subject: &t.Subject}), []engine.Tuple{t})
	}
	h.shows(h.delete(ts[2]), ts[0], ts[1], ts[3])
}
