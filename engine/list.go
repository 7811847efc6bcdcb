package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A ListPage says which part of a list is wanted.
type ListPage struct {
	Size  int    // tuples at most; 0 or less: 100
	Token string // what the page before returned as Next; "": the first page
}

// A List is a page of stored tuples, in the order of Tuple.Compare.
type List struct {
	Tuples []Tuple
	Next   string // token of the next page, "" after the last
	Token  Token
}

// ErrPageToken is the error of a page token that is malformed, or belongs to
// another query or store.
var ErrPageToken = errs.New(errs.Invalid, "invalid pagination token")

// List returns the stored tuples that match q. All pages of a list come from the
// revision of its first page, so that none shows twice and none is missed
// whatever is written meanwhile; at counts for the first page only.
//
// NotFound: q names a namespace that the model lacks and that has no tuples.
// ErrPageToken, which is Invalid: as it says.
// Expired: the list's revision is no longer kept.
func (e *Engine) List(ctx context.Context, q Query, p ListPage, at Consistency) (List, error) {
	s, err := e.at(ctx, at)
	if err != nil {
		return List{}, err
	}
	if err := q.Validate(); err != nil {
		return List{}, err
	}
	from := cursor{Revision: s.revision}
	if p.Token != "" {
		if from, err = e.parseCursor(p.Token, q); err != nil {
			return List{}, err
		}
	}
	if p.Size <= 0 {
		p.Size = 100
	}
	// One more than asked for tells whether there is a next page.
	var found []Tuple
	for t, err := range e.store.Read(ctx, from.Revision, q, Page{After: from.After, Limit: p.Size + 1}) {
		if err != nil {
			return List{}, err
		}
		found = append(found, t)
	}
	if len(found) == 0 && q.Namespace != nil && !s.declares(*q.Namespace) {
		return List{}, unknownNamespace(*q.Namespace)
	}
	list := List{Tuples: found, Token: newToken(e.store.ID(), from.Revision)}
	if len(found) > p.Size {
		list.Tuples = found[:p.Size]
		list.Next = e.newCursor(cursor{from.Revision, &found[p.Size-1]}, q)
	}
	return list, nil
}

// A cursor is the inside of a page token: the revision of the list and the last
// tuple seen. It is bound to the store and the query by a checksum. It is no
// secret, and with a forged one a caller gets no more than with a query.
type cursor struct {
	Revision Revision
	After    *Tuple
}

func (e *Engine) newCursor(c cursor, q any) string {
	body, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings only
	}
	sum, err := json.Marshal(e.cursorSum(body, q))
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(append(sum, '.'), body...))
}

func (e *Engine) parseCursor(token string, q any) (cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return cursor{}, ErrPageToken
	}
	head, body, _ := strings.Cut(string(raw), ".")
	var sum uint32
	var c cursor
	if json.Unmarshal([]byte(head), &sum) != nil || sum != e.cursorSum([]byte(body), q) {
		return cursor{}, ErrPageToken
	}
	if json.Unmarshal([]byte(body), &c) != nil || c.After == nil {
		return cursor{}, ErrPageToken
	}
	return c, nil
}

func (e *Engine) cursorSum(body []byte, q any) uint32 {
	id := e.store.ID()
	query, err := json.Marshal(q)
	if err != nil {
		panic(err)
	}
	sum := crc32.ChecksumIEEE(id[:])
	sum = crc32.Update(sum, crc32.IEEETable, query)
	return crc32.Update(sum, crc32.IEEETable, body)
}
