package grants

import (
	"context"

	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

const issuerColumns = "id, issuer, subject, key_id, created, expires, data"

func scanIssuer(scan script.Scan) (i oauth.Issuer, err error) {
	var created, expires int64
	err = scan(&i.ID, &i.Issuer, &i.Subject, &i.KeyID, &created, &expires, &i.Data)
	i.Created, i.Expires = clock(created), clock(expires)
	return i, err
}

// PutIssuer implements oauth.Store.
func (s *Store) PutIssuer(ctx context.Context, i oauth.Issuer) error {
	if err := valid("issuer", i.ID, i.Issuer, i.Subject, i.KeyID); err != nil {
		return err
	}
	mark := newMark()
	return s.run.Write(ctx, "add an issuer", func(sc *script.Script) {
		sc.Do(`INSERT INTO oauth_issuer (network, id, issuer, subject, key_id, created, expires, mark, data)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
			WHERE NOT EXISTS (SELECT 1 FROM oauth_issuer WHERE network = $1 AND id = $2 AND mark = $8)`,
			s.network, i.ID, i.Issuer, i.Subject, i.KeyID, micros(i.Created), micros(i.Expires), mark, blob(i.Data))
	})
}

// Issuer implements oauth.Store.
func (s *Store) Issuer(ctx context.Context, id string) (i oauth.Issuer, err error) {
	if !storable(id) {
		return i, notFound("issuer", id)
	}
	there := false
	err = s.run.Read(ctx, "read an issuer", func(sc *script.Script) {
		there = false
		sc.Ask(func(scan script.Scan) (err error) {
			there = true
			i, err = scanIssuer(scan)
			return err
		}, "SELECT "+issuerColumns+" FROM oauth_issuer WHERE network = $1 AND id = $2", s.network, id)
	})
	if err == nil && !there {
		err = notFound("issuer", id)
	}
	return i, err
}

// Issuers implements oauth.Store.
func (s *Store) Issuers(ctx context.Context, issuer, after string, limit int) (is []oauth.Issuer, err error) {
	if !storable(issuer, after) {
		return nil, nil
	}
	f := s.filter()
	f.equal("issuer", issuer)
	if after != "" {
		f.and("id > ", f.arg(after))
	}
	text := "SELECT " + issuerColumns + " FROM oauth_issuer WHERE " + f.page("id", limit)
	err = s.run.Read(ctx, "list issuers", func(sc *script.Script) {
		is = nil
		sc.Ask(func(scan script.Scan) error {
			i, err := scanIssuer(scan)
			is = append(is, i)
			return err
		}, text, f.args...)
	})
	return is, err
}

// DeleteIssuer implements oauth.Store.
func (s *Store) DeleteIssuer(ctx context.Context, id string) error {
	if !storable(id) {
		return notFound("issuer", id)
	}
	return s.remove(ctx, "issuer", id, "DELETE FROM oauth_issuer WHERE network = $1 AND id = $2", s.network, id)
}
