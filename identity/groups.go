package identity

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A group or an organization is an object that its members have a relation to. What that
// means is known to whoever keeps relations; here are the words for it: a row that gives
// the object a name, and ops that have relations written in the transaction of an
// identity's own.

// A GroupKind tells groups from organizations.
type GroupKind string

// The kinds. An Organization of the options is one of OfOrganization, whether or not it
// has a row as well.
const (
	OfGroup        GroupKind = "group"
	OfOrganization GroupKind = "organization"
)

// GroupOptions say which relation members have to the groups of a kind.
type GroupOptions struct{ Namespace, Relation string }

// A Relation is one that somebody has to an object.
type Relation struct {
	Namespace string `json:"namespace"`
	Object    string `json:"object"`
	Relation  string `json:"relation"`
}

// A Group is what is known of a group or an organization beside its members.
type Group struct {
	Kind      GroupKind
	ID        string // of the object, for ever
	Version   int64  // grows with each change; 0: not stored yet
	Name      string // one group of a kind has it
	Label     string // for people
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Groups finds groups.
type Groups interface {
	// ListGroups returns up to limit groups that q selects, in the order of their ids,
	// those after the id after.
	ListGroups(ctx context.Context, q GroupQuery, after string, limit int) ([]*Group, error)
}

// A GroupQuery selects groups of a kind: those that fulfil all that is set.
type GroupQuery struct {
	Kind GroupKind
	IDs  []string // nil: any
	Name string
}

// Ops about groups and relations. A store that keeps no relations does not know Relate and
// ShowToken.
type (
	// SaveGroup stores a group in the place of its Version. Conflict: another one has
	// its id or name, or it was changed.
	SaveGroup struct{ Group *Group }

	// DeleteGroup deletes what is known of a group beside its members.
	DeleteGroup struct {
		Kind GroupKind
		ID   string
	}

	// HoldGroup fails with NotFound if there is no such group, and keeps it until the
	// write is made.
	HoldGroup struct {
		Kind GroupKind
		ID   string
	}

	// HoldIdentity does the same for an identity.
	HoldIdentity struct{ ID string }

	// Relate gives an identity relations, or takes them away.
	Relate struct {
		Identity  string
		Relations []Relation
		Remove    bool
		IfKnown   bool // leave out those that no identity can have
	}

	// ShowToken sets Token to what shows the relations that the write changed. It is
	// left alone if there are none.
	ShowToken struct{ Token *string }
)

func (SaveGroup) op()    {}
func (DeleteGroup) op()  {}
func (HoldGroup) op()    {}
func (HoldIdentity) op() {}
func (Relate) op()       {}
func (ShowToken) op()    {}

// tokenHeader tells what shows the relations that a request changed.
const tokenHeader = "Cardea-Snaptoken"

// shown sees that token is set by a write that changes relations, if anybody keeps them.
func (s *Service) shown(token *string, ops ...Op) []Op {
	if s.options.Groups == nil {
		return ops
	}
	return append(ops, ShowToken{token})
}

func showToken(w http.ResponseWriter, token string) {
	if token != "" {
		w.Header().Set(tokenHeader, token)
	}
}

// Organizations are those of the options.
func (s *Service) Organizations() []Organization { return s.options.OIDC.Organizations }

// membership is the relation of a member of a group.
func (s *Service) membership(k GroupKind, id string) Relation {
	g := s.options.Groups[k]
	return Relation{g.Namespace, id, g.Relation}
}

// belongs has who got another organization_id become a member of that organization, and
// leave the one before, as far as those are of the model.
func (s *Service) belongs(i *Identity, before string) (ops []Op) {
	if i.OrganizationID == before || s.options.Groups == nil {
		return nil
	}
	if before != "" {
		ops = append(ops, Relate{i.ID, []Relation{s.membership(OfOrganization, before)}, true, true})
	}
	if i.OrganizationID != "" {
		ops = append(ops, Relate{i.ID, []Relation{s.membership(OfOrganization, i.OrganizationID)}, false, true})
	}
	return ops
}

// maxRelations bounds what an identity begins with.
const maxRelations = 100

// begins are the ops that give a new identity the relations of its draft.
//
// Invalid: there is no such group. Unsupported: nobody keeps relations.
func (s *Service) begins(ctx context.Context, d draft, i *Identity) ([]Op, error) {
	ops := s.belongs(i, "")
	relations := slices.Clone(d.Relations)
	for _, k := range []GroupKind{OfGroup, OfOrganization} {
		ids := d.Groups
		if k == OfOrganization {
			ids = d.Organizations
		}
		holds, err := s.hold(ctx, k, ids)
		if err != nil {
			return nil, err
		}
		ops = append(ops, holds...)
		for _, id := range ids {
			relations = append(relations, s.membership(k, id))
		}
	}
	switch {
	case len(relations) == 0:
		return ops, nil
	case len(relations) > maxRelations:
		return nil, errs.New(errs.Invalid, "the identity begins with %d relations: expected at most %d", len(relations), maxRelations)
	case s.options.Groups == nil:
		return nil, errs.New(errs.Unsupported, "this server keeps no relations")
	}
	return append(ops, Relate{Identity: i.ID, Relations: relations}), nil
}

// hold returns ops that keep groups, which have to be there.
func (s *Service) hold(ctx context.Context, k GroupKind, ids []string) (ops []Op, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if at := slices.IndexFunc(ids, unseen); at >= 0 {
		return nil, errs.New(errs.Invalid, "there is no %s %.80q", k, ids[at])
	}
	found, err := s.store.ListGroups(ctx, GroupQuery{Kind: k, IDs: ids}, "", len(ids))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		switch {
		case slices.ContainsFunc(found, func(g *Group) bool { return g.ID == id }):
			ops = append(ops, HoldGroup{k, id})
		case k == OfOrganization && s.organization(id) != nil: // always there
		default:
			return nil, errs.New(errs.Invalid, "there is no %s %.80q", k, id)
		}
	}
	return ops, nil
}

// noRelations refuses to change relations where an identity is changed.
func (d draft) noRelations() error {
	if len(d.Groups)+len(d.Organizations)+len(d.Relations) > 0 {
		return errs.New(errs.Invalid, "groups, organizations and relations are what an identity begins with: expected them at its creation; later the members of groups, or tuples, are changed")
	}
	return nil
}

// ReadPage reads page_size and page_token of a request.
//
// Invalid: they are malformed.
func ReadPage(r *http.Request) (size int, after string, err error) { return page(r) }

// LinkPages tells where the next page of a list begins, if there is one (RFC 8288).
func LinkPages(w http.ResponseWriter, r *http.Request, size int, next string) {
	links(w, r, size, next)
}
