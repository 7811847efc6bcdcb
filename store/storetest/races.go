package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// race runs the writes at the same time, each on a node of its own, and returns
// what each did and whether it was refused.
func race(h *harness, writes ...engine.Write) (done []engine.Written, refused []bool) {
	h.Helper()
	done, refused = make([]engine.Written, len(writes)), make([]bool, len(writes))
	parallel(h, len(writes), func(i int) error {
		var err error
		done[i], err = h.node(i).Write(h.ctx, writes[i])
		if errs.KindOf(err) == errs.Refused {
			refused[i] = true
			return nil
		}
		return err
	})
	return done, refused
}

// oneOfManyWins has callers that all want to be the first: by a tuple, by a
// query that names an object, and by queries that name none.
func oneOfManyWins(h *harness) {
	const callers = 6
	ns, object, relation := "lock", "a", "holder"
	for name, q := range map[string]engine.Query{
		"object":    {Namespace: &ns, Object: &object},
		"relation":  {Namespace: &ns, Object: &object, Relation: &relation},
		"namespace": {Namespace: &ns},
		"anywhere":  {Relation: &relation},
		"tuple":     {},
	} {
		for round := range 8 {
			h.deleteAll(engine.Query{})
			var won atomic.Int64
			winner := engine.Tuple{}
			parallel(h, callers, func(i int) error {
				t := engine.Tuple{Object: engine.Object{Namespace: ns, ID: object}, Relation: relation, Subject: engine.SubjectID(fmt.Sprint(i))}
				w := adding(t)
				w.If = []engine.Precondition{absent(q)}
				if name == "tuple" { // all insert the same one, and one more to tell them apart
					same := t
					same.Subject = engine.SubjectID("somebody")
					w = adding(same, t)
					w.If = []engine.Precondition{absent(exactly(same))}
				}
				done, err := h.node(i).Write(h.ctx, w)
				if errs.KindOf(err) == errs.Refused {
					return nil
				}
				if err != nil {
					return err
				}
				if won.Add(1) == 1 {
					winner = t
				}
				if want := int64(len(w.Updates)); done.Inserted != want {
					return fmt.Errorf("caller %d inserted %d: expected %d", i, done.Inserted, want)
				}
				return nil
			})
			got := h.read(h.head(), engine.Query{Namespace: &ns})
			have := newState(got...)
			if won.Load() != 1 || !have.tuples[winner] || len(got) > 2 || name != "tuple" && len(got) != 1 {
				h.Fatalf("by %s, round %d: %d callers won, and there is %v", name, round, won.Load(), got)
			}
		}
	}
}

// guardAgainstDelete has one writer that needs a guard and one that removes it.
// The first succeeds only if it comes before the second.
func guardAgainstDelete(h *harness) {
	guard, x := parse("doc:guard#on@ann")[0], parse("doc:x#view@ann")[0]
	object := "guard"
	for round := range 40 {
		h.do(engine.Write{Delete: []engine.Query{{}}, Updates: updates(engine.Insert, []engine.Tuple{guard})})
		needs := adding(x)
		needs.If = []engine.Precondition{exists([...]engine.Query{exactly(guard), {Object: &object}}[round%2])}
		removes := removing(guard)
		if round%4 > 1 {
			removes = engine.Write{Delete: []engine.Query{exactly(guard)}}
		}
		done, refused := race(h, needs, removes)
		if refused[0] {
			h.shows(h.head())
			continue
		}
		h.later(done[0].Revision, done[1].Revision)
		h.shows(done[0].Revision, guard, x)
		h.shows(done[1].Revision, x)
	}
}

// absenceAgainstInsert has one writer that needs the absence of a tuple and one
// that inserts it, with no condition of its own.
func absenceAgainstInsert(h *harness) {
	ban, x := parse("doc:ban#on@ann")[0], parse("doc:x#view@ann")[0]
	relation := "on"
	for round := range 40 {
		h.deleteAll(engine.Query{})
		needs := adding(x)
		needs.If = []engine.Precondition{absent([...]engine.Query{exactly(ban), {Relation: &relation}}[round%2])}
		done, refused := race(h, needs, adding(ban))
		if refused[0] {
			h.shows(h.head(), ban)
			continue
		}
		h.later(done[0].Revision, done[1].Revision)
		h.shows(done[0].Revision, x)
		h.shows(done[1].Revision, ban, x)
	}
}

