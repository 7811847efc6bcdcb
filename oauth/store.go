package oauth

import (
	"context"
	"time"
)

// A Store keeps what oauth must remember, for one network. It is all that oauth asks
// of a database; store/storetest says in tests what these comments say in words.
// Methods may be called from many goroutines at once. Times are kept to the
// microsecond. An ID, a name or another text that can be searched for has at most 512
// bytes of UTF-8 without NUL; a longer one is not found, and cannot be added (Invalid).
//
// Every error has a kind from package errs. Unavailable can come from any method and is
// not listed below. What writes can also return Unknown: a connection broke, and the
// work may be done or not. The store repeats what it can before it says so, and what
// was done the first time counts as done then.
type Store interface {
	Clients
	Tokens
	Grants
	Logins
	Keys
	Issuers
	Deliveries

	// Look reads several things in one round trip. What is not there is not an error.
	Look(ctx context.Context, l Look) (Seen, error)

	// Purge deletes at most limit rows of each kind that have served their time at now,
	// and returns how many went; 0: there is nothing left to do. A used token stays
	// while its grant has one that is neither used nor expired, so that its second use
	// is noticed. What was revoked or ended stays for a day.
	Purge(ctx context.Context, now time.Time, limit int) (int64, error)
}

// A Look says what to read. Empty fields look for nothing.
type Look struct {
	Client string
	Mark   string // of the client as it is known: if it is still that one, its Data are not read
	Kind   Kind   // of the token with a hash
	Hash   Hash
	Grants GrantQuery
}

// Seen is what was found.
type Seen struct {
	Client *ClientRow // nil: there is none
	Mark   string     // of the client: another one after each change, also if it was deleted and made anew
	Token  *Token     // nil: there is none
	Grants []Grant    // in the order of Grants.Grants
}

// Clients keeps the applications that are registered.
type Clients interface {
	// Client returns a client. NotFound: there is none.
	Client(ctx context.Context, id string) (ClientRow, error)

	// CreateClient adds a client. Conflict: the id is taken.
	CreateClient(ctx context.Context, c ClientRow) error

	// UpdateClient replaces the client with c.ID and c.Version, which becomes one more.
	// Created stays what it was.
	//
	// NotFound: there is none. Conflict: it has another version.
	UpdateClient(ctx context.Context, c ClientRow) error

	// DeleteClient removes a client with its tokens and grants, many of which go in
	// several transactions, the client in the last. NotFound: there is none.
	DeleteClient(ctx context.Context, id string) error

	// Clients returns a page of clients, by id.
	Clients(ctx context.Context, q ClientQuery) ([]ClientRow, error)
}

// A ClientRow is a client as it is stored.
type ClientRow struct {
	ID      string
	Version int64 // counts its updates
	Owner   string
	Name    string
	Created time.Time
	Updated time.Time
	Data    []byte // everything about it, as this package writes it
}

// A ClientQuery selects clients. Empty fields select all.
type ClientQuery struct {
	Owner, Name string
	After       string // the id before the page
	Limit       int    // 0: all
}

// A Hash is the SHA-256 of a token: what is stored of it.
type Hash [32]byte

// A Kind says what a token is for.
type Kind string

const (
	Code    Kind = "code"
	Access  Kind = "access"
	Refresh Kind = "refresh"
	Device  Kind = "device" // by device code; Alias is the hash of the user code
	Pushed  Kind = "par"    // the request_uri of RFC 9126
	UsedID  Kind = "jti"    // an identifier that may be used once; its existence is the use
)

// A Token is a secret that was handed out.
type Token struct {
	Kind    Kind
	Hash    Hash
	Alias   Hash   // another way to find it; zero: none
	Grant   string // the family that it belongs to and is revoked with; "" none
	Client  string // which it is revoked with, too; "" none
	Subject string
	State   State
	Created time.Time
	Expires time.Time     // zero: never
	Pause   time.Duration // the least time between two calls of Poll
	Data    []byte        // sealed by this package; nil and empty are the same

	// Read only.
	Used    time.Time // when it was redeemed; zero: not yet
	Polled  time.Time // when Poll was called last
	Revoked bool      // its grant was revoked, or its grant or its client is not there
}

// A State is what became of a device code.
type State string

const (
	Pending  State = "" // all other tokens, too
	Accepted State = "accepted"
	Rejected State = "rejected"
)

