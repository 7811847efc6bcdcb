package engine

import (
	"context"
	"iter"
	"slices"
)

// A ListedPage is a page of objects or subjects, in the order of their names.
type ListedPage[T any] struct {
	Items []T
	Next  string // token of the next page, "" after the last
	Token Token
}

// ObjectsPage is Objects, page by page. All pages are of the revision of the first;
// at counts for that one only.
//
// ErrPageToken, which is Invalid: the page's token is malformed, or of another
// query. Expired: the revision of the first page is no longer kept.
func (e *Engine) ObjectsPage(ctx context.Context, q ObjectQuery, p ListPage, at Consistency) (ListedPage[Object], error) {
	return listed(e, p, q, at, func(at Consistency) (iter.Seq2[Object, error], Token, error) {
		return e.Objects(ctx, q, at)
	}, func(o Object) Tuple { return Tuple{Object: o} })
}

// SubjectsPage is Subjects, page by page. Errors as for ObjectsPage.
func (e *Engine) SubjectsPage(ctx context.Context, q SubjectQuery, p ListPage, at Consistency) (ListedPage[Subject], error) {
	return listed(e, p, q, at, func(at Consistency) (iter.Seq2[Subject, error], Token, error) {
		return e.Subjects(ctx, q, at)
	}, func(s Subject) Tuple { return Tuple{Subject: s} })
}

// listed cuts a page out of what find yields. The place of an item in the order of
// all is that of a tuple.
func listed[T any](e *Engine, p ListPage, query any, at Consistency,
	find func(Consistency) (iter.Seq2[T, error], Token, error), place func(T) Tuple) (ListedPage[T], error) {
	var after *Tuple
	if p.Token != "" {
		from, err := e.parseCursor(p.Token, query)
		if err != nil {
			return ListedPage[T]{}, err
		}
		at, after = Consistency{Mode: Exact, Token: newToken(e.store.ID(), from.Revision)}, from.After
	}
	all, token, err := find(at)
	if err != nil {
		return ListedPage[T]{}, err
	}
	page := ListedPage[T]{Token: token}
	for item, err := range all {
		if err != nil {
			return ListedPage[T]{}, err
		}
		if after == nil || place(item).Compare(*after) > 0 {
			page.Items = append(page.Items, item)
		}
	}
	slices.SortFunc(page.Items, func(a, b T) int { return place(a).Compare(place(b)) })
	if p.Size <= 0 {
		p.Size = 100
	}
	if len(page.Items) > p.Size {
		page.Items = page.Items[:p.Size]
		rev, err := token.revision(e.store.ID())
		if err != nil {
			return ListedPage[T]{}, err
		}
		last := place(page.Items[p.Size-1])
		page.Next = e.newCursor(cursor{rev, &last}, query)
	}
	return page, nil
}
