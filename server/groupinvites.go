package server

import (
	"net/http"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// An invitationBody is an invitation in JSON. Link is told once, to who makes it.
type invitationBody struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Link      string    `json:"invitation_link,omitempty"`
	Mailed    *bool     `json:"mailed,omitempty"`
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
	UsedAt    time.Time `json:"used_at,omitzero"`
	Identity  string    `json:"identity,omitempty"` // who has used it
}

func invitationOf(i *identity.Invitation) invitationBody {
	return invitationBody{ID: i.ID, Email: i.Address, IssuedAt: i.IssuedAt, ExpiresAt: i.ExpiresAt, UsedAt: i.UsedAt, Identity: i.Identity}
}

const maxLocale = 35 // bytes

// invite makes a link by which who has an address becomes a member, and mails it if that
// is possible.
func (q *groupRequest) invite() error {
	var body struct {
		Email     string `json:"email"`
		ExpiresIn string `json:"expires_in"`
		Locale    string `json:"locale"`
	}
	if err := readAs(q.r, &body); err != nil {
		return err
	}
	g, err := q.joinable()
	if err != nil {
		return err
	}
	if len(body.Locale) > maxLocale {
		return errs.New(errs.Invalid, "locale %.40q: expected a language such as de", body.Locale)
	}
	d := identity.InvitationDraft{Kind: q.kind, Group: g.ID, Label: (&identity.Group{Name: g.Name, Label: g.Label}).Title(), Email: body.Email, Locale: body.Locale}
	if body.ExpiresIn != "" {
		if d.Life, err = time.ParseDuration(body.ExpiresIn); err != nil || d.Life <= 0 {
			return errs.New(errs.Invalid, "expires_in is %.40q: expected a duration such as 48h", body.ExpiresIn)
		}
	}
	i, link, mailed, err := q.n.people.Invite(q.r, d, q.hold(g)...)
	if err != nil {
		return err
	}
	out := invitationOf(i)
	out.Link, out.Mailed = link, &mailed
	return reply(q.w, http.StatusCreated, "", out)
}

func (q *groupRequest) invitations() error {
	size, after, err := identity.ReadPage(q.r)
	if err != nil {
		return err
	}
	g, err := q.one()
	if err != nil {
		return err
	}
	found, err := q.n.joint.ListInvitations(q.ctx, q.kind, g.ID, after, size+1)
	if err != nil {
		return err
	}
	next := ""
	if len(found) > size {
		found = found[:size]
		next = found[size-1].ID
	}
	out := []invitationBody{}
	for _, i := range found {
		out = append(out, invitationOf(i))
	}
	identity.LinkPages(q.w, q.r, size, next)
	return reply(q.w, http.StatusOK, "", out)
}

// withdraw deletes an invitation, whose link is worth nothing then.
func (q *groupRequest) withdraw() error {
	g, err := q.one()
	if err != nil {
		return err
	}
	id := q.r.PathValue("invitation")
	if !groupID.MatchString(id) {
		return errs.New(errs.NotFound, "there is no invitation %.80q", id)
	}
	if err := q.n.joint.Write(q.ctx, identity.DropInvitation{ID: id, Kind: q.kind, Group: g.ID}, q.event("invitation_withdrawn", g.ID, "")); err != nil {
		return err
	}
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}
