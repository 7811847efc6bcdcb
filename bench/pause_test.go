package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
)

// TestPauses: each phase does what it says, and right answers come meanwhile.
func TestPauses(t *testing.T) {
	rounds, err := Pauses(t.Context(), NewDrive(20_000, 1), 2, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(rounds) != 2 || len(rounds[1]) != 6 {
		t.Fatalf("%+v", rounds)
	}
	pauses := rounds[1]
	for _, p := range pauses {
		writes := p.During == "writes" || p.During == "renumbering" || p.During == "all of them"
		if p.Checks == 0 || (p.Writes > 0) != writes || p.Clock <= 0 || p.Own <= 0 || p.Nothing <= 0 {
			t.Errorf("%+v", p)
		}
	}
	if all := pauses[5]; all.Cycles == 0 || all.Stopped == 0 {
		t.Errorf("nothing was collected: %+v", all)
	}
}

// TestGrowingChanges: what was written can be followed from any revision to any.
func TestGrowingChanges(t *testing.T) {
	g, ctx := &growing{}, t.Context()
	tuple := func(id string) engine.Tuple { return engine.Tuple{Relation: id} }
	want := []engine.Change{{Op: engine.Insert, Tuple: tuple("a")}, {Op: engine.Delete, Tuple: tuple("a")}, {Op: engine.Insert, Tuple: tuple("b")}}
	for _, c := range want {
		if _, err := g.Write(ctx, engine.Write{Updates: []engine.Update{{Op: c.Op, Tuple: c.Tuple}}}); err != nil {
			t.Fatal(err)
		}
	}
	for from := range len(want) + 1 {
		for to := from; to <= len(want); to++ {
			var got []engine.Change
			for c := range g.Changes(ctx, revision(from+1), revision(to+1)) {
				got = append(got, c)
			}
			if !slices.Equal(got, want[from:to]) {
				t.Errorf("from %d to %d: %v", from, to, got)
			}
		}
	}
}

// TestHeld: a stop holds a check up for no longer than there was none, and may be counted later.
func TestHeld(t *testing.T) {
	for _, test := range []struct {
		name  string
		spans []span
		want  float64
	}{
		{"none", []span{{3, 0}}, 0},
		{"the stop", []span{{0.1, 0}, {3, 2}}, 2},
		{"checks went on", []span{{0.1, 4}}, 0.1},
		{"counted two spans later", []span{{3, 0}, {0.1, 0}, {0.2, 4}}, 3},
		{"too late", []span{{3, 0}, {0.1, 0}, {0.1, 0}, {0.2, 4}}, 0.2},
		{"counted before", []span{{0.1, 4}, {3, 0}}, 0.1},
	} {
		if got := held(test.spans); got != test.want {
			t.Errorf("%s: %g, want %g", test.name, got, test.want)
		}
	}
}
