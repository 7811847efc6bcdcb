package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
)

// Bounded mode. When the tuples do not fit Options.Memory, the graph in memory
// is partial: it has those sets that somebody asked for. A walk that needs a set
// which is not there goes on without it, as if looking had failed (rule E2), and
// notes what it lacks. What one walk lacks is read in one round trip, at the
// revision of the walk, and the question is walked anew. So a question costs at
// most one round trip per level, however wide the levels are, and none when all
// is there; and an answer that does not depend on what is lacking comes at once
// (rule E3).
//
// The log keeps what is there exact: a change of a set that is in memory is
// applied, others are not remembered. What was read at one revision enters the
// newest state after the changes that came since have been applied to it too, and
// the next walk is at that state. What stays is for the shelf to choose.

// A line is a succession of states, each built from the one before.
type line struct {
	now atomic.Pointer[state]

	mu     sync.Mutex // held by who builds the next state, which only one may at a time (G2)
	recent []batch    // the newest last; bounded mode only
}

// A batch is what led from one revision to the next.
type batch struct {
	from, to Revision
	changes  []Change
}

// keepBatches is how many batches a line remembers, for reads of the store that
// were under way meanwhile.
const keepBatches = 256

// remember notes a batch. l.mu is held.
func (l *line) remember(b batch) {
	if len(l.recent) >= keepBatches {
		l.recent = slices.Delete(l.recent, 0, len(l.recent)-keepBatches+1)
	}
	l.recent = append(l.recent, b)
}

// since returns the changes since a revision, false if they are forgotten. l.mu
// is held.
func (l *line) since(from Revision) ([]Change, bool) {
	var changes []Change
	at := l.now.Load().revision
	for _, b := range slices.Backward(l.recent) {
		if at == from {
			break
		}
		if b.to != at {
			return nil, false
		}
		changes = append(slices.Clone(b.changes), changes...)
		at = b.from
	}
	return changes, at == from
}

// bounded returns the first state of a line in bounded mode, without tuples. The
// line must not be in use yet, or its mutex be held.
func (e *Engine) bounded(ctx context.Context, l *line, rev Revision, m *model, shelf *shelf) (*state, error) {
	b := graph.Unknown().Build()
	bare, err := e.mayHaveBare(ctx, rev)
	if err != nil {
		return nil, err
	}
	if bare {
		b.Suspect()
	}
	s := e.newState(rev, b, m)
	s.line, s.shelf = l, shelf
	return s, nil
}

// mayHaveBare reports whether tuples with the empty relation may exist at rev. No
// index finds them, so where the live state knows of some, or looking through the
// whole store takes longer than the store allows, the answer is yes: it makes walks
// longer, and no answer wrong.
func (e *Engine) mayHaveBare(ctx context.Context, rev Revision) (bool, error) {
	if now := e.live.now.Load(); now != nil && now.snap.HasBare() {
		return true, nil
	}
	none := ""
	e.counters.storeRounds.Add(1)
	for _, err := range e.store.Read(ctx, rev, Query{Relation: &none}, Page{Limit: 1}) {
		if err != nil && (ctx.Err() != nil || errs.KindOf(err) != errs.Unavailable) {
			return false, err
		}
		return true, nil
	}
	return false, nil
}

// goBounded makes the live line begin anew in bounded mode. Its mutex is held.
func (e *Engine) goBounded(ctx context.Context, rev Revision, m *model) (*state, error) {
	if now := e.live.now.Load(); now != nil && now.shelf != nil {
		now.shelf.restart()
		return e.bounded(ctx, &e.live, rev, m, now.shelf)
	}
	shelf, err := newShelf(e.options.Memory)
	if err != nil {
		return nil, err
	}
	s, err := e.bounded(ctx, &e.live, rev, m, shelf)
	if err != nil {
		shelf.close()
		return nil, err
	}
	if e.options.OnBounded != nil {
		e.options.OnBounded()
	}
	return s, nil
}

// fits reports whether so many bytes are within the memory budget.
func (e *Engine) fits(bytes int64) bool { return e.options.Memory == 0 || bytes <= e.options.Memory }

// errMissing is the error of a walk that lacks something. Callers never see it.
var errMissing = errs.New(errs.Internal, "the walk lacks a set that is not in memory")

