// Package egress makes requests to addresses that others have chosen: clients of OAuth 2
// that say where their keys are, providers that discovery leads to.
package egress

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// maxBody bounds what is read of an answer, in bytes.
const maxBody = 1 << 20

// Client returns a client that follows so many redirects, and connects to public
// addresses only unless private ones are allowed, wherever a name or a redirect leads:
// else whoever chooses the address would reach what only this machine can.
func Client(private bool, redirects int) *http.Client {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !private && !Public(at.Addr()) {
			return fmt.Errorf("%s is not a public address", at.Addr())
		}
		return nil
	}}
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DialContext: d.DialContext, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			switch {
			case redirects == 0:
				return http.ErrUseLastResponse
			case len(via) > redirects:
				return fmt.Errorf("more than %d redirects", redirects)
			}
			return nil
		},
	}
}

// special are networks of the registries of special-purpose addresses (RFC 6890) that
// package netip takes for ordinary ones, and those through which IPv6 leads to IPv4.
var special = func(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "fec0::/10")

// Public reports whether an address may belong to anybody on the internet.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// ErrLarge is that a body is larger than 1 MiB.
var ErrLarge = errors.New("the answer is larger than 1 MiB")

// Body reads and closes the body of an answer.
func Body(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = ErrLarge
	}
	return text, err
}
