package storetest

import (
	"reflect"
	"sync/atomic"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

func (c *folk) group(k identity.GroupKind, id, name string) *identity.Group {
	return &identity.Group{Kind: k, ID: id, Name: name, Label: "The " + name, CreatedAt: c.now, UpdatedAt: c.now}
}

func (c *folk) groups(q identity.GroupQuery, after string, limit int) (ids []string) {
	c.Helper()
	found, err := c.ListGroups(c.ctx, q, after, limit)
	c.must(err)
	for _, g := range found {
		ids = append(ids, g.ID)
	}
	return ids
}

func (c *folk) lists(got []string, want ...string) {
	c.Helper()
	if !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
		c.Fatalf("listed %v, want %v", got, want)
	}
}

func groupAsItWasSaved(c *folk) {
	want := c.group(identity.OfGroup, "b", "beta")
	c.write(identity.SaveGroup{Group: want}, identity.SaveGroup{Group: c.group(identity.OfGroup, "a", "alpha")},
		identity.SaveGroup{Group: c.group(identity.OfOrganization, "b", "beta")})
	found, err := c.ListGroups(c.ctx, identity.GroupQuery{Kind: identity.OfGroup, IDs: []string{"b"}}, "", 10)
	c.must(err)
	want.Version = 1
	if len(found) != 1 || !reflect.DeepEqual(found[0], want) {
		c.Fatalf("got %+v, want %+v", found, want)
	}
	c.lists(c.groups(identity.GroupQuery{Kind: identity.OfGroup}, "", 10), "a", "b")
	c.lists(c.groups(identity.GroupQuery{Kind: identity.OfGroup}, "", 1), "a")
	c.lists(c.groups(identity.GroupQuery{Kind: identity.OfGroup}, "a", 10), "b")
	c.lists(c.groups(identity.GroupQuery{Kind: identity.OfGroup, Name: "alpha"}, "", 10), "a")
	c.lists(c.groups(identity.GroupQuery{Kind: identity.OfOrganization}, "", 10), "b")
	c.lists(c.groups(identity.GroupQuery{Kind: identity.OfGroup, IDs: []string{}}, "", 10))
	if there, err := c.other.ListGroups(c.ctx, identity.GroupQuery{Kind: identity.OfGroup}, "", 10); err != nil || len(there) > 0 {
		c.Fatalf("another network has %v, error %v", there, err)
	}

	want.Name, want.Label = "gamma", ""
	c.write(identity.SaveGroup{Group: want})
	c.fails(c.Write(c.ctx, identity.SaveGroup{Group: want}), errs.Conflict) // of an older version
	c.lists(c.groups(identity.GroupQuery{Kind: identity.OfGroup, Name: "gamma"}, "", 10), "b")
	c.write(identity.DeleteGroup{Kind: identity.OfGroup, ID: "b"})
	c.fails(c.Write(c.ctx, identity.DeleteGroup{Kind: identity.OfGroup, ID: "b"}), errs.NotFound)
	c.lists(c.groups(identity.GroupQuery{Kind: identity.OfGroup}, "", 10), "a")
}

func groupNames(c *folk) {
	a, b := c.group(identity.OfGroup, "a", "alpha"), c.group(identity.OfGroup, "b", "beta")
	c.write(identity.SaveGroup{Group: a}, identity.SaveGroup{Group: b})
	c.fails(c.Write(c.ctx, identity.SaveGroup{Group: c.group(identity.OfGroup, "a", "other")}), errs.Conflict)
	c.fails(c.Write(c.ctx, identity.SaveGroup{Group: c.group(identity.OfGroup, "c", "alpha")}), errs.Conflict)
	b.Version, b.Name = 1, "alpha"
	c.fails(c.Write(c.ctx, identity.SaveGroup{Group: b}), errs.Conflict)
	c.write(identity.DeleteGroup{Kind: identity.OfGroup, ID: "a"})
	c.write(identity.SaveGroup{Group: b})
}

