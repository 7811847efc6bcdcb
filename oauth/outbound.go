package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// maxFetched bounds what is read from a client's server, in bytes.
const maxFetched = 1 << 20

// outbound returns a client that connects to no private, local or link-local address
// unless that is allowed, wherever a name or a redirect leads: the URLs that it fetches
// come from clients.
func outbound(private bool) *http.Client {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		if private {
			return nil
		}
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		ip := at.Addr().Unmap()
		if !ip.IsGlobalUnicast() || ip.IsPrivate() {
			return fmt.Errorf("%s is not a public address", ip)
		}
		return nil
	}}
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DialContext: d.DialContext, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("more than 3 redirects")
			}
			return nil
		},
	}
}

// fetch reads a document of a client.
//
// Invalid: it cannot be had.
func (p *Provider) fetch(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "%.200q is no URL", url)
	}
	resp, err := p.o.HTTP.Do(r)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "%.200s cannot be read", url)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errs.New(errs.Invalid, "%.200s answers %d: expected 200", url, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxFetched+1))
	if err == nil && len(text) > maxFetched {
		err = fmt.Errorf("more than %d bytes", maxFetched)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "%.200s cannot be read", url)
	}
	return text, nil
}
