package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// startMux runs a mux whose two sides answer with their name and what they were
// sent until the client closes its side.
func startMux(t *testing.T, peek, idle time.Duration) (address string, m *mux) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m = newMux(l, nil)
	m.peekTime, m.idleTime = peek, idle
	done := make(chan error, 1)
	go func() { done <- m.serve() }()
	for name, side := range map[string]*handoff{"grpc": m.grpc, "http": m.http} {
		go func() {
			for {
				c, err := side.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					sent, _ := io.ReadAll(c)
					_, _ = c.Write(append([]byte(name+"|"), sent...))
				}()
			}
		}()
	}
	t.Cleanup(func() {
		m.close()
		m.grpc.close()
		m.http.close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), m
}

// exchange sends the parts one by one, closes its side, and returns all that
// comes back.
func exchange(t *testing.T, address string, parts ...[]byte) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, part := range parts {
		if _, err := c.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.(*net.TCPConn).CloseWrite() // fails if the other side has closed already
	got, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	return string(got)
}

// frames returns what a client sends: the preface, and then what write writes.
func frames(t *testing.T, write func(*http2.Framer)) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	write(http2.NewFramer(&b, nil))
	return b.Bytes()
}

// headers encodes a request with a content type, in two frames.
func headers(f *http2.Framer, contentType string) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/a/b"}, {"content-type", contentType}} {
		if field[1] != "" {
			_ = e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
	}
	half := b.Len() / 2
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b.Bytes()[:half]})
	_ = f.WriteContinuation(1, true, b.Bytes()[half:])
}

func request(t *testing.T, contentType string) []byte {
	return frames(t, func(f *http2.Framer) {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		_ = f.WriteWindowUpdate(0, 1<<20)
		headers(f, contentType)
		_ = f.WriteData(1, true, []byte("body"))
	})
}

const settingsFrame = "\x00\x00\x00\x04\x00\x00\x00\x00\x00" // an empty one

func TestMux(t *testing.T) {
	address, _ := startMux(t, time.Minute, time.Minute)
	many := bytes.Repeat([]byte("x"), 1<<20)
	tests := []struct {
		name string
		sent []byte
		want string // the side, "" if nobody answers
	}{
		{"GET", []byte("GET / HTTP/1.1\r\n\r\n"), "http"},
		{"POST", []byte("POST / HTTP/1.1\r\n\r\n"), "http"},
		{"nonsense", []byte("\x00\x01\x02"), "http"},
		{"nonsense that begins like the preface", []byte("PRI * HTTP/2.0\r\n\r\nSN"), "http"},
		{"the first letter", []byte("P"), ""},
		{"half a preface", []byte("PRI * HTTP/2.0\r\n"), ""},
		{"nothing", nil, ""},
		{"a preface alone", []byte(http2.ClientPreface), ""},
		{"much HTTP/1", append([]byte("PUT /"), many...), "http"},
		{"gRPC", request(t, "application/grpc"), "grpc"},
		{"gRPC with a codec", request(t, "application/grpc+proto"), "grpc"},
		{"gRPC with a parameter", request(t, "application/grpc;x=y"), "grpc"},
		{"gRPC-Web", request(t, "application/grpc-web+proto"), "http"},
		{"Connect", request(t, "application/proto"), "http"},
		{"JSON", request(t, "application/json"), "http"},
		{"no content type", request(t, ""), "http"},
		{"frames that are none", append([]byte(http2.ClientPreface), "nonsense that is long enough"...), ""},
		{"only settings", frames(t, func(f *http2.Framer) {
			for range 10_000 {
				_ = f.WriteSettings()
			}
		}), ""},
		{"a frame too large", frames(t, func(f *http2.Framer) { _ = f.WriteRawFrame(http2.FrameSettings, 0, 0, many[:1<<17]) }), ""},
		{"headers too large", frames(t, func(f *http2.Framer) { headers(f, strings.Repeat("x", 15<<10)) }), "http"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := exchange(t, address, tt.sent)
			got = strings.TrimPrefix(got, settingsFrame)
			side, sent, answered := strings.Cut(got, "|")
			if !answered {
				side = ""
			}
			if side != tt.want {
				t.Fatalf("%q answers, want %q", side, tt.want)
			}
			if answered && sent != string(tt.sent) {
				t.Errorf("the server behind was sent %d bytes, want the %d of the client", len(sent), len(tt.sent))
			}
		})
	}
}

