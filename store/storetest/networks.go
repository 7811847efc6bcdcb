package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A tenant is a network with its oracle and its history.
type tenant struct {
	*harness
	now    state
	states []state // after each step of the test, of whichever network
	at     engine.Revision
	tailed state
	used   map[string]keyed
}

// A keyed is what the first write with a key did.
type keyed struct {
	write engine.Write
	done  engine.Written
}

// An act is a step of one network, and the revision after it.
type act struct {
	tenant *tenant
	rev    engine.Revision
}

// networksAreApart writes to three networks in turn, with the same names and the
// same keys, and compares each with an oracle of its own.
func networksAreApart(h *harness) {
	r := h.random()
	var tenants []*tenant
	for _, name := range []string{"default", "a", "a-b_9"} {
		tenants = append(tenants, &tenant{harness: h.network(name), now: newState(), tailed: newState(), used: map[string]keyed{}})
	}
	var acts []act
	for i := range 90 {
		t := tenants[r.IntN(len(tenants))]
		acts = append(acts, act{t, step(h, t, r, i)})
		for _, other := range tenants {
			other.states = append(other.states, other.now.clone())
		}
		t = tenants[r.IntN(len(tenants))]
		node := t.harness.at(i)
		node.shows(node.head(), t.now.sorted(engine.Query{})...)
		q := queryOf(small.tuple(r), r.IntN(16))
		node.same(node.read(node.head(), q), t.now.sorted(q))
		node.must(checkSets(node, t.now, node.head(), crowd.sets(r, 3), r.IntN(5)))
		head, changes := node.tail(t.at)
		node.must(t.tailed.apply(changes))
		t.at = head
		if !t.tailed.equal(t.now) {
			h.Fatalf("the tail of a network leads to %v: expected %v", t.tailed, t.now)
		}
	}
	for i, a := range acts {
		t := a.tenant
		t.harness.at(i).shows(a.rev, t.states[i].sorted(engine.Query{})...)
		if m, err := t.Model(h.ctx, a.rev); err != nil || m.Number != t.states[i].model {
			h.Fatalf("model %+v, error %v: expected number %d", m, err, t.states[i].model)
		}
		k := r.IntN(i + 1)
		if acts[k].tenant != t {
			continue
		}
		replayed := t.states[k].clone()
		h.must(replayed.apply(t.harness.changes(acts[k].rev, a.rev)))
		if !replayed.equal(t.states[i]) {
			h.Fatalf("the changes of a network do not lead from one of its revisions to another")
		}
	}
	for _, t := range tenants {
		models, err := t.Models(h.ctx, 0, 100)
		h.must(err)
		for i, m := range models {
			if want := t.now.model - int64(i); m.Number != want {
				h.Fatalf("model %d of a network has number %d: expected %d", i, m.Number, want)
			}
		}
		if int64(len(models)) != t.now.model {
			h.Fatalf("%d models: expected %d", len(models), t.now.model)
		}
	}
}

// step changes one network. The networks draw from the same few names and keys.
func step(h *harness, t *tenant, r *rand.Rand, i int) engine.Revision {
	h.Helper()
	if r.IntN(6) == 0 {
		m := t.putModel(fmt.Sprint("// ", i), t.now.model)
		t.now.model = m.Number
		return m.Revision
	}
	w := small.write(r)
	w.Model = t.now.model
	if r.IntN(2) == 0 {
		w.Key = fmt.Sprint("key ", r.IntN(10))
	}
	if first, used := t.used[w.Key]; used {
		if done := t.do(first.write); done != first.done {
			h.Fatalf("the repeated write did %+v: expected %+v", done, first.done)
		}
		return t.head()
	}
	inserted, deleted, ok := t.now.write(w)
	done, err := t.node(i).Write(h.ctx, w)
	if !ok {
		h.fails(err, errs.Refused)
		return t.head()
	}
	h.must(err)
	if done.Inserted != inserted || done.Deleted != deleted {
		h.Fatalf("%+v: expected %d inserted, %d deleted", done, inserted, deleted)
	}
	if w.Key != "" {
		t.used[w.Key] = keyed{w, done}
	}
	return done.Revision
}

