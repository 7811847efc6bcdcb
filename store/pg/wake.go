package pg

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// wakeups tells other nodes which networks were written to, and is told. It works
// outside of the writes, since a transaction with a notification makes others
// wait, and one at a time, so that a busy writer sends few.
type wakeups struct {
	sender string        // who we are, so that we do not hear ourselves
	signal chan struct{} // something is in written
	hears  bool          // the server can tell

	mu      sync.Mutex
	written map[int64]bool
	wake    map[int64]chan struct{}
}

const channel = "cardea"

func (w *wakeups) init(hears bool) {
	w.sender, w.hears = rand.Text(), hears
	w.signal = make(chan struct{}, 1)
	w.written, w.wake = map[int64]bool{}, map[int64]chan struct{}{}
}

// subscribe returns the channel of a network, nil if the server cannot tell.
func (w *wakeups) subscribe(network int64) chan struct{} {
	if !w.hears {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wake[network] == nil {
		w.wake[network] = make(chan struct{}, 1)
	}
	return w.wake[network]
}

// wrote notes that this node has written to a network.
func (w *wakeups) wrote(network int64) {
	if !w.hears {
		return
	}
	w.mu.Lock()
	w.written[network] = true
	w.mu.Unlock()
	poke(w.signal)
}

// take returns the networks that were written to since the last call.
func (w *wakeups) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for network := range w.written {
		out = append(out, strconv.FormatInt(network, 10)+" "+w.sender)
	}
	clear(w.written)
	return out
}

// heard wakes whom a message is for.
func (w *wakeups) heard(message string) {
	network, sender, _ := strings.Cut(message, " ")
	n, err := strconv.ParseInt(network, 10, 64)
	if err != nil || sender == w.sender {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.wake[n]; c != nil {
		poke(c)
	}
}

// all wakes everybody, since messages may have been missed.
func (w *wakeups) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.wake {
		poke(c)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watch tells and listens until ctx ends.
func (db *DB) watch(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { db.tell(ctx) })
	both.Go(func() { db.listen(ctx) })
	both.Wait()
}

// tell sends what was written. A message that fails is lost: it was a hint.
func (db *DB) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-db.wakeups.signal:
		}
		messages := db.wakeups.take()
		limited, cancel := context.WithTimeout(ctx, patience(db.options.StatementTimeout))
		_, _ = db.pool.Exec(limited, "SELECT pg_notify($1, m) FROM unnest($2::text[]) AS m", channel, messages)
		cancel()
	}
}

const (
	firstRedial = 100 * time.Millisecond
	lastRedial  = 5 * time.Second
)

// listen hears what other nodes tell, on a connection of its own.
func (db *DB) listen(ctx context.Context) {
	wait := firstRedial
	for ctx.Err() == nil {
		if db.listenOnce(ctx) {
			wait = firstRedial
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		wait = min(2*wait, lastRedial)
	}
}

// listenOnce listens until the connection breaks, and reports whether there was one.
func (db *DB) listenOnce(ctx context.Context) bool {
	conn, err := db.dial(ctx)
	if err != nil {
		return false
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return false
	}
	db.wakeups.all()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true
		}
		db.wakeups.heard(n.Payload)
	}
}

// dial connects outside of the pool.
func (db *DB) dial(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience(db.options.StatementTimeout))
	defer cancel()
	return pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig)
}
