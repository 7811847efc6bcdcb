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
	AAL             AAL
	Methods         []string // of which RFC 8176 has others; these are the names of strategies
	AuthenticatedAt time.Time
}

// LoginChallenges is what identity asks of OAuth2, which sends browsers here with a
// login_challenge. A challenge that does not exist is NotFound, one of long ago
// Unauthenticated or Expired.
type LoginChallenges interface {
	// Login returns what a challenge asks for.
	Login(ctx context.Context, challenge string) (WantedLogin, error)

	// Accept says who has logged in, and returns where the browser goes on.
	Accept(ctx context.Context, challenge string, who Subject) (url string, err error)
}

// A WantedLogin is what a login must be.
type WantedLogin struct {
	Subject string    // the id of the only identity that will do; "": any
	Since   time.Time // not longer ago than this; zero: at any time
	AAL     AAL       // by those who can; "" is aal1
}

// Subject returns who sent r.
//
// Unauthenticated: nobody is logged in. Denied: a second factor is needed first.
func (s *Service) Subject(r *http.Request) (Subject, error) {
	session, i, err := s.current(r)
	if err != nil {
		return Subject{}, err
	}
	return subject(session, i), nil
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

// answerChallenge returns where a browser goes on that OAuth2 has sent, if it is logged
// in as it should be; else "", and the flow asks for what is missing.
func (s *Service) answerChallenge(ctx context.Context, st *Step) (string, error) {
	f := st.Flow
	if f.LoginChallenge == "" || f.Kind != Login && f.Kind != Registration {
		return "", nil
	}
	if s.options.LoginChallenges == nil {
		return "", errs.New(errs.Unsupported, "login_challenge: this server has no OAuth2")
	}
	want, err := s.options.LoginChallenges.Login(ctx, f.LoginChallenge)
	if err != nil {
		return "", err
	}
	if st.Session == nil {
		return "", nil
	}
	canStepUp := st.Session.AAL != AAL2 && st.caller.AvailableAAL == AAL2
	switch {
	case want.Subject != "" && want.Subject != st.caller.ID, st.Session.AuthenticatedAt.Before(want.Since):
		f.Refresh = true
		return "", nil
	case canStepUp && (want.AAL == AAL2 || s.stepUp(st.Session, st.caller)):
		f.AAL = AAL2
		return "", nil
	default:
		return s.options.LoginChallenges.Accept(ctx, f.LoginChallenge, subject(st.Session, st.caller))
	}
}
