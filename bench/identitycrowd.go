package bench

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A CrowdReport is what many logins at the same time did.
type CrowdReport struct {
	Done, Refused int64 // refused with 503, and told when to try again
	Peak          int64 // bytes that the process held at most, since it began
}

// Crowd lets n people log in again and again for some time, all at once. Whatever is
// neither a session nor a refusal with Retry-After ends it with an error.
func (i *Identity) Crowd(ctx context.Context, p *Process, n int, d time.Duration) (CrowdReport, error) {
	var done, refused atomic.Int64
	end := time.Now().Add(d)
	g, gctx := errgroup.WithContext(ctx)
	for range n {
		who := i.somebody()
		g.Go(func() error {
			for time.Now().Before(end) {
				ok, err := i.press(gctx, who)
				if err != nil {
					return err
				}
				if ok {
					done.Add(1)
				} else {
					refused.Add(1)
				}
			}
			return nil
		})
	}
	err := g.Wait()
	if err != nil {
		return CrowdReport{}, err
	}
	peak, err := p.Peak()
	return CrowdReport{done.Load(), refused.Load(), peak}, err
}

// press is a login that may be refused.
func (i *Identity) press(ctx context.Context, who account) (ok bool, err error) {
	var f flow
	if err := i.get(ctx, i.public+"/self-service/login/api", nil, &f); err != nil {
		return false, err
	}
	r, err := jsonRequest(ctx, "POST", i.public+"/self-service/login?flow="+f.ID, who.form())
	if err != nil {
		return false, err
	}
	a, err := i.answer(r)
	switch {
	case err != nil:
		return false, err
	case a.status == http.StatusOK:
		return true, nil
	case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
		return false, nil
	default:
		return false, a.wrong()
	}
}