// TestMuxByByte sends a request in pieces of one byte.
func TestMuxByByte(t *testing.T) {
	address, _ := startMux(t, time.Minute, time.Minute)
	var parts [][]byte
	for _, b := range request(t, "application/grpc") {
		parts = append(parts, []byte{b})
	}
	got := exchange(t, address, parts...)
	if want := settingsFrame + "grpc|" + string(bytes.Join(parts, nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMuxWaitingClient is a client that sends its request only after it has seen
// the server's SETTINGS, and pings meanwhile.
func TestMuxWaitingClient(t *testing.T) {
	address, _ := startMux(t, time.Minute, time.Minute)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, bufio.NewReader(c))
	_ = f.WriteSettings()
	if frame, err := f.ReadFrame(); err != nil || frame.Header().Type != http2.FrameSettings {
		t.Fatalf("got %v, %v, want SETTINGS", frame, err)
	}
	_ = f.WriteSettingsAck()
	_ = f.WritePing(false, [8]byte{1, 2, 3})
	frame, err := f.ReadFrame()
	if ping, ok := frame.(*http2.PingFrame); err != nil || !ok || !ping.IsAck() || ping.Data != [8]byte{1, 2, 3} {
		t.Fatalf("got %v, %v, want the answer to a PING", frame, err)
	}
	headers(f, "application/grpc")
	_ = c.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(c)
	if !bytes.HasPrefix(got, []byte("grpc|"+http2.ClientPreface)) || bytes.Contains(got, []byte{1, 2, 3}) {
		t.Errorf("the server behind was sent %q", got)
	}
}

func TestMuxTimeout(t *testing.T) {
	for name, sent := range map[string]string{"nothing": "", "half a preface": "PRI * HT", "no request": http2.ClientPreface + settingsFrame} {
		t.Run(name, func(t *testing.T) {
			address, _ := startMux(t, time.Millisecond, time.Millisecond)
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, sent)
			if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the connection ends with %v", err)
			}
		})
	}
}

// TestMuxClose closes a mux while clients are silent in every stage.
func TestMuxClose(t *testing.T) {
	address, m := startMux(t, time.Hour, time.Hour)
	var clients []net.Conn
	for _, sent := range []string{"", "P", http2.ClientPreface, http2.ClientPreface + settingsFrame} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, sent)
		if strings.HasPrefix(sent, http2.ClientPreface) { // its SETTINGS show that it is being looked at
			if _, err := io.ReadFull(c, make([]byte, len(settingsFrame))); err != nil {
				t.Fatal(err)
			}
		}
		clients = append(clients, c)
	}
	m.close()
	for _, c := range clients {
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("a client sees %v", err)
		}
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("a connection after close")
	}
}

func TestAckFilter(t *testing.T) {
	sent := frames(t, func(f *http2.Framer) {
		_ = f.WriteSettings()
		headers(f, "application/json")
		_ = f.WriteSettingsAck()
		_ = f.WriteData(1, false, settingsAck()) // no frame, though it looks like one
		_ = f.WriteSettingsAck()
		_ = f.WriteData(1, true, nil)
	})
	i := bytes.Index(sent, settingsAck())
	want := append(bytes.Clone(sent[:i]), sent[i+frameHeader:]...)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "bytes": iotest.OneByteReader, "with the end": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			f := &ackFilter{Conn: readConn{Reader: wrap(bytes.NewReader(sent))}, skip: len(http2.ClientPreface)}
			got, err := io.ReadAll(f)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes, %v, want the %d without the acknowledgement", len(got), err, len(want))
			}
		})
	}
}

func settingsAck() []byte { return []byte("\x00\x00\x00\x04\x01\x00\x00\x00\x00") }

// A readConn is a connection of which only Read works.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

// FuzzMux sends anything at all to a mux with net/http behind: nothing may hang
// or panic.
func FuzzMux(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte(http2.ClientPreface + settingsFrame))
	f.Add([]byte(http2.ClientPreface + settingsFrame + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	m := newMux(l, nil)
	go func() { _ = m.serve() }()
	h := &http.Server{Handler: http.NotFoundHandler(), Protocols: new(http.Protocols)}
	h.Protocols.SetHTTP1(true)
	h.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = h.Serve(m.http) }()
	go func() {
		for {
			c, err := m.grpc.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			c.Close()
		}
	}()
	f.Cleanup(func() {
		m.close()
		m.grpc.close()
		_ = h.Shutdown(context.Background())
	})
	f.Fuzz(func(t *testing.T, sent []byte) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write(sent)
		_ = c.(*net.TCPConn).CloseWrite()
		if _, err := io.ReadAll(c); isTimeout(err) {
			t.Errorf("the connection hangs after %q", sent)
		}
	})
}
