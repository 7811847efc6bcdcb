package grants

import (
	"context"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

// ofGrant and ofClient say of a token whether its grant lives, and whether its client
// is there. They are no joins, and no EXISTS, so that each look is one by key, however
// little the database knows about its tables.
const (
	ofGrant  = "(t.grant_id = '' OR (SELECT g.revoked FROM oauth_grant AS g WHERE g.network = t.network AND g.id = t.grant_id) = 0)"
	ofClient = "(t.client = '' OR (SELECT 1 FROM oauth_client AS c WHERE c.network = t.network AND c.id = t.client) = 1)"
)

// tokens returns what reads a token. polled is the column with the time of the last
// Poll.
func tokens(polled, hash string) string {
	return `SELECT t.kind, t.hash, t.alias, t.grant_id, t.client, t.subject, t.state, t.created, t.expires, t.used, t.pause, t.` + polled + `,
		CASE WHEN ` + ofGrant + " AND " + ofClient + ` THEN 0 ELSE 1 END, t.data
		FROM oauth_token AS t WHERE t.network = $1 AND t.kind = $2 AND t.hash = ` + hash
}

var (
	tokenByHash  = tokens("polled", "$3")
	tokenPolled  = tokens("polled_before", "$3")
	tokenByAlias = tokens("polled", "(SELECT a.hash FROM oauth_alias AS a WHERE a.network = $1 AND a.kind = $2 AND a.alias = $3)")
)

func scanToken(scan script.Scan) (t oauth.Token, err error) {
	var kind, state string
	var hash, alias []byte
	var created, expires, used, pause, polled, revoked int64
	err = scan(&kind, &hash, &alias, &t.Grant, &t.Client, &t.Subject, &state, &created, &expires, &used, &pause, &polled, &revoked, &t.Data)
	if err != nil {
		return t, err
	}
	if len(hash) != len(t.Hash) || len(alias) != 0 && len(alias) != len(t.Alias) {
		return t, errs.New(errs.Internal, "a token in the database has a hash of %d and an alias of %d bytes", len(hash), len(alias))
	}
	copy(t.Hash[:], hash)
	copy(t.Alias[:], alias)
	t.Kind, t.State, t.Revoked = oauth.Kind(kind), oauth.State(state), revoked != 0
	t.Created, t.Expires, t.Used, t.Polled = clock(created), clock(expires), clock(used), clock(polled)
	t.Pause = time.Duration(pause) * time.Microsecond
	return t, nil
}

// one returns what reads a row into t.
func one(t *oauth.Token, there *bool) func(script.Scan) error {
	return func(scan script.Scan) (err error) {
		*there = true
		*t, err = scanToken(scan)
		return err
	}
}

func noToken(kind oauth.Kind) error {
	return errs.New(errs.NotFound, "there is no such token of kind %.80q", kind)
}

func (s *Store) token(ctx context.Context, text string, kind oauth.Kind, hash oauth.Hash) (t oauth.Token, err error) {
	if !storable(string(kind)) {
		return t, noToken(kind)
	}
	there := false
	err = s.run.Read(ctx, "read a token", func(sc *script.Script) {
		there = false
		sc.Ask(one(&t, &there), text, s.network, string(kind), hash[:])
	})
	if err == nil && !there {
		err = noToken(kind)
	}
	return t, err
}

// Token implements oauth.Store.
func (s *Store) Token(ctx context.Context, kind oauth.Kind, hash oauth.Hash) (oauth.Token, error) {
	return s.token(ctx, tokenByHash, kind, hash)
}

// TokenByAlias implements oauth.Store.
func (s *Store) TokenByAlias(ctx context.Context, kind oauth.Kind, alias oauth.Hash) (oauth.Token, error) {
	return s.token(ctx, tokenByAlias, kind, alias)
}

// The NOT EXISTS is for scripts that are run again (G2). redeemed adds that the call
// with the mark has redeemed a token.
const (
	insertToken = `INSERT INTO oauth_token (network, kind, hash, alias, grant_id, client, subject, state,
		created, expires, used, polled, polled_before, kept_until, mark, data, pause)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, $11, $12, $13, $14
		WHERE NOT EXISTS (SELECT 1 FROM oauth_token WHERE network = $1 AND kind = $2 AND hash = $3 AND mark = $12)`
	insertTokenOf = insertToken +
		" AND EXISTS (SELECT 1 FROM oauth_client WHERE network = $1 AND id = $6 AND mark = $15)"
	insertTokenFor = insertToken +
		" AND EXISTS (SELECT 1 FROM oauth_token WHERE network = $1 AND kind = $15 AND hash = $16 AND mark = $12)"

	insertAlias = `INSERT INTO oauth_alias (network, kind, alias, hash, kept_until) SELECT $1, $2, $3, $4, $5
		WHERE NOT EXISTS (SELECT 1 FROM oauth_alias WHERE network = $1 AND kind = $2 AND alias = $3 AND hash = $4)`
	insertAliasFor = insertAlias +
		" AND EXISTS (SELECT 1 FROM oauth_token WHERE network = $1 AND kind = $6 AND hash = $7 AND mark = $8)"
)

func validTokens(ts []oauth.Token) error {
	for _, t := range ts {
		if err := valid("token", string(t.Kind), t.Grant, t.Client, t.Subject, string(t.State)); err != nil {
			return err
		}
		if t.Alias != (oauth.Hash{}) && t.Expires.IsZero() {
			return errs.New(errs.Invalid, "a token with an alias has no expiry")
		}
	}
	return nil
}

// putTokens adds tokens to a script: if r is not nil, only if the call with the mark
// has redeemed its token.
func (s *Store) putTokens(sc *script.Script, mark []byte, r *oauth.Redemption, ts []oauth.Token) {
	for _, t := range ts {
		token, alias := insertToken, insertAlias
		var when []any
		if r != nil {
			token, alias = insertTokenFor, insertAliasFor
			when = []any{string(r.Kind), r.Hash[:]}
		}
		sc.Do(token, append(s.tokenRow(t, mark), when...)...)
		if t.Alias == (oauth.Hash{}) {
			continue
		}
		if r != nil {
			when = append(when, mark)
		}
		sc.Do(alias, append([]any{s.network, string(t.Kind), t.Alias[:], t.Hash[:], keptUntil(t.Expires)}, when...)...)
	}
}

// tokenRow are the arguments of insertToken.
func (s *Store) tokenRow(t oauth.Token, mark []byte) []any {
	name := []byte{}
	if t.Alias != (oauth.Hash{}) {
		name = t.Alias[:]
	}
	return []any{s.network, string(t.Kind), t.Hash[:], name, t.Grant, t.Client, t.Subject, string(t.State),
		micros(t.Created), micros(t.Expires), keptUntil(t.Expires), mark, blob(t.Data), t.Pause.Microseconds()}
}

// PutTokenOf implements oauth.Store.
func (s *Store) PutTokenOf(ctx context.Context, client string, t oauth.Token) error {
	if t.Alias != (oauth.Hash{}) {
		return errs.New(errs.Invalid, "a token for a client as it is known has an alias")
	}
	if err := validTokens([]oauth.Token{t}); err != nil {
		return err
	}
	mark, n, again := newMark(), int64(0), false
	err := s.run.Write(ctx, "add a token", func(sc *script.Script) {
		again = sc.Again
		sc.Count(&n, insertTokenOf, append(s.tokenRow(t, mark), []byte(client))...)
	})
	if err == nil && n == 0 && again { // it may have been added the first time
		there := false
		err = s.run.Read(ctx, "read a token", func(sc *script.Script) {
			there = false
			sc.Ask(flag(&there), marked, s.network, string(t.Kind), t.Hash[:], mark)
		})
		n = truth(there)
	}
	if err == nil && n == 0 {
		err = errs.New(errs.Refused, "the client %.80q is not as it was", t.Client)
	}
	return err
}

// PutTokens implements oauth.Store.
func (s *Store) PutTokens(ctx context.Context, ts ...oauth.Token) error {
	if err := validTokens(ts); err != nil || len(ts) == 0 {
		return err
	}
	mark := newMark()
	return s.run.Write(ctx, "add tokens", func(sc *script.Script) { s.putTokens(sc, mark, nil, ts) })
}

const (
	// useToken decides who redeems a token. $5 is the time of a first use after which
	// it may be used again.
	useToken = `UPDATE oauth_token AS t SET used = CASE WHEN t.used = 0 THEN $4 ELSE t.used END, mark = $6
		WHERE t.network = $1 AND t.kind = $2 AND t.hash = $3 AND (t.used = 0 OR t.used > $5) AND (t.expires = 0 OR t.expires > $4)
		AND (t.kind <> 'device' OR t.state = 'accepted') AND ` + ofGrant + " AND " + ofClient

	marked = "SELECT 1 FROM oauth_token WHERE network = $1 AND kind = $2 AND hash = $3 AND mark = $4"

	replaceTokens = `DELETE FROM oauth_token WHERE network = $1 AND kind = $5 AND used = 0 AND mark <> $4 AND grant_id <> ''
		AND grant_id = (SELECT r.grant_id FROM oauth_token AS r WHERE r.network = $1 AND r.kind = $2 AND r.hash = $3 AND r.mark = $4)
		AND client = (SELECT r.client FROM oauth_token AS r WHERE r.network = $1 AND r.kind = $2 AND r.hash = $3 AND r.mark = $4)`
)

// Redeem implements oauth.Store.
func (s *Store) Redeem(ctx context.Context, r oauth.Redemption) error {
	if err := validTokens(r.Put); err != nil {
		return err
	}
	mark, won := newMark(), false
	since := int64(never)
	if r.Grace > 0 {
		since = micros(r.Now.Add(-r.Grace))
	}
	if storable(string(r.Kind)) {
		key := []any{s.network, string(r.Kind), r.Hash[:]}
		err := s.run.Write(ctx, "redeem a token", func(sc *script.Script) {
			won = false
			sc.Do(useToken, key[0], key[1], key[2], micros(r.Now), since, mark)
			for _, kind := range r.Replace {
				sc.Do(replaceTokens, key[0], key[1], key[2], mark, string(kind))
			}
			s.putTokens(sc, mark, &r, r.Put)
			sc.Ask(flag(&won), marked, key[0], key[1], key[2], mark)
		})
		if err != nil {
			return err
		}
	}
	if !won {
		return errs.New(errs.Conflict, "the token was used, revoked or not accepted, has expired, or is not there")
	}
	return nil
}

// Decide implements oauth.Store.
func (s *Store) Decide(ctx context.Context, t oauth.Token, now time.Time) error {
	if err := valid("token", string(t.Kind), t.Grant, t.Subject, string(t.State)); err != nil {
		return err
	}
	mark, won := newMark(), false
	err := s.run.Write(ctx, "settle a token", func(sc *script.Script) {
		won = false
		sc.Do(`UPDATE oauth_token SET state = $4, grant_id = $5, subject = $6, data = $7, mark = $8
			WHERE network = $1 AND kind = $2 AND hash = $3 AND state = '' AND used = 0 AND (expires = 0 OR expires > $9)`,
			s.network, string(t.Kind), t.Hash[:], string(t.State), t.Grant, t.Subject, blob(t.Data), mark, micros(now))
		sc.Ask(flag(&won), marked, s.network, string(t.Kind), t.Hash[:], mark)
	})
	if err == nil && !won {
		err = errs.New(errs.Conflict, "the token is not pending: it was settled, has expired, or is not there")
	}
	return err
}

// Poll implements oauth.Store. The time itself is the mark.
func (s *Store) Poll(ctx context.Context, kind oauth.Kind, hash oauth.Hash, now time.Time, penalty time.Duration) (t oauth.Token, err error) {
	if !storable(string(kind)) {
		return t, noToken(kind)
	}
	there := false
	err = s.run.Write(ctx, "poll a token", func(sc *script.Script) {
		there = false
		sc.Do(`UPDATE oauth_token SET polled_before = polled, polled = $4,
			pause = CASE WHEN polled > 0 AND polled + pause > $4 THEN pause + $5 ELSE pause END
			WHERE network = $1 AND kind = $2 AND hash = $3 AND polled <> $4`, s.network, string(kind), hash[:], micros(now), penalty.Microseconds())
		sc.Ask(one(&t, &there), tokenPolled, s.network, string(kind), hash[:])
	})
	if err == nil && !there {
		err = noToken(kind)
	}
	return t, err
}

// DeleteTokens implements oauth.Store.
func (s *Store) DeleteTokens(ctx context.Context, q oauth.TokenQuery) (int64, error) {
	if q == (oauth.TokenQuery{}) || !storable(string(q.Kind), q.Client, q.Grant) {
		return 0, nil
	}
	f := s.filter()
	f.equal("kind", string(q.Kind))
	if q.Hash != (oauth.Hash{}) {
		if q.Kind == "" {
			return 0, errs.New(errs.Invalid, "a hash selects tokens of one kind: expected it")
		}
		f.and("hash = ", f.arg(q.Hash[:]))
	}
	f.equal("client", q.Client)
	if f.equal("grant_id", q.Grant); q.Grant != "" {
		f.and("grant_id <> ''") // names the index
	}
	these := " FROM oauth_token WHERE " + f.text.String()
	return s.drain(ctx, "delete tokens",
		"DELETE FROM oauth_token WHERE (network, kind, hash) IN (SELECT network, kind, hash"+these+" LIMIT "+batch+")",
		"SELECT 1"+these+" LIMIT 1", f.args...)
}
