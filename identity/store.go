package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Store keeps what one network has of identities. Its parts are what the parts of
// this package ask for; store/storetest says in tests what the comments say in words.
// Methods may be called from many goroutines at once. Every error has a kind, and
// Unavailable, which is not listed below, can come from each. Each read is one round
// trip. Times are kept to the microsecond.
type Store interface {
	Writer
	People
	Sessions
	Flows
	Limiter
	Messages
	Events
	Groups
	Invitations

	// Purge forgets flows, codes, sessions and counters that ended before t, and
	// messages that are done and due to be forgotten, and returns how many rows went.
	Purge(ctx context.Context, t time.Time) (int64, error)
}

// A Writer writes.
type Writer interface {
	// Write does all of ops in their order, in one transaction, or nothing.
	//
	// Conflict: something is stored in another version than the op expects; read
	// it and start again. A *TakenError, of kind Conflict: an identifier, address or
	// external id is of another identity. NotFound: what an op is about is not there.
	// Refused: a code was used before, or has expired. Unknown: the connection broke,
	// and the write may have been made.
	Write(ctx context.Context, ops ...Op) error
}

// People finds identities.
type People interface {
	// Identity returns the identity with the id, and its credentials if they are
	// asked for. NotFound: there is none.
	Identity(ctx context.Context, id string, credentials bool) (*Identity, error)

	// Find returns the identity that has the identifier in a credential of a type,
	// with all of its credentials. NotFound: there is none.
	Find(ctx context.Context, t CredentialType, identifier string) (*Identity, error)

	// FindAddress returns the identity with the address, with credentials. NotFound:
	// there is none.
	FindAddress(ctx context.Context, use AddressUse, via, value string) (*Identity, error)

	// Holders returns which identifiers, addresses and external id that the identity would
	// have are of others.
	Holders(ctx context.Context, i *Identity) ([]Holder, error)

	// Identities returns up to limit identities that q selects, in the order of
	// their ids, those after the id after.
	Identities(ctx context.Context, q IdentityQuery, after string, limit int) ([]*Identity, error)
}

// An AddressUse says what an address is for.
type AddressUse string

// The uses.
const (
	ForVerification AddressUse = "verification"
	ForRecovery     AddressUse = "recovery"
)

// A Holder has something that somebody else wants.
type Holder struct {
	What, Value string // as in a TakenError
	Identity    string
}

// An IdentityQuery selects identities: those that fulfil all that is set.
type IdentityQuery struct {
	IDs            []string // nil: any
	Identifier     string   // of a credential of any type; exact
	Prefix         string   // of such an identifier, or of an address
	ExternalID     string
	OrganizationID string
	Credentials    bool // read them too
}

// Sessions finds sessions.
type Sessions interface {
	// SessionByToken returns the session whose token has the hash, active or not, and
	// its identity without credentials. NotFound: there is none.
	SessionByToken(ctx context.Context, hash []byte) (*Session, *Identity, error)

	// Sessions returns up to limit sessions that q selects, newest first: in the
	// order of falling (IssuedAt, ID), those behind the position after.
	Sessions(ctx context.Context, q SessionQuery, after SessionPosition, limit int) ([]*Session, error)

	// Ended returns up to limit notes of what has ended, the oldest first.
	Ended(ctx context.Context, limit int) ([]Ended, error)
}

// An Ended is a note that a session has ended, or all of an identity, which is gone or
// may not log in any more. It stays until those who rely on the session know it.
type Ended struct {
	Identity string
	Session  string // "": all
	At       time.Time
}

// A SessionQuery selects sessions: those that fulfil all that is set.
type SessionQuery struct {
	IDs      []string // nil: any
	Identity string
	Active   *bool
	Now      time.Time     // at which Active is meant
	Idle     time.Duration // of one that is active: less than how long ago it was seen; 0: it does not matter
}

// A SessionPosition is a place in a list of sessions; zero: before all.
type SessionPosition struct {
	IssuedAt time.Time
	ID       string
}

// Flows finds what flows have left.
type Flows interface {
	// Flow returns the flow that was saved. NotFound: there is none.
	Flow(ctx context.Context, id string) (*StoredFlow, error)

	// Code returns the code of a flow and a purpose that has one of the hashes, used
	// or not. NotFound: there is none.
	Code(ctx context.Context, flow, purpose string, hashes [][]byte) (*Code, error)
}

// A StoredFlow is a flow that somebody has submitted.
type StoredFlow struct {
	ID        string
	Version   int64 // 0: not stored yet
	ExpiresAt time.Time
	Data      []byte
}

// A Code is something that was sent to an address and works once.
type Code struct {
	ID        string
	Flow      string
	Purpose   string // such as login, recovery
	Hash      []byte
	Identity  string
	Via       string // email or sms
	Address   string
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero: not yet
}

// A Limiter counts attempts.
type Limiter interface {
	// Attempt counts an attempt at what key names, before it is made, and reports
	// whether it may be. Free attempts are allowed at once; after the n-th beyond
	// them the next one is allowed after Delay·2ⁿ, at most MaxDelay. After Forget
	// without an allowed attempt the count starts again. However many come at the
	// same time, no more are allowed than one after the other. If it is not allowed,
	// next says when it will be.
	Attempt(ctx context.Context, key string, l Limit, now time.Time) (allowed bool, next time.Time, err error)
}

// A Limit says how often something may be tried.
type Limit struct {
	Free     int
	Delay    time.Duration
	MaxDelay time.Duration
	Forget   time.Duration
}

