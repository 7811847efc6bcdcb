package server

import (
	"encoding/binary"
	"net"

	"golang.org/x/net/http2"
)

const frameHeader = 9 // bytes: length 3, type 1, flags 1, stream 4

// An ackFilter takes the first acknowledgement of SETTINGS out of what an HTTP/2
// client sends and passes on the rest as it is. Frames are followed by their
// headers only. Like every Read of a connection, its Read is called by one
// goroutine at a time.
type ackFilter struct {
	net.Conn
	skip   int    // bytes that pass before the next frame header
	header []byte // of the next frame, as far as it was read
	out    []byte // read and not yet given out
	done   bool   // the acknowledgement is gone
	buf    [4096]byte
}

func (f *ackFilter) Read(b []byte) (int, error) {
	for {
		if len(f.out) > 0 {
			n := copy(b, f.out)
			f.out = f.out[n:]
			return n, nil
		}
		if f.done {
			return f.Conn.Read(b)
		}
		n, err := f.Conn.Read(f.buf[:])
		f.out = f.filter(f.buf[:n])
		if len(f.out) == 0 && err != nil {
			return 0, err
		}
	}
}

// filter returns in without the acknowledgement. A frame header that is not
// complete yet is kept back.
func (f *ackFilter) filter(in []byte) []byte {
	var out []byte
	for len(in) > 0 && !f.done {
		if f.skip > 0 {
			n := min(f.skip, len(in))
			out, in, f.skip = append(out, in[:n]...), in[n:], f.skip-n
			continue
		}
		n := min(frameHeader-len(f.header), len(in))
		f.header, in = append(f.header, in[:n]...), in[n:]
		if len(f.header) < frameHeader {
			break
		}
		if isSettingsAck(f.header) {
			f.done = true
		} else {
			out = append(out, f.header...)
			f.skip = int(binary.BigEndian.Uint32(f.header) >> 8)
		}
		f.header = f.header[:0]
	}
	return append(out, in...)
}

func isSettingsAck(header []byte) bool {
	return http2.FrameType(header[3]) == http2.FrameSettings && http2.Flags(header[4]).Has(http2.FlagSettingsAck)
}
