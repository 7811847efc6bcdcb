package oauth

import (
	"context"
	"net/http"
	"slices"

	"github.com/ory/fosite"
)

// What an identity provider tells when sessions end there. It is not told in return, as it
// is by LoggedOut. All of it can be done again if it fails, and if it was done.

// EndSessions ends the logins of a subject that were made from sessions which have ended:
// clients are told behind the browser's back, and tokens that live no longer than a login
// are revoked.
func (p *Provider) EndSessions(ctx context.Context, subject string, sessions []string) error {
	logins, err := p.store.Logins(ctx, subject)
	if err != nil {
		return err
	}
	for _, l := range logins {
		s := session{}
		if err := p.unseal(sealLogin, l.ID, l.Data, &s); err != nil {
			p.o.Log.ErrorContext(ctx, "a login cannot be read", "login", l.ID, "err", err)
			continue
		}
		if s.Provider == "" || !slices.Contains(sessions, s.Provider) {
			continue
		}
		if _, _, err := p.end(ctx, l.ID, "", false); err != nil {
			return err
		}
	}
	return nil
}

// EndSubject ends all logins of a subject who is gone, or may not log in any more, and
// revokes all tokens, also those with offline access. Consents go only if the subject is gone
// for good.
func (p *Provider) EndSubject(ctx context.Context, subject string, gone bool) error {
	_, _, err := p.end(ctx, "", subject, true)
	if err == nil && gone {
		_, err = p.store.RevokeGrants(ctx, GrantQuery{Subject: subject}, p.o.Now())
	}
	return err
}

// lastingLogin is loginOf where the login is to be used. One whose session at the identity
// provider has expired ends then, if nobody has ended it.
func (p *Provider) lastingLogin(r *http.Request) (*session, error) {
	s, err := p.loginOf(r)
	if err != nil || s == nil || p.o.SessionActive == nil || s.Provider == "" || s.Ends.IsZero() || p.o.Now().Before(s.Ends) {
		return s, err
	}
	active, err := p.o.SessionActive(r.Context(), s.Subject, s.Provider)
	if err != nil || active {
		return s, err
	}
	_, _, err = p.end(r.Context(), s.ID, "", false)
	return nil, err
}

// present refuses what somebody allowed in a session that has ended since: the answers of
// the pages are good for a while, also in the hands of who was to be locked out.
func (p *Provider) present(ctx context.Context, f *flow) error {
	s := f.Login.session
	if p.o.SessionActive == nil || s.Provider == "" {
		return nil
	}
	active, err := p.o.SessionActive(ctx, s.Subject, s.Provider)
	if err == nil && !active {
		err = fosite.ErrAccessDenied.WithHint("The session in which this was allowed has ended.")
	}
	return err
}
