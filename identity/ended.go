package identity

import (
	"context"
	"time"
)

// Others rely on a session, such as the logins of OAuth2 that were made from it. They are
// told when it ends, however that comes: a note is written in the same transaction, and
// stays until they know.

// noting is a Store that keeps these notes, so that no writer can forget it.
type noting struct {
	Store
	now  func() time.Time
	then func(ctx context.Context) // is called when there are some
}

// Write implements Writer.
func (n *noting) Write(ctx context.Context, ops ...Op) error {
	now, gone := n.now(), false
	var counts []*int64
	all := make([]Op, 0, len(ops))
	for _, op := range ops {
		switch o := op.(type) {
		case RevokeSessions:
			o.Tell, o.Count = now, counted(o.Count, &counts)
			op = o
		case LimitSessions:
			o.Tell, o.Count = now, counted(o.Count, &counts)
			op = o
		case DeleteIdentity:
			gone = true
			all = append(all, NoteEnded{Ended{Identity: o.ID, At: now}})
		case SaveIdentity:
			if o.Identity.State == Inactive && o.Identity.Version > 0 {
				gone = true
				all = append(all, NoteEnded{Ended{Identity: o.Identity.ID, At: now}})
			}
		}
		all = append(all, op)
	}
	if err := n.Store.Write(ctx, all...); err != nil {
		return err
	}
	for _, count := range counts {
		gone = gone || *count > 0
	}
	if gone {
		n.then(ctx)
	}
	return nil
}

// counted returns where a count goes, and adds it to all.
func counted(count *int64, all *[]*int64) *int64 {
	if count == nil {
		count = new(int64)
	}
	*all = append(*all, count)
	return count
}

const (
	endedBatch = 50               // notes that are read at once
	endedPoll  = 30 * time.Second // after which notes are looked for that others have left
)

// sessionsEnded tells of a few sessions before the request that ended them is answered, and
// leaves the rest to TellEnded.
func (s *Service) sessionsEnded(ctx context.Context) {
	more, err := s.tellSome(ctx)
	if err != nil {
		s.options.Log.WarnContext(ctx, "those who rely on a session that has ended were not told, and will be", "err", err)
	}
	if more || err != nil {
		select {
		case s.left <- struct{}{}:
		default: // it is awake
		}
	}
}

// TellEnded tells those who rely on sessions that these have ended, until ctx ends. Every
// node runs it.
func (s *Service) TellEnded(ctx context.Context) {
	if s.options.SessionsEnded == nil {
		return
	}
	tick := time.NewTicker(endedPoll)
	defer tick.Stop()
	for {
		more, err := s.tellSome(ctx)
		if err != nil && ctx.Err() == nil {
			s.options.Log.ErrorContext(ctx, "those who rely on sessions that have ended were not told, and will be", "err", err)
		}
		if more && err == nil {
			continue
		}
		wake := s.left
		if err != nil { // what has failed is not tried without a pause
			wake = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
	}
}

// tellSome tells of some sessions, and reports whether there may be more. Nodes that do
// so at the same time tell twice, which does no harm.
func (s *Service) tellSome(ctx context.Context) (more bool, err error) {
	notes, err := s.store.Ended(ctx, endedBatch)
	if err != nil {
		return false, err
	}
	of := map[string][]Ended{}
	for _, note := range notes {
		of[note.Identity] = append(of[note.Identity], note)
	}
	for id, notes := range of {
		if failed := s.tell(ctx, id, notes); failed != nil {
			err = failed
		}
	}
	return len(notes) == endedBatch, err
}

// tell tells of one identity's sessions, and forgets that.
func (s *Service) tell(ctx context.Context, id string, notes []Ended) error {
	var sessions []string
	all := false
	for _, note := range notes {
		all = all || note.Session == ""
		sessions = append(sessions, note.Session)
	}
	if all {
		sessions = nil
	}
	if err := s.options.SessionsEnded(ctx, id, sessions); err != nil {
		return err
	}
	return s.store.Write(ctx, ForgetEnded{notes})
}

// SessionActive reports whether a session of an identity counts.
func (s *Service) SessionActive(ctx context.Context, id, session string) (bool, error) {
	query := s.active(id, s.now())
	query.IDs = []string{session}
	found, err := s.store.Sessions(ctx, query, SessionPosition{}, 1)
	return len(found) > 0, err
}
