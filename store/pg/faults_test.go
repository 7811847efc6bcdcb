package pg

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// TestUnknownOutcome loses the answer to a write that the server has made.
func TestUnknownOutcome(t *testing.T) {
	var w wire
	_, s := openWire(t, &w)
	ts := tuplesOf(t, "doc:0#view@ann", "doc:1#view@ann", "doc:2#view@ann", "doc:3#view@ann")
	write(t, s, adding(ts[0])) // prepares the statements
	keyed := adding(ts[3])
	keyed.Key = "first"
	write(t, s, keyed)

	w.loseNext()
	_, err := s.Write(t.Context(), adding(ts[1]))
	if errs.KindOf(err) != errs.Unknown || !strings.Contains(err.Error(), "may or may not") || w.cut != 1 {
		t.Fatalf("error %v (%s) after %d lost answers: expected that nobody knows", err, errs.KindOf(err), w.cut)
	}
	var e *errs.Error
	if !errors.As(err, &e) || strings.Contains(e.Msg, "closed") {
		t.Errorf("the message shows what is inside: %v", e)
	}

	keyed = adding(ts[2])
	keyed.Key, keyed.If = "second", []engine.Precondition{{Query: engine.Query{Object: &ts[2].Object.ID}}}
	write(t, s, keyed) // and again, with statements prepared
	keyed.Key, keyed.If = "third", nil
	keyed.Updates = removing(ts[2]).Updates
	write(t, s, keyed)
	keyed.Key, keyed.If = "fourth", []engine.Precondition{{Query: engine.Query{Object: &ts[2].Object.ID}}}
	keyed.Updates = adding(ts[2]).Updates
	w.loseNext()
	done := write(t, s, keyed)
	if w.cut != 2 || done.Inserted != 1 {
		t.Fatalf("%+v after %d lost answers: expected one that was inserted", done, w.cut)
	}
	if again := write(t, s, keyed); again != done {
		t.Errorf("repeated: %+v, expected %+v", again, done)
	}

	if _, err := s.PutModel(t.Context(), "// text", 7); errs.KindOf(err) != errs.Conflict { // prepares the statements
		t.Fatal(err)
	}
	w.loseNext()
	if _, err := s.PutModel(t.Context(), "// text", 0); errs.KindOf(err) != errs.Unknown {
		t.Fatalf("error %v: expected that nobody knows", err)
	}
	for name, ask := range map[string]func(){
		"Head": func() { head(t, s) },
		"Tail": func() { tail(t, s, "") },
		"Read": func() { read(t, s, done.Revision, engine.Query{}) },
	} {
		ask()
		before := w.cut
		w.loseNext()
		ask()
		if w.cut != before+1 {
			t.Errorf("%s: no answer was lost", name)
		}
	}
	if got := read(t, s, head(t, s), engine.Query{}); len(got) != 4 {
		t.Errorf("there is %v: expected all four", got)
	}
	if m, err := s.Model(t.Context(), head(t, s)); err != nil || m.Number != 1 {
		t.Errorf("model %+v, error %v: expected the first one", m, err)
	}
}

// TestLostBeforeCommit loses the connection in the middle of a deletion by query,
// whose transaction the server then undoes.
func TestLostBeforeCommit(t *testing.T) {
	var w wire
	_, s := openWire(t, &w)
	x := tupleOf(t, "doc:0#view@ann")
	all := engine.Write{Delete: []engine.Query{{Object: &x.Object.ID}}}
	write(t, s, all)
	write(t, s, adding(x))
	w.loseNext() // the answer to locks and checks
	if done := write(t, s, all); done.Deleted != 1 || w.cut != 1 {
		t.Fatalf("%+v after %d lost answers: expected that it was repeated", done, w.cut)
	}
}

// TestPausedServer stops the database with connections open. Everything must end
// by the time limit of the caller or of the store, and work again afterwards.
func TestPausedServer(t *testing.T) {
	server := testdb.NewServer(t)
	db := openTest(t, server.Database(), Options{StatementTimeout: 500 * time.Millisecond})
	s := networkTest(t, db, "default")
	x, y := tupleOf(t, "doc:0#view@ann"), tupleOf(t, "doc:1#view@ann")
	rev := write(t, s, adding(x)).Revision
	server.Pause()
	for name, try := range map[string]func(context.Context) error{
		"Head": func(ctx context.Context) error { _, err := s.Head(ctx); return err },
		"Tail": func(ctx context.Context) error {
			_, err := s.Tail(ctx, rev, func(engine.Change) error { return nil })
			return err
		},
		"Read": func(ctx context.Context) error {
			for _, err := range s.Read(ctx, rev, engine.Query{}, engine.Page{}) {
				return err
			}
			return nil
		},
		"Ping":  db.Ping,
		"Purge": func(ctx context.Context) error { _, err := db.Purge(ctx, time.Now()); return err },
		"Write": func(ctx context.Context) error { _, err := s.Write(ctx, adding(y)); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := try(ctx)
		cancel()
		kind := errs.KindOf(err)
		if !errors.Is(err, context.DeadlineExceeded) || kind != errs.Unavailable && (name != "Write" || kind != errs.Unknown) {
			t.Errorf("%s by a deadline: error %v (%s)", name, err, kind)
		}
		err = try(t.Context())
		kind = errs.KindOf(err)
		if kind != errs.Unavailable && (name != "Write" || kind != errs.Unknown) {
			t.Errorf("%s without a deadline: error %v (%s)", name, err, kind)
		}
	}
	server.Resume()
	until(t, func() bool { return db.Ping(t.Context()) == nil })
	write(t, s, adding(y))
	if got := read(t, s, head(t, s), engine.Query{}); len(got) != 2 {
		t.Errorf("there is %v: expected both", got)
	}
}

// until waits for a condition.
func until(t *testing.T, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it does not come")
		}
	}
}

// TestRestartedServer kills the database. What was acknowledged is there, and the
// pool notices by itself that its connections are gone: no write is unknown for
// that reason.
func TestRestartedServer(t *testing.T) {
	server := testdb.NewServer(t)
	db := openTest(t, server.Database(), Options{})
	s := networkTest(t, db, "default")
	var ts []engine.Tuple
	for i := range 3 {
		x := tupleOf(t, "doc:"+string(rune('a'+i))+"#view@ann")
		ts = append(ts, x)
		rev := write(t, s, adding(x)).Revision
		server.Restart()
		write(t, s, adding(x))
		if got := read(t, s, rev, engine.Query{}); len(got) != len(ts) {
			t.Fatalf("after restart %d there is %v: expected %v", i, got, ts)
		}
	}
	server.Kill()
	if _, err := s.Write(t.Context(), adding(ts[0])); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("error %v (%s): expected unavailable", err, errs.KindOf(err))
	}
	if _, err := s.Head(t.Context()); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("error %v (%s): expected unavailable", err, errs.KindOf(err))
	}
	server.Start()
	write(t, s, adding(ts[0]))
}
