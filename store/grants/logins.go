package grants

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

const loginColumns = "id, subject, authenticated, remember, expires, data"

func scanLogin(scan script.Scan) (l oauth.Login, err error) {
	var authenticated, remember, expires int64
	err = scan(&l.ID, &l.Subject, &authenticated, &remember, &expires, &l.Data)
	l.Authenticated, l.Remember, l.Expires = clock(authenticated), remember != 0, clock(expires)
	return l, err
}

func (s *Store) putLogin(sc *script.Script, mark []byte, l oauth.Login) {
	sc.Do(`INSERT INTO oauth_login (network, id, subject, authenticated, remember, expires, ended, kept_until, mark, data)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9)
		ON CONFLICT (network, id) DO UPDATE SET subject = excluded.subject, authenticated = excluded.authenticated, remember = excluded.remember,
		expires = excluded.expires, kept_until = excluded.kept_until, mark = excluded.mark, data = excluded.data
		WHERE oauth_login.ended = 0`,
		s.network, l.ID, l.Subject, micros(l.Authenticated), truth(l.Remember), micros(l.Expires), keptUntil(l.Expires), mark, blob(l.Data))
}

// PutLogin implements oauth.Store.
func (s *Store) PutLogin(ctx context.Context, l oauth.Login) error {
	if err := valid("login", l.ID, l.Subject); err != nil {
		return err
	}
	mark := newMark()
	return s.run.Write(ctx, "write a login", func(sc *script.Script) { s.putLogin(sc, mark, l) })
}

// Login implements oauth.Store.
func (s *Store) Login(ctx context.Context, id string) (l oauth.Login, err error) {
	if !storable(id) {
		return l, notFound("login", id)
	}
	there := false
	err = s.run.Read(ctx, "read a login", func(sc *script.Script) {
		there = false
		sc.Ask(func(scan script.Scan) (err error) {
			there = true
			l, err = scanLogin(scan)
			return err
		}, "SELECT "+loginColumns+" FROM oauth_login WHERE network = $1 AND id = $2 AND ended = 0", s.network, id)
	})
	if err == nil && !there {
		err = notFound("login", id)
	}
	return l, err
}

// Logins implements oauth.Store.
func (s *Store) Logins(ctx context.Context, subject string) (ls []oauth.Login, err error) {
	if subject == "" || !storable(subject) {
		return nil, nil
	}
	err = s.run.Read(ctx, "read logins", func(sc *script.Script) {
		ls = nil
		sc.Ask(func(scan script.Scan) error {
			l, err := scanLogin(scan)
			ls = append(ls, l)
			return err
		}, "SELECT "+loginColumns+" FROM oauth_login WHERE network = $1 AND subject = $2 AND ended = 0", s.network, subject)
	})
	sortLogins(ls)
	return ls, err
}

// sortLogins is not done in SQL, where the order would lead some databases to the key
// rather than to the subject.
func sortLogins(ls []oauth.Login) {
	slices.SortFunc(ls, func(a, b oauth.Login) int { return strings.Compare(a.ID, b.ID) })
}

// EndLogins implements oauth.Store.
func (s *Store) EndLogins(ctx context.Context, id, subject string, now time.Time) (ls []oauth.Login, err error) {
	f := s.filter()
	f.equal("id", id)
	f.equal("subject", subject)
	if f.n == 0 || !storable(id, subject) {
		return nil, nil
	}
	where, mark := " WHERE "+f.text.String(), newMark()
	args := append(f.args[:len(f.args):len(f.args)], mark)
	marked := " AND mark = $" + strconv.Itoa(len(args))
	set := "ended = " + f.arg(micros(now)) + ", kept_until = " + f.arg(micros(now.Add(tombstone))) + ", mark = " + f.arg(mark)
	err = s.run.Write(ctx, "end logins", func(sc *script.Script) {
		ls = nil
		sc.Do("UPDATE oauth_login SET "+set+where+" AND ended = 0", f.args...)
		sc.Ask(func(scan script.Scan) error {
			l, err := scanLogin(scan)
			ls = append(ls, l)
			return err
		}, "SELECT "+loginColumns+" FROM oauth_login"+where+marked, args...)
	})
	sortLogins(ls)
	return ls, err
}
