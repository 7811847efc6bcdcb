package pg

import (
	"slices"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// TestWritesComeOneAfterTheOther has writes of several tuples, without conditions,
// meet on the same ones. READ COMMITTED alone would let each win a part: whatever
// the order, the tuples must look as one write left them.
func TestWritesComeOneAfterTheOther(t *testing.T) {
	dsn := testdb.Postgres(t)
	var nodes [2]*Store
	for i := range nodes {
		nodes[i] = networkTest(t, openTest(t, dsn, Options{MaxConns: 4}), "default")
	}
	ts := tuplesOf(t, "doc:a#view@ann", "doc:b#view@ann", "doc:c#view@ann", "doc:d#view@ann")
	opposite := adding(ts[0])
	opposite.Updates = append(opposite.Updates, removing(ts[1]).Updates...)
	other := adding(ts[1])
	other.Updates = append(other.Updates, removing(ts[0]).Updates...)
	byQuery := engine.Write{Delete: []engine.Query{{Relation: &ts[0].Relation}}}
	for _, c := range []struct {
		name string
		a, b engine.Write
		want []int // how many tuples there may be
	}{
		{"both swap", opposite, other, []int{1}},
		{"one adds all, the other removes all", adding(ts...), removing(ts...), []int{0, 4}},
		{"one adds all, the other removes by query", adding(ts...), byQuery, []int{0, 4}},
		{"one adds all, the other all but removes", adding(ts...), removing(ts[1:]...), []int{1, 4}},
	} {
		for round := range 30 {
			write(t, nodes[0], byQuery)
			write(t, nodes[0], adding(ts[round%2])) // so that one of them finds a part done
			var both sync.WaitGroup
			for i, w := range []engine.Write{c.a, c.b} {
				both.Go(func() {
					if _, err := nodes[i].Write(t.Context(), w); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			got := read(t, nodes[0], head(t, nodes[0]), engine.Query{})
			if !slices.Contains(c.want, len(got)) {
				t.Fatalf("%s, round %d: there is %v", c.name, round, got)
			}
		}
	}
}

// TestWake writes on one node and waits for another to hear of it.
func TestWake(t *testing.T) {
	dsn := testdb.Postgres(t)
	var nodes [2]*DB
	for i := range nodes {
		nodes[i] = openTest(t, dsn, Options{})
	}
	writer, hears, elsewhere := networkTest(t, nodes[0], "default"), networkTest(t, nodes[1], "default"), networkTest(t, nodes[1], "other")
	for i := range 3 {
		// The connection that listens may not be there yet, so this writes until
		// it is; a hint may be lost.
		until(t, func() bool {
			write(t, writer, adding(tupleOf(t, "doc:0#view@ann")))
			write(t, writer, removing(tupleOf(t, "doc:0#view@ann")))
			select {
			case <-hears.Wake():
				return true
			default:
				return false
			}
		})
		if i == 0 { // whoever begins to listen wakes all
			drain(elsewhere.Wake())
			drain(writer.Wake())
		}
	}
	select {
	case <-writer.Wake():
		t.Error("a node hears itself")
	case <-elsewhere.Wake():
		t.Error("a network hears of another one")
	default:
	}
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}
