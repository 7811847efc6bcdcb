package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/people"
	"github.com/cardea-iam/cardea/store/script"
)

// A Joiner writes tuples of a network and rows beside them in one transaction.
type Joiner interface {
	script.Runner
	Join(ctx context.Context, w engine.Write, doing string, build func(*script.Script)) (engine.Written, error)
}

// Both is a database that has tuples, and rows beside them.
type Both[S engine.Store, R Joiner] interface {
	source[S]
	Runner(ctx context.Context, network string) (R, error)
}

// A bond is both stores of a network, with methods that fail the test.
type bond struct {
	*harness // of the tuples
	folk     *folk
	people   *people.Store
	run      Joiner
}

var joinSuite = []struct {
	name string
	run  func(*bond)
}{
	{"JoinShowsBoth", joinShowsBoth},
	{"JoinOfRowsAlone", joinOfRowsAlone},
	{"JoinOfTuplesAlone", joinOfTuplesAlone},
	{"JoinFailsWhole", joinFailsWhole},
	{"JoinLeavesTogether", joinLeavesTogether},
	{"JoinTakesNoKey", joinTakesNoKey},
	{"JoinsForOneName", joinsForOneName},
	{"JoinsUnderAFollower", joinsUnderAFollower},
	{"JoinsAreNeverHalf", joinsAreNeverHalf},
}

// RunJoin runs the tests of joint writes, each on a database of its own. open returns
// an empty one, or calls tb.Skip if there is none to be had. RunJoin closes them.
func RunJoin[S engine.Store, R Joiner](t *testing.T, open func(tb testing.TB) Both[S, R]) {
	for _, c := range joinSuite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			h := newHarness(t, Of(db))
			t.Cleanup(h.close)
			run, err := db.Runner(h.ctx, "default")
			h.must(err)
			rows := people.New(run)
			c.run(&bond{harness: h, people: rows, run: run, folk: &folk{T: t, ctx: h.ctx, Store: rows, now: noon}})
		})
	}
}

// join writes both, which must succeed.
func (b *bond) join(w engine.Write, ops ...identity.Op) engine.Written {
	b.Helper()
	done, err := b.tryJoin(w, ops...)
	b.must(err)
	return done
}

func (b *bond) tryJoin(w engine.Write, ops ...identity.Op) (engine.Written, error) {
	return b.run.Join(b.ctx, w, "join", func(sc *script.Script) { b.people.Add(sc, ops...) })
}

// member is a tuple of an identity, which only the id leads to.
func member(id string) engine.Tuple {
	return engine.Tuple{Object: engine.Object{Namespace: "Group", ID: "eng"}, Relation: "members", Subject: engine.SubjectID(id)}
}

func (b *bond) known(id string) bool {
	b.Helper()
	_, err := b.people.Identity(b.ctx, id, false)
	if err != nil {
		b.fails(err, errs.NotFound)
	}
	return err == nil
}

// joinShowsBoth has the log tell of a joint write as of any other.
func joinShowsBoth(b *bond) {
	before := b.insert(member("old"))
	ann := b.folk.person("ann@example.com")
	done := b.join(adding(member(ann.ID), member("old")), identity.SaveIdentity{Identity: ann})
	if done.Inserted != 1 || done.Deleted != 0 {
		b.Fatalf("%+v: expected one that is new", done)
	}
	if !b.known(ann.ID) {
		b.Fatal("there is no such identity")
	}
	b.later(before, done.Revision)
	b.shows(done.Revision, member("old"), member(ann.ID))
	b.shows(before, member("old"))
	head, changes := b.tail(before)
	b.covers(head, done.Revision)
	if len(changes) != 1 || changes[0] != (engine.Change{Op: engine.Insert, Tuple: member(ann.ID)}) {
		b.Fatalf("the log has %v: expected the tuple that came", changes)
	}
	after := b.insert(member("new"))
	b.later(done.Revision, after)
	if _, changes = b.tail(done.Revision); len(changes) != 1 || changes[0].Tuple != member("new") {
		b.Fatalf("behind the joint write the log has %v", changes)
	}
}