// Live reports whether the token is good for something at now.
func (t Token) Live(now time.Time) bool {
	return t.Used.IsZero() && !t.Revoked && (t.Expires.IsZero() || now.Before(t.Expires))
}

// Tokens keeps what was handed out.
type Tokens interface {
	// PutTokens adds tokens, all or none. A token whose grant or client is not there is
	// added, and dead.
	//
	// Conflict: one of them is there, or an alias is taken, which it is until it
	// expires. Invalid: an alias without an expiry.
	PutTokens(ctx context.Context, ts ...Token) error

	// PutTokenOf adds a token without an alias, if its client is still the one that Look
	// gave with a mark: what was decided by that client is not done for another one.
	//
	// Refused: it is not; nothing is written. Conflict, Invalid: as for PutTokens, and for
	// an alias.
	PutTokenOf(ctx context.Context, mark string, t Token) error

	// Token returns a token, also a used, revoked or expired one. NotFound: there is
	// none.
	Token(ctx context.Context, kind Kind, hash Hash) (Token, error)

	// TokenByAlias does the same by Alias. NotFound: there is none.
	TokenByAlias(ctx context.Context, kind Kind, alias Hash) (Token, error)

	// Redeem uses a token and adds those that it was exchanged for, in one
	// transaction. However many callers race, one redeems a token.
	//
	// Conflict: the token is used, revoked, expired, not there, or a device code that
	// was not accepted; or one of those to add is there. Nothing is written then.
	Redeem(ctx context.Context, r Redemption) error

	// Decide settles a pending token once: state, grant, subject and data become those
	// of t. Conflict: it is not pending any more, expired, or not there.
	Decide(ctx context.Context, t Token, now time.Time) error

	// Poll notes that a token was asked about, and returns it as it was before: of
	// several callers at the same time, each sees the one before it. A call that comes
	// earlier than the token's Pause after the one before makes that longer by penalty,
	// for all that follow; what is returned has the new Pause. NotFound: there is none.
	Poll(ctx context.Context, kind Kind, hash Hash, now time.Time, penalty time.Duration) (Token, error)

	// DeleteTokens removes the tokens that q selects, many of them in several
	// transactions, and returns how many; where a connection breaks, perhaps too few. An
	// empty q selects none. Invalid: a hash without a kind.
	DeleteTokens(ctx context.Context, q TokenQuery) (int64, error)
}

// A Redemption is the exchange of one token for others.
type Redemption struct {
	Kind Kind
	Hash Hash
	Now  time.Time

	// Grace is how long after its first use a token can be redeemed again.
	Grace time.Duration

	// Put is added. Replace is removed: older tokens of those kinds and the same grant and
	// client.
	// Used ones stay, so that their second use is noticed.
	Put     []Token
	Replace []Kind
}

// A TokenQuery selects tokens by all of its fields that are set.
type TokenQuery struct {
	Kind   Kind
	Hash   Hash
	Client string
	Grant  string
}

// A Grant is what a subject has allowed a client, once: the family of the tokens that
// came of it. Hydra's interface calls its ID consent_request_id.
type Grant struct {
	ID       string
	Client   string
	Subject  string
	Login    string // the id of the Login; "" if none
	Scopes   []string
	Audience []string
	Remember bool // answers later requests, too
	Created  time.Time
	Expires  time.Time // of Remember; zero: never
	Revoked  time.Time // zero: not
	Data     []byte    // sealed by this package
}

// Grants keeps what people have allowed.
type Grants interface {
	// PutGrant adds a grant with its first tokens and, unless it is nil, the login it
	// was given in as by PutLogin, all in one transaction. Conflict: the grant is there,
	// which means that the request was answered before.
	PutGrant(ctx context.Context, g Grant, l *Login, ts ...Token) error

	// Grant returns a grant. NotFound: there is none.
	Grant(ctx context.Context, id string) (Grant, error)

	// Grants returns a page of the grants that q selects, the newest first. A q that
	// has no ID, Subject, Client and Login selects none.
	Grants(ctx context.Context, q GrantQuery) ([]Grant, error)

	// RevokeGrants revokes the grants that q selects, and returns how many were not
	// revoked before. From then on none of their tokens is live, also none that is
	// added later. A q that has no ID, Subject, Client and Login selects none; After and
	// Limit do not count.
	RevokeGrants(ctx context.Context, q GrantQuery, now time.Time) (int64, error)
}

