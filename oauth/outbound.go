package oauth

import (
	"context"
	"net/http"

	"github.com/cardea-iam/cardea/internal/egress"
	"github.com/cardea-iam/cardea/internal/errs"
)

// fetchRedirects is how many redirects lead to a document at most.
const fetchRedirects = 3

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
	text, err := egress.Body(resp)
	if resp.StatusCode != http.StatusOK {
		return nil, errs.New(errs.Invalid, "%.200s answers %d: expected 200", url, resp.StatusCode)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "%.200s cannot be read", url)
	}
	return text, nil
}
