package bench

import (
	"testing"
	"time"
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
