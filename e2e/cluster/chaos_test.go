package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// TestDatabaseKilled: the database dies twice under load, without notice. Nodes
// recover by themselves, and what clients saw before, meanwhile and afterwards
// has a serial order. Writes whose outcome was not known may be in it.
func TestDatabaseKilled(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	server := testdb.NewServer(t)
	w := &world{nodes: nodes(t, server.Database(), 3)}
	var killer sync.WaitGroup
	killer.Go(func() {
		for _, n := range []int64{documents * values / 4, documents * values / 2} {
			within(t, "enough was written to kill the database", func() bool { return w.begun() >= n })
			server.Restart()
		}
	})
	w.run(t, seed, lost)
	killer.Wait()
}

// begun is how many writes were begun.
func (w *world) begun() int64 {
	var n int64
	for i := range w.next {
		n += w.next[i].Load()
	}
	return n
}

// TestNothingAcknowledgedIsLost: every tuple whose write was acknowledged is
// there after the database was killed under load, on every node.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	const kills, enough = 3, 200
	server := testdb.NewServer(t)
	list := nodes(t, server.Database(), 2)
	var mu sync.Mutex
	var kept []engine.Tuple
	for round := range kills {
		goal := len(kept) + enough
		ctx, stop := context.WithCancel(t.Context())
		reached := make(chan struct{})
		var writers sync.WaitGroup
		for i := range 16 {
			writers.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					tuple := parse(t, fmt.Sprintf("Document:%d-%d-%d#viewers@User:kept", round, i, n))
					if _, err := write(ctx, list[i%len(list)], insert(tuple)); err != nil {
						continue
					}
					mu.Lock()
					if kept = append(kept, tuple); len(kept) == goal {
						close(reached)
					}
					mu.Unlock()
				}
			})
		}
		select {
		case <-reached:
		case <-time.After(patience):
			t.Error("the writers write too little")
		}
		server.Kill()
		stop()
		writers.Wait()
		server.Start()
	}
	for i, node := range list {
		within(t, "the node has recovered", func() bool { return node.Ready(t.Context()) == nil })
		missing := 0
		for _, tuple := range kept {
			answer, err := node.Check(t.Context(), tuple, fully)
			if err != nil {
				t.Fatal(err)
			}
			if !answer.Allowed {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("node %d: %d of %d acknowledged writes are gone", i, missing, len(kept))
		}
	}
	t.Logf("%d acknowledged writes survived %d kills", len(kept), kills)
}

// TestReusedTransactions: after a crash PostgreSQL gives out again the ids of
// transactions that ended without a trace on disk, such as those rolled back. A
// node that has seen them end still shows the writes that get their ids, and
// tokens from before the crash are no less good.
func TestReusedTransactions(t *testing.T) {
	server := testdb.NewServer(t)
	dsn := server.Database()
	list := nodes(t, dsn, 2)
	before := parse(t, "Document:before#viewers@User:ann")
	if _, err := write(t.Context(), list[0], insert(before)); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	// Only commits that somebody waits for reach the disk.
	for _, statement := range []string{"ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()"} {
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		if _, err := c.Exec(t.Context(), "BEGIN; SELECT pg_current_xact_id(); ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
	var tokens []engine.Token
	for _, node := range list {
		token, err := node.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	server.Restart()
	for _, node := range list {
		within(t, "the node has recovered", func() bool {
			return expect(t.Context(), node, before.String(), true, fully) == nil
		})
		for _, token := range tokens {
			if err := expect(t.Context(), node, before.String(), true, asFresh(token)); err != nil {
				t.Errorf("with a token from before the crash: %v", err)
			}
		}
	}
	for i := range 20 {
		after := parse(t, fmt.Sprintf("Document:after-%d#viewers@User:ann", i))
		token, err := write(t.Context(), list[i%2], insert(after))
		if err != nil {
			t.Fatal(err)
		}
		for n, node := range list {
			for _, at := range []engine.Consistency{fully, asFresh(token)} {
				if err := expect(t.Context(), node, after.String(), true, at); err != nil {
					t.Fatalf("write %d, node %d, mode %d: %v", i, n, at.Mode, err)
				}
			}
			for _, old := range tokens {
				if err := expect(t.Context(), node, after.String(), false, engine.Consistency{Mode: engine.Exact, Token: old}); err != nil {
					t.Fatalf("write %d, node %d, exactly before the crash: %v", i, n, err)
				}
			}
		}
	}
}
