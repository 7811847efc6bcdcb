package engine

import (
	"context"
	"iter"
	"time"
)

// A Revision names one state of a store. It is opaque: only the store that made
// it can compare two of them. Equal revisions are the same state. The zero
// Revision is the empty store before its first write.
type Revision string

// A StoreID is the identity of a store and the epoch since its last restore.
// Snaptokens carry it, so that a token is never read against another history.
type StoreID [16]byte

// A Query selects tuples. A nil field matches everything; a pointer to "" only
// the empty string.
type Query struct {
	Namespace *string
	Object    *string
	Relation  *string
	Subject   *Subject
}

// IsEmpty reports whether q matches every tuple.
func (q Query) IsEmpty() bool { return q == Query{} }

// Matches reports whether t is one of the tuples that q selects.
func (q Query) Matches(t Tuple) bool {
	return (q.Namespace == nil || *q.Namespace == t.Object.Namespace) &&
		(q.Object == nil || *q.Object == t.Object.ID) &&
		(q.Relation == nil || *q.Relation == t.Relation) &&
		(q.Subject == nil || *q.Subject == t.Subject)
}

// Validate reports the first field of q that no tuple can have.
//
// Invalid: as said.
func (q Query) Validate() error {
	for _, field := range []struct {
		name  string
		value *string
		limit int
	}{{"namespace", q.Namespace, MaxNamespace}, {"object", q.Object, MaxID}, {"relation", q.Relation, MaxRelation}} {
		if field.value == nil {
			continue
		}
		if err := validName(field.name, *field.value, field.limit); err != nil {
			return err
		}
	}
	if q.Subject != nil {
		return q.Subject.Validate()
	}
	return nil
}

// A Page cuts a piece out of an ordered result.
type Page struct {
	After *Tuple // only tuples behind this one, in the order of Tuple.Compare; nil: from the start
	Limit int    // at most that many; 0: no limit
}

// An Op says what an Update does.
type Op uint8

const (
	Insert Op = iota + 1
	Delete
)

// An Update adds or removes one tuple.
type Update struct {
	Op    Op
	Tuple Tuple
}

// A Change is one entry of the log: a tuple that came or went, or a model that
// became active.
type Change struct {
	Op    Op
	Tuple Tuple
	Model *ModelVersion // if set, this model became active and Op and Tuple are zero
}

// A ModelVersion is one uploaded OPL text.
type ModelVersion struct {
	Number   int64     // 1, 2, 3, ... in the order of activation
	Source   string    // the OPL text as uploaded
	Created  time.Time // by the clock of the server that stored it, UTC
	Revision Revision  // the first revision at which it is active
}

// A Store keeps tuples, models and their history. It is all the engine asks of
// a database; store/storetest says in tests what these comments say in words.
//
// Methods may be called from many goroutines at once. Every error has a kind
// from package errs. Unavailable, which means that a retry may help, can come
// from any method and is not listed below; a cancelled context gives an error
// that wraps the context's.
type Store interface {
	// ID returns the identity of the store. It never changes while it is open.
	ID() StoreID

	// Head returns the newest revision: it shows every write that returned
	// before Head was called. It costs at most one round trip.
	Head(ctx context.Context) (Revision, error)

	// Covers reports whether state a shows every write that state b shows. It
	// asks no database.
	//
	// Invalid: a or b is not a revision of this kind of store.
	Covers(a, b Revision) (bool, error)

	// Read yields the tuples that match q as they stood at rev, in the order of
	// Tuple.Compare. An error comes last, with a zero Tuple.
	//
	// Expired: rev is older than the history kept.
	// Invalid: rev is not a revision of this store, or lies ahead of it.
	Read(ctx context.Context, rev Revision, q Query, p Page) iter.Seq2[Tuple, error]

	// Changes yields what differs between from and to, which covers from, such
	// that applying the changes in the order given to the state from makes the
	// state to. Changes that cancel out between the two may be left out.
	//
	// Expired: from is older than the history kept.
	// Invalid: as for Read.
	Changes(ctx context.Context, from, to Revision) iter.Seq2[Change, error]

	// Write applies all of ups in the order given, or none, and returns the
	// first revision that shows them. Adding a tuple that is there, or removing
	// one that is not, succeeds and changes nothing. model is the number of the
	// model version that the caller checked ups against; 0 means any.
	//
	// Invalid: an update has no operation, or a tuple that breaks a limit.
	// Conflict: another model version is active.
	Write(ctx context.Context, ups []Update, model int64) (Revision, error)

	// DeleteAll removes every tuple that matches q, in one transaction, and
	// returns how many there were.
	DeleteAll(ctx context.Context, q Query) (int64, Revision, error)

	// PutModel appends a model version and makes it active. after is the number
	// of the version that the caller saw active, 0 for none.
	//
	// Conflict: another version is active.
	PutModel(ctx context.Context, source string, after int64) (ModelVersion, error)

	// Model returns the version active at rev, with Number 0 if there is none.
	//
	// Expired, Invalid: as for Read.
	Model(ctx context.Context, rev Revision) (ModelVersion, error)

	// Models returns up to limit versions with numbers below before (0: all),
	// newest first.
	Models(ctx context.Context, before int64, limit int) ([]ModelVersion, error)

	// Purge forgets tuples that were removed before t, and the revisions that
	// only they tell apart. It returns how many rows went.
	Purge(ctx context.Context, t time.Time) (int64, error)

	// Ping reports whether the store can answer now.
	Ping(ctx context.Context) error

	// Close frees the store's resources. No method may run during or after it.
	Close() error
}
