package bench

import (
	"context"
	"strconv"
	"sync"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A growing is a Fixed that takes writes, of which it keeps the log in memory.
type growing struct {
	Fixed
	mu      sync.Mutex
	changes []engine.Change // the nth led from revision n to n+1
}

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
	return revision(len(g.changes) + 1), nil
}

func (g *growing) Covers(a, b engine.Revision) (bool, error) { return g.number(a) >= g.number(b), nil }

func (g *growing) Tail(_ context.Context, after engine.Revision, each func(engine.Change) error) (engine.Revision, error) {
	g.mu.Lock()
	news := g.changes[max(g.number(after)-1, 0):]
	head := revision(len(g.changes) + 1)
	g.mu.Unlock()
	for _, c := range news {
		if err := each(c); err != nil {
			return "", err
		}
	}
	return head, nil
}

func (g *growing) Write(_ context.Context, w engine.Write) (engine.Written, error) {
	if len(w.If) > 0 || len(w.Delete) > 0 || w.Key != "" {
		return engine.Written{}, errs.New(errs.Refused, "only updates can be written to a workload")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	done := engine.Written{}
	for _, u := range w.Updates {
		g.changes = append(g.changes, engine.Change{Op: u.Op, Tuple: u.Tuple})
		if u.Op == engine.Insert {
			done.Inserted++
		} else {
			done.Deleted++
		}
	}
	done.Revision = revision(len(g.changes) + 1)
	return done, nil
}
