package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// maxMembers bounds what one request adds or removes.
const maxMembers = 500

// A memberList names members of a group.
type memberList struct {
	Identities    []string `json:"identities"`
	Groups        []string `json:"groups"`
	Organizations []string `json:"organizations"`
}

// groups are the members that are groups, by kind.
func (l memberList) groups(k identity.GroupKind) []string {
	if k == identity.OfOrganization {
		return l.Organizations
	}
	return l.Groups
}

// tuples are those by which all of them are members of the group.
//
// Invalid: there are none, or too many, or the group itself is one.
func (l memberList) tuples(q *groupRequest, id string) (out []engine.Tuple, err error) {
	for _, one := range l.Identities {
		out = append(out, q.n.joint.member(q.kind, id, engine.SubjectID(one)))
	}
	for _, k := range groupKinds {
		for _, one := range l.groups(k.kind) {
			if k.kind == q.kind && one == id {
				return nil, errItself(k.kind)
			}
			out = append(out, q.n.joint.member(q.kind, id, q.n.joint.members(k.kind, one)))
		}
	}
	if len(out) == 0 || len(out) > maxMembers {
		return nil, errs.New(errs.Invalid, "%d members are named: expected 1 to %d in identities, groups and organizations", len(out), maxMembers)
	}
	for _, t := range out {
		if err := t.Validate(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// held are ops that keep all of them until a write is made.
//
// Invalid: one of them is not there.
func (l memberList) held(q *groupRequest) (ops []identity.Op, err error) {
	if len(l.Identities) > 0 {
		there, err := q.n.joint.Identities(q.ctx, identity.IdentityQuery{IDs: l.Identities}, "", len(l.Identities))
		if err != nil {
			return nil, err
		}
		for _, id := range l.Identities {
			if !slices.ContainsFunc(there, func(i *identity.Identity) bool { return i.ID == id }) {
				return nil, errs.New(errs.Invalid, "there is no identity %.80q", id)
			}
			ops = append(ops, identity.HoldIdentity{ID: id})
		}
	}
	for _, k := range groupKinds {
		ids := l.groups(k.kind)
		if len(ids) == 0 {
			continue
		}
		other := *q
		other.groupsAPI = k
		there, err := other.find(ids)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			at := slices.IndexFunc(there, func(g groupBody) bool { return g.ID == id })
			if at < 0 {
				return nil, errs.New(errs.Invalid, "there is no %s %.80q", k.kind, id)
			}
			ops = append(ops, other.hold(there[at])...)
		}
	}
	return ops, nil
}

// changed is what a change of members is answered with.
type changed struct {
	Added     int64        `json:"added"`
	Removed   int64        `json:"removed"`
	Snaptoken engine.Token `json:"snaptoken"`
}

// joinable returns the group of the path, which can have members by the model.
func (q *groupRequest) joinable() (g groupBody, err error) {
	if g, err = q.one(); err == nil {
		err = q.n.joint.modelled(q.ctx, q.kind)
	}
	return g, err
}

// named returns the group of the path, and the tuples by which those of a list are its
// members.
func (q *groupRequest) named(l memberList) (g groupBody, tuples []engine.Tuple, err error) {
	if g, err = q.joinable(); err == nil {
		tuples, err = l.tuples(q, g.ID)
	}
	return g, tuples, err
}

func (q *groupRequest) add() error {
	var l memberList
	if err := readAs(q.r, &l); err != nil {
		return err
	}
	g, tuples, err := q.named(l)
	if err != nil {
		return err
	}
	ops, err := l.held(q)
	if err != nil {
		return err
	}
	return q.change(engine.Insert, tuples, append(append(ops, q.hold(g)...), q.events("member_added", g.ID, l)...))
}

func (q *groupRequest) remove() error {
	v, err := queryOf(q.r)
	if err != nil {
		return err
	}
	l := memberList{v["identity"], v["group"], v["organization"]}
	g, tuples, err := q.named(l)
	if err != nil {
		return err
	}
	if q.kind == identity.OfOrganization && len(l.Identities) > 0 {
		if err := q.nobodyOf(g.ID, l.Identities); err != nil {
			return err
		}
	}
	return q.change(engine.Delete, tuples, q.events("member_removed", g.ID, l))
}

// events are entries of the audit log, one for each identity, and one if there is none.
func (q *groupRequest) events(what, group string, l memberList) (ops []identity.Op) {
	for _, id := range l.Identities {
		ops = append(ops, q.event(what, group, id))
	}
	if len(ops) == 0 {
		ops = append(ops, q.event(what, group, ""))
	}
	return ops
}

func (q *groupRequest) change(op engine.Op, tuples []engine.Tuple, ops []identity.Op) error {
	var w engine.Write
	for _, t := range tuples {
		w.Updates = append(w.Updates, engine.Update{Op: op, Tuple: t})
	}
	done, err := q.n.joint.join(q.ctx, w, ops...)
	if err != nil {
		return err
	}
	return reply(q.w, http.StatusOK, done.Token, changed{done.Inserted, done.Deleted, done.Token})
}

// A memberBody is a member in JSON: one of its fields is set.
type memberBody struct {
	Identity     string `json:"identity,omitempty"`
	Group        string `json:"group,omitempty"`
	Organization string `json:"organization,omitempty"`
	Subject      string `json:"subject,omitempty"` // as a text, of a tuple that is not ours
}

func (q *groupRequest) memberBody(s engine.Subject) memberBody {
	switch {
	case s.IsID():
		return memberBody{Identity: s.ID}
	case s == q.n.joint.members(identity.OfGroup, s.ID):
		return memberBody{Group: s.ID}
	case s == q.n.joint.members(identity.OfOrganization, s.ID):
		return memberBody{Organization: s.ID}
	default:
		return memberBody{Subject: s.String()}
	}
}

// listed returns which page of members or groups a request asks for, and whether with what
// follows from others, too.
func (q *groupRequest) listed() (p engine.ListPage, effective bool, err error) {
	if p.Size, p.Token, err = identity.ReadPage(q.r); err == nil {
		effective, err = q.effective()
	}
	return p, effective, err
}

func (q *groupRequest) effective() (bool, error) {
	switch text := q.r.URL.Query().Get("effective"); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, errs.New(errs.Invalid, "effective is %.20q: expected true or false", text)
	}
}

// members lists the members: those that tuples name, or all identities that are
// members, also by way of others.
func (q *groupRequest) members() error {
	page, all, err := q.listed()
	if err != nil {
		return err
	}
	g, err := q.joinable()
	if err != nil {
		return err
	}
	out, next, token, err := q.membersPage(g.ID, all, page)
	if err != nil {
		return err
	}
	identity.LinkPages(q.w, q.r, page.Size, next)
	return reply(q.w, http.StatusOK, token, orNone(out))
}

func (q *groupRequest) membersPage(id string, all bool, p engine.ListPage) (out []memberBody, next string, token engine.Token, err error) {
	o := q.n.joint.groups[q.kind]
	if all {
		page, err := q.n.engine.SubjectsPage(q.ctx, engine.SubjectQuery{Object: engine.Object{Namespace: o.Namespace, ID: id}, Relation: o.Relation}, p, latest)
		for _, s := range page.Items {
			out = append(out, q.memberBody(s))
		}
		return out, page.Next, page.Token, err
	}
	page, err := q.n.engine.List(q.ctx, engine.Query{Namespace: &o.Namespace, Object: &id, Relation: &o.Relation}, p, latest)
	for _, t := range page.Tuples {
		out = append(out, q.memberBody(t.Subject))
	}
	return out, page.Next, page.Token, err
}

// of lists the groups of an identity. Objects that have members and no row are groups as
// well.
func (q *groupRequest) of() error {
	page, all, err := q.listed()
	if err != nil {
		return err
	}
	id := strings.ToLower(q.r.PathValue("id"))
	if !groupID.MatchString(id) { // nor can it be one of an identity
		return errs.New(errs.NotFound, "there is no identity %.80q", id)
	}
	if _, err := q.n.joint.Identity(q.ctx, id, false); err != nil {
		return err
	}
	if err := q.n.joint.modelled(q.ctx, q.kind); err != nil {
		return err
	}
	ids, next, token, err := q.groupsPage(id, all, page)
	if err != nil {
		return err
	}
	known, err := q.find(orNone(ids))
	if err != nil {
		return err
	}
	out := []groupBody{}
	for _, id := range ids {
		at, found := slices.BinarySearchFunc(known, id, func(g groupBody, id string) int { return strings.Compare(g.ID, id) })
		if found {
			out = append(out, known[at])
		} else {
			out = append(out, groupBody{ID: id})
		}
	}
	identity.LinkPages(q.w, q.r, page.Size, next)
	return reply(q.w, http.StatusOK, token, out)
}

func (q *groupRequest) groupsPage(who string, all bool, p engine.ListPage) (ids []string, next string, token engine.Token, err error) {
	o := q.n.joint.groups[q.kind]
	subject := engine.SubjectID(who)
	if all {
		page, err := q.n.engine.ObjectsPage(q.ctx, engine.ObjectQuery{Namespace: o.Namespace, Relation: o.Relation, Subject: subject}, p, latest)
		for _, object := range page.Items {
			ids = append(ids, object.ID)
		}
		return ids, page.Next, page.Token, err
	}
	page, err := q.n.engine.List(q.ctx, engine.Query{Namespace: &o.Namespace, Relation: &o.Relation, Subject: &subject}, p, latest)
	for _, t := range page.Tuples {
		ids = append(ids, t.Object.ID)
	}
	return ids, page.Next, page.Token, err
}
