package people

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

const identityColumns = "i.id, i.version, i.schema_id, i.state, i.state_changed, i.traits, i.metadata_public, i.metadata_admin, " +
	"i.external_id, i.organization_id, i.available_aal, i.verifiable, i.recovery, i.created, i.updated"

// An identityRow is where the columns of an identity go.
type identityRow struct {
	identity.Identity
	stateChanged, created, updated                                int64
	state, aal, traits, public, admin, verifiable, recoveryColumn string
}

func (r *identityRow) dest() []any {
	return []any{&r.ID, &r.Version, &r.SchemaID, &r.state, &r.stateChanged, &r.traits, &r.public, &r.admin,
		&r.ExternalID, &r.OrganizationID, &r.aal, &r.verifiable, &r.recoveryColumn, &r.created, &r.updated}
}

func (r *identityRow) identity() (*identity.Identity, error) {
	i := r.Identity
	i.State, i.AvailableAAL = identity.State(r.state), identity.AAL(r.aal)
	i.StateChangedAt, i.CreatedAt, i.UpdatedAt = clock(r.stateChanged), clock(r.created), clock(r.updated)
	i.Traits, i.MetadataPublic, i.MetadataAdmin = raw(r.traits), raw(r.public), raw(r.admin)
	var err error
	if i.Verifiable, err = verifiable(r.verifiable); err != nil {
		return nil, err
	}
	i.Recovery, err = recovery(r.recoveryColumn)
	return &i, err
}

// Identity implements identity.People.
func (s *Store) Identity(ctx context.Context, id string, credentials bool) (*identity.Identity, error) {
	return s.one(ctx, credentials, func(q *query) { q.add(" AND i.id = ?", id) })
}

// Find implements identity.People.
func (s *Store) Find(ctx context.Context, t identity.CredentialType, identifier string) (*identity.Identity, error) {
	return s.named(ctx, string(t), identifier)
}

// FindAddress implements identity.People.
func (s *Store) FindAddress(ctx context.Context, use identity.AddressUse, via, value string) (*identity.Identity, error) {
	return s.named(ctx, addressKind(use, via), value)
}

func (s *Store) named(ctx context.Context, kind, value string) (*identity.Identity, error) {
	return s.one(ctx, true, func(q *query) {
		q.add(" AND i.id = (SELECT n.identity FROM identity_name AS n WHERE n.network = $1 AND n.kind = ? AND n.value = ?)", kind, value)
	})
}

func (s *Store) one(ctx context.Context, credentials bool, where func(*query)) (*identity.Identity, error) {
	found, err := s.read(ctx, credentials, where)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errs.New(errs.NotFound, "there is no such identity")
	}
	return found[0], nil
}

// Identities implements identity.People.
func (s *Store) Identities(ctx context.Context, want identity.IdentityQuery, after string, limit int) ([]*identity.Identity, error) {
	if nothing(want.IDs) {
		return nil, ctx.Err()
	}
	return s.read(ctx, want.Credentials, func(q *query) {
		if want.IDs != nil {
			q.add(" AND i.id IN ")
			q.in(want.IDs)
		}
		const names = " AND i.id IN (SELECT n.identity FROM identity_name AS n WHERE n.network = $1 AND n.kind "
		if want.Identifier != "" {
			q.add(names + "IN ")
			q.in(credentialKinds)
			q.add(" AND n.value = ?)", want.Identifier)
		}
		if want.Prefix != "" {
			q.add(names + "IN ")
			q.in(slices.Concat(credentialKinds, addressKinds))
			q.add(" AND n.value >= ? AND n.value < ?)", want.Prefix, want.Prefix+"\U0010ffff")
		}
		if want.ExternalID != "" {
			q.add(names+"= ? AND n.value = ?)", externalKind, want.ExternalID)
		}
		if want.OrganizationID != "" {
			q.add(" AND i.organization_id = ?", want.OrganizationID)
		}
		q.add(" AND i.id > ? ORDER BY i.id LIMIT ?", after, int64(limit))
	})
}

