package e2e

import (
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cardea-iam/cardea/internal/testdb"
)

// TestDatabaseRestarts: servers survive the death of their database and go on by
// themselves when it is back.
func TestDatabaseRestarts(t *testing.T) {
	database := testdb.NewServer(t)
	dsn := database.Database()
	migrate(t, dsn)
	nodes := []*instance{startOn(t, dsn, "--example", "rbac"), startOn(t, dsn)}
	const before, after = "Device:before#user@User:amy", "Device:after#user@User:amy"
	if _, err := nodes[0].create(t, before); err != nil {
		t.Fatal(err)
	}
	database.Kill()
	for _, s := range nodes {
		s.untilReady(t, http.StatusServiceUnavailable)
		if _, err := s.check(t, before, latest); status.Code(err) != codes.Unavailable {
			t.Errorf("the latest without a database: %v, want unavailable", err)
		}
	}
	database.Start()
	for _, s := range nodes {
		s.untilReady(t, http.StatusOK)
		if allowed, err := s.check(t, before, latest); err != nil || !allowed {
			t.Errorf("afterwards: %t, %v", allowed, err)
		}
	}
	token, err := nodes[1].create(t, after)
	if err != nil {
		t.Fatal(err)
	}
	if allowed, err := nodes[0].check(t, after, atToken(token)); err != nil || !allowed {
		t.Errorf("a new write: %t, %v", allowed, err)
	}
}
