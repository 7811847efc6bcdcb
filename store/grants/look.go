package grants

import (
	"context"

	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

// lookClient reads a client, but its data only if the mark is another one than $3.
const lookClient = `SELECT id, version, owner, name, created, updated, mark, CASE WHEN mark = $3 THEN NULL ELSE data END
	FROM oauth_client WHERE network = $1 AND id = $2`

// Look implements oauth.Store.
func (s *Store) Look(ctx context.Context, l oauth.Look) (seen oauth.Seen, err error) {
	client := l.Client != "" && storable(l.Client)
	token := l.Kind != "" && storable(string(l.Kind))
	grants, args := "", []any(nil)
	if f := s.selected(l.Grants); f != nil {
		grants, args = grantPage(f, l.Grants), f.args
	}
	if !client && !token && grants == "" {
		return seen, nil
	}
	err = s.run.Read(ctx, "look at a client and its tokens", func(sc *script.Script) {
		seen = oauth.Seen{}
		if client {
			sc.Ask(seeClient(&seen), lookClient, s.network, l.Client, []byte(l.Mark))
		}
		if token {
			sc.Ask(func(scan script.Scan) error {
				t, err := scanToken(scan)
				seen.Token = &t
				return err
			}, tokenByHash, s.network, string(l.Kind), l.Hash[:])
		}
		if grants != "" {
			sc.Ask(func(scan script.Scan) error {
				g, err := scanGrant(scan)
				seen.Grants = append(seen.Grants, g)
				return err
			}, grants, args...)
		}
	})
	return seen, err
}

func seeClient(seen *oauth.Seen) func(script.Scan) error {
	return func(scan script.Scan) error {
		c := &oauth.ClientRow{}
		var created, updated int64
		var mark []byte
		err := scan(&c.ID, &c.Version, &c.Owner, &c.Name, &created, &updated, &mark, &c.Data)
		c.Created, c.Updated = clock(created), clock(updated)
		seen.Client, seen.Mark = c, string(mark)
		return err
	}
}
