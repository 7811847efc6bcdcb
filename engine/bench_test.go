package engine

import (
	"context"
	"fmt"
	"testing"
)

const benchModel = `
class User implements Namespace {}
class Group implements Namespace {
  related: { members: (User | SubjectSet<Group, "members">)[] }
}
class Folder implements Namespace {
  related: { parents: Folder[]; viewers: (User | SubjectSet<Group, "members">)[] }
  permits = {
    view: (ctx: Context): boolean => this.related.viewers.includes(ctx.subject) ||
      this.related.parents.traverse((p) => p.permits.view(ctx)),
    viewUnlessBanned: (ctx: Context): boolean => this.permits.view(ctx) && !this.permits.banned(ctx),
    banned: (ctx: Context): boolean => this.related.parents.traverse((p) => p.permits.banned(ctx)),
  }
}
`

// benchTuples has every shape of question beside 100,000 tuples of others.
func benchTuples() []Tuple {
	var ts []Tuple
	add := func(format string, args ...any) {
		t, err := ParseTuple(fmt.Sprintf(format, args...))
		if err != nil {
			panic(err)
		}
		ts = append(ts, t)
	}
	for i := range 100_000 {
		add("Folder:other%d#viewers@User:user%d", i, i%5000)
	}
	add("Folder:direct#viewers@User:ann")
	for i := range 4 {
		add("Group:nest%d#members@Group:nest%d#members", i, i+1)
	}
	add("Group:nest4#members@User:ann")
	add("Folder:nested#viewers@Group:nest0#members")
	for i := range 6 {
		add("Folder:chain%d#parents@Folder:chain%d", i, i+1)
	}
	add("Folder:chain6#viewers@User:ann")
	for i := range 200 {
		add("Folder:wide#parents@Folder:wide%d", i)
		add("Folder:wide%d#viewers@User:user%d", i, i)
	}
	add("Folder:wide77#viewers@User:ann")
	for i := range 10_000 {
		add("Group:many%d#members@User:bob", i)
	}
	add("Folder:many#viewers@Group:many9999#members")
	return ts
}

// BenchmarkCheck measures one check in process, on a warm graph of some 110,000
// tuples. steps/op is how many relations of objects were looked at.
func BenchmarkCheck(b *testing.B) {
	m := ModelOf(b, benchModel)
	s := stateOf(m, benchTuples(), false)
	for _, tt := range []struct {
		name, question string
		want           bool
	}{
		{"direct", "Folder:direct#viewers@User:ann", true},
		{"denied", "Folder:direct#viewers@User:eve", false},
		{"groups=4", "Folder:nested#viewers@User:ann", true},
		{"chain=6", "Folder:chain0#view@User:ann", true},
		{"chain=6/not", "Folder:chain0#viewUnlessBanned@User:ann", true},
		{"wide=200/in", "Folder:wide#view@User:ann", true},
		{"wide=200/out", "Folder:wide#view@User:eve", false},
		{"memberships=10000", "Folder:many#view@User:bob", true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			q, err := ParseTuple(tt.question)
			if err != nil {
				b.Fatal(err)
			}
			ctx := context.Background()
			var steps int64
			b.ReportAllocs()
			for b.Loop() {
				got, n, err := s.check(ctx, &q, 1e6, nil)
				if got != tt.want || err != nil {
					b.Fatal(got, err)
				}
				steps = n
			}
			b.ReportMetric(float64(steps), "steps/op")
		})
	}
}

// TestAllocations guards what BenchmarkCheck shows: a warm check allocates
// nothing, however far it walks.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	m := ModelOf(t, benchModel)
	s := stateOf(m, benchTuples(), false)
	for _, question := range []string{
		"Folder:direct#viewers@User:ann", "Folder:nested#viewers@User:ann", "Folder:chain0#view@User:ann",
		"Folder:chain0#viewUnlessBanned@User:ann", "Folder:wide#view@User:eve",
	} {
		q, err := ParseTuple(question)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		// The pool of walks may lose one to the garbage collector; half of an
		// allocation on average tells that apart from one in every check.
		got := testing.AllocsPerRun(100, func() {
			if _, _, err := s.check(ctx, &q, 1e6, nil); err != nil {
				t.Error(err)
			}
		})
		if got >= 1 {
			t.Errorf("%s: %v allocations", question, got)
		}
	}
}
