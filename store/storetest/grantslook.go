package storetest

import (
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// lookSeesAll: a look finds what the single questions find, in any combination.
func lookSeesAll(w *warden) {
	w.client("app")
	w.grant("g", "app")
	t := w.made(oauth.Code, "g")
	w.put(t)
	row, err := w.Client(w.ctx, "app")
	w.must(err)
	grants, err := w.Grants(w.ctx, oauth.GrantQuery{ID: "g"})
	w.must(err)
	token := w.token(t)
	for i := range 1 << 6 {
		l, want := oauth.Look{}, oauth.Seen{}
		has := func(bit int) bool { return i&(1<<bit) != 0 }
		if has(0) {
			if l.Client = "nobody"; has(1) {
				l.Client, want.Client = "app", &row
			}
		}
		if has(2) {
			if l.Kind, l.Hash = oauth.Access, t.Hash; has(3) {
				l.Kind, want.Token = oauth.Code, &token
			}
		}
		if has(4) {
			if l.Grants.ID = "none"; has(5) {
				l.Grants.ID, want.Grants = "g", grants
			}
		}
		seen, err := w.Look(w.ctx, l)
		w.must(err)
		w.same(seen.Mark != "", want.Client != nil)
		seen.Mark = ""
		w.same(seen, want)
	}
	bad := oauth.Look{Client: "a\x00", Kind: "\xff", Grants: oauth.GrantQuery{ID: "\x00"}}
	seen, err := w.Look(w.ctx, bad)
	w.must(err)
	w.same(seen, oauth.Seen{})
}

// lookKnowsClients: who knows a client by its mark does not get its data again, until
// anything about it changes.
func lookKnowsClients(w *warden) {
	c := oauth.ClientRow{ID: "app", Version: 1, Created: w.now, Updated: w.now, Data: []byte("data")}
	marks := map[string]bool{}
	changed := func(err error) {
		w.Helper()
		w.must(err)
		for mark := range marks {
			seen, err := w.Look(w.ctx, oauth.Look{Client: "app", Mark: mark})
			w.must(err)
			w.same(string(seen.Client.Data), "data")
		}
		seen, err := w.Look(w.ctx, oauth.Look{Client: "app"})
		w.must(err)
		w.same(string(seen.Client.Data), "data")
		marks[seen.Mark] = true
		again, err := w.Look(w.ctx, oauth.Look{Client: "app", Mark: seen.Mark})
		w.must(err)
		w.same(again.Mark, seen.Mark)
		w.same(len(again.Client.Data), 0)
		w.same(again.Client.Updated, seen.Client.Updated)
	}
	changed(w.CreateClient(w.ctx, c))
	changed(w.UpdateClient(w.ctx, c)) // with nothing new
	c.Version, c.Updated = 2, w.at(time.Second)
	changed(w.UpdateClient(w.ctx, c))
	w.must(w.DeleteClient(w.ctx, "app"))
	seen, err := w.Look(w.ctx, oauth.Look{Client: "app", Mark: "x"})
	w.must(err)
	w.same(seen, oauth.Seen{})
	c.Version, c.Updated = 1, w.now
	changed(w.CreateClient(w.ctx, c)) // as it was at first
	w.same(len(marks), 4)
}

// tokenOfAKnownClient is added while the client is the one that is known, and not after
// any change of it.
func tokenOfAKnownClient(w *warden) {
	c := oauth.ClientRow{ID: "app", Version: 1, Created: w.now, Updated: w.now}
	w.must(w.CreateClient(w.ctx, c))
	w.must(w.other.CreateClient(w.ctx, c))
	mark := func(w *warden) string {
		seen, err := w.Look(w.ctx, oauth.Look{Client: "app"})
		w.must(err)
		return seen.Mark
	}
	made := func() oauth.Token {
		t := w.made(oauth.Access, "")
		t.Client = "app"
		return t
	}
	refused := func(mark string, t oauth.Token) {
		w.Helper()
		w.fails(w.PutTokenOf(w.ctx, mark, t), errs.Refused)
		w.gone(t)
	}
	first, t := mark(w), made()
	w.must(w.PutTokenOf(w.ctx, first, t))
	w.same(w.token(t), t)
	w.fails(w.PutTokenOf(w.ctx, first, t), errs.Conflict)
	refused(mark(w.other), made())
	refused("", made())
	stray := made()
	stray.Client = "nobody"
	refused(first, stray)
	stray.Client = ""
	refused(first, stray)
	alias := made()
	alias.Alias = hash()
	w.fails(w.PutTokenOf(w.ctx, first, alias), errs.Invalid)
	alias.Alias, alias.Client = oauth.Hash{}, "a\x00"
	w.fails(w.PutTokenOf(w.ctx, first, alias), errs.Invalid)

	w.must(w.UpdateClient(w.ctx, c)) // with nothing new
	refused(first, made())
	second := mark(w)
	w.must(w.PutTokenOf(w.ctx, second, made()))
	w.must(w.DeleteClient(w.ctx, "app"))
	refused(second, made())
	w.must(w.CreateClient(w.ctx, c))
	refused(first, made())
	refused(second, made())
	w.must(w.PutTokenOf(w.ctx, mark(w), made()))
}
