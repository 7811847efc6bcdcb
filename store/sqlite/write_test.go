package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

func openMemory(t *testing.T) *Store {
	t.Helper()
	db, err := Open(t.Context(), Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := db.Network(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func adding(t *testing.T, texts ...string) engine.Write {
	t.Helper()
	var w engine.Write
	for _, text := range texts {
		w.Updates = append(w.Updates, engine.Update{Op: engine.Insert, Tuple: tuple(t, text)})
	}
	return w
}

func tuple(t *testing.T, text string) engine.Tuple {
	t.Helper()
	x, err := engine.ParseTuple(text)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// hold keeps the writer busy, so that what is submitted meanwhile waits and
// then forms one group.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.db.submit(context.Background(), 0, func(*transaction) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		t.Helper()
		close(end)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// later runs do in the background and returns once its request waits.
func later(s *Store, do func() error) <-chan error {
	waiting := len(s.db.queue)
	done := make(chan error, 1)
	go func() { done <- do() }()
	for len(s.db.queue) == waiting {
		runtime.Gosched() // the queue has no other way to tell
	}
	return done
}

func count(t *testing.T, s *Store) int {
	t.Helper()
	n := 0
	for _, err := range s.Read(t.Context(), revision(s.db.head.Load()), engine.Query{}, engine.Page{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestGroupKeepsWhoSucceeds(t *testing.T) {
	s := openMemory(t)
	release := hold(t, s)
	var revs [3]engine.Revision
	write := func(i int, text string, model int64) <-chan error {
		return later(s, func() error {
			w := adding(t, text)
			w.Model = model
			done, err := s.Write(t.Context(), w)
			revs[i] = done.Revision
			return err
		})
	}
	first := write(0, "doc:1#view@ann", 0)
	second := write(1, "doc:2#view@ann", 7) // no such model
	broken := later(s, func() error {
		return s.db.submit(t.Context(), 1, func(x *transaction) error {
			w := adding(t, "doc:4#view@ann")
			w.Key = "broken"
			if _, err := s.write(x, w); err != nil {
				return err
			}
			x.activate(s, 7)
			return errors.New("after it has written")
		})
	})
	third := write(2, "doc:3#view@ann", 0)
	release()
	if err := errors.Join(<-first, <-third); err != nil {
		t.Fatal(err)
	}
	if err := <-second; errs.KindOf(err) != errs.Conflict {
		t.Errorf("error %v: expected a conflict", err)
	}
	if err := <-broken; err == nil {
		t.Error("expected an error")
	}
	if revs != [...]engine.Revision{"1", "", "2"} {
		t.Errorf("revisions %q: expected one for each that succeeded", revs)
	}
	if w, err := s.Write(t.Context(), engine.Write{Key: "broken"}); err != nil || s.model != 0 {
		t.Errorf("%+v, error %v, model %d: the request that failed has left its key or its model", w, err, s.model)
	}
	if head, n := s.db.head.Load(), count(t, s); head != 2 || n != 2 {
		t.Errorf("revision %d with %d tuples: expected 2 and 2", head, n)
	}
}

// TestGroupSeesItself has requests in one group that depend on each other: each
// meets what those before it did, and nothing of those that failed.
func TestGroupSeesItself(t *testing.T) {
	s := openMemory(t)
	x, y := tuple(t, "doc:1#view@ann"), tuple(t, "doc:2#view@ann")
	one := func(t engine.Tuple) engine.Query {
		return engine.Query{Namespace: &t.Object.Namespace, Object: &t.Object.ID, Relation: &t.Relation, Subject: &t.Subject}
	}
	insert := func(x engine.Tuple, key string, ifs ...engine.Precondition) engine.Write {
		return engine.Write{If: ifs, Updates: []engine.Update{{Op: engine.Insert, Tuple: x}}, Key: key}
	}
	absent, there := engine.Precondition{Query: one(x)}, engine.Precondition{Query: one(x), Exists: true}
	other := insert(y, "")
	other.Model = 3
	steps := []struct {
		w    engine.Write
		kind errs.Kind
		done engine.Written
	}{
		{insert(y, "", there), errs.Refused, engine.Written{}},
		{insert(x, "a", absent), errs.OK, engine.Written{Revision: "1", Inserted: 1}},
		{insert(x, "b", absent), errs.Refused, engine.Written{}},
		{insert(y, "a"), errs.Invalid, engine.Written{}},
		{other, errs.Conflict, engine.Written{}},
		{insert(x, "a", absent), errs.OK, engine.Written{Revision: "1", Inserted: 1}},
		{engine.Write{If: []engine.Precondition{there}, Delete: []engine.Query{one(x)}}, errs.OK, engine.Written{Revision: "2", Deleted: 1}},
		{insert(x, "b", absent), errs.OK, engine.Written{Revision: "3", Inserted: 1}},
		{insert(x, "a", absent), errs.OK, engine.Written{Revision: "1", Inserted: 1}},
	}
	release := hold(t, s)
	done := make([]engine.Written, len(steps))
	var waits []<-chan error
	for i, step := range steps {
		waits = append(waits, later(s, func() (err error) {
			done[i], err = s.Write(t.Context(), step.w)
			return err
		}))
	}
	release()
	for i, step := range steps {
		if err := <-waits[i]; errs.KindOf(err) != step.kind || done[i] != step.done {
			t.Errorf("step %d: %+v, error %v: expected %+v, %s", i, done[i], err, step.done, step.kind)
		}
	}
}

// TestGroupOfNetworks activates models of two networks in one group.
func TestGroupOfNetworks(t *testing.T) {
	s := openMemory(t)
	other, err := s.db.Network(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	put := func(s *Store, after int64) <-chan error {
		return later(s, func() error {
			_, err := s.PutModel(t.Context(), "", after)
			return err
		})
	}
	write := func(s *Store, model int64) <-chan error {
		return later(s, func() error {
			w := adding(t, "doc:1#view@ann")
			w.Model = model
			_, err := s.Write(t.Context(), w)
			return err
		})
	}
	release := hold(t, s)
	waits := []<-chan error{put(s, 0), put(other, 0), put(s, 1), put(other, 2), write(s, 2), write(other, 1)}
	release()
	for i, wait := range waits {
		if err := <-wait; i == 3 && errs.KindOf(err) != errs.Conflict || i != 3 && err != nil {
			t.Errorf("request %d: error %v", i, err)
		}
	}
	if s.model != 2 || other.model != 1 {
		t.Errorf("models %d and %d are active: expected 2 and 1", s.model, other.model)
	}
}

// TestPurgeIsPerNetwork has a network expire that removed something, and not the
// one beside it.
func TestPurgeIsPerNetwork(t *testing.T) {
	s := openMemory(t)
	other, err := s.db.Network(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	ctx, x := t.Context(), adding(t, "doc:1#view@ann")
	keyed := adding(t, "doc:2#view@ann")
	keyed.Key = "k"
	for _, w := range []engine.Write{x, keyed, {Delete: []engine.Query{{}}}} {
		if _, err := s.Write(ctx, w); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Write(ctx, x); err != nil {
		t.Fatal(err)
	}
	future := time.Now().Add(time.Hour)
	if n, err := s.db.Purge(ctx, future); n != 2 || err != nil {
		t.Fatalf("%d tuples purged, error %v: expected 2", n, err)
	}
	if _, err := s.readable("2"); errs.KindOf(err) != errs.Expired {
		t.Errorf("error %v: expected expired", err)
	}
	if _, err := other.readable("2"); err != nil {
		t.Errorf("a network that has lost nothing has expired: %v", err)
	}
	keyed.Updates = nil // the key is forgotten, and so can be used for another write
	if done, err := s.Write(ctx, keyed); err != nil || done.Revision != "4" {
		t.Errorf("%+v, error %v: expected a write of its own", done, err)
	}
	if n, err := s.db.Purge(ctx, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Fatalf("%d tuples purged, error %v", n, err)
	}
	var keys int
	if err := s.db.reads.QueryRow("SELECT count(*) FROM request").Scan(&keys); err != nil || keys != 1 {
		t.Errorf("%d keys, error %v: expected the new one", keys, err)
	}
}

// TestNothingChanges makes the no-ops of a store and expects no revision.
func TestNothingChanges(t *testing.T) {
	s := openMemory(t)
	x := tuple(t, "doc:1#view@ann")
	write := func(ups ...engine.Update) engine.Revision {
		t.Helper()
		done, err := s.Write(t.Context(), engine.Write{Updates: ups})
		if err != nil {
			t.Fatal(err)
		}
		return done.Revision
	}
	write(engine.Update{Op: engine.Insert, Tuple: x})
	for _, ups := range [][]engine.Update{nil, {{Op: engine.Insert, Tuple: x}}, {{Op: engine.Delete, Tuple: tuple(t, "doc:2#view@ann")}}} {
		if rev := write(ups...); rev != "1" {
			t.Errorf("updates %v lead to revision %q: expected to stay at 1", ups, rev)
		}
	}
	object := "2"
	all := adding(t, "doc:1#view@ann")
	for _, w := range []engine.Write{{Delete: []engine.Query{{Object: &object}}}, {Delete: []engine.Query{{}}, Updates: all.Updates}, {Key: "k"}} {
		if done, err := s.Write(t.Context(), w); done != (engine.Written{Revision: "1"}) || err != nil {
			t.Errorf("%+v does %+v, error %v: expected to stay at 1", w, done, err)
		}
	}
}

// TestSettings reads back what the durability of an acknowledged write rests on.
func TestSettings(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "cardea.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for setting, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		var got string
		if err := db.writes.QueryRow("PRAGMA " + setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, error %v: expected %s", setting, got, err, want)
		}
	}
	if _, err := db.reads.Exec("DELETE FROM meta"); err == nil {
		t.Error("a connection for reading has written")
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	s := openMemory(t)
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := later(s, func() error {
		_, err := s.Write(ctx, adding(t, "doc:1#view@ann"))
		return err
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || errs.KindOf(err) != errs.Unavailable {
		t.Errorf("error %v: expected one that says cancelled", err)
	}
	release()
	if err := s.db.submit(t.Context(), 0, func(*transaction) error { return nil }); err != nil { // the queue is empty now
		t.Fatal(err)
	}
	if n := count(t, s); n != 0 {
		t.Errorf("%d tuples: a withdrawn write was made", n)
	}
}

func TestCancelledAfterItBegan(t *testing.T) {
	s := openMemory(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.db.submit(ctx, 1, func(x *transaction) error {
		cancel()
		return x.advance()
	})
	if err != nil {
		t.Errorf("error %v: expected the true outcome", err)
	}
	if head := s.db.head.Load(); head != 1 {
		t.Errorf("revision %d: expected 1", head)
	}
}

// TestPurgeInTheMiddle gives the revisions dates and purges by each.
func TestPurgeInTheMiddle(t *testing.T) {
	const n = 9
	for cut := range n + 2 {
		s := openMemory(t)
		x := tuple(t, "doc:1#view@ann")
		for i := range n {
			up := engine.Update{Op: engine.Insert + engine.Op(i%2), Tuple: x} // odd revisions add, even ones remove
			if _, err := s.Write(t.Context(), engine.Write{Updates: []engine.Update{up}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.db.writes.Exec("UPDATE revision SET at = revision * 1000000"); err != nil {
			t.Fatal(err)
		}
		gone, err := s.db.Purge(t.Context(), time.Unix(int64(cut), 0))
		if err != nil {
			t.Fatal(err)
		}
		// Made before the cut: 1 to cut-1; those that removed: every second.
		removals := max(cut-1, 0) / 2
		if gone != int64(removals) {
			t.Errorf("cut at %d: %d rows purged, want %d", cut, gone, removals)
		}
		for rev := range int64(n + 1) {
			rows := 0
			var failed error
			for _, err := range s.Read(t.Context(), revision(rev), engine.Query{}, engine.Page{}) {
				if failed = err; err == nil {
					rows++
				}
			}
			if kept := rev >= int64(2*removals); kept && (failed != nil || rows != int(rev%2)) || !kept && errs.KindOf(failed) != errs.Expired {
				t.Errorf("cut at %d, revision %d: %d rows, error %v", cut, rev, rows, failed)
			}
		}
		var dates int
		if err := s.db.reads.QueryRow("SELECT count(*) FROM revision").Scan(&dates); err != nil {
			t.Fatal(err)
		}
		if want := n - max(min(cut-2, n-1), 0); dates != want {
			t.Errorf("cut at %d: %d dates are left, want %d", cut, dates, want)
		}
	}
}

// TestDiskFull limits the size of the file, as a full disk does. Whoever does
// not get in is told so, nothing stays by half, and the store goes on once
// there is room.
func TestDiskFull(t *testing.T) {
	s := openMemory(t)
	big := func(n int) engine.Write {
		var texts []string
		for i := range n {
			texts = append(texts, fmt.Sprintf("doc:%d#view@ann", i))
		}
		return adding(t, texts...)
	}
	limit := func(pages int) {
		t.Helper()
		if _, err := s.db.writes.Exec(fmt.Sprint("PRAGMA max_page_count = ", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(50)
	_, err := s.Write(t.Context(), big(10_000))
	if errs.KindOf(err) != errs.Unavailable {
		t.Fatalf("error %v: expected unavailable", err)
	}
	release := hold(t, s)
	small := later(s, func() error {
		_, err := s.Write(t.Context(), big(1))
		return err
	})
	large := later(s, func() error {
		_, err := s.Write(t.Context(), big(9_000))
		return err
	})
	release()
	if err := <-large; errs.KindOf(err) != errs.Unavailable {
		t.Fatalf("error %v: expected unavailable", err)
	}
	if err := <-small; err != nil { // its neighbour's fate is not its own
		t.Fatal(err)
	}
	if n := count(t, s); n != 1 {
		t.Fatalf("%d tuples: expected the acknowledged one", n)
	}
	limit(1_000_000)
	if _, err := s.Write(t.Context(), big(10_000)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s); n != 10_000 {
		t.Fatalf("%d tuples: expected 10000", n)
	}
}