func groupsAreHeld(c *folk) {
	ann := c.join("ann@example.com")
	c.write(identity.SaveGroup{Group: c.group(identity.OfGroup, "a", "alpha")})
	c.write(identity.HoldGroup{Kind: identity.OfGroup, ID: "a"}, identity.HoldIdentity{ID: ann.ID})
	c.fails(c.Write(c.ctx, identity.HoldGroup{Kind: identity.OfOrganization, ID: "a"}), errs.NotFound)
	c.fails(c.Write(c.ctx, identity.HoldGroup{Kind: identity.OfGroup, ID: "b"}), errs.NotFound)
	c.fails(c.Write(c.ctx, identity.HoldIdentity{ID: identity.NewID()}), errs.NotFound)
}

func (c *folk) invite(id, group string) *identity.Invitation {
	c.Helper()
	i := &identity.Invitation{ID: id, Kind: identity.OfGroup, Group: group, Via: "email", Address: "ann@example.com", Hash: []byte("h"), IssuedAt: c.now, ExpiresAt: c.now.Add(time.Hour)}
	c.write(identity.PutInvitation{Invitation: i})
	return i
}

func (c *folk) invited(group, after string, limit int) (ids []string) {
	c.Helper()
	found, err := c.ListInvitations(c.ctx, identity.OfGroup, group, after, limit)
	c.must(err)
	for _, i := range found {
		ids = append(ids, i.ID)
	}
	return ids
}

func (c *folk) noInvitation(s identity.Store, id string) {
	c.Helper()
	_, err := s.Invitation(c.ctx, id)
	c.fails(err, errs.NotFound)
}

// invitationOnce has many use one, which goes with its group or by itself.
func invitationOnce(c *folk) {
	c.write(identity.SaveGroup{Group: c.group(identity.OfGroup, "a", "alpha")})
	want := c.invite("1", "a")
	c.invite("2", "a")
	c.invite("3", "a")
	c.invite("4", "b")
	got, err := c.Invitation(c.ctx, "1")
	c.must(err)
	if !reflect.DeepEqual(got, want) {
		c.Fatalf("got %+v, want %+v", got, want)
	}
	c.noInvitation(c.other, "1")
	c.lists(c.invited("a", "", 10), "1", "2", "3")
	c.lists(c.invited("a", "1", 1), "2")

	var won atomic.Int64
	c.must(all(8, func(int) error {
		err := c.Write(c.ctx, identity.UseInvitation{ID: "1", Identity: "ann", Now: c.now})
		switch errs.KindOf(err) {
		case errs.OK:
			won.Add(1)
			return nil
		case errs.Refused:
			return nil
		}
		return err
	}))
	if got, err = c.Invitation(c.ctx, "1"); err != nil || won.Load() != 1 || got.Identity != "ann" || !got.UsedAt.Equal(c.now) {
		c.Fatalf("%d have used %+v, error %v", won.Load(), got, err)
	}
	c.fails(c.Write(c.ctx, identity.UseInvitation{ID: "2", Now: c.now.Add(time.Hour)}), errs.Refused)
	c.fails(c.Write(c.ctx, identity.UseInvitation{ID: "none", Now: c.now}), errs.Refused)

	c.fails(c.Write(c.ctx, identity.DropInvitation{ID: "2", Kind: identity.OfGroup, Group: "b"}), errs.NotFound)
	c.write(identity.DropInvitation{ID: "2", Kind: identity.OfGroup, Group: "a"})
	c.noInvitation(c, "2")
	c.write(identity.DeleteGroup{Kind: identity.OfGroup, ID: "a"})
	c.lists(c.invited("a", "", 10))
	c.noInvitation(c, "3")
	if n, err := c.Purge(c.ctx, c.now.Add(time.Hour+1)); err != nil || n != 0 {
		c.Fatalf("%d rows purged too soon, error %v", n, err)
	}
	if n, err := c.Purge(c.ctx, c.now.Add(2*time.Hour)); err != nil || n != 1 {
		c.Fatalf("%d rows purged, error %v: expected that of group b", n, err)
	}
}
