package cluster

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/store"
)

// patience bounds every wait. No test passes because of it.
const patience = 60 * time.Second

const opl = `
class User implements Namespace {}

class Group implements Namespace {
  related: { members: User[] }
}

class Document implements Namespace {
  related: { viewers: (User | SubjectSet<Group, "members">)[] }
  permits = { view: (ctx: Context): boolean => this.related.viewers.includes(ctx.subject) }
}
`

// databases are those that nodes share. SQLite serves one process, and there
// stands for a database without hints and delays.
var databases = []struct {
	name string
	dsn  func(t *testing.T) string
}{
	{"sqlite", func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "cardea.db") }},
	{"postgres", func(t *testing.T) string { return testdb.Postgres(t) }},
	{"cockroach", func(t *testing.T) string { return testdb.Cockroach(t) }},
}

// onEach runs a test on every database.
func onEach(t *testing.T, test func(t *testing.T, dsn string)) {
	for _, db := range databases {
		t.Run(db.name, func(t *testing.T) { test(t, db.dsn(t)) })
	}
}

// timeout is how long a statement of a test may take before the node gives up.
const timeout = 2 * time.Second

// open opens the database of dsn. The end of the test closes it.
func open(t *testing.T, dsn string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), dsn, store.Options{Migrate: true, StatementTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// join starts a node on a database. The end of the test stops it.
func join(t *testing.T, db *store.DB, o engine.Options) *engine.Engine {
	t.Helper()
	s, err := db.Network(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	return start(t, s, o)
}

func start(t *testing.T, s engine.Store, o engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.New(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// nodes starts n nodes with the model. All but those on SQLite have connections
// of their own.
func nodes(t *testing.T, dsn string, n int) []*engine.Engine {
	t.Helper()
	var list []*engine.Engine
	db := open(t, dsn)
	for i := range n {
		if i > 0 && !isSQLite(dsn) {
			db = open(t, dsn)
		}
		o := engine.Options{}
		if i == n-1 {
			o.Memory = 1 // keeps hardly anything in memory
		}
		list = append(list, join(t, db, o))
	}
	_, token, err := list[0].ApplyModel(t.Context(), opl, engine.ApplyModel{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list { // each has the model before the test begins
		if _, err := e.Check(t.Context(), parse(t, "Document:x#view@User:x"), asFresh(token)); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func isSQLite(dsn string) bool { return filepath.Ext(dsn) == ".db" }

var fully = engine.Consistency{Mode: engine.FullyConsistent}

func asFresh(token engine.Token) engine.Consistency {
	return engine.Consistency{Mode: engine.AtLeastAsFresh, Token: token}
}

func parse(tb testing.TB, text string) engine.Tuple {
	tb.Helper()
	t, err := engine.ParseTuple(text)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func insert(t engine.Tuple) engine.Update { return engine.Update{Op: engine.Insert, Tuple: t} }
func remove(t engine.Tuple) engine.Update { return engine.Update{Op: engine.Delete, Tuple: t} }

// write does updates on a node and returns the token.
func write(ctx context.Context, on *engine.Engine, ups ...engine.Update) (engine.Token, error) {
	done, err := on.Write(ctx, engine.Write{Updates: ups})
	return done.Token, err
}

// within calls done again and again until it says so.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}
