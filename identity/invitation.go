package identity

import (
	"context"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Invitations to groups. Each is for one address, and has a link that works once: who
// registers or logs in by way of it, and has the address verified, becomes a member in the
// transaction of that. The link alone is not enough, since it may have been passed on.

// An Invitation is to become a member of a group.
type Invitation struct {
	ID        string
	Kind      GroupKind
	Group     string
	Via       string
	Address   string
	Hash      []byte // of the token in its link
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero: not yet
	Identity  string    // who has used it
}

// Invitations finds invitations.
type Invitations interface {
	// Invitation returns one. NotFound: there is none.
	Invitation(ctx context.Context, id string) (*Invitation, error)

	// ListInvitations returns up to limit invitations to a group, in the order of their
	// ids, those after the id after.
	ListInvitations(ctx context.Context, k GroupKind, group, after string, limit int) ([]*Invitation, error)
}

// Ops about invitations. Those to a group go with its row.
type (
	// PutInvitation stores an invitation.
	PutInvitation struct{ Invitation *Invitation }

	// UseInvitation uses an invitation up. Refused: it was used, has expired before
	// Now, or is not there.
	UseInvitation struct {
		ID, Identity string
		Now          time.Time
	}

	// DropInvitation deletes an invitation to a group. NotFound: there is none.
	DropInvitation struct {
		ID    string
		Kind  GroupKind
		Group string
	}
)

func (PutInvitation) op()  {}
func (UseInvitation) op()  {}
func (DropInvitation) op() {}

const (
	invitationPath   = "/self-service/invitation"
	invitationCookie = "cardea_invitation"
	invitationLife   = 7 * 24 * time.Hour
	invitationKept   = 24 * time.Hour // by a browser
)

// An InvitationDraft is what an administrator says about an invitation. Label is the
// group's.
type InvitationDraft struct {
	Kind         GroupKind
	Group, Label string
	Email        string
	Locale       string        // of the message; "": English
	Life         time.Duration // 0: 7 days
}

// Invite stores an invitation, and queues a message with its link if messages can be sent.
// It returns the link as well, which nobody can get again. hold are ops that keep the group
// until then.
//
// Invalid: the draft is malformed.
func (s *Service) Invite(r *http.Request, d InvitationDraft, hold ...Op) (i *Invitation, link string, mailed bool, err error) {
	via, to, ok := addressOf(d.Email)
	if _, err := mail.ParseAddress(to); !ok || via != viaEmail || err != nil {
		return nil, "", false, errs.New(errs.Invalid, "email %.80q: expected an e-mail address", d.Email)
	}
	if d.Life == 0 {
		d.Life = invitationLife
	}
	if d.Life < 0 || d.Life > maxAdminLife {
		return nil, "", false, errs.New(errs.Invalid, "expires_in: expected a duration such as 48h, of at most 720h")
	}
	now, token := s.now(), longToken()
	i = &Invitation{ID: NewID(), Kind: d.Kind, Group: d.Group, Via: via, Address: to, IssuedAt: now, ExpiresAt: now.Add(d.Life)}
	i.Hash = s.keys.MAC(s.purpose("invitation"), invitationText(i.ID, token))
	link = withQuery(s.options.BaseURL+invitationPath, "invitation", i.ID+"."+token)
	ops := append(hold, PutInvitation{i}, s.AdminEvent(r, "admin."+string(d.Kind)+".invited", "", d.Group))
	if mailed = s.reaches(via); mailed {
		m, err := s.message(note{Template: "invitation", Via: via, To: to, URL: link, Expires: i.ExpiresAt, Group: d.Label, Locales: d.Locale}, now)
		if err != nil {
			return nil, "", false, err
		}
		ops = append(ops, PutMessage{m})
	}
	if err := s.store.Write(r.Context(), ops...); err != nil {
		return nil, "", false, err
	}
	s.wake()
	return i, link, mailed, nil
}

func invitationText(id, token string) []byte { return []byte(id + " " + token) }

func errInvitation() error {
	return &Problem{Kind: errs.Expired, Message: "The invitation is no longer good.", Reason: "It was used, has expired, or was withdrawn. Ask for another one."}
}

// invited returns the invitation of a link.
//
// A *Problem, of kind Expired: there is none that is good.
func (s *Service) invited(ctx context.Context, text string) (*Invitation, error) {
	id, token, _ := strings.Cut(text, ".")
	if _, ok := parseUUID(id); !ok {
		return nil, errInvitation()
	}
	i, err := s.usable(ctx, id)
	if err != nil {
		return nil, err
	}
	if i == nil || !s.isMAC("invitation", invitationText(id, token), i.Hash) {
		return nil, errInvitation()
	}
	return i, nil
}

// usable returns an invitation that can still be used, nil if there is none with the id.
func (s *Service) usable(ctx context.Context, id string) (*Invitation, error) {
	i, err := s.store.Invitation(ctx, id)
	switch {
	case errs.KindOf(err) == errs.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	case !i.UsedAt.IsZero() || !s.now().Before(i.ExpiresAt):
		return nil, nil
	}
	return i, nil
}

// invitation is the id of the invitation that a request to open a flow comes with: in its
// query, or kept by the browser.
func (s *Service) invitation(r *http.Request, api bool) (string, error) {
	if text := r.URL.Query().Get("invitation"); text != "" {
		i, err := s.invited(r.Context(), text)
		if err != nil {
			return "", err
		}
		return i.ID, nil
	}
	id, ok := s.unsealCookie(r, invitationCookie)
	if !ok || api {
		return "", nil
	}
	i, err := s.usable(r.Context(), string(id))
	if i == nil || err != nil {
		return "", err
	}
	return i.ID, nil
}

// addressed reports whether an identity has verified the address of an invitation.
func (i *Invitation) addressed(who *Identity) bool {
	return slices.ContainsFunc(who.Verifiable, func(a VerifiableAddress) bool {
		return a.Via == i.Via && a.Value == i.Address && a.Verified
	})
}

// joins are the ops by which somebody uses an invitation.
func (s *Service) joins(i *Invitation, who *Identity, now time.Time) []Op {
	ops := []Op{UseInvitation{i.ID, who.ID, now}, Relate{Identity: who.ID, Relations: []Relation{s.membership(i.Kind, i.Group)}}}
	if who.Version > 0 {
		ops = append(ops, HoldIdentity{who.ID})
	}
	return ops
}

// accept ends flows that know who somebody is: they use the invitation that the flow was
// opened with, if the address is theirs. If not, the flow goes on.
func (s *Service) accept(ctx context.Context, st *Step) error {
	f := st.Flow
	if f.Invitation == "" || st.Identity == nil {
		return nil
	}
	i, err := s.usable(ctx, f.Invitation)
	if i == nil || err != nil || !i.addressed(st.Identity) {
		return err
	}
	if err := s.options.CanJoin(ctx, i.Kind); err != nil {
		s.options.Log.Warn("an invitation cannot be used", "invitation", i.ID, "err", err)
		return nil
	}
	st.Also(s.joins(i, st.Identity, st.Now)...)
	st.Event("invitation.accepted", st.Identity, s.options.Client(st.Request), map[string]any{"kind": i.Kind, "group": i.Group})
	f.Invitation = ""
	return nil
}

// An invitationBody is an invitation as the one sees it who has the link.
type invitationBody struct {
	Kind      GroupKind `json:"kind"`
	Group     string    `json:"group"`
	Label     string    `json:"label"`
	Email     string    `json:"email"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (s *Service) invitationBody(ctx context.Context, i *Invitation) (invitationBody, error) {
	body := invitationBody{i.Kind, i.Group, i.Group, i.Address, i.ExpiresAt}
	if org := s.organization(i.Group); org != nil && i.Kind == OfOrganization {
		body.Label = org.Label
	}
	found, err := s.store.ListGroups(ctx, GroupQuery{Kind: i.Kind, IDs: []string{i.Group}}, "", 1)
	if len(found) > 0 {
		body.Label = found[0].Title()
	}
	return body, err
}

// Title is what people know a group by.
func (g *Group) Title() string {
	if g.Label != "" {
		return g.Label
	}
	return g.Name
}

// invitationPage is where the link leads. It asks for a click, since programs look at
// links before people do.
func (s *Service) invitationPage(w http.ResponseWriter, r *http.Request) error {
	text := r.URL.Query().Get("invitation")
	i, err := s.invited(r.Context(), text)
	if err != nil {
		return err
	}
	body, err := s.invitationBody(r.Context(), i)
	if err != nil || wantsJSON(r) {
		if err == nil {
			err = reply(w, http.StatusOK, body)
		}
		return err
	}
	session, who, err := s.sessionOf(r.Context(), s.token(r), s.now())
	if err != nil {
		return err
	}
	s.setCookie(w, s.cookiePrefix()+invitationCookie, s.seal(invitationCookie, []byte(i.ID)), min(invitationKept, i.ExpiresAt.Sub(s.now())))
	page := formPage{Title: "Join " + body.Label, Flow: &ShownFlow{UI: UI{Action: s.options.BaseURL + invitationPath, Method: "POST"}}}
	ui := &page.Flow.UI
	switch {
	case session == nil:
		ui.Messages = []Text{infoOurs("This invitation is for " + i.Address + ". Sign in with that address, or create an account, to join.")}
		page.Links = append([]PageLink{{URL: s.options.BaseURL + "/self-service/login/browser", Text: "Sign in"}}, s.pageLinks(Login, page.Flow, nil)...)
	case i.addressed(who):
		page.Who = signedInAs(who)
		ui.Messages = []Text{infoOurs("You are invited to join " + body.Label + ".")}
		ui.Nodes = []Node{Hidden(groupDefault, "csrf_token", maskCSRF(s.csrf(w, r))), Hidden(groupDefault, "invitation", text),
			Button(groupDefault, "method", "invitation", textLabelContinue)}
		page.Forms = pageForms(Login, ui.Nodes)
	default:
		page.Who = signedInAs(who)
		ui.Messages = []Text{infoOurs("This invitation is for " + i.Address + ", which is no verified address of the account that you are signed in to.")}
		page.Links = []PageLink{{URL: s.logoutLink(session, s.self(r)), Text: "Sign out"}}
	}
	return s.page(w, http.StatusOK, "form", page)
}

// infoOurs is a text that Kratos does not have.
func infoOurs(text string) Text { return info(1000001, text) }

// acceptNow uses an invitation for who is logged in.
func (s *Service) acceptNow(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	_, who, err := s.signedIn(r)
	if err != nil {
		return err
	}
	if _, err := r.Cookie(s.sessionCookie()); err == nil && r.Header.Get("X-Session-Token") == "" {
		if err := s.checkCSRF(r, form.Text("csrf_token")); err != nil {
			return err
		}
	}
	i, err := s.invited(r.Context(), form.Text("invitation"))
	if err != nil {
		return err
	}
	if !i.addressed(who) {
		return &Problem{Kind: errs.Denied, Message: "The invitation is for another account.", Reason: "It is for " + i.Address + ", which is no verified address of the account that is logged in."}
	}
	now, token := s.now(), ""
	event := Record{Event{ID: eventID(now), At: now, Type: "invitation.accepted", Identity: who.ID, Client: s.options.Client(r)}}
	err = s.store.Write(r.Context(), s.shown(&token, append(s.joins(i, who, now), event)...)...)
	if errs.KindOf(err) == errs.Refused && s.options.CanJoin(r.Context(), i.Kind) == nil {
		return errInvitation() // somebody was faster
	}
	if err != nil {
		return err
	}
	showToken(w, token)
	if wantsJSON(r) {
		body, err := s.invitationBody(r.Context(), i)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, body)
	}
	http.Redirect(w, r, s.options.ReturnTo, http.StatusSeeOther)
	return nil
}
