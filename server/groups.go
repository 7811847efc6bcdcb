package server

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// Groups and organizations are objects in the graph of tuples; their members are tuples.
// A row beside gives the object a name. Who is a member, and through what, is never
// stored twice.

// groupsAPI is the admin API of the groups of one kind.
type groupsAPI struct {
	kind identity.GroupKind
	path string
}

var groupKinds = []groupsAPI{{identity.OfGroup, "/admin/groups"}, {identity.OfOrganization, "/admin/organizations"}}

// groupRoutes are below the admin API of identities, and only ours.
func (c *core) groupRoutes(rs *routes) {
	for _, g := range groupKinds {
		handle := func(pattern string, h func(*groupRequest) error) {
			rs.handle(pattern, failKeto, func(w http.ResponseWriter, r *http.Request) error {
				n := networkOf(r.Context())
				if _, err := c.peopleOf(n); err != nil {
					return err
				}
				return h(&groupRequest{g, n, r.Context(), w, r})
			})
		}
		one := g.path + "/{id}"
		handle("GET "+g.path, (*groupRequest).list)
		handle("POST "+g.path, (*groupRequest).create)
		handle("GET "+one, (*groupRequest).get)
		handle("PATCH "+one, (*groupRequest).rename)
		handle("DELETE "+one, (*groupRequest).delete)
		handle("GET "+one+"/members", (*groupRequest).members)
		handle("POST "+one+"/members", (*groupRequest).add)
		handle("DELETE "+one+"/members", (*groupRequest).remove)
		handle("GET "+one+"/invitations", (*groupRequest).invitations)
		handle("POST "+one+"/invitations", (*groupRequest).invite)
		handle("DELETE "+one+"/invitations/{invitation}", (*groupRequest).withdraw)
		handle("GET /admin/identities/{id}/"+strings.TrimPrefix(g.path, "/admin/"), (*groupRequest).of)
	}
}

// A groupRequest is one request about groups of a kind.
type groupRequest struct {
	groupsAPI
	n   *network
	ctx context.Context
	w   http.ResponseWriter
	r   *http.Request
}

// A groupBody is a group in JSON.
type groupBody struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Label     string    `json:"label,omitempty"`
	Parents   []string  `json:"parents,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`

	// Of an organization that the settings have.
	Domains    []string `json:"domains,omitempty"`
	Configured bool     `json:"configured,omitempty"`
}

func bodyOf(g *identity.Group) groupBody {
	return groupBody{ID: g.ID, Name: g.Name, Label: g.Label, CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt}
}

