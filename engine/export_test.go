package engine

import (
	"math/rand/v2"

	"github.com/cardea-iam/cardea/opl"
)

// A RandomWorld is a world for the tests outside of the package.
type RandomWorld struct {
	Source    string
	Tuples    []Tuple
	Questions []Tuple
	world     *world
}

// NewRandomWorld is newWorld, with a random choice of all questions.
func NewRandomWorld(r *rand.Rand) *RandomWorld {
	w := newWorld(r, false)
	out := &RandomWorld{Source: w.source, Tuples: w.tuples, world: w}
	for _, o := range w.objects {
		for _, relation := range w.relations {
			for _, subject := range w.subjects {
				out.Questions = append(out.Questions, Tuple{o, relation, subject})
			}
		}
	}
	r.Shuffle(len(out.Questions), func(i, j int) {
		out.Questions[i], out.Questions[j] = out.Questions[j], out.Questions[i]
	})
	return out
}

// RandomUpdates returns updates that the model allows.
func (w *RandomWorld) RandomUpdates(r *rand.Rand, n int) []Update {
	var ups []Update
	for len(ups) < n {
		up := Update{Insert, w.world.randomTuple(r, false)}
		if r.IntN(2) == 0 {
			up = Update{Delete, pick(r, w.Tuples)}
		}
		if fits(w.world.model, up.Tuple) == nil {
			ups = append(ups, up)
		}
	}
	return ups
}

// NewSeed is newSeed.
var NewSeed = newSeed

// RenumberAfter makes an engine with these options renumber after so many deletions.
func (o Options) RenumberAfter(n int64) Options {
	o.renumberMin = n
	return o
}

// ReferenceAnswer is what the reference says to a question, and whether it has an
// answer at all.
func ReferenceAnswer(source string, tuples []Tuple, q Tuple) (allowed, known bool, err error) {
	m, err := opl.Compile([]opl.Source{{Name: "model", Text: []byte(source)}}, opl.Options{})
	if err != nil {
		return false, false, err
	}
	r := newReference(m, below(tuples, q.Object), []Object{q.Object}, q.Subject, false)
	allowed, known = r.answer(q.Object, q.Relation)
	return allowed, known, nil
}

// Past returns how many past states are in memory, and the bytes that they take.
func (e *Engine) Past() (states int, bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.mu.past), e.mu.held
}

// Waiting returns how many wait for the next round of the follower.
func (e *Engine) Waiting() int {
	e.follower.mu.Lock()
	defer e.follower.mu.Unlock()
	return e.follower.mu.next.waiters
}
