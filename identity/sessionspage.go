package identity

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// The page of one's sessions. Kratos has only the API for it, at /sessions.
const sessionsPath = "/settings/sessions"

type sessionsPage struct {
	Title, Who, Action, Token string
	Account                   []PageLink
	Sessions                  []shownSession
	Others                    bool
}

// A shownSession is a session as people know it.
type shownSession struct {
	ID, Device, Address string
	Since               time.Time
	Here                bool
}

func (s *Service) sessionsPage(w http.ResponseWriter, r *http.Request) error {
	session, i, err := s.signedIn(r)
	if err != nil {
		return err
	}
	all, err := s.store.Sessions(r.Context(), s.active(i.ID, s.now()), SessionPosition{}, maxMine)
	if err != nil {
		return err
	}
	page := sessionsPage{
		Title: "Your devices", Who: signedInAs(i), Action: s.options.BaseURL + sessionsPath,
		Token: maskCSRF(s.csrf(w, r)), Account: s.AccountLinks(session, sessionsPath), Others: len(all) > 1,
	}
	for _, one := range all {
		if one.ID == session.ID { // the one that people look for is the first
			page.Sessions = append([]shownSession{showSession(one, true)}, page.Sessions...)
			continue
		}
		page.Sessions = append(page.Sessions, showSession(one, false))
	}
	return s.page(w, http.StatusOK, "sessions", page)
}

// signedIn is current for pages: who is not logged in can do so.
func (s *Service) signedIn(r *http.Request) (*Session, *Identity, error) {
	session, i, err := s.current(r)
	var p *Problem
	if errors.As(err, &p) && p.Kind == errs.Unauthenticated {
		return nil, nil, errNoSession()
	}
	return session, i, err
}

// endSessions ends one session of the caller's, or all but the one that asks.
func (s *Service) endSessions(w http.ResponseWriter, r *http.Request) error {
	session, i, err := s.signedIn(r)
	if err != nil {
		return err
	}
	form, err := readForm(r)
	if err != nil {
		return err
	}
	if err := s.checkCSRF(r, form.Text("csrf_token")); err != nil {
		return err
	}
	if form.True("others") {
		_, err = s.revokeOthersOf(r, session, i)
	} else {
		var id string
		if id, err = sessionID(form.Text("session")); err == nil {
			err = s.revokeOneOf(r, session, i, id)
		}
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, s.options.BaseURL+sessionsPath, http.StatusSeeOther)
	return nil
}

func showSession(x *Session, here bool) shownSession {
	out := shownSession{ID: x.ID, Device: "An app", Since: x.AuthenticatedAt, Here: here}
	if n := len(x.Devices); n > 0 {
		last := x.Devices[n-1]
		out.Device, out.Address = DeviceName(last.UserAgent), last.Address
	}
	return out
}

// DeviceName makes what browsers say of themselves readable. The first that is found
// counts: most say that they are others as well.
func DeviceName(agent string) string {
	browser, system := find(agent, "Edg", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "FxiOS/", "Firefox", "CriOS/", "Chrome", "Chrome/", "Chrome", "Safari/", "Safari", "curl/", "curl"),
		find(agent, "Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	case agent == "":
		return "An app"
	default:
		return cut(agent, 60)
	}
}

// find returns the name that belongs to the first text that is part of agent.
func find(agent string, pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if strings.Contains(agent, pairs[i]) {
			return pairs[i+1]
		}
	}
	return ""
}