// ask answers questions that may need the store. All answers are of the state
// that it returns, which shows at least what s shows.
func (e *Engine) ask(ctx context.Context, s *state, ts []Tuple) ([]Result, *state, Reads, error) {
	q := inquiry{
		tuples: ts, results: make([]Result, len(ts)), done: make([]bool, len(ts)),
		left: make([]int64, len(ts)), shelf: s.shelf,
	}
	defer q.unpin()
	for i := range ts {
		q.left[i] = e.options.MaxWork
	}
	for {
		s.intern(ts)
		lacks, err := e.round(ctx, s, &q)
		if err == nil && len(lacks) == 0 {
			e.count(&q)
			return q.results, s, q.reads, nil
		}
		var next *state
		if err == nil {
			next, err = e.fetch(ctx, s, lacks, &q)
		}
		if err != nil {
			e.counters.failed(len(ts))
			return nil, s, q.reads, err
		}
		if next.revision != s.revision || next.model != s.model {
			clear(q.done)
		}
		s = next
	}
}

func (e *Engine) count(q *inquiry) {
	for _, r := range q.results {
		e.counters.answered(r.Err)
	}
	e.counters.checkRounds.Add(q.reads.Rounds)
	e.counters.checkRows.Add(q.reads.Rows)
}

// An inquiry is what ask remembers from one round to the next.
type inquiry struct {
	tuples  []Tuple
	results []Result
	done    []bool  // whether the result stands, for the state of the last round
	left    []int64 // steps that a question may still take
	reads   Reads
	shelf   *shelf
	pins    []uint64
}

func (q *inquiry) pin(key uint64) {
	q.shelf.pin(key)
	q.pins = append(q.pins, key)
}

func (q *inquiry) unpin() {
	if len(q.pins) > 0 {
		q.shelf.unpin(q.pins)
	}
}

// round walks the questions that are open, and returns what they lack.
func (e *Engine) round(ctx context.Context, s *state, q *inquiry) (map[SetRead]bool, error) {
	all := map[SetRead]bool{}
	for i, t := range q.tuples {
		if q.done[i] {
			continue
		}
		lacks := map[SetRead]bool{}
		allowed, steps, err := s.check(ctx, &t, q.left[i], lacks)
		q.left[i] -= steps
		e.counters.steps.Add(steps)
		if err := ctx.Err(); err != nil {
			return nil, err // cancellation is never an answer
		}
		q.done[i] = err == nil || len(lacks) == 0 || q.left[i] <= 0
		if q.done[i] {
			q.results[i] = Result{allowed, err}
		} else {
			maps.Copy(all, lacks)
		}
	}
	return all, nil
}

// intern gives all names of ts numbers in the graph of s, so that what is found
// about them can be kept.
func (s *state) intern(ts []Tuple) {
	b := s.snap.Build()
	for _, t := range ts {
		if !s.named(t.Object, t.Relation) || !s.named(t.Subject.Object, t.Subject.Relation) {
			refs(b, t)
		}
	}
}

// named reports whether find knows all names.
func (s *state) named(o Object, relation string) bool {
	_, known := s.snap.Relation(relation)
	return known && s.find(o, relation).Object() != 0
}

// fetch reads what is lacking in s, and returns the newest state of the line,
// which has it, unless so much happened meanwhile that it must be read again.
func (e *Engine) fetch(ctx context.Context, s *state, lacks map[SetRead]bool, q *inquiry) (*state, error) {
	asked := slices.Collect(maps.Keys(lacks))
	found, err := e.readSets(ctx, s.revision, asked, q)
	if err != nil {
		return nil, err
	}
	l := s.line
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now.Load()
	changes, ok := l.since(s.revision)
	if !ok || now.shelf != q.shelf {
		return now, nil
	}
	b := now.snap.Build()
	for i, read := range asked {
		on, _ := refs(b, Tuple{Object: read.Object, Relation: read.Relation, Subject: read.Member})
		if have := b.Loaded(on); have == nil || have.Part {
			loaded, members := joined(b, read, found[i], changes, have)
			b.Load(on, loaded, members)
			now.shelf.add(loaded.Key, on, found[i].bytes())
			q.pin(loaded.Key)
		}
	}
	next, err := e.settled(now, b)
	if err == nil {
		l.now.Store(next)
	}
	return next, err
}

// A foundSet is what the store says of a SetRead.
type foundSet struct {
	members []Subject
	large   bool
}

