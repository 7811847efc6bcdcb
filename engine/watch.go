package engine

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	// eventChanges is how many changes one event of a watch has at most: with the
	// longest names there are that is some 1.4 MB.
	eventChanges = 500
	// batchChanges is how many changes between two revisions are held in memory for
	// those who watch. More are passed on while they are read.
	batchChanges = 4096
	// feedChanges and feedBatches bound what a feed remembers.
	feedChanges = 4 * batchChanges
	feedBatches = 256
	// feedReads is how many watches may read the log by themselves at a time.
	feedReads = 4
)

// Watch says what a watch is about. The zero value is everything.
type Watch struct {
	// Queries select the tuples whose changes are of interest: any of them; none
	// means all tuples. Changes of the model always are.
	Queries []Query

	// Heartbeat is how long there may be no event before one without changes says
	// how far the watch has come. Default 5 s.
	Heartbeat time.Duration
}

// Validate reports why w makes no sense.
//
// Invalid: as said.
func (w Watch) Validate() error {
	if w.Heartbeat < 0 {
		return errs.New(errs.Invalid, "heartbeat is %v: expected more than 0", w.Heartbeat)
	}
	for i, q := range w.Queries {
		if err := q.Validate(); err != nil {
			return atIndex(err, "query", i, len(w.Queries))
		}
	}
	return nil
}

func (w Watch) wants(c Change) bool {
	return c.Model != nil || len(w.Queries) == 0 ||
		slices.ContainsFunc(w.Queries, func(q Query) bool { return q.Matches(c.Tuple) })
}

// A WatchEvent is the next piece of a watch.
type WatchEvent struct {
	// Changes are those of interest, in their order. A Model has nothing but its
	// number.
	Changes []Change

	// Token covers all events up to this one; "" if more is to come that belongs
	// together with it.
	Token Token
}

// A Feed follows the log for all who watch one engine. Its methods may be called
// from many goroutines at once.
//
// A watch holds its revision and asks for what comes next when its consumer has
// taken what came before; nothing is kept for it in between. The newest changes
// stand in memory, read once for all. Whoever is further behind reads the log by
// itself.
type Feed struct {
	engine *Engine
	reads  chan struct{} // holds one for each watch that reads by itself

	// lock is a mutex whose waiters can be cancelled: it is held while the log is
	// read. It guards the fields below.
	lock    chan struct{}
	watches int
	batches []batch // each begins where the one before ends; the newest last
	held    int     // changes in batches
	end     Revision
}

// NewFeed returns a feed of e. It needs no end.
func NewFeed(e *Engine) *Feed {
	return &Feed{engine: e, reads: make(chan struct{}, feedReads), lock: make(chan struct{}, 1)}
}

// Watch yields what changes after from, in order and without gaps, until ctx
// ends or the consumer stops. An empty from means now. The first event has no
// changes and comes at once. An error comes last; a watch is resumed with the
// last token that it gave. Consumers should not keep it waiting for longer than
// they have to: while much is to be read, a watch holds one of a few places.
//
// Invalid: w has a mistake, or from is malformed, of another store, or ahead of
// this one. Expired: from is older than the history kept. Unavailable: the log
// cannot be followed at present.
func (f *Feed) Watch(ctx context.Context, from Token, w Watch) iter.Seq2[WatchEvent, error] {
	return func(yield func(WatchEvent, error) bool) {
		setDefault(&w.Heartbeat, 5*time.Second)
		s := &watching{Feed: f, Watch: w, yield: yield}
		if err := s.run(ctx, from); err != nil && !s.stopped {
			yield(WatchEvent{}, err)
		}
	}
}

