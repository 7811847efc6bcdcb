package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// lost is for a world whose database comes and goes.
func lost(err error) bool {
	kind := errs.KindOf(err)
	return kind == errs.Unavailable || kind == errs.Unknown
}

// result is what a call gave that may hang.
type result struct {
	allowed bool
	err     error
}

// ends calls do and fails the test if it hangs.
func ends(t *testing.T, what string, do func(ctx context.Context) (bool, error)) result {
	t.Helper()
	ended := make(chan result, 1)
	go func() {
		allowed, err := do(context.Background())
		ended <- result{allowed, err}
	}()
	select {
	case r := <-ended:
		return r
	case <-time.After(patience):
		t.Fatalf("%s hangs", what)
		return result{}
	}
}

// TestDatabasePaused: while the database hangs, what needs no database goes on,
// what needs it fails as unavailable in bounded time rather than be answered from
// too old a state, and the node says that it is not ready. Afterwards all is well
// again.
func TestDatabasePaused(t *testing.T) {
	server := testdb.NewServer(t)
	list := nodes(t, server.Database(), 2)
	known, unknown := parse(t, "Document:plan#viewers@User:ann"), parse(t, "Document:plan#viewers@User:bob")
	token, err := write(t.Context(), list[0], insert(known))
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range list { // has it before the pause
		if err := expect(t.Context(), node, known.String(), true, asFresh(token)); err != nil {
			t.Fatal(err)
		}
	}

	server.Pause()
	for i, node := range list {
		check := func(at engine.Consistency) func(context.Context) (bool, error) {
			return func(ctx context.Context) (bool, error) {
				answer, err := node.Check(ctx, known, at)
				return answer.Allowed, err
			}
		}
		for _, at := range []engine.Consistency{{}, asFresh(token)} {
			if r := ends(t, "a check that needs no database", check(at)); r.err != nil || !r.allowed {
				t.Errorf("node %d, mode %d: allowed %t, %v", i, at.Mode, r.allowed, r.err)
			}
		}
		if r := ends(t, "a fully consistent check", check(fully)); errs.KindOf(r.err) != errs.Unavailable {
			t.Errorf("node %d, fully consistent: allowed %t, %v, want unavailable", i, r.allowed, r.err)
		}
		if r := ends(t, "Ready", func(ctx context.Context) (bool, error) { return false, node.Ready(ctx) }); r.err == nil {
			t.Errorf("node %d says that it is ready", i)
		}
	}
	r := ends(t, "a write", func(ctx context.Context) (bool, error) {
		_, err := write(ctx, list[1], insert(unknown))
		return false, err
	})
	if !lost(r.err) {
		t.Errorf("a write: %v, want unavailable or unknown", r.err)
	}

	server.Resume()
	for _, node := range list {
		within(t, "the node has recovered", func() bool { return node.Ready(t.Context()) == nil })
		if err := expect(t.Context(), node, known.String(), true, fully); err != nil {
			t.Error(err)
		}
	}
	after, err := write(t.Context(), list[1], insert(unknown))
	if err != nil {
		t.Fatal(err)
	}
	if err := expect(t.Context(), list[0], unknown.String(), true, asFresh(after)); err != nil {
		t.Error(err)
	}
}