// configured returns the organizations of the settings as groups, in the order of ids.
func (q *groupRequest) configured() (out []groupBody) {
	if q.kind != identity.OfOrganization {
		return nil
	}
	for _, org := range q.n.people.Organizations() {
		out = append(out, groupBody{ID: org.ID, Label: org.Label, Domains: org.Domains, Configured: true})
	}
	slices.SortFunc(out, func(a, b groupBody) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// merged puts what the settings say together with rows. Both are in the order of ids.
func merged(rows []*identity.Group, configured []groupBody) (out []groupBody) {
	for _, c := range configured {
		for len(rows) > 0 && rows[0].ID < c.ID {
			out, rows = append(out, bodyOf(rows[0])), rows[1:]
		}
		if len(rows) > 0 && rows[0].ID == c.ID {
			c.Name, c.CreatedAt, c.UpdatedAt = rows[0].Name, rows[0].CreatedAt, rows[0].UpdatedAt
			if rows[0].Label != "" {
				c.Label = rows[0].Label
			}
			rows = rows[1:]
		}
		out = append(out, c)
	}
	for _, g := range rows {
		out = append(out, bodyOf(g))
	}
	return out
}

// find returns the groups with the ids, in their order, and knows those of the settings.
func (q *groupRequest) find(ids []string) ([]groupBody, error) {
	rows, err := q.n.joint.ListGroups(q.ctx, identity.GroupQuery{Kind: q.kind, IDs: ids}, "", len(ids))
	if err != nil {
		return nil, err
	}
	return merged(rows, slices.DeleteFunc(q.configured(), func(g groupBody) bool { return !slices.Contains(ids, g.ID) })), nil
}

// one returns the group that the path names.
//
// NotFound: there is none.
func (q *groupRequest) one() (groupBody, error) {
	id := q.r.PathValue("id")
	var found []groupBody
	var err error
	if groupID.MatchString(id) {
		found, err = q.find([]string{id})
	}
	if err == nil && len(found) == 0 {
		err = errs.New(errs.NotFound, "there is no %s %.80q", q.kind, id)
	}
	if err != nil {
		return groupBody{}, err
	}
	return found[0], nil
}

// row returns the row of the group that the path names.
//
// NotFound: there is no such group. Refused: it is one of the settings alone.
func (q *groupRequest) row() (*identity.Group, error) {
	g, err := q.one()
	if err != nil {
		return nil, err
	}
	rows, err := q.n.joint.ListGroups(q.ctx, identity.GroupQuery{Kind: q.kind, IDs: []string{g.ID}}, "", 1)
	if err == nil && len(rows) == 0 {
		err = errs.New(errs.Refused, "the %s %s is one of the settings: it is changed there", q.kind, g.ID)
	}
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// hold are ops that keep a group until a write is made; one of the settings needs none.
func (q *groupRequest) hold(g groupBody) []identity.Op {
	if g.Name == "" {
		return nil
	}
	return []identity.Op{identity.HoldGroup{Kind: q.kind, ID: g.ID}}
}

func (q *groupRequest) list() error {
	size, after, err := identity.ReadPage(q.r)
	if err != nil {
		return err
	}
	name := q.r.URL.Query().Get("name")
	if err := validGroupText("name", name); err != nil {
		return err
	}
	rows, err := q.n.joint.ListGroups(q.ctx, identity.GroupQuery{Kind: q.kind, Name: name}, after, size+1)
	if err != nil {
		return err
	}
	var configured []groupBody
	if name == "" {
		configured = slices.DeleteFunc(q.configured(), func(g groupBody) bool { return g.ID <= after })
	}
	all := merged(rows, configured)
	next := ""
	if len(all) > size {
		all = all[:size]
		next = all[size-1].ID
	}
	identity.LinkPages(q.w, q.r, size, next)
	return reply(q.w, http.StatusOK, "", orNone(all))
}

// orNone makes an empty list of none.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// A groupDraft is what an administrator says about a group. Nothing is left as it is.
type groupDraft struct {
	ID     string  `json:"id"`
	Name   *string `json:"name"`
	Label  *string `json:"label"`
	Parent string  `json:"parent"`
}

var groupID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

const maxGroupText = 200 // bytes of a name or a label

// apply puts the draft into a group.
//
// Invalid: the draft is malformed.
func (d groupDraft) apply(g *identity.Group) error {
	for _, one := range []struct {
		field string
		to    *string
		from  *string
	}{{"name", &g.Name, d.Name}, {"label", &g.Label, d.Label}} {
		if one.from == nil {
			continue
		}
		text := strings.TrimSpace(*one.from)
		if err := validGroupText(one.field, text); err != nil {
			return err
		}
		*one.to = text
	}
	if g.Name == "" {
		return errs.New(errs.Invalid, "name is empty: expected one that no other group has")
	}
	return nil
}

func validGroupText(field, text string) error {
	if len(text) > maxGroupText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return errs.New(errs.Invalid, "%s %.80q: expected at most %d bytes, and no control characters", field, text, maxGroupText)
	}
	return nil
}

// readAs reads a body that is one JSON object.
//
// Invalid: it is something else, or has fields that are not known.
func readAs(r *http.Request, into any) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return identity.ReadStrictly(body, into)
}

// create makes a group. With a parent its members are the parent's members as well.
func (q *groupRequest) create() error {
	var d groupDraft
	if err := readAs(q.r, &d); err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	g := &identity.Group{Kind: q.kind, ID: d.ID, CreatedAt: now, UpdatedAt: now}
	if g.ID == "" {
		g.ID = identity.NewID()
	} else if !groupID.MatchString(g.ID) {
		return errs.New(errs.Invalid, "id %.80q: expected at most 128 letters, digits, and . _ - behind the first", g.ID)
	}
	if err := d.apply(g); err != nil {
		return err
	}
	if err := q.n.joint.modelled(q.ctx, q.kind); err != nil {
		return err
	}
	ops := []identity.Op{identity.SaveGroup{Group: g}, q.event("created", g.ID, "")}
	body, w := bodyOf(g), engine.Write{}
	if d.Parent != "" {
		if d.Parent == g.ID {
			return errItself(q.kind)
		}
		var parents []groupBody
		if groupID.MatchString(d.Parent) {
			var err error
			if parents, err = q.find([]string{d.Parent}); err != nil {
				return err
			}
		}
		if len(parents) == 0 {
			return errs.New(errs.Invalid, "parent: there is no %s %.80q", q.kind, d.Parent)
		}
		ops = append(ops, q.hold(parents[0])...)
		w.Updates = []engine.Update{{Op: engine.Insert, Tuple: q.n.joint.member(q.kind, d.Parent, q.n.joint.members(q.kind, g.ID))}}
		body.Parents = []string{d.Parent}
	}
	done, err := q.n.joint.join(q.ctx, w, ops...)
	if err != nil {
		return err
	}
	return reply(q.w, http.StatusCreated, done.Token, body)
}

func errItself(k identity.GroupKind) error {
	return errs.New(errs.Invalid, "a %s cannot be a member of itself", k)
}

// event is an entry of the audit log about a group, and an identity unless who is "".
func (q *groupRequest) event(what, group, who string) identity.Op {
	return q.n.people.AdminEvent(q.r, "admin."+string(q.kind)+"."+what, who, group)
}

// maxParents bounds what one answer tells.
const maxParents = 500

func (q *groupRequest) get() error {
	g, err := q.one()
	if err != nil {
		return err
	}
	o := q.n.joint.groups[q.kind]
	of := q.n.joint.members(q.kind, g.ID)
	var token engine.Token
	if q.n.joint.modelled(q.ctx, q.kind) == nil {
		found, err := q.n.engine.List(q.ctx, engine.Query{Namespace: &o.Namespace, Relation: &o.Relation, Subject: &of}, engine.ListPage{Size: maxParents}, latest)
		if err != nil {
			return err
		}
		for _, t := range found.Tuples {
			g.Parents = append(g.Parents, t.Object.ID)
		}
		token = found.Token
	}
	return reply(q.w, http.StatusOK, token, g)
}

// latest is for administrators, who see what they have just done.
var latest = engine.Consistency{Mode: engine.FullyConsistent}

func (q *groupRequest) rename() error {
	var d groupDraft
	if err := readAs(q.r, &d); err != nil {
		return err
	}
	if d.ID != "" || d.Parent != "" {
		return errs.New(errs.Invalid, "expected name, label, or both: an id is for ever, and a parent is changed by its members")
	}
	g, err := q.row()
	if err != nil {
		return err
	}
	if err := d.apply(g); err != nil {
		return err
	}
	g.UpdatedAt = time.Now().UTC().Truncate(time.Microsecond)
	if err := q.n.joint.Write(q.ctx, identity.SaveGroup{Group: g}, q.event("changed", g.ID, "")); err != nil {
		return err
	}
	return q.get()
}

// delete deletes a group with all tuples in which it is: those of its members, and those
// by which it is a member, or has anything else.
func (q *groupRequest) delete() error {
	g, err := q.row()
	if err != nil {
		return err
	}
	if q.kind == identity.OfOrganization {
		if err := q.nobodyOf(g.ID, nil); err != nil {
			return err
		}
	}
	o := q.n.joint.groups[q.kind]
	w := engine.Write{Delete: q.n.joint.allOf(o.Namespace, g.ID, o.Relation)}
	done, err := q.n.joint.join(q.ctx, w, identity.DeleteGroup{Kind: q.kind, ID: g.ID}, q.event("deleted", g.ID, ""))
	if err != nil {
		return err
	}
	setToken(q.w, done.Token)
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

// nobodyOf reports who has the organization_id, of the ids if they are not nil: they are
// members of it for as long as they have it.
//
// Refused: somebody has.
func (q *groupRequest) nobodyOf(organization string, ids []string) error {
	there, err := q.n.joint.Identities(q.ctx, identity.IdentityQuery{IDs: ids, OrganizationID: organization}, "", 1)
	if err == nil && len(there) > 0 {
		err = errs.New(errs.Refused, "the organization_id of identity %s is %s: it is a member for as long as it is", there[0].ID, organization)
	}
	return err
}
