package bench

import (
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
)

// Trips stands between a program and its database server, and counts the round trips
// of all connections: how often the program says something after it has heard something.
type Trips struct {
	dsn      string
	to       string
	listener net.Listener
	n        atomic.Int64
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// CountTrips begins to count on the way to the server of dsn. The caller closes it.
func CountTrips(dsn string) (*Trips, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Trips{to: u.Host, listener: l, conns: map[net.Conn]bool{}}
	u.Host = l.Addr().String()
	t.dsn = u.String()
	t.running.Go(t.serve)
	return t, nil
}

// DSN leads to the database by way of t.
func (t *Trips) DSN() string { return t.dsn }

// Count returns the round trips so far.
func (t *Trips) Count() int64 { return t.n.Load() }

// Close cuts the connections.
func (t *Trips) Close() error {
	err := t.listener.Close()
	t.mu.Lock()
	for c := range t.conns {
		_ = c.Close() // its other end learns of it
	}
	t.conns = nil
	t.mu.Unlock()
	t.running.Wait()
	return err
}

func (t *Trips) serve() {
	for {
		from, err := t.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", t.to)
		if err != nil {
			_ = from.Close()
			continue
		}
		if t.keep(from, to) {
			var heard atomic.Bool // since the program said something
			heard.Store(true)
			t.running.Go(func() {
				t.pass(to, from, func() {
					if heard.Swap(false) {
						t.n.Add(1)
					}
				})
			})
			t.running.Go(func() { t.pass(from, to, func() { heard.Store(true) }) })
		}
	}
}

// keep notes connections for Close, unless that was called.
func (t *Trips) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		if t.conns == nil {
			_ = c.Close()
			continue
		}
		t.conns[c] = true
	}
	return t.conns != nil
}

// pass copies until one end closes, and then closes the other. before is called before
// the other end can know what was read.
func (t *Trips) pass(to, from net.Conn, before func()) {
	defer func() {
		_ = errors.Join(from.Close(), to.Close())
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.conns, from)
		delete(t.conns, to)
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			before()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil { // the end of either side
			return
		}
	}
}