// noWriteSkew has two writers of which each removes what the other one needs: at
// most one may succeed.
func noWriteSkew(h *harness) {
	on := parse("doctor:ann#on@call", "doctor:bob#on@call")
	for round := range 40 {
		h.insert(on...)
		leave := func(who, stays engine.Tuple) engine.Write {
			w := removing(who)
			w.If = []engine.Precondition{exists(exactly(who)), exists(exactly(stays))}
			return w
		}
		_, refused := race(h, leave(on[0], on[1]), leave(on[1], on[0]))
		left := h.read(h.head(), engine.Query{})
		if refused[0] == refused[1] || len(left) != 1 {
			h.Fatalf("round %d: refused %v, and there is %v", round, refused, left)
		}
	}
}

// swapsAreInSomeOrder has writers that each replace one tuple by another, the one
// by the other way round. Whichever comes last, exactly one of the two is
// there: a write comes before or after another one with all that it does.
func swapsAreInSomeOrder(h *harness) {
	ts := parse("doc:a#view@ann", "doc:b#view@ann")
	h.insert(ts[0])
	swap := func(from, to engine.Tuple) engine.Write {
		return engine.Write{Updates: []engine.Update{{Op: engine.Delete, Tuple: from}, {Op: engine.Insert, Tuple: to}}}
	}
	for round := range 40 {
		done, _ := race(h, swap(ts[0], ts[1]), swap(ts[1], ts[0]), swap(ts[0], ts[1]))
		if got := h.read(h.head(), engine.Query{}); len(got) != 1 {
			h.Fatalf("round %d: there is %v after the writes %+v", round, got, done)
		}
		for _, d := range done {
			if got := h.read(d.Revision, engine.Query{}); len(got) != 1 {
				h.Fatalf("round %d: there is %v after the write %+v of %+v", round, got, d, done)
			}
		}
	}
}

// countsAddUp has writers insert and remove the same few tuples, alone, together
// and by query. What all of them were told adds up to what is there.
func countsAddUp(h *harness) {
	seed := h.random().Uint64()
	ts := parse("doc:a#view@ann", "doc:a#view@bob", "doc:b#view@ann", "Doc:a#view@ann")
	ns := "doc"
	for round := range 4 {
		start := int64(len(h.read(h.head(), engine.Query{})))
		var sum atomic.Int64
		parallel(h, 6, func(i int) error {
			r := rand.New(rand.NewPCG(seed, uint64(10*round+i)))
			for n := range 25 {
				var w engine.Write
				switch r.IntN(8) {
				case 0:
					w.Delete = []engine.Query{{Namespace: &ns}}
				case 1:
					w.Delete, w.Updates = []engine.Query{{Namespace: &ns}}, updates(engine.Insert, ts[:1+r.IntN(3)])
				case 2:
					w = removing(ts[1:]...)
				case 3:
					w = adding(ts...)
				case 4:
					w.Updates = append(updates(engine.Delete, ts[:2]), updates(engine.Insert, ts[2:])...)
				default:
					w.Updates = updates(engine.Insert+engine.Op(r.IntN(2)), ts[r.IntN(4):][:1])
				}
				if r.IntN(3) == 0 {
					w.Key = fmt.Sprint(round, i, n)
				}
				done, err := h.node(i+n).Write(h.ctx, w)
				if err != nil {
					return err
				}
				sum.Add(done.Inserted - done.Deleted)
			}
			return nil
		})
		if end := int64(len(h.read(h.head(), engine.Query{}))); end != start+sum.Load() {
			h.Fatalf("there were %d tuples, now there are %d, and the counts add up to %+d", start, end, sum.Load())
		}
	}
}
