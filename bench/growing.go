package bench

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"sync"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A growing is a Fixed that takes writes, of which it keeps the log in memory: four bytes for a
// change of a tuple that it has met before.
type growing struct {
	Fixed
	mu      sync.Mutex
	numbers map[engine.Tuple]uint32
	tuples  []engine.Tuple // by number
	n       int            // of changes
	log     [][]uint32     // the nth led from revision n to n+1: a number twice, plus one if it was deleted
}

// logPiece is how many changes a piece of the log has. No slice is copied to one twice its size, during
// which nothing can stop the thread.
const logPiece = 1 << 16

func revision(n int) engine.Revision { return engine.Revision(strconv.Itoa(n)) }

func (g *growing) number(r engine.Revision) int {
	n, err := strconv.Atoi(string(r))
	if err != nil {
		return 0 // the zero Revision
	}
	return n
}

// Head and the other methods implement engine.Store.
func (g *growing) Head(context.Context) (engine.Revision, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return revision(g.n + 1), nil
}

func (g *growing) Covers(a, b engine.Revision) (bool, error) { return g.number(a) >= g.number(b), nil }

func (g *growing) Tail(ctx context.Context, after engine.Revision, each func(engine.Change) error) (engine.Revision, error) {
	head, _ := g.Head(ctx)
	for c := range g.Changes(ctx, after, head) {
		if err := each(c); err != nil {
			return "", err
		}
	}
	return head, nil
}

func (g *growing) Changes(_ context.Context, from, to engine.Revision) iter.Seq2[engine.Change, error] {
	g.mu.Lock()
	log, tuples := slices.Clone(g.log), g.tuples
	g.mu.Unlock()
	return func(yield func(engine.Change, error) bool) {
		end := g.number(to) - 1
		for i := max(g.number(from)-1, 0); i < end; i++ {
			at := log[i/logPiece][i%logPiece]
			if !yield(engine.Change{Op: engine.Insert + engine.Op(at%2), Tuple: tuples[at/2]}, nil) {
				return
			}
		}
	}
}

func (g *growing) Write(_ context.Context, w engine.Write) (engine.Written, error) {
	if len(w.If) > 0 || len(w.Delete) > 0 || w.Key != "" {
		return engine.Written{}, errs.New(errs.Refused, "only updates can be written to a workload")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	done := engine.Written{}
	for _, u := range w.Updates {
		g.add(u)
		if u.Op == engine.Insert {
			done.Inserted++
		} else {
			done.Deleted++
		}
	}
	done.Revision = revision(g.n + 1)
	return done, nil
}

func (g *growing) add(u engine.Update) {
	number, met := g.numbers[u.Tuple]
	if !met {
		number = uint32(len(g.tuples))
		if g.numbers == nil {
			g.numbers = map[engine.Tuple]uint32{}
		}
		g.numbers[u.Tuple], g.tuples = number, append(g.tuples, u.Tuple)
	}
	if g.n%logPiece == 0 {
		g.log = append(g.log, make([]uint32, 0, logPiece))
	}
	last := &g.log[len(g.log)-1]
	*last = append(*last, 2*number+uint32(u.Op-engine.Insert))
	g.n++
}
