package sqlite

import (
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/grants"
)

// TestPlanOfRemembered: whether somebody has allowed a client is found without a look at
// all that they, or all others, have ever allowed.
func TestPlanOfRemembered(t *testing.T) {
	db := openMemory(t).db
	runner, err := db.Runner(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	spy := &spy{Runner: runner}
	if _, err := grants.New(spy).Look(t.Context(), oauth.Look{Grants: oauth.GrantQuery{Subject: "ann", Client: "app", Remembered: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range spy.steps {
		plan := planOf(t, db, numbered(step.SQL), step.Args)
		if !strings.Contains(plan, "INDEX oauth_grant_remembered (subject=? AND client=? AND network=?)") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("plan\n%s", plan)
		}
	}
}
