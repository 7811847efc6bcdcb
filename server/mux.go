package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Bounds on what a connection may do before it is known what it is.
const (
	peekTime = 10 * time.Second // to its first bytes, and to the end of its preface
	idleTime = 5 * time.Minute  // from there to its first request
	peekSize = 64 << 10         // bytes that are read and kept
)

// A mux tells the connections of one listener apart: those whose first request
// is gRPC go to grpc, all others to http. gRPC runs on its own HTTP/2 transport
// that way, which is several times faster than through net/http; everything
// else, gRPC-Web and Connect among it, needs net/http.
//
// A connection that does not begin with the preface of HTTP/2 is HTTP/1. After
// the preface the content type of the first request decides. Many gRPC clients
// wait for the server's SETTINGS before they send a request, so an empty one is
// sent at once; the server behind sends its own later, as the protocol allows.
// The client acknowledges both, and net/http takes an acknowledgement too many
// for an attack, so its connections lose the first one (ackFilter).
type mux struct {
	listener net.Listener
	secure   *tls.Config // nil: nothing is encrypted
	grpc     *handoff
	http     *handoff

	peekTime, idleTime time.Duration

	wait sync.WaitGroup // one for each connection being looked at
	mu   struct {
		sync.Mutex
		closed  bool
		peeking map[net.Conn]bool
	}
}

func newMux(l net.Listener, secure *tls.Config) *mux {
	m := &mux{
		listener: l, secure: secure, peekTime: peekTime, idleTime: idleTime,
		grpc: newHandoff(l.Addr()), http: newHandoff(l.Addr()),
	}
	m.mu.peeking = map[net.Conn]bool{}
	return m
}

// serve accepts connections until close. It returns nil then, and the error of
// the listener otherwise.
func (m *mux) serve() error {
	for {
		c, err := m.listener.Accept()
		switch {
		case err == nil:
			m.look(c)
		case errors.Is(err, net.ErrClosed):
			return nil
		case isTemporary(err):
			time.Sleep(5 * time.Millisecond) // out of file descriptors: let some go
		default:
			return err
		}
	}
}

// isTemporary reports whether the next Accept may succeed.
func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// close stops accepting, drops the connections that have not sent a request,
// and returns when none is being looked at.
func (m *mux) close() {
	_ = m.listener.Close()
	m.mu.Lock()
	m.mu.closed = true
	for c := range m.mu.peeking {
		_ = c.SetDeadline(time.Unix(1, 0)) // its reader says goodbye
	}
	m.mu.Unlock()
	m.wait.Wait()
	// The two servers close their hand-offs when they shut down.
}

// look starts to find out what c is.
func (m *mux) look(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		_ = c.Close()
		return
	}
	m.mu.peeking[c] = true
	m.wait.Go(func() {
		to, conn := m.classify(c)
		m.mu.Lock()
		delete(m.mu.peeking, c)
		m.mu.Unlock()
		// With its first request read, even a connection met while closing is
		// handed on: the server behind says goodbye in its own way.
		if to != nil && c.SetDeadline(time.Time{}) == nil && to.pass(conn) {
			return
		}
		_ = c.Close()
	})
}

// classify reads the first bytes of c. It returns nil for a connection that
// ended, broke the protocol or took too long.
func (m *mux) classify(c net.Conn) (*handoff, net.Conn) {
	m.setDeadline(c, m.peekTime)
	if m.secure != nil {
		encrypted := tls.Server(c, m.secure)
		if encrypted.Handshake() != nil {
			return nil, nil
		}
		c = encrypted
	}
	p := &peeker{conn: c, deadline: m.setDeadline}
	isHTTP2, err := p.preface()
	if err != nil {
		return nil, nil
	}
	if !isHTTP2 {
		return m.http, p.replay()
	}
	p.idle = m.idleTime
	contentType, err := p.firstRequest()
	switch {
	case err != nil:
		return nil, nil
	case isGRPC(contentType):
		return m.grpc, p.replay()
	default:
		return m.http, &ackFilter{Conn: p.replay(), skip: len(http2.ClientPreface)}
	}
}

