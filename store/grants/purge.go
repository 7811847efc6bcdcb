package grants

import (
	"context"
	"time"

	"github.com/cardea-iam/cardea/store/script"
)

const (
	// tombstone is how long what was revoked or ended stays, which is longer than any
	// request is on its way.
	tombstone = 24 * time.Hour

	// recheck is how long Purge leaves alone what it found to be needed.
	recheck = 7 * 24 * time.Hour
)

// A look is one statement of Purge. Its arguments are the network, the time and the
// limit; of a delay, also the time at which Purge looks again at the rows that it found
// to be needed.
type look struct {
	doing, text string
	delay       bool
}

const (
	// The rows whose time has come, the oldest first. A network with + 0 leaves nothing
	// but the index by time.
	dueTokens = `SELECT d.network, d.kind, d.hash FROM oauth_token AS d WHERE d.network + 0 = $1 AND d.kept_until <= $2 ORDER BY d.kept_until LIMIT $3`
	dueGrants = `SELECT d.network, d.id FROM oauth_grant AS d WHERE d.network + 0 = $1 AND d.kept_until <= $2 ORDER BY d.kept_until LIMIT $3`

	// A used token whose grant has one that can still be used.
	ofLiveFamily = `(used > 0 AND grant_id <> '' AND coalesce((SELECT 1 FROM oauth_token AS o WHERE o.network = oauth_token.network
		AND o.grant_id = oauth_token.grant_id AND o.grant_id <> '' AND o.used = 0 AND (o.expires = 0 OR o.expires > $2) LIMIT 1), 0) = 1)`

	// A grant that answers later requests, or has tokens.
	needed = `(revoked = 0 AND remember = 1 AND (expires = 0 OR expires > $2) OR coalesce((SELECT 1 FROM oauth_token AS o
		WHERE o.network = oauth_grant.network AND o.grant_id = oauth_grant.id AND o.grant_id <> '' LIMIT 1), 0) = 1)`
)

var looks = []look{
	{"keep used tokens", "UPDATE oauth_token SET kept_until = $4 WHERE (network, kind, hash) IN (" + dueTokens + ") AND " + ofLiveFamily, true},
	{"delete old tokens", "DELETE FROM oauth_token WHERE (network, kind, hash) IN (" + dueTokens + ") AND NOT " + ofLiveFamily, false},
	{"delete old aliases", `DELETE FROM oauth_alias WHERE (network, kind, alias) IN (
		SELECT d.network, d.kind, d.alias FROM oauth_alias AS d WHERE d.network + 0 = $1 AND d.kept_until <= $2 ORDER BY d.kept_until LIMIT $3)`, false},
	{"delete the tokens of revoked grants", `DELETE FROM oauth_token WHERE (network, kind, hash) IN (
		SELECT t.network, t.kind, t.hash FROM oauth_token AS t WHERE t.network + 0 = $1 AND t.grant_id <> '' AND t.grant_id IN (
		SELECT d.id FROM oauth_grant AS d WHERE d.network + 0 = $1 AND d.kept_until <= $2 AND d.revoked <> 0 ORDER BY d.kept_until LIMIT $3) LIMIT $3)`, false},
	{"keep grants", "UPDATE oauth_grant SET kept_until = $4 WHERE (network, id) IN (" + dueGrants + ") AND revoked = 0 AND " + needed, true},
	{"delete old grants", "DELETE FROM oauth_grant WHERE (network, id) IN (" + dueGrants + ") AND NOT " + needed, false},
	{"delete old logins", `DELETE FROM oauth_login WHERE (network, id) IN (
		SELECT d.network, d.id FROM oauth_login AS d WHERE d.network + 0 = $1 AND d.kept_until <= $2 ORDER BY d.kept_until LIMIT $3)`, false},
	{"delete old issuers", `DELETE FROM oauth_issuer WHERE (network, id) IN (
		SELECT d.network, d.id FROM oauth_issuer AS d WHERE d.network = $1 AND d.expires > 0 AND d.expires <= $2 LIMIT $3)`, false},
}

// Purge implements oauth.Store.
func (s *Store) Purge(ctx context.Context, now time.Time, limit int) (int64, error) {
	for {
		gone, delayed, err := s.purge(ctx, now, limit)
		if err != nil || gone > 0 || delayed == 0 {
			return gone, err
		}
	}
}

func (s *Store) purge(ctx context.Context, now time.Time, limit int) (gone, delayed int64, err error) {
	for _, l := range looks {
		args := []any{s.network, micros(now), int64(max(1, limit))}
		if l.delay {
			args = append(args, micros(now.Add(recheck)))
		}
		var n int64
		err := s.run.Write(ctx, l.doing, func(sc *script.Script) { sc.Count(&n, l.text, args...) })
		if err != nil {
			return gone, delayed, err
		}
		if l.delay {
			delayed += n
		} else {
			gone += n
		}
	}
	return gone, delayed, nil
}
