package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/people"
	"github.com/cardea-iam/cardea/store/script"
)

// A Scripts is a database that runs scripts, as the suites of what is stored beside
// tuples use it.
type Scripts[R script.Runner] interface {
	Runner(ctx context.Context, network string) (R, error)
	Close() error
}

// A folk is the identity.Store of a network, with methods that fail the test.
type folk struct {
	*testing.T
	identity.Store
	ctx   context.Context
	other identity.Store // another network of the same database
	now   time.Time
	run   script.Runner
}

var peopleSuite = []struct {
	name string
	run  func(*folk)
}{
	{"IdentityAsItWasSaved", identityAsItWasSaved},
	{"IdentityVersions", identityVersions},
	{"CredentialsLeftAlone", credentialsLeftAlone},
	{"NamesAreUnique", namesAreUnique},
	{"NamesUnderRaces", namesUnderRaces},
	{"NamesAreFreed", namesAreFreed},
	{"Holders", holders},
	{"ListIdentities", listIdentities},
	{"DeleteIdentity", deleteIdentity},
	{"PeopleOfNetworksAreApart", peopleOfNetworksAreApart},
	{"PeopleWriteIsAtomic", peopleWriteIsAtomic},
	{"PeopleWrittenAgain", peopleWrittenAgain},

	{"SessionByToken", sessionByToken},
	{"SessionVersions", sessionVersions},
	{"ListSessions", listSessions},
	{"RevokeSessions", revokeSessions},
	{"NotesOfTheEnded", notesOfTheEnded},
	{"UsedSessions", usedSessions},
	{"LimitedSessions", limitedSessions},

	{"FlowVersions", flowVersions},
	{"CodeOnce", codeOnce},
	{"CodesDropped", codesDropped},
	{"AttemptsAreCounted", attemptsAreCounted},
	{"AttemptsAreReturned", attemptsAreReturned},
	{"AttemptsAtOnce", attemptsAtOnce},
	{"MessagesTakenOnce", messagesTakenOnce},
	{"EventsInOrder", eventsInOrder},
	{"GroupAsItWasSaved", groupAsItWasSaved},
	{"GroupNames", groupNames},
	{"GroupsAreHeld", groupsAreHeld},
	{"InvitationOnce", invitationOnce},
	{"PurgeOfFlows", purgeOfFlows},
}

// noon is when the tests of people are.
var noon = time.UnixMicro(1_800_000_000_000_000).UTC()

// RunPeople runs the tests of identity.Store, each on a database of its own. open
// returns an empty one, or calls tb.Skip if there is none to be had. RunPeople closes
// the databases.
func RunPeople[R script.Runner](t *testing.T, open func(tb testing.TB) Scripts[R]) {
	for _, c := range peopleSuite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			network := func(name string) script.Runner {
				r, err := db.Runner(ctx, name)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			run := network("default")
			c.run(&folk{T: t, ctx: ctx, Store: people.New(run), other: people.New(network("other")), now: noon, run: run})
		})
	}
}

func (c *folk) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatalf("unexpected error (%s): %v", errs.KindOf(err), err)
	}
}

func (c *folk) fails(err error, kind errs.Kind) {
	c.Helper()
	if got := errs.KindOf(err); got != kind {
		c.Fatalf("error %v has kind %s: expected %s", err, got, kind)
	}
}

// taken asserts that err says what is of another identity.
func (c *folk) taken(err error, what, value string) {
	c.Helper()
	var e *identity.TakenError
	if !errors.As(err, &e) || e.What != what || e.Value != value {
		c.Fatalf("got %v: expected that %s %s is taken", err, what, value)
	}
	c.fails(err, errs.Conflict)
}

func (c *folk) write(ops ...identity.Op) {
	c.Helper()
	c.must(c.Write(c.ctx, ops...))
}

// person returns an identity with a password and an address, as they are stored.
func (c *folk) person(email string) *identity.Identity {
	return &identity.Identity{
		ID: identity.NewID(), SchemaID: "default", State: identity.Active, StateChangedAt: c.now,
		Traits: []byte(`{"email":"` + email + `"}`), AvailableAAL: identity.AAL1,
		Verifiable: []identity.VerifiableAddress{{ID: identity.NewID(), Value: email, Via: "email", Status: "pending", CreatedAt: c.now, UpdatedAt: c.now}},
		Recovery:   []identity.RecoveryAddress{{ID: identity.NewID(), Value: email, Via: "email", CreatedAt: c.now, UpdatedAt: c.now}},
		Credentials: map[identity.CredentialType]identity.Credential{
			identity.Password: {Type: identity.Password, Identifiers: []string{email}, Config: []byte(`{"hashed_password":"x"}`), CreatedAt: c.now, UpdatedAt: c.now},
		},
		CreatedAt: c.now, UpdatedAt: c.now,
	}
}

// join stores a new person.
func (c *folk) join(email string) *identity.Identity {
	c.Helper()
	i := c.person(email)
	c.write(identity.SaveIdentity{Identity: i})
	i.Version = 1
	return i
}

func (c *folk) session(of *identity.Identity, token string) *identity.Session {
	return &identity.Session{
		ID: identity.NewID(), TokenHash: []byte(token), Identity: of.ID, Active: true, AAL: identity.AAL1,
		Methods:         []identity.Method{{Method: "password", AAL: identity.AAL1, CompletedAt: c.now}},
		AuthenticatedAt: c.now, IssuedAt: c.now, ExpiresAt: c.now.Add(time.Hour),
		Devices: []identity.Device{{ID: identity.NewID(), Address: "127.0.0.1", UserAgent: "test"}},
	}
}

// peopleWrittenAgain does again what a broken connection may have kept from being
// confirmed.
func peopleWrittenAgain(c *folk) {
	s := people.New(c.run)
	for _, op := range []identity.Op{
		identity.Record{Event: identity.Event{ID: identity.NewID(), At: c.now, Type: "t"}},
		identity.PutCode{Code: identity.Code{ID: identity.NewID(), Hash: []byte("h"), IssuedAt: c.now, ExpiresAt: c.now}},
		identity.PutInvitation{Invitation: &identity.Invitation{ID: identity.NewID(), Hash: []byte("h"), IssuedAt: c.now, ExpiresAt: c.now}},
	} {
		for _, again := range []bool{false, true} {
			err := c.run.Write(c.ctx, people.Doing, func(sc *script.Script) {
				sc.Again = again
				s.Add(sc, op)
			})
			if err != nil {
				c.Errorf("%T, again %v: %v", op, again, err)
			}
		}
	}
}
