package storetest

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// looks compares what is stored of two identities.
func (c *folk) looks(got, want *identity.Identity) {
	c.Helper()
	text := func(i *identity.Identity) string {
		b, err := json.Marshal(i)
		c.must(err)
		return string(b)
	}
	if text(got) != text(want) {
		c.Fatalf("got  %s\nwant %s", text(got), text(want))
	}
}

func identityAsItWasSaved(c *folk) {
	want := c.person("ann@example.com")
	want.MetadataPublic, want.MetadataAdmin = json.RawMessage(`{"a":1}`), json.RawMessage(`[]`)
	want.ExternalID, want.OrganizationID = "ext-1", identity.NewID()
	c.write(identity.SaveIdentity{Identity: want})
	want.Version = 1
	got, err := c.Identity(c.ctx, want.ID, true)
	c.must(err)
	c.looks(got, want)
	got, err = c.Find(c.ctx, identity.Password, "ann@example.com")
	c.must(err)
	c.looks(got, want)
	got, err = c.FindAddress(c.ctx, identity.ForRecovery, "email", "ann@example.com")
	c.must(err)
	c.looks(got, want)
	want.Credentials = nil
	got, err = c.Identity(c.ctx, want.ID, false)
	c.must(err)
	c.looks(got, want)

	_, err = c.Identity(c.ctx, identity.NewID(), true)
	c.fails(err, errs.NotFound)
	_, err = c.Find(c.ctx, identity.TOTP, "ann@example.com")
	c.fails(err, errs.NotFound)
	_, err = c.FindAddress(c.ctx, identity.ForRecovery, "sms", "ann@example.com")
	c.fails(err, errs.NotFound)
}

func identityVersions(c *folk) {
	i := c.join("ann@example.com")
	first, second := *i, *i
	first.Traits = json.RawMessage(`{"email":"ann@example.com","n":1}`)
	c.write(identity.SaveIdentity{Identity: &first})
	c.fails(c.Write(c.ctx, identity.SaveIdentity{Identity: &second}), errs.Conflict)
	got, err := c.Identity(c.ctx, i.ID, true)
	c.must(err)
	first.Version = 2
	c.looks(got, &first)

	i.Version = 0 // as if it were new
	c.fails(c.Write(c.ctx, identity.SaveIdentity{Identity: i}), errs.Conflict)
}

func credentialsLeftAlone(c *folk) {
	i := c.join("ann@example.com")
	changed := *i
	changed.Credentials = nil
	changed.Recovery = nil
	c.write(identity.SaveIdentity{Identity: &changed})
	got, err := c.Find(c.ctx, identity.Password, "ann@example.com")
	c.must(err)
	if len(got.Credentials) != 1 || got.Version != 2 {
		c.Fatalf("got %+v", got)
	}
	_, err = c.FindAddress(c.ctx, identity.ForRecovery, "email", "ann@example.com")
	c.fails(err, errs.NotFound)
}

func namesAreUnique(c *folk) {
	c.join("ann@example.com")
	c.taken(c.Write(c.ctx, identity.SaveIdentity{Identity: c.person("ann@example.com")}), "password", "ann@example.com")

	other := c.person("bob@example.com")
	other.Recovery[0].Value = "ann@example.com"
	c.taken(c.Write(c.ctx, identity.SaveIdentity{Identity: other}), "recovery", "ann@example.com")
	other = c.person("bob@example.com")
	other.Verifiable[0].Value = "ann@example.com"
	c.taken(c.Write(c.ctx, identity.SaveIdentity{Identity: other}), "verification", "ann@example.com")

	a, b := c.person("c@example.com"), c.person("d@example.com")
	a.ExternalID, b.ExternalID = "one", "one"
	c.write(identity.SaveIdentity{Identity: a})
	c.taken(c.Write(c.ctx, identity.SaveIdentity{Identity: b}), "external_id", "one")
	_, err := c.Identity(c.ctx, b.ID, false)
	c.fails(err, errs.NotFound)
}

func namesUnderRaces(c *folk) {
	const n = 8
	errors := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		who := c.person("ann@example.com")
		wait.Go(func() { errors[i] = c.Write(c.ctx, identity.SaveIdentity{Identity: who}) })
	}
	wait.Wait()
	won := 0
	for _, err := range errors {
		if err == nil {
			won++
			continue
		}
		c.fails(err, errs.Conflict)
	}
	if won != 1 {
		c.Fatalf("%d identities have the same identifier", won)
	}
}

func namesAreFreed(c *folk) {
	i := c.join("ann@example.com")
	moved := *c.person("new@example.com")
	moved.ID, moved.Version = i.ID, 1
	c.write(identity.SaveIdentity{Identity: &moved})
	_, err := c.Find(c.ctx, identity.Password, "ann@example.com")
	c.fails(err, errs.NotFound)
	c.join("ann@example.com")
	got, err := c.Find(c.ctx, identity.Password, "new@example.com")
	c.must(err)
	if got.ID != i.ID {
		c.Fatalf("found %s: expected %s", got.ID, i.ID)
	}
}

