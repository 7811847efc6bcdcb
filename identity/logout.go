package identity

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

const logoutPrefix = "ory_lo_"

// logoutToken lets a page log its session out. It follows from the session, so it
// needs no place in the store.
func (s *Service) logoutToken(session *Session) string {
	return logoutPrefix + base64.RawURLEncoding.EncodeToString(s.keys.MAC(s.purpose("logout"), session.TokenHash))
}

// LogoutURL returns where the browser that sent r goes to log out.
//
// Unauthenticated: it is not logged in.
func (s *Service) LogoutURL(r *http.Request, returnTo string) (url, token string, err error) {
	session, _, err := s.sessionOf(r.Context(), s.token(r), s.now())
	if err != nil {
		return "", "", err
	}
	if session == nil {
		return "", "", errNoSession()
	}
	to, err := s.returnTo(returnTo)
	if err != nil {
		return "", "", err
	}
	return s.logoutLink(session, to), s.logoutToken(session), nil
}

func (s *Service) logoutLink(session *Session, returnTo string) string {
	return withQuery(s.options.BaseURL+"/self-service/logout", "token", s.logoutToken(session), "return_to", returnTo)
}

func (s *Service) logoutURL(w http.ResponseWriter, r *http.Request) error {
	url, token, err := s.LogoutURL(r, r.URL.Query().Get("return_to"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]string{"logout_url": url, "logout_token": token})
}

func (s *Service) logout(w http.ResponseWriter, r *http.Request) error {
	to, err := s.returnTo(r.URL.Query().Get("return_to"))
	if err != nil {
		return err
	}
	session, i, err := s.sessionOf(r.Context(), s.token(r), s.now())
	if err != nil {
		return err
	}
	if session != nil {
		text, _ := strings.CutPrefix(r.URL.Query().Get("token"), logoutPrefix)
		mac, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || !s.keys.Verify(s.purpose("logout"), session.TokenHash, mac) {
			return errCSRF("The logout token is missing, or of another session.")
		}
		if err := s.end(r, session); err != nil {
			return err
		}
		if s.options.LoggedOut != nil {
			if err := s.options.LoggedOut(w, r, i.ID); err != nil {
				return err
			}
		}
	}
	s.setCookie(w, s.sessionCookie(), "", 0)
	s.newCSRF(w)
	if s.options.Logout.ClearBrowser {
		w.Header().Set("Clear-Site-Data", `"cache", "cookies", "storage"`)
	}
	if wantsJSON(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(w, r, cmp.Or(to, s.options.Logout.ReturnTo, s.options.flow(Login).UI), http.StatusSeeOther)
	return nil
}

// end ends a session.
func (s *Service) end(r *http.Request, session *Session) error {
	return s.store.Write(r.Context(), RevokeSessions{Identity: session.Identity, IDs: []string{session.ID}}, s.ownEvent(r, "logout", session))
}

// logoutNative ends the session whose token is in the body.
func (s *Service) logoutNative(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	token := form.Text("session_token")
	if token == "" {
		return errs.New(errs.Invalid, "session_token is missing")
	}
	session, _, err := s.store.SessionByToken(r.Context(), hashToken(token))
	if errs.KindOf(err) == errs.NotFound {
		return &Problem{Kind: errs.Denied, Message: saysForbidden, Reason: "The provided Session Token could not be found, is invalid, or otherwise malformed."}
	}
	if err != nil {
		return err
	}
	if session.Active {
		if err := s.end(r, session); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
