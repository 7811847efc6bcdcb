//go:build unix

package pg

import (
	"net"
	"syscall"
)

// alive reports whether the peer has kept its side of an idle connection open and
// silent. It looks without waiting: a server that went away has sent its farewell.
// It must not ask for the right to read, which pgx may still hold in the background.
func alive(conn net.Conn) bool {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = c.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// Bytes that wait are notices, or an error before the end: only reading
		// would tell, and another connection is cheap.
		silent = n <= 0 && (err == syscall.EAGAIN || err == syscall.EWOULDBLOCK)
	})
	return err == nil && silent
}
