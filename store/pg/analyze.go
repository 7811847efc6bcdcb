package pg

import (
	"context"
	"sync/atomic"
)

// A counter counts the tuples that this node writes, and says when they are so many
// more than before that the server should look at the table again. PostgreSQL does so
// by itself, but a minute after an import is late: until then it plans as if each
// table were the same.
type counter struct {
	written atomic.Int64
	next    atomic.Int64
	full    chan struct{} // nil: nobody counts
}

const (
	firstCount = 2000
	countAgain = 10 // times as many
)

func (c *counter) add(n int64) {
	if c.full == nil {
		return
	}
	next := max(firstCount, c.next.Load())
	if c.written.Add(n) >= next && c.next.CompareAndSwap(c.next.Load(), next*countAgain) {
		poke(c.full)
	}
}

// analyze lets the server count when there is reason to. If it does not, it will by
// itself some time.
func (db *DB) analyze(ctx context.Context, text string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-db.counted.full:
		}
		limited, cancel := context.WithTimeout(ctx, patience(db.options.StatementTimeout))
		_, _ = db.pool.Exec(limited, text)
		cancel()
	}
}