// setDeadline gives c more time, but not while the mux is closing.
func (m *mux) setDeadline(c net.Conn, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.mu.closed {
		_ = c.SetDeadline(time.Now().Add(d))
	}
}

// isGRPC reports whether a content type is gRPC's own, not that of gRPC-Web.
func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// A peeker reads the beginning of a connection and keeps what it read.
type peeker struct {
	conn     net.Conn
	deadline func(net.Conn, time.Duration)
	idle     time.Duration
	kept     bytes.Buffer
}

var errPeekSize = errors.New("no request within the first 64 KiB")

// Read reads from the connection and keeps the bytes.
func (p *peeker) Read(b []byte) (int, error) {
	room := peekSize - p.kept.Len()
	if room <= 0 {
		return 0, errPeekSize
	}
	n, err := p.conn.Read(b[:min(len(b), room)])
	p.kept.Write(b[:n])
	return n, err
}

// preface reports whether the connection begins with the preface of HTTP/2. It
// reads no further than it must.
func (p *peeker) preface() (bool, error) {
	var buf [len(http2.ClientPreface)]byte
	for n := 0; n < len(buf); {
		got, err := p.Read(buf[n:])
		n += got
		if string(buf[:n]) != http2.ClientPreface[:n] {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// firstRequest reads frames up to the first HEADERS and returns its content
// type. Pings are answered here, since a client may send some while it waits
// with its first request; all other frames are left to the server behind.
func (p *peeker) firstRequest() (string, error) {
	framer := http2.NewFramer(p.conn, p)
	framer.SetMaxReadFrameSize(1 << 14)
	framer.MaxHeaderListSize = peekSize
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		return "", err
	}
	for {
		before := p.kept.Len()
		frame, err := framer.ReadFrame()
		if err != nil {
			p.goodbye(framer, err)
			return "", err
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return contentTypeOf(f), nil
		case *http2.SettingsFrame:
			p.deadline(p.conn, p.idle)
		case *http2.PingFrame:
			p.kept.Truncate(before)
			if f.IsAck() {
				continue
			}
			if err := framer.WritePing(true, f.Data); err != nil {
				return "", err
			}
			p.deadline(p.conn, p.idle)
		}
	}
}

// goodbye tells a client that its connection ends, and whether it was at fault.
func (p *peeker) goodbye(framer *http2.Framer, err error) {
	why := http2.ErrCodeNo
	if !errors.Is(err, io.EOF) && !isTimeout(err) {
		why = http2.ErrCodeProtocol
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = framer.WriteGoAway(0, why, nil)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func contentTypeOf(f *http2.MetaHeadersFrame) string {
	for _, field := range f.Fields {
		if field.Name == "content-type" {
			return field.Value
		}
	}
	return ""
}

// replay returns the connection with what was read put back in front.
func (p *peeker) replay() net.Conn { return &replayConn{Conn: p.conn, kept: p.kept.Bytes()} }

// A replayConn gives kept, then what its connection gives.
type replayConn struct {
	net.Conn
	kept []byte
}

func (c *replayConn) Read(b []byte) (int, error) {
	if len(c.kept) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.kept)
	if c.kept = c.kept[n:]; len(c.kept) == 0 {
		c.kept = nil
	}
	return n, nil
}

// A handoff is a listener whose connections come from the mux.
type handoff struct {
	addr   net.Addr
	conns  chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

func newHandoff(addr net.Addr) *handoff {
	h := &handoff{addr: addr, conns: make(chan net.Conn)}
	h.closed, h.close = context.WithCancel(context.Background())
	return h
}

// pass hands c on, or reports that nobody accepts any more.
func (h *handoff) pass(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.closed.Done():
		return false
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed.Done():
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.close()
	return nil
}

func (h *handoff) Addr() net.Addr { return h.addr }
