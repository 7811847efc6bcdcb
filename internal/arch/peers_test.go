package arch

import (
	"os/exec"
	"testing"
)

// TestPeersModule: the module of the comparison with the peers lists what Cardea needs
// by now, which nothing else would notice: it is built only when somebody compares.
func TestPeersModule(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-mod=readonly", "-deps", "github.com/cardea-iam/cardea/bench", "github.com/cardea-iam/cardea/engine")
	list.Dir = "../../bench/peers"
	if out, err := list.CombinedOutput(); err != nil {
		t.Errorf("run go mod tidy in bench/peers: %v\n%s", err, out)
	}
}