func joinOfRowsAlone(b *bond) {
	before := b.insert(member("old"))
	ann := b.folk.person("ann@example.com")
	done := b.join(engine.Write{}, identity.SaveIdentity{Identity: ann})
	if !b.known(ann.ID) || done.Inserted+done.Deleted != 0 {
		b.Fatalf("%+v, known: %t", done, b.known(ann.ID))
	}
	b.covers(done.Revision, before)
	b.shows(done.Revision, member("old"))
	if _, changes := b.tail(before); len(changes) != 0 {
		b.Fatalf("the log has %v: expected nothing", changes)
	}
}

func joinOfTuplesAlone(b *bond) {
	done := b.join(adding(member("ann")))
	if done.Inserted != 1 {
		b.Fatalf("%+v: expected one inserted", done)
	}
	b.shows(done.Revision, member("ann"))
}

// joinFailsWhole injects a failure into either half, at the start and behind all else.
func joinFailsWhole(b *bond) {
	b.folk.join("taken@example.com")
	code := identity.PutCode{Code: identity.Code{ID: identity.NewID(), Purpose: "login", Hash: []byte("h"), IssuedAt: noon, ExpiresAt: noon}}
	b.folk.write(code)
	before := b.insert(member("old"))
	refused, stale := adding(), adding()
	refused.If = []engine.Precondition{exists(exactly(member("nobody")))}
	stale.Model = 7
	for name, c := range map[string]struct {
		w    engine.Write
		last []identity.Op
		kind errs.Kind
	}{
		"a name is taken":           {adding(), []identity.Op{identity.SaveIdentity{Identity: b.folk.person("taken@example.com")}}, errs.Conflict},
		"a key is taken":            {adding(), []identity.Op{code}, errs.Conflict},
		"a step changes no row":     {adding(), []identity.Op{identity.UseCode{ID: "none", Now: noon}}, errs.Refused},
		"there is no such identity": {adding(), []identity.Op{identity.DeleteIdentity{ID: identity.NewID()}}, errs.NotFound},
		"a precondition":            {refused, nil, errs.Refused},
		"another model is active":   {stale, nil, errs.Conflict},
		"a tuple has no namespace":  {adding(engine.Tuple{}), nil, errs.Invalid},
	} {
		for _, first := range []bool{true, false} {
			ann := b.folk.person("ann@example.com")
			w := c.w
			w.Updates = append(updates(engine.Insert, []engine.Tuple{member(ann.ID)}), w.Updates...)
			w.Delete = []engine.Query{exactly(member("old"))}
			ops := append([]identity.Op{identity.SaveIdentity{Identity: ann}}, c.last...)
			if first {
				ops = append(c.last, identity.SaveIdentity{Identity: ann})
			}
			_, err := b.tryJoin(w, ops...)
			if got := errs.KindOf(err); got != c.kind {
				b.Fatalf("%s: error %v has kind %s: expected %s", name, err, got, c.kind)
			}
			if b.known(ann.ID) {
				b.Fatalf("%s: the identity is there", name)
			}
			head, changes := b.tail(before)
			if len(changes) > 0 {
				b.Fatalf("%s: the log has %v", name, changes)
			}
			b.shows(head, member("old"))
		}
	}
	ann := b.folk.person("ann@example.com") // the connections still work, and nothing is locked
	b.join(adding(member(ann.ID)), identity.SaveIdentity{Identity: ann})
}