func holders(c *folk) {
	ann := c.join("ann@example.com")
	list := func(i *identity.Identity) (got []string) {
		c.Helper()
		found, err := c.Holders(c.ctx, i)
		c.must(err)
		for _, h := range found {
			if h.Identity != ann.ID {
				c.Fatalf("%s %s is of %s", h.What, h.Value, h.Identity)
			}
			got = append(got, h.What+" "+h.Value)
		}
		return got
	}
	bob := c.person("bob@example.com")
	bob.ExternalID = "x"
	for want, i := range map[string]*identity.Identity{
		"password ann@example.com,recovery ann@example.com,verification ann@example.com": c.person("ann@example.com"),
		"": bob,
	} {
		if got := strings.Join(list(i), ","); got != want {
			c.Errorf("%s: got %s, want %s", i.Traits, got, want)
		}
	}
	if got := list(ann); len(got) != 0 { // her own
		c.Errorf("got %v", got)
	}
	bob.Recovery[0].Value, bob.Verifiable = "ann@example.com", nil
	if got := list(bob); len(got) != 1 || got[0] != "recovery ann@example.com" {
		c.Errorf("got %v", got)
	}
	if found, err := c.other.Holders(c.ctx, c.person("ann@example.com")); err != nil || len(found) != 0 {
		c.Errorf("in another network: %v, %v", found, err)
	}
	if got := list(&identity.Identity{ID: identity.NewID()}); len(got) != 0 {
		c.Errorf("got %v", got)
	}
}

func listIdentities(c *folk) {
	var ids []string
	for _, email := range []string{"ann@example.com", "anna@example.com", "bob@example.com"} {
		i := c.person(email)
		i.ExternalID = "x-" + email
		if email == "bob@example.com" {
			i.OrganizationID = "6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11"
		}
		c.write(identity.SaveIdentity{Identity: i})
		ids = append(ids, i.ID)
	}
	list := func(q identity.IdentityQuery, after string, limit int) (got []string) {
		c.Helper()
		found, err := c.Identities(c.ctx, q, after, limit)
		c.must(err)
		for _, i := range found {
			got = append(got, i.ID)
			if (i.Credentials != nil) != q.Credentials {
				c.Fatalf("credentials %v", i.Credentials)
			}
		}
		return got
	}
	same := func(got []string, want ...string) {
		c.Helper()
		want = slices.Sorted(slices.Values(want))
		if !slices.Equal(got, want) {
			c.Fatalf("got %v, want %v", got, want)
		}
	}
	all := slices.Sorted(slices.Values(ids))
	same(list(identity.IdentityQuery{}, "", 10), ids...)
	same(list(identity.IdentityQuery{Credentials: true}, "", 2), all[:2]...)
	same(list(identity.IdentityQuery{}, all[1], 2), all[2:]...)
	same(list(identity.IdentityQuery{IDs: ids[:2]}, "", 10), ids[:2]...)
	same(list(identity.IdentityQuery{IDs: []string{}}, "", 10))
	same(list(identity.IdentityQuery{Identifier: "ann@example.com"}, "", 10), ids[0])
	same(list(identity.IdentityQuery{Prefix: "ann"}, "", 10), ids[:2]...)
	addressed := c.person("dave@example.com")
	addressed.Credentials = map[identity.CredentialType]identity.Credential{} // somebody whom an administrator has added
	c.write(identity.SaveIdentity{Identity: addressed})
	same(list(identity.IdentityQuery{Prefix: "dave"}, "", 10), addressed.ID)
	same(list(identity.IdentityQuery{ExternalID: "x-bob@example.com"}, "", 10), ids[2])
	same(list(identity.IdentityQuery{OrganizationID: "6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11"}, "", 10), ids[2])
	same(list(identity.IdentityQuery{OrganizationID: "6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11", IDs: ids[:2]}, "", 10))
}

func deleteIdentity(c *folk) {
	i := c.join("ann@example.com")
	c.write(identity.SaveSession{Session: c.session(i, "token")})
	c.write(identity.DeleteIdentity{ID: i.ID})
	_, err := c.Identity(c.ctx, i.ID, true)
	c.fails(err, errs.NotFound)
	_, _, err = c.SessionByToken(c.ctx, []byte("token"))
	c.fails(err, errs.NotFound)
	c.fails(c.Write(c.ctx, identity.DeleteIdentity{ID: i.ID}), errs.NotFound)
	c.join("ann@example.com")
}

func peopleOfNetworksAreApart(c *folk) {
	i := c.join("ann@example.com")
	c.write(identity.SaveSession{Session: c.session(i, "token")})
	_, err := c.other.Find(c.ctx, identity.Password, "ann@example.com")
	c.fails(err, errs.NotFound)
	_, _, err = c.other.SessionByToken(c.ctx, []byte("token"))
	c.fails(err, errs.NotFound)
	c.fails(c.other.Write(c.ctx, identity.DeleteIdentity{ID: i.ID}), errs.NotFound)
	twin := *i
	twin.Version = 0
	c.must(c.other.Write(c.ctx, identity.SaveIdentity{Identity: &twin}))
}

func peopleWriteIsAtomic(c *folk) {
	c.join("ann@example.com")
	bob := c.person("bob@example.com")
	err := c.Write(c.ctx,
		identity.SaveIdentity{Identity: bob},
		identity.SaveSession{Session: c.session(bob, "token")},
		identity.Record{Event: identity.Event{ID: "1", At: c.now, Type: "registered", Identity: bob.ID}},
		identity.SaveIdentity{Identity: c.person("ann@example.com")})
	c.fails(err, errs.Conflict)
	_, err = c.Identity(c.ctx, bob.ID, true)
	c.fails(err, errs.NotFound)
	_, err = c.Find(c.ctx, identity.Password, "bob@example.com")
	c.fails(err, errs.NotFound)
	events, err := c.ListEvents(c.ctx, "", "", 10)
	c.must(err)
	if len(events) != 0 {
		c.Fatalf("events %v", events)
	}
}
