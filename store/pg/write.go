package pg

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// A job is a write or a new model, and what has become of it.
type job struct {
	s *Store
	w engine.Write

	hash             [sha256.Size]byte // of w, if it has a key
	inserts, deletes []engine.Tuple    // what w.Updates amount to, in order

	put      bool // a new model
	model    engine.ModelVersion
	expected int64 // the number of the model that must be active, if put or not 0

	beside func(*script.Script) // what else is written in the transaction, if anything
	doing  string               // what that is, in the imperative

	// In a group, whose each tuple is.
	members map[engine.Tuple]*job

	// What a try found.
	done     engine.Written
	repeated bool   // the key was used before, and done is of then
	refusal  error  // the first check that failed
	mark     string // the revision, raw
	counted  bool   // done has the numbers of tuples
}

// Write implements engine.Store.
func (s *Store) Write(ctx context.Context, w engine.Write) (engine.Written, error) {
	if err := validate(w); err != nil {
		return engine.Written{}, err
	}
	j := newJob(s, w)
	run := j.run
	if j.single() && s.db.server.groups() {
		run = func(ctx context.Context) error { return s.group.join(ctx, j) }
	}
	if err := run(ctx); err != nil {
		return engine.Written{}, err
	}
	return j.done, nil
}

func newJob(s *Store, w engine.Write) *job {
	j := &job{s: s, w: w, expected: w.Model}
	if w.Key != "" {
		j.hash = contents(w)
	}
	j.inserts, j.deletes = lasting(w.Updates)
	return j
}

func validate(w engine.Write) error {
	if len(w.Key) > engine.MaxKey {
		return errs.New(errs.Invalid, "the key has %d bytes: expected at most %d", len(w.Key), engine.MaxKey)
	}
	for i, u := range w.Updates {
		if u.Op != engine.Insert && u.Op != engine.Delete {
			return errs.New(errs.Invalid, "update %d has operation %d: expected insert or delete", i, u.Op)
		}
		if err := u.Tuple.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// lasting returns what the updates amount to: of those of one tuple the last one
// decides. Both lists are in order, so that transactions meet rows in one order.
func lasting(ups []engine.Update) (inserts, deletes []engine.Tuple) {
	mixed := false
	for _, u := range ups {
		mixed = mixed || u.Op != ups[0].Op
	}
	var last map[engine.Tuple]int
	if mixed {
		last = make(map[engine.Tuple]int, len(ups))
		for i, u := range ups {
			last[u.Tuple] = i
		}
	}
	for i, u := range ups {
		switch {
		case mixed && last[u.Tuple] != i:
		case u.Op == engine.Insert:
			inserts = append(inserts, u.Tuple)
		default:
			deletes = append(deletes, u.Tuple)
		}
	}
	return ordered(inserts), ordered(deletes)
}

func ordered(ts []engine.Tuple) []engine.Tuple {
	if !slices.IsSortedFunc(ts, engine.Tuple.Compare) {
		slices.SortFunc(ts, engine.Tuple.Compare)
	}
	return slices.Compact(ts)
}

// conflicts is how often a write gives way to others before it gives up.
const conflicts = 20

// run does the job, again if others were in the way, or if its key makes that safe.
func (j *job) run(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, j.patience())
	defer cancel()
	for try, gaveWay := 0, 0; ; {
		j.reset()
		unsure, err := j.s.db.server.try(limited, j)
		switch {
		case err == nil:
			return j.finish(limited)
		case j.beside != nil && code(err) == uniqueViolation:
			return written(ctx, err, false, j.doing)
		case restart(err) || code(err) == uniqueViolation: // another write had the same key, or put a model
			if gaveWay++; gaveWay > conflicts || !pause(limited, min(gaveWay/4, 2)) {
				return classify(ctx, err, "write: other writes came first, again and again")
			}
			continue
		case unsure && j.w.Key == "":
			return unknown(ctx, err)
		}
		if try == retries || !unsure && !transient(err) || !pause(limited, try) {
			if unsure {
				return unknown(ctx, err)
			}
			return classify(ctx, err, "write")
		}
		try++
	}
}

// reset forgets what a try has found.
func (j *job) reset() {
	j.done, j.repeated, j.refusal, j.mark, j.counted = engine.Written{}, false, nil, "", false
	for _, m := range j.members {
		m.done = engine.Written{}
	}
}

// unknown says that nobody knows.
func unknown(ctx context.Context, err error) error {
	return errs.Wrap(errs.Unknown, errors.Join(ctx.Err(), err), "the connection to the database broke before it confirmed the write, "+
		"which may or may not have been made; a write with an idempotency key is safe to repeat")
}

// finish makes the revision of the mark.
func (j *job) finish(ctx context.Context) error {
	if j.refusal != nil {
		return j.refusal
	}
	at, err := j.s.db.server.parseRaw(j.mark)
	if errors.Is(err, errWide) {
		at, err = j.s.db.server.ask(ctx, j.s)
	}
	if err != nil {
		return err
	}
	j.done.Revision = at.revision()
	if !j.repeated && (j.put || j.done.Inserted+j.done.Deleted > 0) {
		j.s.db.wakeups.wrote(j.s.network)
		j.s.db.counted.add(j.done.Inserted + j.done.Deleted)
	}
	return nil
}

// sureOf reports whether err says by itself that nothing was committed: the server
// answered with an error that is none of the connection, or nothing was sent. See
// server.sure.
func sureOf(err error) bool {
	var before pgx.ErrPreprocessingBatch
	if errors.As(err, &before) {
		return true
	}
	if c := code(err); c != "" {
		return !lost(c) && c != "40003"
	}
	var connecting *pgconn.ConnectError
	return errors.As(err, &connecting) || pgconn.SafeToRetry(err)
}

func (j *job) refuse(err error) {
	if j.refusal == nil && !j.repeated {
		j.refusal = err
	}
}

// stopped reports whether the job must not write.
func (j *job) stopped() bool { return j.refusal != nil || j.repeated }