// read reads the identities that where selects, and their credentials in the same
// round trip.
func (s *Store) read(ctx context.Context, credentials bool, where func(*query)) ([]*identity.Identity, error) {
	var found []*identity.Identity
	byID := map[string]*identity.Identity{}
	err := s.run.Read(ctx, "read identities", func(sc *script.Script) {
		found = nil
		clear(byID)
		q := s.query("SELECT " + identityColumns + " FROM identity AS i WHERE i.network = $1")
		where(q)
		q.ask(sc, func(scan script.Scan) error {
			var row identityRow
			if err := scan(row.dest()...); err != nil {
				return err
			}
			i, err := row.identity()
			if err != nil {
				return err
			}
			if credentials {
				i.Credentials = map[identity.CredentialType]identity.Credential{}
			}
			found, byID[i.ID] = append(found, i), i
			return nil
		})
		if !credentials {
			return
		}
		q = s.query("SELECT c.identity, c.type, c.config, c.identifiers, c.version, c.created, c.updated FROM identity_credential AS c " +
			"WHERE c.network = $1 AND c.identity IN (SELECT i.id FROM identity AS i WHERE i.network = $1")
		where(q)
		q.add(")")
		q.ask(sc, func(scan script.Scan) error { return scanCredential(scan, byID) })
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func scanCredential(scan script.Scan, byID map[string]*identity.Identity) error {
	var c identity.Credential
	var id, kind, config, ids string
	var version, created, updated int64
	if err := scan(&id, &kind, &config, &ids, &version, &created, &updated); err != nil {
		return err
	}
	c.Type, c.Config, c.Version = identity.CredentialType(kind), raw(config), int(version)
	c.CreatedAt, c.UpdatedAt = clock(created), clock(updated)
	var err error
	if c.Identifiers, err = identifiers(ids); err != nil {
		return err
	}
	if i := byID[id]; i != nil { // else it was made between the two statements
		i.Credentials[c.Type] = c
	}
	return nil
}

// Kinds of names beside the types of credentials.
const externalKind = "external_id"

var credentialKinds = []string{
	string(identity.Password), string(identity.OIDC), string(identity.TOTP), string(identity.Lookup),
	string(identity.WebAuthn), string(identity.CodeAuth), string(identity.Passkey),
}

var addressKinds = []string{
	addressKind(identity.ForVerification, "email"), addressKind(identity.ForVerification, "sms"),
	addressKind(identity.ForRecovery, "email"), addressKind(identity.ForRecovery, "sms"),
}

func addressKind(use identity.AddressUse, via string) string { return string(use) + ":" + via }

// A name is something unique.
type name struct{ kind, what, value string }

// namesOf returns what the identity claims, in order, so that two writes meet names in
// the same order.
func namesOf(i *identity.Identity) []name {
	var names []name
	for t, c := range i.Credentials {
		for _, value := range c.Identifiers {
			names = append(names, name{string(t), string(t), value})
		}
	}
	for _, a := range i.Verifiable {
		names = append(names, name{addressKind(identity.ForVerification, a.Via), string(identity.ForVerification), a.Value})
	}
	for _, a := range i.Recovery {
		names = append(names, name{addressKind(identity.ForRecovery, a.Via), string(identity.ForRecovery), a.Value})
	}
	if i.ExternalID != "" {
		names = append(names, name{externalKind, externalKind, i.ExternalID})
	}
	slices.SortFunc(names, func(a, b name) int {
		if a.kind != b.kind {
			return compare(a.kind, b.kind)
		}
		return compare(a.value, b.value)
	})
	return slices.Compact(names)
}

// Holders implements identity.People.
func (s *Store) Holders(ctx context.Context, i *identity.Identity) ([]identity.Holder, error) {
	names := namesOf(i)
	if len(names) == 0 {
		return nil, ctx.Err()
	}
	what := map[string]string{}
	var found []identity.Holder
	err := s.run.Read(ctx, "read who has names", func(sc *script.Script) {
		found = nil
		q := s.query("SELECT kind, value, identity FROM identity_name WHERE network = $1")
		q.add(" AND identity <> ? AND (", i.ID)
		for n, name := range names {
			if n > 0 {
				q.add(" OR ")
			}
			q.add("kind = ? AND value = ?", name.kind, name.value)
			what[name.kind] = name.what
		}
		q.add(") ORDER BY kind, value")
		q.ask(sc, func(scan script.Scan) error {
			var h identity.Holder
			var kind string
			err := scan(&kind, &h.Value, &h.Identity)
			h.What = what[kind]
			found = append(found, h)
			return err
		})
	})
	return found, err
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// saveIdentity writes the row, and then what hangs on it anew.
func (s *Store) saveIdentity(sc *script.Script, i *identity.Identity) {
	n := s.run.Network()
	args := []any{n, i.ID, i.SchemaID, string(i.State), micros(i.StateChangedAt), string(i.Traits), string(i.MetadataPublic),
		string(i.MetadataAdmin), i.ExternalID, i.OrganizationID, string(i.AvailableAAL), list(i.Verifiable), list(i.Recovery),
		micros(i.CreatedAt), micros(i.UpdatedAt)}
	conflict := errs.New(errs.Conflict, "identity %s was changed by another request: read it again", i.ID)
	if i.Version == 0 {
		sc.Must(conflict, `INSERT INTO identity (network, id, schema_id, state, state_changed, traits, metadata_public, metadata_admin,
			external_id, organization_id, available_aal, verifiable, recovery, created, updated, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1) ON CONFLICT DO NOTHING`, args...)
	} else {
		sc.Must(conflict, `UPDATE identity SET schema_id = $3, state = $4, state_changed = $5, traits = $6, metadata_public = $7,
			metadata_admin = $8, external_id = $9, organization_id = $10, available_aal = $11, verifiable = $12, recovery = $13,
			created = $14, updated = $15, version = version + 1 WHERE network = $1 AND id = $2 AND version = $16`,
			append(args, i.Version)...)
		forget := "DELETE FROM identity_name WHERE network = $1 AND identity = $2"
		q := &query{args: []any{n, i.ID}}
		q.text.WriteString(forget)
		if i.Credentials == nil {
			q.add(" AND kind NOT IN ")
			q.in(credentialKinds)
		} else {
			sc.Do("DELETE FROM identity_credential WHERE network = $1 AND identity = $2", n, i.ID)
		}
		sc.Do(q.text.String(), q.args...)
	}
	for _, name := range namesOf(i) {
		sc.Must(&identity.TakenError{What: name.what, Value: name.value},
			"INSERT INTO identity_name (network, kind, value, identity) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			n, name.kind, name.value, i.ID)
	}
	for _, t := range slices.Sorted(maps.Keys(i.Credentials)) {
		c := i.Credentials[t]
		sc.Do(`INSERT INTO identity_credential (network, identity, type, config, identifiers, version, created, updated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			n, i.ID, string(t), string(c.Config), list(c.Identifiers), int64(c.Version), micros(c.CreatedAt), micros(c.UpdatedAt))
	}
}

// list encodes a list; none is an empty one.
func list[T any](values []T) string {
	if values == nil {
		values = []T{}
	}
	return encode(values)
}

func (s *Store) deleteIdentity(sc *script.Script, id string) {
	n := s.run.Network()
	sc.Must(errs.New(errs.NotFound, "there is no identity %s", id), "DELETE FROM identity WHERE network = $1 AND id = $2", n, id)
	for _, table := range []string{"identity_name", "identity_credential", "identity_session", "identity_code"} {
		sc.Do("DELETE FROM "+table+" WHERE network = $1 AND identity = $2", n, id)
	}
}

// jsonOr keeps a JSON column from being empty.
func jsonOr(text json.RawMessage, or string) string {
	if len(text) == 0 {
		return or
	}
	return string(text)
}
