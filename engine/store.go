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

// A Precondition must hold in the state that a write changes, or nothing is
// written. It sees the state before the write, not the write's own updates.
type Precondition struct {
	Query  Query // a whole tuple, or any part of one
	Exists bool  // true: some tuple must match; false: none may
}

// A Write is what Store.Write does in one transaction: it checks If, then removes
// what Delete selects, then applies Updates in their order.
type Write struct {
	If      []Precondition
	Delete  []Query
	Updates []Update

	// Model is the number of the model version that the caller checked the
	// updates against; 0 means any.
	Model int64

	// Key makes the write safe to repeat: a write with a key that was used before
	// changes nothing and returns what the first one returned. Empty: no key. Keys
	// are kept as long as the history.
	Key string
}

// MaxKey is the longest Write.Key in bytes.
const MaxKey = 200

// Written is what a write did.
type Written struct {
	Revision Revision // the first that shows it
	Inserted int64    // tuples that were not there before and are now
	Deleted  int64    // tuples that were there before and are not now
}

// A SetRead asks for the members of one relation of one object.
type SetRead struct {
	Object   Object
	Relation string
	Member   Subject // the member that the caller is after, see SetRow
	Whole    bool    // yield all members, however many
}

// A SetRow is one member of the set with the index Set among those asked for.
// A set that has more than the limit members, and was not asked for as a whole,
// is large: of it, only those members come whose relation is not empty, and the
// one that was named, if it is there. Each row of a large set says so, and if
// there are none, one row with a zero Member does.
type SetRow struct {
	Set    int
	Large  bool
	Member Subject
}

// A ModelVersion is one uploaded OPL text.
type ModelVersion struct {
	Number   int64     // 1, 2, 3, ... in the order of activation
	Source   string    // the OPL text as uploaded
	Created  time.Time // by the clock of the server that stored it, UTC
	Revision Revision  // the first revision at which it is active
}

// A Store keeps the tuples, models and their history of one network. It is all
// the engine asks of a database; store/storetest says in tests what these
// comments say in words. A database may hold several networks: nothing that is
// written to one shows in another, and a revision is of the network whose store
// gave it.
//
// Methods may be called from many goroutines at once. Every error has a kind
// from package errs. Unavailable, which means that a retry may help, can come
// from any method and is not listed below; a cancelled context gives an error
// that wraps the context's.
type Store interface {
	// ID returns the identity of the network and of the database's history. It
	// never changes while the store is open.
	ID() StoreID

	// Head returns the newest revision: it shows every write that returned
	// before Head was called. It costs at most one round trip.
	Head(ctx context.Context) (Revision, error)

	// Tail yields what Changes would from from to the head, and returns the head,
	// all in one round trip while the changes are few. When it returns an error,
	// also yield's, what was yielded is void.
	//
	// Expired, Invalid: as for Changes.
	Tail(ctx context.Context, from Revision, yield func(Change) error) (Revision, error)

	// Wake returns a channel that receives when another process may have written.
	// It is a hint that can come late, in vain, or not at all; nil: never. Only
	// one goroutine may receive from it.
	Wake() <-chan struct{}

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

	// ReadSets yields the members of all sets as they stood at rev, in one round
	// trip, each set's rows one behind the other and in the order of its members.
	// A set with more than limit members is large, see SetRow. An error comes last.
	//
	// Expired, Invalid: as for Read.
	ReadSets(ctx context.Context, rev Revision, sets []SetRead, limit int) iter.Seq2[SetRow, error]

	// Changes yields what differs between from and to, which covers from, such
	// that applying the changes in the order given to the state from makes the
	// state to. Changes that cancel out between the two may be left out.
	//
	// Expired: from is older than the history kept.
	// Invalid: as for Read.
	Changes(ctx context.Context, from, to Revision) iter.Seq2[Change, error]

	// Write does all of w, or nothing. Adding a tuple that is there, or removing
	// one that is not, succeeds and changes nothing.
	//
	// Invalid: an update has no operation, a tuple breaks a limit, or the key is
	// too long or was used for another write. Conflict: another model version is
	// active. Refused: a precondition does not hold; the message says which, with
	// its index in If. Unknown: the connection broke before the database said
	// whether it wrote; with a key, the store has tried to find out before.
	Write(ctx context.Context, w Write) (Written, error)

	// PutModel appends a model version and makes it active. after is the number
	// of the version that the caller saw active, 0 for none.
	//
	// Conflict: another version is active. Unknown: as for Write.
	PutModel(ctx context.Context, source string, after int64) (ModelVersion, error)

	// Model returns the version active at rev, with Number 0 if there is none.
	//
	// Expired, Invalid: as for Read.
	Model(ctx context.Context, rev Revision) (ModelVersion, error)

	// Models returns up to limit versions with numbers below before (0: all),
	// newest first.
	Models(ctx context.Context, before int64, limit int) ([]ModelVersion, error)

	// Ping reports whether the store can answer now.
	Ping(ctx context.Context) error
}
