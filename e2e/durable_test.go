package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	keto "github.com/ory/keto/proto/ory/keto/relation_tuples/v1alpha2"
)

// TestRestart: a second start finds the data as it was left, and does not load
// the example again.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir, "--example", "drive")
	first.cardea(t, "tuples", "delete", "Document:plan#viewers@User:ivy").must(t)
	first.cardea(t, "tuples", "create", "Document:plan#viewers@User:new").must(t)
	before := first.cardea(t, "tuples", "export").must(t)
	history := first.cardea(t, "model", "history").must(t)
	if code := first.stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}

	second := start(t, dir, "--example", "drive")
	if !strings.Contains(second.Banner, "the example was not loaded") {
		t.Errorf("the banner does not say so:\n%s", second.Banner)
	}
	if after := second.cardea(t, "tuples", "export").must(t); after != before {
		t.Error("the tuples changed")
	}
	if after := second.cardea(t, "model", "history").must(t); after != history {
		t.Errorf("the models changed from\n%sto\n%s", history, after)
	}
	if r := second.cardea(t, "check", "User:new", "view", "Document:plan"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if r := second.cardea(t, "check", "User:ivy", "view", "Document:plan"); r.code != 1 {
		t.Errorf("%+v", r)
	}
}

// TestSeedIsCompleted: a start that ended between the model and the tuples of
// the example is completed by the next.
func TestSeedIsCompleted(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	first.cardea(t, "model", "apply", "../examples/rbac/model.ts").must(t)
	first.stop(t)
	second := start(t, dir, "--example", "rbac")
	if r := second.cardea(t, "check", "User:amy", "hold", "Role:clerk"); r.code != 0 {
		t.Errorf("%+v\n%s", r, second.Banner)
	}
}

// TestKill kills the server while writers are at work, several times, and then
// looks for every write that was acknowledged.
func TestKill(t *testing.T) {
	const rounds, writers, kept = 4, 16, 500
	dir := t.TempDir()
	var acknowledged []string
	for round := range rounds {
		s := start(t, dir, "--example", "rbac")
		acknowledged = append(acknowledged, writeUntilKilled(t, s, round, writers, kept)...)
	}
	if len(acknowledged) < rounds*kept {
		t.Fatalf("%d writes were acknowledged, want %d at least", len(acknowledged), rounds*kept)
	}
	s := start(t, dir)
	stored := map[string]bool{}
	for line := range strings.Lines(s.cardea(t, "tuples", "export", "--namespace", "Device").must(t)) {
		stored[strings.TrimSpace(line)] = true
	}
	missing := 0
	for _, text := range acknowledged {
		if !stored[text] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d acknowledged writes are gone", missing, len(acknowledged))
	}
	t.Logf("%d acknowledged writes survived %d kills", len(acknowledged), rounds)
}

// writeUntilKilled lets writers write until enough writes are acknowledged,
// kills the server in the middle of that, and returns what was acknowledged.
func writeUntilKilled(t *testing.T, s *instance, round, writers, enough int) []string {
	t.Helper()
	client := keto.NewWriteServiceClient(dial(t, s.Write))
	var mu sync.Mutex
	var acknowledged []string
	reached := make(chan struct{})
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := 0; ; i++ {
				text := fmt.Sprintf("Device:r%d-w%d-%d#user@User:amy", round, w, i)
				if _, err := client.TransactRelationTuples(t.Context(), &keto.TransactRelationTuplesRequest{
					RelationTupleDeltas: keto.RelationTupleToDeltas([]*keto.RelationTuple{tuple(text)}, keto.RelationTupleDelta_ACTION_INSERT),
				}); err != nil {
					return // killed
				}
				mu.Lock()
				if acknowledged = append(acknowledged, text); len(acknowledged) == enough {
					close(reached)
				}
				mu.Unlock()
			}
		})
	}
	stopped := make(chan struct{})
	go func() { all.Wait(); close(stopped) }()
	select {
	case <-reached:
	case <-stopped:
		t.Error("the writers ended before the server did")
	}
	s.kill(t)
	<-stopped
	return acknowledged
}
