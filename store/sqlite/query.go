package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"sync"

	"github.com/cardea-iam/cardea/engine"
)

// queries keeps prepared statements by their text. There are few texts: one
// for each shape of a query.
type queries struct {
	db *sql.DB

	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

// known returns a statement that was prepared before, or nil.
func (p *queries) known(text string) *sql.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stmts[text]
}

func (p *queries) get(ctx context.Context, text string) (*sql.Stmt, error) {
	if stmt := p.known(text); stmt != nil {
		return stmt, nil
	}
	stmt, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.stmts[text]; other != nil {
		return other, stmt.Close()
	}
	if p.stmts == nil {
		p.stmts = map[string]*sql.Stmt{}
	}
	p.stmts[text] = stmt
	return stmt, nil
}

// A clause is a conjunction in SQL with its arguments.
type clause struct {
	terms []string
	args  []any
}

func (c *clause) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

func (c *clause) text() string { return strings.Join(c.terms, " AND ") }

// everyNamespace walks from one namespace to the next by index. It lets a query
// that fixes the object but not the namespace use the key of the table.
const everyNamespace = `namespace IN (
	WITH RECURSIVE n (name) AS (
		SELECT min(namespace) FROM tuple WHERE network = ?
		UNION ALL
		SELECT (SELECT min(namespace) FROM tuple WHERE network = ? AND namespace > n.name) FROM n WHERE n.name IS NOT NULL
	) SELECT name FROM n WHERE name IS NOT NULL)`

// from returns the table to select the tuples of q from.
func from(q engine.Query) string {
	if q.Subject != nil {
		return "tuple INDEXED BY tuple_by_subject"
	}
	return "tuple"
}

// filter returns the clause that selects the tuples of q at any revision. A
// column behind one that q leaves open cannot be sought, only tested; the plus
// tells SQLite so, which would otherwise sort by the columns after it.
func filter(network int64, q engine.Query) clause {
	var c clause
	c.add("network = ?", network)
	object, relation := "object = ?", "relation = ?"
	switch {
	case q.Namespace != nil:
		c.add("namespace = ?", *q.Namespace)
	case q.Subject == nil && q.Object != nil:
		c.add(everyNamespace, network, network)
	default:
		object, relation = "+object = ?", "+relation = ?"
	}
	if q.Object != nil {
		c.add(object, *q.Object)
	} else {
		relation = "+relation = ?"
	}
	if q.Relation != nil {
		c.add(relation, *q.Relation)
	}
	if q.Subject != nil {
		c.add("subject_namespace = ? AND subject_id = ? AND subject_relation = ?",
			q.Subject.Namespace, q.Subject.ID, q.Subject.Relation)
	}
	return c
}

// behind narrows c, the filter of q, to the tuples that come after t in the
// order of Tuple.Compare. It reports false if there can be none.
//
// Leading parts that q fixes are compared here rather than in SQL: the rest is
// then a range at the end of an index prefix, which SQLite seeks to.
func behind(c *clause, q engine.Query, t engine.Tuple) bool {
	parts := split(t)
	fixed := [...]*string{q.Namespace, q.Object, q.Relation}
	n := 0
	for ; n < len(fixed) && fixed[n] != nil; n++ {
		switch strings.Compare(*fixed[n], parts[n]) {
		case -1:
			return false
		case +1:
			return true
		}
	}
	end, op := len(parts), " > "
	if q.Subject != nil {
		// The subject is fixed as well. It only decides between t and a tuple
		// that agrees with t in all else.
		end = len(fixed)
		same := engine.Tuple{Subject: *q.Subject}.Compare(engine.Tuple{Subject: t.Subject}) <= 0
		if n == end {
			return !same
		}
		if !same {
			op = " >= "
		}
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", end-n), ", ")
	c.add("(" + strings.Join(columns[n:end], ", ") + ")" + op + "(" + marks + ")")
	for _, part := range parts[n:end] {
		c.args = append(c.args, part)
	}
	return true
}

func split(t engine.Tuple) [len(columns)]string {
	return [...]string{t.Object.Namespace, t.Object.ID, t.Relation, t.Subject.Namespace, t.Subject.ID, t.Subject.Relation}
}
