package grants

import (
	"bytes"
	"context"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

const clientColumns = "id, version, owner, name, created, updated, data"

func scanClient(scan script.Scan) (c oauth.ClientRow, err error) {
	var created, updated int64
	err = scan(&c.ID, &c.Version, &c.Owner, &c.Name, &created, &updated, &c.Data)
	c.Created, c.Updated = clock(created), clock(updated)
	return c, err
}

// Client implements oauth.Store.
func (s *Store) Client(ctx context.Context, id string) (c oauth.ClientRow, err error) {
	if !storable(id) {
		return c, notFound("client", id)
	}
	there := false
	err = s.run.Read(ctx, "read a client", func(sc *script.Script) {
		there = false
		sc.Ask(func(scan script.Scan) (err error) {
			there = true
			c, err = scanClient(scan)
			return err
		}, "SELECT "+clientColumns+" FROM oauth_client WHERE network = $1 AND id = $2", s.network, id)
	})
	if err == nil && !there {
		err = notFound("client", id)
	}
	return c, err
}

// CreateClient implements oauth.Store.
func (s *Store) CreateClient(ctx context.Context, c oauth.ClientRow) error {
	if err := valid("client", c.ID, c.Owner, c.Name); err != nil {
		return err
	}
	mark := newMark()
	return s.run.Write(ctx, "add a client", func(sc *script.Script) {
		sc.Do(`INSERT INTO oauth_client (network, id, version, owner, name, created, updated, mark, data)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
			WHERE NOT EXISTS (SELECT 1 FROM oauth_client WHERE network = $1 AND id = $2 AND mark = $8)`,
			s.network, c.ID, c.Version, c.Owner, c.Name, micros(c.Created), micros(c.Updated), mark, blob(c.Data))
	})
}

// UpdateClient implements oauth.Store.
func (s *Store) UpdateClient(ctx context.Context, c oauth.ClientRow) error {
	if !storable(c.ID) {
		return notFound("client", c.ID)
	}
	if err := valid("client", c.Owner, c.Name); err != nil {
		return err
	}
	mark := newMark()
	var last []byte
	err := s.run.Write(ctx, "update a client", func(sc *script.Script) {
		last = nil
		sc.Do(`UPDATE oauth_client SET version = version + 1, owner = $4, name = $5, updated = $6, mark = $7, data = $8
			WHERE network = $1 AND id = $2 AND version = $3`,
			s.network, c.ID, c.Version, c.Owner, c.Name, micros(c.Updated), mark, blob(c.Data))
		sc.Ask(func(scan script.Scan) error { return scan(&last) },
			"SELECT mark FROM oauth_client WHERE network = $1 AND id = $2", s.network, c.ID)
	})
	switch {
	case err != nil:
		return err
	case last == nil:
		return notFound("client", c.ID)
	case !bytes.Equal(last, mark):
		return errs.New(errs.Conflict, "client %.80q was changed meanwhile: read it again", c.ID)
	}
	return nil
}

const (
	tokensOfClient = "FROM oauth_token WHERE network = $1 AND client = $2"
	grantsOfClient = "FROM oauth_grant WHERE network = $1 AND client = $2"
)

// DeleteClient implements oauth.Store. The client goes last: what was added meanwhile
// goes with it, and what comes later is dead.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	if !storable(id) {
		return notFound("client", id)
	}
	_, err := s.drain(ctx, "delete the tokens of a client",
		"DELETE FROM oauth_token WHERE (network, kind, hash) IN (SELECT network, kind, hash "+tokensOfClient+" LIMIT "+batch+")",
		"SELECT 1 "+tokensOfClient+" LIMIT 1", s.network, id)
	if err != nil {
		return err
	}
	_, err = s.drain(ctx, "delete the grants of a client",
		"DELETE FROM oauth_grant WHERE (network, id) IN (SELECT network, id "+grantsOfClient+" LIMIT "+batch+")",
		"SELECT 1 "+grantsOfClient+" LIMIT 1", s.network, id)
	if err != nil {
		return err
	}
	var n int64
	again := false
	err = s.run.Write(ctx, "delete a client", func(sc *script.Script) {
		again = sc.Again
		sc.Count(&n, "DELETE FROM oauth_client WHERE network = $1 AND id = $2", s.network, id)
		sc.Do("DELETE "+tokensOfClient, s.network, id)
		sc.Do("DELETE "+grantsOfClient, s.network, id)
	})
	if err == nil && n == 0 && !again {
		return notFound("client", id)
	}
	return err
}

// Clients implements oauth.Store.
func (s *Store) Clients(ctx context.Context, q oauth.ClientQuery) (cs []oauth.ClientRow, err error) {
	if !storable(q.Owner, q.Name, q.After) {
		return nil, nil
	}
	f := s.filter()
	f.equal("owner", q.Owner)
	f.equal("name", q.Name)
	if q.After != "" {
		f.and("id > ", f.arg(q.After))
	}
	text := "SELECT " + clientColumns + " FROM oauth_client WHERE " + f.page("id", q.Limit)
	err = s.run.Read(ctx, "list clients", func(sc *script.Script) {
		cs = nil
		sc.Ask(func(scan script.Scan) error {
			c, err := scanClient(scan)
			cs = append(cs, c)
			return err
		}, text, f.args...)
	})
	return cs, err
}
