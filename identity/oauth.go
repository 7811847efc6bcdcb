package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Subject is who is logged in, as OAuth2 wants to know it.
type Subject struct {
	Identity        *Identity // without credentials
	Session         string    // its id, the same until a logout
	Ends            time.Time // when it does unless it is used again
	AAL             AAL
	Methods         []string // of which RFC 8176 has others; these are the names of strategies
	AuthenticatedAt time.Time
}

// Subject returns who sent r.
//
// Unauthenticated: nobody is logged in. Denied: a second factor is needed first.
func (s *Service) Subject(r *http.Request) (Subject, error) {
	session, i, err := s.current(r)
	if err != nil {
		return Subject{}, err
	}
	who := subject(session, i)
	who.Ends = s.ends(session)
	return who, nil
}

func subject(session *Session, i *Identity) Subject {
	who := Subject{Identity: i, Session: session.ID, AAL: session.AAL, AuthenticatedAt: session.AuthenticatedAt}
	for _, m := range session.Methods {
		who.Methods = append(who.Methods, m.Method)
	}
	return who
}

// LoginURL is where a browser goes to log in, and to come back to a URL of this
// server, or one that is allowed. fresh asks for a login although there is one; aal2
// for a second factor.
func (s *Service) LoginURL(back string, fresh, aal2 bool) string {
	refresh, aal := "", ""
	if fresh {
		refresh = "true"
	}
	if aal2 {
		aal = string(AAL2)
	}
	return withQuery(s.options.BaseURL+"/self-service/login/browser", "return_to", back, "refresh", refresh, "aal", aal)
}

// RegistrationURL is where a browser goes to register, and to come back to a URL as for
// LoginURL.
func (s *Service) RegistrationURL(back string) string {
	return withQuery(s.options.BaseURL+"/self-service/registration/browser", "return_to", back)
}

// challenged returns where a flow leads that OAuth2 has sent a browser to: to the page
// that answers the challenge by who is logged in, or asks for another login.
//
// Unsupported: there is no OAuth2. NotFound, Expired: it is no challenge, or no longer.
func (s *Service) challenged(ctx context.Context, challenge string) (string, error) {
	if s.options.LoginPage == "" {
		return "", errs.New(errs.Unsupported, "login_challenge: this server has no OAuth2")
	}
	if s.options.LoginRequest != nil {
		_, err := s.options.LoginRequest(ctx, challenge)
		if errs.KindOf(err) == errs.Unauthenticated { // of the challenge; who calls is not asked for more
			err = errs.Wrap(errs.Expired, err, "login_challenge: it is too old, begin again where you came from")
		}
		if err != nil {
			return "", err
		}
	}
	return withQuery(s.options.LoginPage, "login_challenge", challenge), nil
}

// loginRequest is what the flow's challenge asks, nil if there is none, or no longer.
func (s *Service) loginRequest(ctx context.Context, f *Flow) any {
	if f.LoginChallenge == "" || s.options.LoginRequest == nil {
		return nil
	}
	asked, err := s.options.LoginRequest(ctx, f.LoginChallenge)
	if err != nil {
		return nil
	}
	return asked
}

// EndSession ends a session of an identity, if it has not ended.
func (s *Service) EndSession(ctx context.Context, id, session string) error {
	if _, ok := parseUUID(session); !ok { // of another provider
		return nil
	}
	now := s.now()
	return s.store.Write(ctx, RevokeSessions{Identity: id, IDs: []string{session}}, Record{Event{
		ID: eventID(now), At: now, Type: "logout", Identity: id, Session: session,
	}})
}

// Offers reports whether people can open flows of a kind.
func (s *Service) Offers(k Kind) bool { return ends(k) != nil && !s.options.flow(k).Disabled }
