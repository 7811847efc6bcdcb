package oauth

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A ConsentRecord is what somebody has allowed, in Hydra's form.
type ConsentRecord struct {
	ID          string          `json:"consent_request_id"`
	Request     *ConsentRequest `json:"consent_request"`
	Scopes      []string        `json:"grant_scope"`
	Audience    []string        `json:"grant_access_token_audience"`
	Remember    bool            `json:"remember"`
	RememberFor int64           `json:"remember_for"` // seconds
	Session     ConsentSession  `json:"session"`
	Context     json.RawMessage `json:"context,omitempty"`
	HandledAt   time.Time       `json:"handled_at"`
}

// serveConsents lists what a subject has allowed, the newest first, but not what was
// revoked.
func (p *Provider) serveConsents(w http.ResponseWriter, r *http.Request) error {
	size, token, err := pageOf(r)
	if err != nil {
		return err
	}
	q := GrantQuery{Subject: r.URL.Query().Get("subject"), Login: r.URL.Query().Get("login_session_id")}
	if q.Subject == "" {
		return errs.New(errs.Invalid, "subject: expected whose consents to list")
	}
	if q.After, err = readPosition(token); err != nil {
		return err
	}
	grants, more, err := p.liveGrants(r, q, size)
	if err != nil {
		return err
	}
	records, clients := []*ConsentRecord{}, map[string]*Client{}
	for _, g := range grants {
		record, err := p.consentRecord(r, g, clients)
		if err != nil {
			return err
		}
		records = append(records, record)
	}
	next := ""
	if more {
		next = position(grants[len(grants)-1])
	}
	linkPages(w.Header(), r, next)
	return reply(w, http.StatusOK, records)
}

// liveGrants returns at most size grants that were not revoked, and whether there are
// more.
func (p *Provider) liveGrants(r *http.Request, q GrantQuery, size int) (live []Grant, more bool, err error) {
	q.Limit = size + 1
	for {
		page, err := p.store.Grants(r.Context(), q)
		if err != nil {
			return nil, false, err
		}
		for _, g := range page {
			if g.Revoked.IsZero() {
				live = append(live, g)
			}
		}
		if len(live) > size {
			return live[:size], true, nil
		}
		if len(page) < q.Limit {
			return live, false, nil
		}
		q.After = page[len(page)-1]
	}
}

// position says where a page of grants ends.
func position(g Grant) string { return strconv.FormatInt(g.Created.UnixMicro(), 10) + " " + g.ID }

func readPosition(text string) (g Grant, err error) {
	if text == "" {
		return g, nil
	}
	at, id, ok := strings.Cut(text, " ")
	created, err := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok {
		return g, errs.New(errs.Invalid, "page_token: expected one from the header Link of another page")
	}
	return Grant{ID: id, Created: time.UnixMicro(created)}, nil
}

// consentRecord shows a grant. A client that is gone is none, and what is lost with a
// system secret is empty.
func (p *Provider) consentRecord(r *http.Request, g Grant, clients map[string]*Client) (*ConsentRecord, error) {
	f := &flow{}
	if err := p.unseal(sealGrant, g.ID, g.Data, f); err != nil && !isKind(err, errs.NotFound) {
		return nil, err
	}
	c, err := known(clients, g.Client, func() (*Client, error) { return p.client(r.Context(), g.Client) })
	if err != nil {
		return nil, err
	}
	record := &ConsentRecord{
		ID: g.ID, Scopes: list(g.Scopes), Audience: list(g.Audience), Remember: g.Remember, HandledAt: g.Created.UTC(),
	}
	if f.Consent != nil {
		record.RememberFor, record.Session, record.Context = f.Consent.RememberFor, f.Consent.Session, f.Consent.Context
	}
	if c != nil && f.Login != nil {
		record.Request = p.consentRequest(r.Context(), g.ID, f, c)
	}
	return record, nil
}

// serveRevokeConsents takes back what a subject has allowed: to one client, to all, or
// once. The tokens that came of it die, and the clients hear that it is over.
func (p *Provider) serveRevokeConsents(w http.ResponseWriter, r *http.Request) error {
	form := r.URL.Query()
	q := GrantQuery{ID: form.Get("consent_request_id"), Subject: form.Get("subject"), Client: form.Get("client")}
	all := form.Get("all") == "true"
	one := q.ID != "" && q.Subject == "" && q.Client == "" && !all
	some := q.ID == "" && q.Subject != "" && (q.Client != "") != all
	if !one && !some {
		return errs.New(errs.Invalid, "expected consent_request_id, or subject and client, or subject and all=true")
	}
	ctx := r.Context()
	told, _, err := p.participants(ctx, q)
	if err != nil {
		return err
	}
	if err := p.announce(ctx, told); err != nil {
		return err
	}
	if _, err := p.store.RevokeGrants(ctx, q, p.o.Now()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveEndLogins logs a subject out everywhere, or ends one login.
func (p *Provider) serveEndLogins(w http.ResponseWriter, r *http.Request) error {
	form := r.URL.Query()
	sid, subject := form.Get("sid"), form.Get("subject")
	if sid == "" && subject == "" {
		return errs.New(errs.Invalid, "expected sid or subject")
	}
	if _, err := p.endLogins(r.Context(), sid, subject); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