// joinLeavesTogether deletes an identity and all tuples whose subject it is.
func joinLeavesTogether(b *bond) {
	ann, bob := b.folk.join("ann@example.com"), b.folk.join("bob@example.com")
	other := member(ann.ID)
	other.Object = engine.Object{Namespace: "Document", ID: "plan"}
	b.insert(member(ann.ID), member(bob.ID), other)
	subject := engine.SubjectID(ann.ID)
	done := b.join(engine.Write{Delete: []engine.Query{{Subject: &subject}}}, identity.DeleteIdentity{ID: ann.ID})
	if done.Deleted != 2 || b.known(ann.ID) || !b.known(bob.ID) {
		b.Fatalf("%+v, ann is known: %t, bob is known: %t", done, b.known(ann.ID), b.known(bob.ID))
	}
	b.shows(done.Revision, member(bob.ID))
}

func joinTakesNoKey(b *bond) {
	w := adding(member("ann"))
	w.Key = "a"
	_, err := b.tryJoin(w)
	b.fails(err, errs.Invalid)
	b.shows(b.head())
}

// joinsForOneName has many register with one address: one is there, with its tuple.
func joinsForOneName(b *bond) {
	const callers = 8
	ids := make([]string, callers)
	parallel(b.harness, callers, func(i int) error {
		ann := b.folk.person("ann@example.com")
		_, err := b.tryJoin(adding(member(ann.ID)), identity.SaveIdentity{Identity: ann})
		if errs.KindOf(err) == errs.Conflict {
			return nil
		}
		ids[i] = ann.ID
		return err
	})
	var won []engine.Tuple
	for _, id := range ids {
		if id != "" {
			won = append(won, member(id))
		}
	}
	if len(won) != 1 {
		b.Fatalf("%d have the address", len(won))
	}
	b.shows(b.head(), won...)
}

// joinsUnderAFollower has one follow the log while others write jointly, and still
// others tuples alone.
func joinsUnderAFollower(b *bond) {
	written := make(chan struct{})
	followed := make(chan error, 1)
	go func() { followed <- follow(b.harness, written) }()
	err := all(6, func(i int) error {
		for n := range 15 {
			person := b.folk.person(fmt.Sprint(i, ".", n, "@example.com"))
			if i%2 == 0 {
				if _, err := b.Write(b.ctx, adding(member(person.ID))); err != nil {
					return err
				}
				continue
			}
			if _, err := b.tryJoin(adding(member(person.ID)), identity.SaveIdentity{Identity: person}); err != nil {
				return err
			}
			if _, err := b.tryJoin(removing(member(person.ID)), identity.DeleteIdentity{ID: person.ID}); err != nil {
				return err
			}
		}
		return nil
	})
	close(written)
	b.must(errors.Join(err, <-followed))
}

// goes waits until the head does not show t. A store in this process may tell of a
// commit a moment after its rows can be seen.
func (b *bond) goes(t engine.Tuple) error {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		now, err := b.Head(ctx)
		if err != nil {
			return err
		}
		still, err := collect(b.harness, now, exactly(t))
		if err != nil || len(still) == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// joinsAreNeverHalf looks at an identity after its tuple was seen: it must be there, for
// as long as the tuple is.
func joinsAreNeverHalf(b *bond) {
	stop := background(b.harness, func(int) error {
		before, err := b.Head(b.ctx)
		if err != nil {
			return err
		}
		tuples, err := collect(b.harness, before, engine.Query{})
		if err != nil {
			return err
		}
		for _, t := range tuples {
			_, missing := b.people.Identity(b.ctx, t.Subject.ID, false)
			if missing == nil {
				continue
			}
			if err := b.goes(t); err != nil {
				return fmt.Errorf("%v is there, and its identity is not: %w", t, errors.Join(missing, err))
			}
		}
		return nil
	})
	parallel(b.harness, 4, func(i int) error {
		for n := range 12 {
			person := b.folk.person(fmt.Sprint(i, ".", n, "@example.com"))
			if _, err := b.tryJoin(adding(member(person.ID)), identity.SaveIdentity{Identity: person}); err != nil {
				return err
			}
			if n%2 == 0 {
				if _, err := b.tryJoin(removing(member(person.ID)), identity.DeleteIdentity{ID: person.ID}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	stop()
}
