package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	keto "github.com/ory/keto/proto/ory/keto/relation_tuples/v1alpha2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cardea-iam/cardea/internal/testdb"
)

// startOn starts a server on the database of dsn, whose schema is up to date.
func startOn(t testing.TB, dsn string, flags ...string) *instance {
	t.Helper()
	return start(t, t.TempDir(), append([]string{"--dsn", dsn}, flags...)...)
}

func migrate(t testing.TB, dsn string) {
	t.Helper()
	runIn(t, "", nil, "migrate", "up", "--dsn", dsn).must(t)
}

// create writes a tuple and returns the snaptoken.
func (s *instance) create(t testing.TB, text string) (string, error) {
	t.Helper()
	done, err := keto.NewWriteServiceClient(dial(t, s.Write)).TransactRelationTuples(t.Context(), &keto.TransactRelationTuplesRequest{
		RelationTupleDeltas: keto.RelationTupleToDeltas([]*keto.RelationTuple{tuple(text)}, keto.RelationTupleDelta_ACTION_INSERT),
	})
	if err != nil {
		return "", err
	}
	return done.GetSnaptokens()[0], nil
}

// check asks for a tuple at a freshness that fresh sets.
func (s *instance) check(t testing.TB, text string, fresh func(*keto.CheckRequest)) (bool, error) {
	t.Helper()
	req := &keto.CheckRequest{Tuple: tuple(text)}
	fresh(req)
	answer, err := keto.NewCheckServiceClient(dial(t, s.Read)).Check(t.Context(), req)
	return answer.GetAllowed(), err
}

func latest(req *keto.CheckRequest) { req.Latest = true }
func whatever(*keto.CheckRequest)   {}

func atToken(token string) func(*keto.CheckRequest) {
	return func(req *keto.CheckRequest) { req.Snaptoken = token }
}

// ready asks the health of a server and returns the status.
func (s *instance) ready(t testing.TB) int {
	t.Helper()
	code, _ := get(t, "http://"+s.Metrics+"/health/ready")
	return code
}

// untilReady waits for a health that is want.
func (s *instance) untilReady(t testing.TB, want int) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for s.ready(t) != want {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("the health does not become %d", want)
		}
	}
}

// TestNodes: servers that start together on a database that is migrated by two at
// once show each other's writes, to those who have the token and to those who ask
// for the latest.
func TestNodes(t *testing.T) {
	dsn := testdb.Postgres(t)
	if r := runIn(t, "", nil, "migrate", "status", "--dsn", dsn); r.code != 1 {
		t.Errorf("migrate status on an empty database: %+v", r)
	}
	if r := runIn(t, "", nil, "serve", "--dsn", dsn, "--read", "127.0.0.1:0", "--write", "127.0.0.1:0", "--metrics", "", "--opl", ""); r.code != 2 || !strings.Contains(r.err, "migrate up") {
		t.Errorf("a server on a database without tables: %+v", r)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if r := runIn(t, "", nil, "migrate", "up", "--dsn", dsn); r.code != 0 {
				t.Errorf("migrate up: %+v", r)
			}
		})
	}
	both.Wait()
	runIn(t, "", nil, "migrate", "status", "--dsn", dsn).must(t)

	var nodes [3]*instance
	for i := range nodes {
		nodes[i] = startOn(t, dsn)
	}
	nodes[0].cardea(t, "model", "apply", "../examples/rbac/model.ts").must(t)
	for i := range 12 {
		text := fmt.Sprintf("Device:d%d#user@User:amy", i)
		writer, reader := nodes[i%3], nodes[(i+1)%3]
		if i == 0 {
			if allowed, err := reader.check(t, text, latest); err != nil || allowed {
				t.Fatalf("before the write: %t, %v", allowed, err)
			}
		}
		token, err := writer.create(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if allowed, err := reader.check(t, text, atToken(token)); err != nil || !allowed {
			t.Errorf("write %d, with its token: %t, %v", i, allowed, err)
		}
		if allowed, err := nodes[(i+2)%3].check(t, text, latest); err != nil || !allowed {
			t.Errorf("write %d, latest: %t, %v", i, allowed, err)
		}
	}
}

// TestKillNode kills a server under load. What it acknowledged is there for the
// other, which goes on, and for the one that takes its place.
func TestKillNode(t *testing.T) {
	dsn := testdb.Postgres(t)
	migrate(t, dsn)
	other := startOn(t, dsn, "--example", "rbac")
	var acknowledged []string
	for round := range 2 {
		s := startOn(t, dsn)
		acknowledged = append(acknowledged, writeUntilKilled(t, s, round, 16, 200)...)
		text := fmt.Sprintf("Device:between-%d#user@User:amy", round)
		if _, err := other.create(t, text); err != nil {
			t.Errorf("the other server does not go on: %v", err)
		}
		acknowledged = append(acknowledged, text)
	}
	missing(t, other, acknowledged)
	missing(t, startOn(t, dsn), acknowledged)
}

// missing fails the test if tuples are not there.
func missing(t *testing.T, s *instance, want []string) {
	t.Helper()
	if _, err := s.check(t, want[0], latest); err != nil { // so that it has seen everything
		t.Fatal(err)
	}
	stored := map[string]bool{}
	for line := range strings.Lines(s.cardea(t, "tuples", "export", "--namespace", "Device").must(t)) {
		stored[strings.TrimSpace(line)] = true
	}
	n := 0
	for _, text := range want {
		if !stored[text] {
			n++
		}
	}
	if n > 0 {
		t.Errorf("%d of %d acknowledged writes are gone", n, len(want))
	}
	t.Logf("%d acknowledged writes", len(want))
}

// TestDatabaseHangs: while the database hangs, health says so, what asks for the
// latest is unavailable, and what does not is answered. All is well afterwards.
func TestDatabaseHangs(t *testing.T) {
	t.Setenv("CARDEA_STORE_STATEMENT_TIMEOUT", "2s") // after which a node gives up
	database := testdb.NewServer(t)
	dsn := database.Database()
	migrate(t, dsn)
	s := startOn(t, dsn, "--example", "rbac")
	const known = "Device:printer#user@User:amy"
	token, err := s.create(t, known)
	if err != nil {
		t.Fatal(err)
	}
	if code := s.ready(t); code != http.StatusOK {
		t.Errorf("health is %d", code)
	}
	database.Pause()
	s.untilReady(t, http.StatusServiceUnavailable)
	if _, err := s.check(t, known, latest); status.Code(err) != codes.Unavailable {
		t.Errorf("the latest while the database hangs: %v, want unavailable", err)
	}
	for name, fresh := range map[string]func(*keto.CheckRequest){"whatever": whatever, "a token that it has": atToken(token)} {
		if allowed, err := s.check(t, known, fresh); err != nil || !allowed {
			t.Errorf("%s while the database hangs: %t, %v", name, allowed, err)
		}
	}
	database.Resume()
	s.untilReady(t, http.StatusOK)
	if allowed, err := s.check(t, known, latest); err != nil || !allowed {
		t.Errorf("afterwards: %t, %v", allowed, err)
	}
}
