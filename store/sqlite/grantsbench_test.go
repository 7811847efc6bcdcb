package sqlite_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/grants"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// BenchmarkGrants is what a token costs, in memory.
func BenchmarkGrants(b *testing.B) {
	db := open(b, sqlite.Memory)
	b.Cleanup(func() { db.Close() })
	r, err := db.Runner(b.Context(), "default")
	if err != nil {
		b.Fatal(err)
	}
	s := grants.New(r)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, err := range []error{
		s.CreateClient(b.Context(), oauth.ClientRow{ID: "app", Version: 1, Data: make([]byte, 1000)}),
		s.PutGrant(b.Context(), oauth.Grant{ID: "g", Client: "app", Subject: "ann", Created: now}, nil),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	made := func(kind oauth.Kind) oauth.Token {
		t := oauth.Token{Kind: kind, Grant: "g", Client: "app", Subject: "ann", Created: now, Expires: now.Add(time.Hour), Data: make([]byte, 300)}
		rand.Read(t.Hash[:])
		return t
	}
	one := made(oauth.Access)
	if err := s.PutTokens(b.Context(), one); err != nil {
		b.Fatal(err)
	}
	for name, do := range map[string]func(t oauth.Token) error{
		"Client":    func(oauth.Token) error { _, err := s.Client(b.Context(), "app"); return err },
		"Token":     func(oauth.Token) error { _, err := s.Token(b.Context(), oauth.Access, one.Hash); return err },
		"PutTokens": func(t oauth.Token) error { return s.PutTokens(b.Context(), t) },
		"PutRedeem": func(t oauth.Token) error {
			if err := s.PutTokens(b.Context(), t); err != nil {
				return err
			}
			return s.Redeem(b.Context(), oauth.Redemption{Kind: t.Kind, Hash: t.Hash, Now: now, Put: []oauth.Token{made(oauth.Access), made(oauth.Refresh)}})
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := do(made(oauth.Refresh)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
