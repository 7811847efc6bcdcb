package people

import (
	"context"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// ListGroups implements identity.Groups.
func (s *Store) ListGroups(ctx context.Context, want identity.GroupQuery, after string, limit int) ([]*identity.Group, error) {
	if nothing(want.IDs) {
		return nil, ctx.Err()
	}
	var found []*identity.Group
	err := s.run.Read(ctx, "read groups", func(sc *script.Script) {
		found = nil
		q := s.query("SELECT id, version, name, label, created, updated FROM identity_group WHERE network = $1")
		q.add(" AND kind = ? AND id > ?", string(want.Kind), after)
		if want.IDs != nil {
			q.add(" AND id IN ")
			q.in(want.IDs)
		}
		if want.Name != "" {
			q.add(" AND name = ?", want.Name)
		}
		q.add(" ORDER BY id LIMIT ?", int64(limit))
		q.ask(sc, func(scan script.Scan) error {
			g := &identity.Group{Kind: want.Kind}
			var created, updated int64
			err := scan(&g.ID, &g.Version, &g.Name, &g.Label, &created, &updated)
			g.CreatedAt, g.UpdatedAt = clock(created), clock(updated)
			found = append(found, g)
			return err
		})
	})
	return found, err
}

func (s *Store) saveGroup(sc *script.Script, g *identity.Group) {
	args := []any{s.run.Network(), string(g.Kind), g.ID, g.Name, g.Label, micros(g.UpdatedAt)}
	if g.Version == 0 {
		sc.Must(errs.New(errs.Conflict, "another %s has the id %q or the name %q", g.Kind, g.ID, g.Name),
			`INSERT INTO identity_group (network, kind, id, name, label, updated, created, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 1) ON CONFLICT DO NOTHING`, append(args, micros(g.CreatedAt))...)
		return
	}
	sc.Must(errs.New(errs.Conflict, "another %s has the name %q, or this one was changed by another request", g.Kind, g.Name),
		`UPDATE identity_group SET name = $4, label = $5, updated = $6, version = version + 1
		WHERE network = $1 AND kind = $2 AND id = $3 AND version = $7
		AND NOT EXISTS (SELECT 1 FROM identity_group AS o WHERE o.network = $1 AND o.kind = $2 AND o.name = $4 AND o.id <> $3)`, append(args, g.Version)...)
}

func (s *Store) deleteGroup(sc *script.Script, op identity.DeleteGroup) {
	sc.Must(errs.New(errs.NotFound, "there is no %s %s", op.Kind, op.ID),
		"DELETE FROM identity_group WHERE network = $1 AND kind = $2 AND id = $3", s.run.Network(), string(op.Kind), op.ID)
	sc.Do("DELETE FROM identity_invitation WHERE network = $1 AND kind = $2 AND group_id = $3", s.run.Network(), string(op.Kind), op.ID)
}

const invitationColumns = "id, kind, group_id, via, address, hash, issued, expires, used, identity"

func (s *Store) putInvitation(sc *script.Script, i *identity.Invitation) {
	sc.Do("INSERT INTO identity_invitation (network, "+invitationColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '')"+unlessAgain(sc),
		s.run.Network(), i.ID, string(i.Kind), i.Group, i.Via, i.Address, i.Hash, micros(i.IssuedAt), micros(i.ExpiresAt))
}

// Invitation implements identity.Invitations.
func (s *Store) Invitation(ctx context.Context, id string) (*identity.Invitation, error) {
	found, err := s.invitations(ctx, func(q *query) { q.add(" AND id = ?", id) })
	if err == nil && len(found) == 0 {
		err = errs.New(errs.NotFound, "there is no such invitation")
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// ListInvitations implements identity.Invitations.
func (s *Store) ListInvitations(ctx context.Context, k identity.GroupKind, group, after string, limit int) ([]*identity.Invitation, error) {
	return s.invitations(ctx, func(q *query) {
		q.add(" AND kind = ? AND group_id = ? AND id > ? ORDER BY id LIMIT ?", string(k), group, after, int64(limit))
	})
}

func (s *Store) invitations(ctx context.Context, where func(*query)) ([]*identity.Invitation, error) {
	var found []*identity.Invitation
	err := s.run.Read(ctx, "read invitations", func(sc *script.Script) {
		found = nil
		q := s.query("SELECT " + invitationColumns + " FROM identity_invitation WHERE network = $1")
		where(q)
		q.ask(sc, func(scan script.Scan) error {
			i := &identity.Invitation{}
			var kind string
			var issued, expires, used int64
			err := scan(&i.ID, &kind, &i.Group, &i.Via, &i.Address, &i.Hash, &issued, &expires, &used, &i.Identity)
			i.Kind, i.IssuedAt, i.ExpiresAt, i.UsedAt = identity.GroupKind(kind), clock(issued), clock(expires), clock(used)
			found = append(found, i)
			return err
		})
	})
	return found, err
}