// A GrantQuery selects grants by all of its fields that are set.
type GrantQuery struct {
	ID, Subject, Client, Login string
	Remembered                 time.Time // those that are remembered at this time, and not revoked
	After                      Grant     // the one before the page: its ID and Created
	Limit                      int       // 0: all
}

// A Login is a person who is logged in with a browser, as far as oauth is concerned:
// the sid of OpenID Connect.
type Login struct {
	ID            string
	Subject       string
	Authenticated time.Time
	Remember      bool
	Expires       time.Time
	Data          []byte // sealed by this package
}

// Logins keeps logins.
type Logins interface {
	// PutLogin adds a login, or replaces it. One that was ended stays ended.
	PutLogin(ctx context.Context, l Login) error

	// Login returns a login. NotFound: there is none.
	Login(ctx context.Context, id string) (Login, error)

	// Logins returns the logins of a subject, also those that have expired, in the order
	// of their ids.
	Logins(ctx context.Context, subject string) ([]Login, error)

	// EndLogins removes the login with an id, or those of a subject, or of both if both
	// are given, and returns them, also those that have expired: of several callers,
	// one gets each. Without id and subject it does nothing.
	EndLogins(ctx context.Context, id, subject string, now time.Time) ([]Login, error)
}

// A Key is a JSON Web Key of a set.
type Key struct {
	Set, ID string
	Created time.Time
	Active  time.Time // when it may begin to sign; others know it by then
	Data    []byte    // sealed by this package
}

// Keys keeps JSON Web Keys.
type Keys interface {
	// Keys returns the keys of a set, or of all sets if it is "", the newest first.
	Keys(ctx context.Context, set string) ([]Key, error)

	// PutKeys adds keys to a set, or replaces those of the same id, all or none. Calls
	// for one set come one after another.
	//
	// Conflict: with FirstOfSet, the set has keys. Invalid: a key of another set.
	PutKeys(ctx context.Context, set string, how PutMode, keys ...Key) error

	// DeleteKeys removes a key, or the whole set if id is "". NotFound: nothing is there.
	DeleteKeys(ctx context.Context, set, id string) error
}

// A PutMode says what becomes of the other keys of a set.
type PutMode int

const (
	AddKeys    PutMode = iota // they stay
	ReplaceSet                // they go
	FirstOfSet                // there must be none
)

// An Issuer is one whose assertions are trusted (RFC 7523).
type Issuer struct {
	ID      string
	Issuer  string
	Subject string // "": any
	KeyID   string
	Created time.Time
	Expires time.Time
	Data    []byte
}

// Issuers keeps trusted issuers.
type Issuers interface {
	// PutIssuer adds an issuer. Conflict: there is one with the same id, or with the same
	// issuer, subject and key id.
	PutIssuer(ctx context.Context, i Issuer) error

	// Issuer returns an issuer. NotFound: there is none.
	Issuer(ctx context.Context, id string) (Issuer, error)

	// Issuers returns those with a name, or all if it is "", by id: at most limit, or
	// all if it is 0.
	Issuers(ctx context.Context, issuer, after string, limit int) ([]Issuer, error)

	// DeleteIssuer removes an issuer. NotFound: there is none.
	DeleteIssuer(ctx context.Context, id string) error
}

// A Delivery is a message to a client that must arrive: a logout token.
type Delivery struct {
	ID      string
	Created time.Time
	Due     time.Time
	Tries   int
	Data    []byte
}

// Deliveries is a queue that survives restarts.
type Deliveries interface {
	// AddDeliveries adds to the queue, all or none. Conflict: one of the ids is there.
	AddDeliveries(ctx context.Context, ds ...Delivery) error

	// TakeDeliveries returns at most n that are due at now, one try more on their
	// account, and hides them from all other callers until the time until. It may
	// return none although some are due, if another caller takes at the same time.
	//
	// Invalid: until is not after now.
	TakeDeliveries(ctx context.Context, now, until time.Time, n int) ([]Delivery, error)

	// EndDelivery removes a delivery, or puts it off until again if that is not zero. It
	// does nothing if there is none.
	EndDelivery(ctx context.Context, id string, again time.Time) error
}
