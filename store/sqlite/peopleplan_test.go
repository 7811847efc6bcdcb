package sqlite

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/store/people"
	"github.com/cardea-iam/cardea/store/script"
)

// A spy notes scripts, and runs none.
type spy struct {
	Runner
	steps []script.Step
}

func (s *spy) Read(_ context.Context, _ string, build func(*script.Script)) error {
	var sc script.Script
	build(&sc)
	s.steps = append(s.steps, sc.Steps...)
	return nil
}

func (s *spy) Write(ctx context.Context, doing string, build func(*script.Script)) error {
	return s.Read(ctx, doing, build)
}

// TestPeoplePlans: what a request asks of sessions and identities is found by an index
// that bounds it by what belongs to one identity, without sorting. What belongs to the
// network as a whole grows without end.
func TestPeoplePlans(t *testing.T) {
	db := openMemory(t).db
	runner, err := db.Runner(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	yes, now := true, time.Now()
	session := func(q identity.SessionQuery) func(identity.Store) error {
		return func(s identity.Store) error {
			_, err := s.Sessions(t.Context(), q, identity.SessionPosition{}, 100)
			return err
		}
	}
	const byIdentity = "INDEX identity_session_by_identity (network=? AND identity=? AND active=?)"
	for name, tt := range map[string]struct {
		do   func(identity.Store) error
		want string
	}{
		"whoami": {func(s identity.Store) error {
			_, _, _ = s.SessionByToken(t.Context(), []byte("hash")) // there is none
			return nil
		}, "INDEX identity_session_by_token (network=? AND token=?)"},
		"own sessions": {session(identity.SessionQuery{Identity: "ann", Active: &yes, Now: now, Idle: time.Hour}), byIdentity},
		"all sessions": {session(identity.SessionQuery{Active: &yes, Now: now, Idle: time.Hour}), "INDEX identity_session_by_issued (network=?)"},
		"limit": {func(s identity.Store) error {
			return s.Write(t.Context(), identity.LimitSessions{Identity: "ann", New: "x", Others: 10, Now: now, Idle: time.Hour})
		}, byIdentity},
		"revoke all but one": {func(s identity.Store) error {
			return s.Write(t.Context(), identity.RevokeSessions{Identity: "ann", Except: "x"})
		}, byIdentity},
		"forgive": {func(s identity.Store) error {
			return s.Write(t.Context(), identity.Forgive{Keys: []string{"key"}})
		}, "PRIMARY KEY (network=? AND key=?)"},
		"log in": {func(s identity.Store) error {
			_, _ = s.Find(t.Context(), identity.Password, "ann@example.com") // there is none
			return nil
		}, "PRIMARY KEY (network=? AND kind=? AND value=?)"},
	} {
		spy := &spy{Runner: runner}
		if err := tt.do(people.New(spy)); err != nil {
			t.Fatal(err)
		}
		for _, step := range spy.steps {
			plan := planOf(t, db, numbered(step.SQL), step.Args)
			if !strings.Contains(plan, tt.want) || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s: plan\n%s\nwant %s", name, plan, tt.want)
			}
		}
	}
}
