package grants

import (
	"context"
	"time"

	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

const grantColumns = "id, client, subject, login_id, scopes, audience, remember, created, expires, revoked, data"

func scanGrant(scan script.Scan) (g oauth.Grant, err error) {
	var scopes, audience string
	var remember, created, expires, revoked int64
	err = scan(&g.ID, &g.Client, &g.Subject, &g.Login, &scopes, &audience, &remember, &created, &expires, &revoked, &g.Data)
	if err != nil {
		return g, err
	}
	g.Remember, g.Created, g.Expires, g.Revoked = remember != 0, clock(created), clock(expires), clock(revoked)
	if g.Scopes, err = unlist(scopes); err != nil {
		return g, err
	}
	g.Audience, err = unlist(audience)
	return g, err
}

// firstLook is when Purge looks at a grant for the first time.
func firstLook(g oauth.Grant) int64 {
	switch {
	case !g.Revoked.IsZero():
		return micros(g.Revoked.Add(tombstone))
	case g.Remember:
		return keptUntil(g.Expires)
	default:
		return micros(g.Created.Add(recheck))
	}
}

// PutGrant implements oauth.Store.
func (s *Store) PutGrant(ctx context.Context, g oauth.Grant, l *oauth.Login, ts ...oauth.Token) error {
	if err := valid("grant", g.ID, g.Client, g.Subject, g.Login); err != nil {
		return err
	}
	if err := validTokens(ts); err != nil {
		return err
	}
	if l != nil {
		if err := valid("login", l.ID, l.Subject); err != nil {
			return err
		}
	}
	scopes, err := list(g.Scopes)
	if err != nil {
		return err
	}
	audience, err := list(g.Audience)
	if err != nil {
		return err
	}
	mark := newMark()
	return s.run.Write(ctx, "add a grant", func(sc *script.Script) {
		sc.Do(`INSERT INTO oauth_grant (network, id, client, subject, login_id, scopes, audience, remember, created, expires, revoked, kept_until, mark, data)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
			WHERE NOT EXISTS (SELECT 1 FROM oauth_grant WHERE network = $1 AND id = $2 AND mark = $13)`,
			s.network, g.ID, g.Client, g.Subject, g.Login, scopes, audience, truth(g.Remember), micros(g.Created), micros(g.Expires),
			micros(g.Revoked), firstLook(g), mark, blob(g.Data))
		if l != nil {
			s.putLogin(sc, mark, *l)
		}
		s.putTokens(sc, mark, nil, ts)
	})
}

// Grant implements oauth.Store.
func (s *Store) Grant(ctx context.Context, id string) (g oauth.Grant, err error) {
	if !storable(id) {
		return g, notFound("grant", id)
	}
	there := false
	err = s.run.Read(ctx, "read a grant", func(sc *script.Script) {
		there = false
		sc.Ask(func(scan script.Scan) (err error) {
			there = true
			g, err = scanGrant(scan)
			return err
		}, "SELECT "+grantColumns+" FROM oauth_grant WHERE network = $1 AND id = $2", s.network, id)
	})
	if err == nil && !there {
		err = notFound("grant", id)
	}
	return g, err
}

// selected returns the condition of q, or nil if it selects none.
func (s *Store) selected(q oauth.GrantQuery) *filter {
	f := s.filter()
	f.equal("id", q.ID)
	f.equal("subject", q.Subject)
	f.equal("client", q.Client)
	if f.equal("login_id", q.Login); q.Login != "" {
		f.and("login_id <> ''") // names the index
	}
	if f.n == 0 || !storable(q.ID, q.Subject, q.Client, q.Login, q.After.ID) {
		return nil
	}
	if !q.Remembered.IsZero() {
		f.and("remember = 1 AND revoked = 0 AND (expires = 0 OR expires > ", f.arg(micros(q.Remembered)), ")")
	}
	return f
}

// grantPage returns the query of a page of the grants that f selects.
func grantPage(f *filter, q oauth.GrantQuery) string {
	if q.After.ID != "" {
		f.and("(created, id) < (", f.arg(micros(q.After.Created)), ", ", f.arg(q.After.ID), ")")
	}
	return "SELECT " + grantColumns + " FROM oauth_grant WHERE " + f.page("created DESC, id DESC", q.Limit)
}

// Grants implements oauth.Store.
func (s *Store) Grants(ctx context.Context, q oauth.GrantQuery) (gs []oauth.Grant, err error) {
	f := s.selected(q)
	if f == nil {
		return nil, nil
	}
	text := grantPage(f, q)
	err = s.run.Read(ctx, "list grants", func(sc *script.Script) {
		gs = nil
		sc.Ask(func(scan script.Scan) error {
			g, err := scanGrant(scan)
			gs = append(gs, g)
			return err
		}, text, f.args...)
	})
	return gs, err
}

// RevokeGrants implements oauth.Store. It counts by its mark, so that a script that is
// run again counts the same.
func (s *Store) RevokeGrants(ctx context.Context, q oauth.GrantQuery, now time.Time) (n int64, err error) {
	f := s.selected(q)
	if f == nil {
		return 0, nil
	}
	these, args := "FROM oauth_grant WHERE "+f.text.String(), f.args[:len(f.args):len(f.args)]
	mark := newMark()
	set := "revoked = " + f.arg(micros(now)) + ", kept_until = " + f.arg(micros(now.Add(tombstone))) + ", mark = " + f.arg(mark)
	revoke := "UPDATE oauth_grant SET " + set + " WHERE revoked = 0 AND (network, id) IN (SELECT network, id " +
		these + " AND revoked = 0 LIMIT " + batch + ")"
	// What Remembered asks for no longer holds of those that were revoked.
	all := s.selected(oauth.GrantQuery{ID: q.ID, Subject: q.Subject, Client: q.Client, Login: q.Login})
	all.and("mark = ", all.arg(mark))
	for more := true; more && err == nil; {
		err = s.run.Write(ctx, "revoke grants", func(sc *script.Script) {
			more = false
			sc.Do(revoke, f.args...)
			sc.Ask(func(scan script.Scan) error { return scan(&n) }, "SELECT count(*) FROM oauth_grant WHERE "+all.text.String(), all.args...)
			sc.Ask(flag(&more), "SELECT 1 "+these+" AND revoked = 0 LIMIT 1", args...)
		})
	}
	return n, err
}
