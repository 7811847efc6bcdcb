package sqlite

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cardea-iam/cardea/engine"
)

// TestContents hashes random writes of few and short parts, which an ambiguous
// encoding would confuse.
func TestContents(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	text := func() string { return []string{"", "\x00", "\x01", "\x01\x00"}[r.IntN(4)] }
	query := func() engine.Query {
		var q engine.Query
		for _, field := range []**string{&q.Namespace, &q.Object, &q.Relation} {
			if r.IntN(3) == 0 {
				s := text()
				*field = &s
			}
		}
		if r.IntN(4) == 0 {
			q.Subject = &engine.Subject{Object: engine.Object{Namespace: text(), ID: text()}, Relation: text()}
		}
		return q
	}
	seen := map[[32]byte]string{}
	for range 100_000 {
		var w engine.Write
		for range r.IntN(3) {
			w.If = append(w.If, engine.Precondition{Query: query(), Exists: r.IntN(2) == 0})
		}
		for range r.IntN(3) {
			w.Delete = append(w.Delete, query())
		}
		for range r.IntN(2) {
			w.Updates = append(w.Updates, engine.Update{Op: engine.Op(1 + r.IntN(2)), Tuple: engine.Tuple{
				Object: engine.Object{Namespace: text(), ID: text()}, Relation: text(),
				Subject: engine.Subject{Object: engine.Object{Namespace: text(), ID: text()}, Relation: text()}}})
		}
		printed := printWrite(w)
		hash := contents(w)
		if other, found := seen[hash]; found && other != printed {
			t.Fatalf("two writes have one hash:\n%s\n%s", printed, other)
		}
		seen[hash] = printed
		w.Key, w.Model = "k", 7
		if contents(w) != hash {
			t.Fatal("the key or the model are part of the hash")
		}
	}
}

// printWrite follows the pointers, as %v does not.
func printWrite(w engine.Write) string {
	query := func(q engine.Query) string {
		out := ""
		for _, p := range []*string{q.Namespace, q.Object, q.Relation} {
			if p == nil {
				out += "*,"
			} else {
				out += fmt.Sprintf("%q,", *p)
			}
		}
		if q.Subject == nil {
			return out + "*"
		}
		return out + fmt.Sprintf("%q %q %q", q.Subject.Namespace, q.Subject.ID, q.Subject.Relation)
	}
	out := ""
	for _, p := range w.If {
		out += fmt.Sprintf("if %v %s; ", p.Exists, query(p.Query))
	}
	for _, q := range w.Delete {
		out += fmt.Sprintf("delete %s; ", query(q))
	}
	return out + fmt.Sprintf("%q", w.Updates)
}
