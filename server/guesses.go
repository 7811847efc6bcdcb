package server

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/limit"
)

// Guesses at secrets: so many at once from an address, and then one each. What is
// right is never counted, so that a busy client is not slowed down.
const (
	guesses    = 30
	guessEvery = 2 * time.Second
	guessers   = 100_000 // addresses that are remembered

	// Rows that anybody can make: as many at once from an address, and then one each.
	strangers     = 60
	strangerEvery = time.Second

	// Requests of clients without authentication that come to nothing, such as with
	// codes that have expired.
	refusals     = 600
	refusalEvery = 50 * time.Millisecond
)

// An origin finds out where requests come from.
type origin struct {
	trusted  []netip.Prefix // proxies whose word is taken for it
	guesses  *limit.Limiter
	rows     *limit.Limiter
	refusals *limit.Limiter
}

func newOrigin(trusted []netip.Prefix) *origin {
	return &origin{
		trusted, limit.New(guesses, guessEvery, guessers, nil), limit.New(strangers, strangerEvery, guessers, nil),
		limit.New(refusals, refusalEvery, guessers, nil),
	}
}

// of returns the address that a request comes from: that of the connection or, if it
// is a trusted proxy, the last one in X-Forwarded-For that is none. Of IPv6 it is the
// network of 64 bits, which one host has to itself.
func (o *origin) of(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	at, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if !o.trusts(at) {
		return networkOfHost(at)
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && o.trusts(at); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		at = next
	}
	return networkOfHost(at)
}

// proxied reports whether a trusted proxy is at the other end of the connection.
func (o *origin) proxied(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && o.trusts(peer.Addr())
}

func (o *origin) trusts(at netip.Addr) bool {
	for _, p := range o.trusted {
		if p.Contains(at.Unmap()) {
			return true
		}
	}
	return false
}

func networkOfHost(at netip.Addr) string {
	at = at.Unmap()
	if at.Is4() {
		return at.String()
	}
	p, err := at.WithZone("").Prefix(64)
	if err != nil {
		return at.String()
	}
	return p.String()
}

// guarded is h for addresses that have not guessed wrong too often; wrong says which
// errors are wrong guesses.
func (o *origin) guarded(wrong func(error) bool, h restHandler) restHandler {
	return o.counting(o.guesses, wrong, "too many wrong secrets from this address: try again later", h)
}

// counting is h for addresses that have not met too many errors.
func (o *origin) counting(l *limit.Limiter, wrong func(error) bool, why string, h restHandler) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		from := o.of(r)
		if wait := l.Wait(from); wait > 0 {
			return later(w, wait, why)
		}
		err := h(w, r)
		if err != nil && wrong(err) {
			l.Count(from)
		}
		return err
	}
}

// rationed is h, which stores something for whoever asks, as often as that is no attack.
func (o *origin) rationed(h restHandler) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if wait := o.rows.Try(o.of(r)); wait > 0 {
			return later(w, wait, "too many requests from this address: try again later")
		}
		return h(w, r)
	}
}

func later(w http.ResponseWriter, wait time.Duration, why string) error {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	return errs.New(errs.Exhausted, "%s", why)
}