// enter takes the lock.
func (f *Feed) enter(ctx context.Context) error {
	select {
	case f.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Feed) leave() { <-f.lock }

// join counts a watch, and part one less: nothing is remembered for nobody.
func (f *Feed) join(ctx context.Context) error {
	if err := f.enter(ctx); err != nil {
		return err
	}
	defer f.leave()
	f.watches++
	return nil
}

func (f *Feed) part() {
	f.lock <- struct{}{}
	defer f.leave()
	if f.watches--; f.watches == 0 {
		f.forget("")
	}
}

// forget lets the feed begin anew at a revision; "" stands for none. The lock is
// held.
func (f *Feed) forget(at Revision) { f.batches, f.held, f.end = nil, 0, at }

// next returns the batch that leads on from a revision. If it is not remembered,
// ok is false, and b.to is where to read to.
func (f *Feed) next(ctx context.Context, from Revision) (b batch, ok bool, err error) {
	if err := f.enter(ctx); err != nil {
		return batch{}, false, err
	}
	defer f.leave()
	if err := f.extend(ctx, f.engine.live.now.Load().revision); err != nil {
		return batch{}, false, err
	}
	at := slices.IndexFunc(f.batches, func(b batch) bool { return b.from == from })
	if at < 0 {
		return batch{from: from, to: f.end}, false, nil
	}
	return f.batches[at], true, nil
}

// extend remembers what leads to a revision that covers all seen before. The
// lock is held.
func (f *Feed) extend(ctx context.Context, to Revision) error {
	switch {
	case f.end == to:
		return nil
	case f.end == "":
		f.forget(to)
		return nil
	}
	var changes []Change
	for c, err := range f.engine.changes(ctx, f.end, to) {
		if errs.KindOf(err) == errs.Expired {
			f.forget(to)
			return nil
		}
		if err != nil {
			return err
		}
		if len(changes) == batchChanges {
			f.forget(to) // whoever wants it reads it
			return nil
		}
		changes = append(changes, c)
	}
	f.batches = append(f.batches, batch{f.end, to, changes})
	f.held += len(changes)
	f.end = to
	drop := 0
	for ; f.held > feedChanges || len(f.batches)-drop > feedBatches; drop++ {
		f.held -= len(f.batches[drop].changes)
	}
	f.batches = slices.Delete(f.batches, 0, drop)
	return nil
}

// changes is the store's, counted, and without the texts of models.
func (e *Engine) changes(ctx context.Context, from, to Revision) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		e.counters.storeRounds.Add(1)
		for c, err := range e.store.Changes(ctx, from, to) {
			e.counters.storeRows.Add(1)
			if c.Model != nil {
				c.Model = &ModelVersion{Number: c.Model.Number}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// A watching is one watch under way.
type watching struct {
	*Feed
	Watch
	yield   func(WatchEvent, error) bool
	stopped bool // the consumer has had enough

	at   Revision // all up to here was yielded
	beat *time.Timer
}

// run returns nil when the consumer stops.
func (s *watching) run(ctx context.Context, from Token) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := s.join(ctx); err != nil {
		return err
	}
	defer s.part()
	if err := s.begin(ctx, from); err != nil {
		return err
	}
	s.beat = time.NewTimer(s.Heartbeat)
	defer s.beat.Stop()
	if !s.arrive(nil) {
		return nil
	}
	for !s.stopped {
		now, moved := s.engine.published()
		if now.revision != s.at {
			if err := s.advance(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case <-moved:
		case <-s.beat.C:
			if err := s.heartbeat(); err != nil {
				return err
			}
		case <-s.engine.follower.done:
			return errs.New(errs.Unavailable, "the server is shutting down")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// begin finds where the watch starts, and sees that the log goes back that far.
func (s *watching) begin(ctx context.Context, from Token) error {
	if from == "" {
		now, err := s.engine.stateAt(ctx, Consistency{Mode: FullyConsistent})
		if err != nil {
			return err
		}
		s.at = now.revision
		return nil
	}
	rev, err := from.revision(s.engine.store.ID())
	if err != nil {
		return err
	}
	now, err := s.engine.atLeast(ctx, rev)
	if err != nil {
		return err
	}
	s.at = rev
	if rev == now.revision {
		return nil
	}
	for _, err := range s.engine.changes(ctx, rev, now.revision) {
		return tooOld(err)
	}
	return nil
}

// tooOld says what to do if err is that the log does not go back far enough.
func tooOld(err error) error {
	if errs.KindOf(err) != errs.Expired {
		return err
	}
	return errs.Wrap(errs.Expired, err, "snaptoken is older than the history kept: "+
		"read all tuples anew, and watch from the snaptoken of that answer")
}

// advance yields what comes next, up to a newer revision.
func (s *watching) advance(ctx context.Context) error {
	next, ok, err := s.next(ctx, s.at)
	switch {
	case err != nil:
		return err
	case !ok:
		return s.read(ctx, next.to)
	}
	s.at = next.to
	s.some(s.among(next.changes))
	return nil
}

// among returns those of changes that are wanted.
func (s *watching) among(changes []Change) []Change {
	if len(s.Queries) == 0 {
		return changes
	}
	var wanted []Change
	for _, c := range changes {
		if s.wants(c) {
			wanted = append(wanted, c)
		}
	}
	return wanted
}

// some yields changes, if there are any, as the last ones up to s.at.
func (s *watching) some(changes []Change) {
	if len(changes) > 0 && s.pass(&changes, eventChanges) {
		s.arrive(changes)
	}
}

// pass yields changes in events of full size that are not the last ones, while
// there are more than rest, and leaves those. It reports whether the consumer
// goes on.
func (s *watching) pass(changes *[]Change, rest int) bool {
	for len(*changes) > rest && !s.stopped {
		s.send(WatchEvent{Changes: (*changes)[:eventChanges:eventChanges]})
		*changes = (*changes)[eventChanges:]
	}
	return !s.stopped
}

// arrive yields an event that completes what leads to s.at.
func (s *watching) arrive(changes []Change) bool {
	return s.send(WatchEvent{Changes: changes, Token: newToken(s.engine.store.ID(), s.at)})
}

func (s *watching) send(e WatchEvent) bool {
	s.stopped = !s.yield(e, nil)
	s.beat.Reset(s.Heartbeat)
	return !s.stopped
}

// heartbeat says how far the watch has come, but not while the engine does not
// know whether there is more.
func (s *watching) heartbeat() error {
	if err := s.engine.follower.lastError(); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the log of the store cannot be followed at present")
	}
	s.arrive(nil)
	return nil
}

// read yields what leads to a revision, out of the store.
func (s *watching) read(ctx context.Context, to Revision) error {
	wanted, err := s.readChanges(ctx, to)
	if err != nil || s.stopped {
		return tooOld(err)
	}
	s.at = to
	s.some(wanted)
	return nil
}

// readChanges returns what leads to a revision. Only if that is more than
// batchChanges is a part of it yielded while the rest is read, so that a consumer
// that takes its time keeps the store waiting no more than it must.
func (s *watching) readChanges(ctx context.Context, to Revision) (wanted []Change, err error) {
	if ok, err := s.place(ctx); !ok || err != nil {
		return nil, err
	}
	defer func() { <-s.reads }()
	for c, err := range s.engine.changes(ctx, s.at, to) {
		if err != nil {
			return nil, err
		}
		if !s.wants(c) {
			continue
		}
		if len(wanted) == batchChanges {
			if !s.pass(&wanted, eventChanges) {
				return nil, nil
			}
			wanted = slices.Clone(wanted) // lets go of what was passed
		}
		wanted = append(wanted, c)
	}
	return wanted, nil
}

// place waits for one of the places of those that read. ok is false if the
// consumer stopped meanwhile.
func (s *watching) place(ctx context.Context) (ok bool, err error) {
	for !s.stopped {
		select {
		case s.reads <- struct{}{}:
			return true, nil
		case <-s.beat.C:
			if err := s.heartbeat(); err != nil {
				return false, err
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return false, nil
}
