package pg

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A group commits writes of one tuple together, since what such a write costs is
// the commit. One transaction of them is under way at a time, and what comes
// meanwhile waits for the next one. So a write that comes alone waits for nobody,
// and many at once share the price. Each is told for itself what it changed.
//
// When that transaction takes long, perhaps because it waits for a lock that an
// import holds, others begin beside it. (Several from the start were tried: they
// split the crowd, and 64 callers wrote half as much.) A transaction has insertions
// only or deletions only, in order, so that two never wait for one another in a
// circle.
type group struct {
	mu      sync.Mutex
	waiting []*member
	leads   int       // who runs transactions
	began   time.Time // when the newest one did
}

type member struct {
	job   *job
	tuple engine.Tuple
	ended chan struct{}
	err   error
}

const (
	maxGroup = 256 // writes in a transaction
	maxLeads = 8
	slow     = 20 * time.Millisecond // of a transaction
)

// single reports whether a write is of one tuple and of nothing else.
func (j *job) single() bool {
	return len(j.inserts)+len(j.deletes) == 1 && j.w.Key == "" && j.beside == nil && len(j.w.If) == 0 && len(j.w.Delete) == 0
}

// join does the job together with others.
func (g *group) join(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return classify(ctx, err, "write")
	}
	m := &member{job: j, tuple: append(j.inserts, j.deletes...)[0], ended: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	lead := g.leads == 0 || g.leads < maxLeads && time.Since(g.began) > slow
	if lead {
		g.leads++
	}
	g.mu.Unlock()
	if lead {
		j.s.db.done.Go(g.lead)
	}
	select {
	case <-m.ended:
		return m.err
	case <-ctx.Done():
		return unknown(ctx, ctx.Err())
	}
}

// lead runs transactions until nobody waits.
func (g *group) lead() {
	for members := g.take(); len(members) > 0; members = g.take() {
		runTogether(members)
		for _, m := range members {
			close(m.ended)
		}
	}
}

// take returns those who may share the next transaction: of different tuples, all
// inserted or all deleted, and checked against the same model. If there are none,
// the lead that asks is over.
func (g *group) take() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leads > 1 && time.Since(g.began) < slow { // another one is at work, and will take them all
		g.leads--
		return nil
	}
	var taken, left []*member
	seen := map[engine.Tuple]bool{}
	for _, m := range g.waiting {
		if len(taken) < maxGroup && !seen[m.tuple] && (len(taken) == 0 || m.job.goesWith(taken[0].job)) {
			taken = append(taken, m)
		} else {
			left = append(left, m)
		}
		seen[m.tuple] = true // a later one of the same tuple must not overtake
	}
	if g.waiting = left; len(taken) == 0 {
		g.leads--
	}
	g.began = time.Now()
	return taken
}

func (j *job) goesWith(first *job) bool {
	return j.expected == first.expected && len(j.inserts) == len(first.inserts)
}

func runTogether(members []*member) {
	defer func() {
		if p := recover(); p != nil {
			for _, m := range members {
				m.err = errs.New(errs.Internal, "panic while writing: %v", p)
			}
		}
	}()
	ctx := context.Background() // no caller ends what others wait for; run has a limit
	first := members[0].job
	if len(members) == 1 {
		members[0].err = first.run(ctx)
		return
	}
	all := &job{s: first.s, expected: first.expected, members: map[engine.Tuple]*job{}}
	for _, m := range members {
		all.members[m.tuple] = m.job
		all.inserts = append(all.inserts, m.job.inserts...)
		all.deletes = append(all.deletes, m.job.deletes...)
	}
	all.inserts, all.deletes = ordered(all.inserts), ordered(all.deletes)
	err := all.run(ctx)
	if kind := errs.KindOf(err); kind == errs.Internal || kind == errs.Invalid {
		for _, m := range members { // perhaps it is the fault of one
			m.err = m.job.run(ctx)
		}
		return
	}
	for _, m := range members {
		m.job.done.Revision, m.err = all.done.Revision, err
	}
}

// queueFor queues a statement that returns the tuples which it changed, and counts
// each for the member whose it is.
func (j *job) queueFor(b *pgx.Batch, text string, args []any, count func(*engine.Written)) {
	b.Queue(text+" RETURNING "+list, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			t := tuple(rows.RawValues(), nil)
			count(&j.done)
			if m := j.members[t]; m != nil {
				count(&m.done)
			}
		}
		return rows.Err()
	})
}
