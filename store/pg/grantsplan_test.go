package pg

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/grants"
	"github.com/cardea-iam/cardea/store/script"
)

// A spy notes what is read.
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

// TestPlanOfRemembered: whether somebody has allowed a client is found at once, however
// often they have used it, and others have, also before the server has counted its rows.
func TestPlanOfRemembered(t *testing.T) {
	for _, known := range []bool{false, true} {
		db := openTest(t, testdb.Postgres(t), Options{deaf: true})
		s := networkTest(t, db, "default")
		_, err := db.pool.Exec(t.Context(), `INSERT INTO oauth_grant SELECT $1, n::text, 'app' || (n % 2), 'user' || (n % 3), '', '[]', '[]',
			CASE WHEN n % 100 = 0 THEN 1 ELSE 0 END, n, 0, 0, 0, '', '' FROM generate_series(1, 30000) AS n`, s.network)
		if err != nil {
			t.Fatal(err)
		}
		if known {
			if _, err := db.pool.Exec(t.Context(), "VACUUM ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		spy := &spy{Runner: Runner{s}}
		if _, err := grants.New(spy).Look(t.Context(), oauth.Look{Grants: oauth.GrantQuery{Subject: "user1", Client: "app1", Remembered: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		for _, step := range spy.steps {
			checkPlan(t, s, fmt.Sprintf("remembered, known=%v", known), step.SQL, step.Args, false, "oauth_grant_remembered(")
		}
	}
}