// Messages is the courier's queue.
type Messages interface {
	// TakeMessages returns up to n messages that are due at now, and hides them from
	// others until lease has passed; until then their DueAt says when.
	TakeMessages(ctx context.Context, now time.Time, lease time.Duration, n int) ([]*Message, error)

	// Message returns one message. NotFound: there is none.
	Message(ctx context.Context, id string) (*Message, error)

	// ListMessages returns up to limit messages that q selects, newest first: in the
	// order of falling (CreatedAt, ID), those behind the position after.
	ListMessages(ctx context.Context, q MessageQuery, after MessagePosition, limit int) ([]*Message, error)
}

// A Message is something to send.
type Message struct {
	ID         string
	Status     string // queued, processing, sent or abandoned
	Type       string // email or phone
	Channel    string
	Recipient  string
	Template   string // Kratos's template_type
	Data       string // what it is made from, sealed
	SendCount  int
	Dispatches json.RawMessage // what became of each attempt
	DueAt      time.Time       // when it is next to be sent, or is forgotten if that is over
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// A MessageQuery selects messages: those that fulfil all that is set.
type MessageQuery struct{ Status, Recipient string }

// A MessagePosition is a place in a list of messages; zero: before all.
type MessagePosition struct {
	CreatedAt time.Time
	ID        string
}

// Events is the audit log, which only grows.
type Events interface {
	// ListEvents returns up to limit events of an identity, "" for all, newest first,
	// those before the id before, or from the newest on if it is "".
	ListEvents(ctx context.Context, identity, before string, limit int) ([]*Event, error)
}

// An Event is an entry of the audit log.
type Event struct {
	ID       string // sorts by time
	At       time.Time
	Type     string // such as login.succeeded
	Identity string
	Session  string
	Client   string // address
	Detail   json.RawMessage
}

// An Op is a part of a write.
type Op interface{ op() }

// The ops.
type (
	// SaveIdentity stores an identity in the place of its Version, with the next
	// one. Credentials are left alone if they are nil.
	SaveIdentity struct{ Identity *Identity }

	// DeleteIdentity deletes an identity, its credentials and its sessions.
	DeleteIdentity struct{ ID string }

	// SaveSession stores a session in the place of its Version.
	SaveSession struct{ Session *Session }

	// TouchSession notes that a session was seen, unless that was noted since Before. It
	// leaves the version as it is.
	TouchSession struct {
		ID             string
		SeenAt, Before time.Time
	}

	// LimitSessions ends the oldest sessions of an identity, so that beside a new one
	// there are no more than Others. Those that have expired, or were seen longer than
	// Idle ago, are not counted. Logins at the same time may exceed that until the next.
	LimitSessions struct {
		Identity string
		New      string
		Others   int
		Now      time.Time
		Idle     time.Duration // 0: it does not matter
		Count    *int64        // as for RevokeSessions
		Tell     time.Time
	}

	// RevokeSessions ends the sessions of an identity, or those with the ids, except
	// one. Count, if not nil, is set to how many were active, or with Delete to how many
	// there were. If Tell is not zero, a note is kept of each that was active, with Tell
	// as its time.
	RevokeSessions struct {
		Identity string
		IDs      []string
		Except   string
		Delete   bool // leave no row
		Count    *int64
		Tell     time.Time
	}

	// NoteEnded keeps a note, or gives the one that there is another time.
	NoteEnded struct{ Ended Ended }

	// ForgetEnded forgets notes, unless they have another time meanwhile.
	ForgetEnded struct{ Ended []Ended }

	// SaveFlow stores a flow in the place of its Version.
	SaveFlow struct{ Flow StoredFlow }

	// PutCode stores a code.
	PutCode struct{ Code Code }

	// UseCode uses a code up. Refused: it was used, or expired before Now.
	UseCode struct {
		ID  string
		Now time.Time
	}

	// DropCodes deletes the codes of a flow and a purpose that were not used, as
	// when a new one is sent.
	DropCodes struct{ Flow, Purpose string }

	// PutMessage queues a message.
	PutMessage struct{ Message Message }

	// ReturnMessage stores what became of a message that was taken, or deletes it.
	// Lease is the DueAt that it was taken with. Conflict: that is over, and somebody
	// else has taken it.
	ReturnMessage struct {
		Message Message
		Lease   time.Time
		Drop    bool
	}

	// Record adds to the audit log.
	Record struct{ Event Event }

	// ReturnAttempt takes back an attempt that was allowed under Limit and not made.
	ReturnAttempt struct {
		Key   string
		Limit Limit
	}

	// Forgive forgets the attempts that were counted under the keys.
	Forgive struct{ Keys []string }
)

func (SaveIdentity) op()   {}
func (DeleteIdentity) op() {}
func (SaveSession) op()    {}
func (TouchSession) op()   {}
func (LimitSessions) op()  {}
func (RevokeSessions) op() {}
func (NoteEnded) op()      {}
func (ForgetEnded) op()    {}
func (SaveFlow) op()       {}
func (PutCode) op()        {}
func (UseCode) op()        {}
func (DropCodes) op()      {}
func (PutMessage) op()     {}
func (ReturnMessage) op()  {}
func (Record) op()         {}
func (ReturnAttempt) op()  {}
func (Forgive) op()        {}

// A TakenError says that something unique is of another identity. It has the kind
// Conflict.
type TakenError struct {
	What  string // the type of a credential, an AddressUse, or external_id
	Value string
}

func (e *TakenError) Error() string {
	what := "identifier"
	switch e.What {
	case string(ForVerification), string(ForRecovery):
		what = "address"
	case "external_id", takenID:
		what = e.What
	}
	return fmt.Sprintf("the %s %q is of another identity", what, e.Value)
}

// takenID is what a TakenError is about whose identity has the id that a new one is to
// have.
const takenID = "id"

// Unwrap gives the error its kind.
func (e *TakenError) Unwrap() error {
	return &errs.Error{Kind: errs.Conflict, Msg: "this identifier, address or external id is of another identity"}
}