func (e *Engine) readSets(ctx context.Context, rev Revision, asked []SetRead, q *inquiry) ([]foundSet, error) {
	found := make([]foundSet, len(asked))
	e.counters.storeRounds.Add(1)
	q.reads.Rounds++
	for row, err := range e.store.ReadSets(ctx, rev, asked, e.options.LargeSet) {
		if err != nil {
			return nil, unreachable(ctx, err)
		}
		f := &found[row.Set]
		f.large = f.large || row.Large
		if row.Member != (Subject{}) || !row.Large {
			f.members = append(f.members, row.Member)
		}
		e.counters.storeRows.Add(1)
		q.reads.Rows++
	}
	return found, nil
}

// unreachable gives a failed read of the store for a question its kind.
func unreachable(ctx context.Context, err error) error {
	kind := errs.KindOf(err)
	if ctx.Err() == nil && kind != errs.Unavailable && kind != errs.Expired {
		return errs.Wrap(errs.Unavailable, err, "the tuples that the answer depends on cannot be read at present")
	}
	return err
}

// joined returns what is known of a set from what was found for a read, the
// changes that came since, and what was known before, which is up to date and may
// be nil.
func joined(b *graph.Builder, read SetRead, found foundSet, changes []Change, have *graph.Loaded) (*graph.Loaded, []graph.Ref) {
	is := make(map[Subject]bool, len(found.members))
	for _, s := range found.members {
		is[s] = true
	}
	if found.large && !is[read.Member] && read.Member.Relation == "" {
		is[read.Member] = false
	}
	for _, c := range changes {
		if c.Model == nil && c.Tuple.Object == read.Object && c.Tuple.Relation == read.Relation {
			is[c.Tuple.Subject] = c.Op == Insert
		}
	}
	l := &graph.Loaded{Key: shelfKey(read.Object, read.Relation), Part: found.large}
	if l.Part && have != nil {
		l.Absent = append(l.Absent, have.Absent...)
	}
	var members []graph.Ref
	for s, member := range is {
		switch ref := subjectRef(b, s); {
		case member:
			members = append(members, ref)
		case l.Part && s.Relation == "":
			l.Absent = append(l.Absent, ref.Object())
		}
	}
	return l, members
}

// bytes estimates what f takes in memory with the names in it.
func (f foundSet) bytes() int64 {
	const set, member = 300, 32
	n := int64(set)
	for _, s := range f.members {
		n += member + int64(len(s.ID))
	}
	return n
}

// keep applies changes to what s has in memory, and forgets the rest.
func (s *state) keep(b *graph.Builder, changes []Change) {
	for _, c := range changes {
		if c.Model != nil {
			continue
		}
		if c.Op == Insert && c.Tuple.Relation == "" {
			b.Suspect()
		}
		if s.snap.Loaded(s.find(c.Tuple.Object, c.Tuple.Relation)) == nil {
			continue
		}
		if on, subject := refs(b, c.Tuple); c.Op == Insert {
			b.Insert(on, subject)
		} else {
			b.Delete(on, subject)
		}
	}
}

// settled publishes b as the successor of s at the same revision, without what
// the shelf has dropped. When names that nothing uses any more fill the memory,
// the graph is built anew.
func (e *Engine) settled(s *state, b *graph.Builder) (*state, error) {
	b.Drop(s.shelf.takeDropped())
	next := *s
	next.snap = b.Publish()
	if e.fits(next.snap.Bytes()) || next.snap.Bytes() < s.shelf.floor {
		return &next, nil
	}
	return e.compacted(&next), nil
}

// compacted returns s with new numbers for the names that it still uses.
func (e *Engine) compacted(s *state) *state {
	b := graph.Unknown().Build()
	if s.snap.HasBare() {
		b.Suspect()
	}
	move := func(r graph.Ref) graph.Ref { return subjectRef(b, s.name(r)) }
	s.shelf.restart()
	for on, l := range s.snap.AllLoaded {
		copied := &graph.Loaded{Key: l.Key, Part: l.Part}
		for _, object := range l.Absent {
			copied.Absent = append(copied.Absent, move(graph.MakeRef(object, 0)).Object())
		}
		var members []graph.Ref
		for r := range s.snap.Set(on).All {
			members = append(members, move(r))
		}
		to := move(on)
		b.Load(to, copied, members)
		s.shelf.moved(l.Key, to)
	}
	e.counters.compactions.Add(1)
	next := e.newState(s.revision, b, s.model)
	next.line, next.shelf = s.line, s.shelf
	s.shelf.floor = next.snap.Bytes() + next.snap.Bytes()/4
	return next
}