func networkNames(h *harness) {
	db := h.dbs[0]
	long := strings.Repeat("n", 63)
	ids := map[engine.StoreID]string{}
	for _, name := range []string{"default", "a", "0", "-", "_", "a-b_9", long, long[1:]} {
		s, err := db.Network(h.ctx, name)
		h.must(err)
		if other, taken := ids[s.ID()]; taken || s.ID() == (engine.StoreID{}) {
			h.Fatalf("the networks %s and %s have the identity %x", name, other, s.ID())
		}
		ids[s.ID()] = name
		again, err := db.Network(h.ctx, name)
		h.must(err)
		if again.ID() != s.ID() {
			h.Fatalf("the network %s has two identities", name)
		}
	}
	for _, name := range []string{"", "A", "a b", "a.b", "a/b", "ä", "a\n", "a\x00", "\xff", "Default", long + "n", "'"} {
		s, err := db.Network(h.ctx, name)
		h.fails(err, errs.Invalid)
		if s != nil {
			h.Fatalf("the network %q has a store and an error", name)
		}
	}
}

// networkMadeAtOnce has all nodes ask for the same new network.
func networkMadeAtOnce(h *harness) {
	for round := range 5 {
		var mu sync.Mutex
		ids := map[engine.StoreID]bool{}
		parallel(h, 6, func(i int) error {
			s, err := h.dbs[i%len(h.dbs)].Network(h.ctx, fmt.Sprint("new-", round))
			if err != nil {
				return err
			}
			t := numbered(i, i+1)
			if _, err := s.Write(h.ctx, adding(t...)); err != nil {
				return err
			}
			mu.Lock()
			ids[s.ID()] = true
			mu.Unlock()
			return nil
		})
		if len(ids) != 1 {
			h.Fatalf("the network was made %d times", len(ids))
		}
		made := h.network(fmt.Sprint("new-", round))
		for i := range 3 {
			made.at(i).shows(made.at(i).head(), numbered(0, 6)...)
		}
	}
}

func networkIdentity(h *harness) {
	id := h.ID()
	if id == (engine.StoreID{}) {
		h.Fatal("the store has no identity")
	}
	h.insert(parse("doc:1#viewer@ann")...)
	for i := range 3 {
		if h.node(i).ID() != id {
			h.Fatal("the identity of the store has changed")
		}
	}
	other := h.network("other")
	if other.ID() == id {
		h.Fatal("two networks have the same identity")
	}
	other.shows(other.head())
}

// networksInParallel has writers and followers in several networks at once.
func networksInParallel(h *harness) {
	seed := h.random().Uint64()
	var networks []*harness
	for i := range 3 {
		networks = append(networks, h.network(fmt.Sprint("n", i)))
	}
	parallel(h, 6, func(i int) error {
		n := networks[i%3].at(i)
		if i < 3 {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			now := newState()
			for range 40 {
				w := small.write(r)
				inserted, deleted, ok := now.write(w)
				done, err := n.Write(h.ctx, w)
				switch {
				case !ok && errs.KindOf(err) == errs.Refused:
				case err != nil:
					return err
				case !ok || done.Inserted != inserted || done.Deleted != deleted:
					return fmt.Errorf("network %d: %+v: expected %d inserted, %d deleted, refused %v", i, done, inserted, deleted, !ok)
				}
			}
			head, err := n.Head(h.ctx)
			if err != nil {
				return err
			}
			got, err := collect(n, head, engine.Query{})
			if err == nil && !newState(got...).equal(now) {
				err = fmt.Errorf("network %d shows %v: expected %v", i, got, now.sorted(engine.Query{}))
			}
			return err
		}
		now, at := newState(), engine.Revision("")
		for range 40 {
			head, changes, err := n.tryTail(at)
			if err != nil {
				return err
			}
			if err := now.apply(changes); err != nil {
				return fmt.Errorf("network %d from %q to %q: %w", i%3, at, head, err)
			}
			at = head
		}
		return nil
	})
}
