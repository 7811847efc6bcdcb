package oauth

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A participant is a client that a person uses in a login.
type participant struct {
	client *Client

	Client  string `json:"c"`
	Subject string `json:"s"` // as the client knows it
	Login   string `json:"l"`
}

// endLogin ends a login: clients are told behind the browser's back, tokens that live
// no longer than it are revoked, and of all who call this at the same time one gets
// the clients, to tell them by way of the browser. What was begun and broke off is
// done again, so clients can hear of it twice.
func (p *Provider) endLogin(ctx context.Context, id string) ([]participant, error) {
	switch _, err := p.store.Login(ctx, id); {
	case isKind(err, errs.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return p.endLogins(ctx, id, "")
}

// endLogins does that with the login of an id, or with all of a subject.
func (p *Provider) endLogins(ctx context.Context, id, subject string) ([]participant, error) {
	told, ended, err := p.end(ctx, id, subject, false)
	if err != nil {
		return nil, err
	}
	for _, l := range ended {
		p.loggedOut(ctx, l)
	}
	return slices.DeleteFunc(told, func(t participant) bool {
		return !slices.ContainsFunc(ended, func(l Login) bool { return l.ID == t.Login })
	}), nil
}

// end does what can be done again until all of it is done, and returns the clients that
// hear of it, and the logins that have ended now. With all it revokes every token that
// came of the logins, also those that are good without a login.
func (p *Provider) end(ctx context.Context, id, subject string, all bool) (told []participant, ended []Login, err error) {
	q := GrantQuery{Login: id, Subject: subject}
	told, grants, err := p.participants(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	// The messages are stored first: a login that has ended is not found again.
	if err := p.announce(ctx, told); err != nil {
		return nil, nil, err
	}
	if all {
		grants = nil
		err = p.eachGrant(ctx, q, func(g Grant) error {
			grants = append(grants, g)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if err := p.endTokens(ctx, grants); err != nil {
		return nil, nil, err
	}
	ended, err = p.store.EndLogins(ctx, id, subject, p.o.Now())
	return told, ended, err
}

// loggedOut tells the one who knows people of a login that has ended.
func (p *Provider) loggedOut(ctx context.Context, l Login) {
	if p.o.LoggedOut == nil {
		return
	}
	s := session{}
	err := p.unseal(sealLogin, l.ID, l.Data, &s)
	if err == nil {
		err = p.o.LoggedOut(ctx, l.Subject, s.Provider)
	}
	if err != nil {
		p.o.Log.ErrorContext(ctx, "the session behind a login was not ended", "login", l.ID, "err", err)
	}
}

// pageSize is how many grants are read at once.
const pageSize = 200

// eachGrant calls do with the grants that q selects, the newest first.
func (p *Provider) eachGrant(ctx context.Context, q GrantQuery, do func(Grant) error) error {
	q.Limit = pageSize
	for {
		page, err := p.store.Grants(ctx, q)
		if err != nil {
			return err
		}
		for _, g := range page {
			if err := do(g); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		q.After = page[len(page)-1]
	}
}

// participants returns which clients took part in the logins of grants that have not
// ended, once for each login, and those of the grants whose tokens end with a login.
func (p *Provider) participants(ctx context.Context, q GrantQuery) (told []participant, ending []Grant, err error) {
	type key struct{ client, login string }
	seen, clients, logins := map[key]bool{}, map[string]*Client{}, map[string]bool{}
	now := p.o.Now()
	err = p.eachGrant(ctx, q, func(g Grant) error {
		c, err := known(clients, g.Client, func() (*Client, error) { return p.client(ctx, g.Client) })
		if err != nil || c == nil || g.Login == "" {
			return err
		}
		live, err := known(logins, g.Login, func() (bool, error) {
			_, err := p.store.Login(ctx, g.Login)
			return err == nil, err
		})
		if err != nil {
			return err
		}
		if p.endsWithLogin(c, g, now) {
			ending = append(ending, g)
		}
		if k := (key{g.Client, g.Login}); live && !seen[k] {
			seen[k] = true
			told = append(told, participant{c, c.ID, p.subject(c, g.Subject, p.forcedBy(ctx, g)), g.Login})
		}
		return nil
	})
	return told, ending, err
}

// known looks something up once. What is not there is the zero value.
func known[V any](in map[string]V, id string, look func() (V, error)) (v V, err error) {
	v, ok := in[id]
	if ok {
		return v, nil
	}
	if v, err = look(); err != nil && !isKind(err, errs.NotFound) {
		return v, err
	}
	in[id] = v
	return v, nil
}

// forcedBy is how the client of a grant knows the subject by what the login page said;
// "": as ever. A grant that cannot be read is no reason to stay logged in.
func (p *Provider) forcedBy(ctx context.Context, g Grant) string {
	f := &flow{}
	if err := p.unseal(sealGrant, g.ID, g.Data, f); err != nil {
		p.o.Log.ErrorContext(ctx, "a grant cannot be read", "grant", g.ID, "err", err)
	}
	if f.Login == nil {
		return ""
	}
	return f.Login.session.Forced[g.Client]
}

// endsWithLogin reports whether a grant has tokens which a logout ends: a client that
// was allowed offline access keeps its own (OpenID Connect Back-Channel Logout 1.0,
// section 2.7). Those of old grants have expired.
func (p *Provider) endsWithLogin(c *Client, g Grant, now time.Time) bool {
	if !g.Revoked.IsZero() || slices.Contains(g.Scopes, scopeOffline) || slices.Contains(g.Scopes, oldOffline) {
		return false
	}
	longest := time.Duration(0)
	for _, grant := range []string{grantCode, grantImplicit, grantDevice} {
		life := p.lifespan(c, grant, Access)
		if life == 0 {
			return true
		}
		longest = max(longest, life)
	}
	return now.Before(g.Created.Add(p.o.TTL.Code + longest))
}

// endTokens revokes what grants gave. A consent that is remembered stays one.
func (p *Provider) endTokens(ctx context.Context, grants []Grant) error {
	for _, g := range grants {
		var err error
		if g.Remember {
			_, err = p.store.DeleteTokens(ctx, TokenQuery{Grant: g.ID})
		} else {
			err = p.revoke(ctx, g.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// EndLogin ends the login that a browser remembers, if it is the subject's, who has
// logged out elsewhere: clients are told behind the browser's back.
func (p *Provider) EndLogin(w http.ResponseWriter, r *http.Request, subject string) error {
	l, err := p.loginOf(r)
	if err != nil {
		return err
	}
	p.forgetEnded(w, r, l) // with the session, before this was called
	if l == nil || l.Subject != subject {
		return nil
	}
	if _, err := p.endLogin(r.Context(), l.ID); err != nil {
		return err
	}
	p.forgetLogin(w)
	return nil
}
