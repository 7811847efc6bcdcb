package grants

import (
	"context"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

// Keys implements oauth.Store.
func (s *Store) Keys(ctx context.Context, set string) (ks []oauth.Key, err error) {
	if !storable(set) {
		return nil, nil
	}
	f := s.filter()
	f.equal("set_name", set)
	text := "SELECT set_name, id, created, active, data FROM oauth_key WHERE " + f.page("created DESC, set_name, id", 0)
	err = s.run.Read(ctx, "read keys", func(sc *script.Script) {
		ks = nil
		sc.Ask(func(scan script.Scan) error {
			var k oauth.Key
			var created, active int64
			err := scan(&k.Set, &k.ID, &created, &active, &k.Data)
			k.Created, k.Active = clock(created), clock(active)
			ks = append(ks, k)
			return err
		}, text, f.args...)
	})
	return ks, err
}

func validKeys(set string, keys []oauth.Key) error {
	if err := valid("key set", set); err != nil {
		return err
	}
	for _, k := range keys {
		if k.Set != "" && k.Set != set {
			return errs.New(errs.Invalid, "key %.80q is of the set %.80q: expected %.80q", k.ID, k.Set, set)
		}
		if err := valid("key", k.ID); err != nil {
			return err
		}
	}
	return nil
}

// alone makes a script wait for all others that change the set (G1): what they did is
// there for its next statements.
func (s *Store) alone(sc *script.Script, set string) {
	sc.Do("INSERT INTO oauth_key_set (network, set_name, changes) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING", s.network, set)
	sc.Do("UPDATE oauth_key_set SET changes = changes + 1 WHERE network = $1 AND set_name = $2", s.network, set)
}

const (
	putKey = `INSERT INTO oauth_key (network, set_name, id, created, active, mark, data) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (network, set_name, id) DO UPDATE SET created = excluded.created, active = excluded.active, mark = excluded.mark, data = excluded.data`

	firstKey = `INSERT INTO oauth_key (network, set_name, id, created, active, mark, data) SELECT $1, $2, $3, $4, $5, $6, $7
		WHERE NOT EXISTS (SELECT 1 FROM oauth_key WHERE network = $1 AND set_name = $2 AND (mark <> $6 OR id = $3))`
)

// PutKeys implements oauth.Store.
func (s *Store) PutKeys(ctx context.Context, set string, how oauth.PutMode, keys ...oauth.Key) error {
	if err := validKeys(set, keys); err != nil {
		return err
	}
	mark, others := newMark(), false
	err := s.run.Write(ctx, "write keys", func(sc *script.Script) {
		others = false
		s.alone(sc, set)
		put := putKey
		switch how {
		case oauth.ReplaceSet:
			sc.Do("DELETE FROM oauth_key WHERE network = $1 AND set_name = $2", s.network, set)
		case oauth.FirstOfSet:
			put = firstKey
		}
		for _, k := range keys {
			sc.Do(put, s.network, set, k.ID, micros(k.Created), micros(k.Active), mark, blob(k.Data))
		}
		if how == oauth.FirstOfSet {
			sc.Ask(flag(&others), "SELECT 1 FROM oauth_key WHERE network = $1 AND set_name = $2 AND mark <> $3 LIMIT 1", s.network, set, mark)
		}
	})
	if err == nil && others {
		err = errs.New(errs.Conflict, "the key set %.80q is not empty", set)
	}
	return err
}

// DeleteKeys implements oauth.Store.
func (s *Store) DeleteKeys(ctx context.Context, set, id string) error {
	what, name := "key", id
	if id == "" {
		what, name = "key set", set
	}
	if !storable(set, id) {
		return notFound(what, name)
	}
	f := s.filter()
	f.and("set_name = ", f.arg(set))
	f.equal("id", id)
	var n int64
	again := false
	err := s.run.Write(ctx, "delete keys", func(sc *script.Script) {
		again = sc.Again
		s.alone(sc, set)
		sc.Count(&n, "DELETE FROM oauth_key WHERE "+f.text.String(), f.args...)
	})
	if err == nil && n == 0 && !again {
		err = notFound(what, name)
	}
	return err
}
