package pg

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
)

// columns are the parts of a tuple in the order of Tuple.Compare.
var columns = [...]string{"namespace", "object", "relation", "subject_namespace", "subject_id", "subject_relation"}

// list is columns as SQL text.
var list = strings.Join(columns[:], ", ")

// split returns the parts of t in the order of columns.
func split(t engine.Tuple) [len(columns)]string {
	return [...]string{t.Object.Namespace, t.Object.ID, t.Relation, t.Subject.Namespace, t.Subject.ID, t.Subject.Relation}
}

// filter appends the conditions that select the tuples of q at any revision.
func (s *Store) filter(st *statement, q engine.Query) {
	network := st.arg(s.network)
	st.sql("network = ", network)
	switch {
	case q.Namespace != nil:
		st.sql(" AND namespace = ", st.arg(*q.Namespace))
	case q.Subject == nil && q.Object != nil:
		if every := s.db.server.everyNamespace(network); every != "" {
			st.sql(" AND ", every)
		}
	}
	if q.Object != nil {
		st.sql(" AND object = ", st.arg(*q.Object))
	}
	if q.Relation != nil {
		st.sql(" AND relation = ", st.arg(*q.Relation))
	}
	if q.Subject != nil {
		st.sql(" AND subject_namespace = ", st.arg(q.Subject.Namespace), " AND subject_id = ", st.arg(q.Subject.ID),
			" AND subject_relation = ", st.arg(q.Subject.Relation))
	}
}

// behind appends the condition that narrows the filter of q to the tuples that
// come after t in the order of Tuple.Compare. It reports false if there can be
// none.
//
// Leading parts that q fixes are compared here rather than in SQL: the rest is
// then a range at the end of an index prefix, which the server seeks to.
func behind(st *statement, q engine.Query, t engine.Tuple) bool {
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
	st.sql(" AND ")
	row(st, columns[n:end], op, parts[n:end])
	return true
}

// row appends a comparison of columns with values, as rows.
func row(st *statement, columns []string, op string, values []string) {
	if len(columns) == 1 {
		st.sql(columns[0], op, st.arg(values[0]))
		return
	}
	st.sql("(", strings.Join(columns, ", "), ")", op, "(")
	for i, value := range values {
		if i > 0 {
			st.sql(", ")
		}
		st.sql(st.arg(value))
	}
	st.sql(")")
}

// collect returns a function that reads tuples, from the column first on, into out.
func (db *DB) collect(out *[]engine.Tuple, first int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		page := (*out)[:0]
		for rows.Next() {
			var last *engine.Tuple
			if n := len(page); n > 0 {
				last = &page[n-1]
			}
			page = append(page, tuple(rows.RawValues()[first:], last))
		}
		*out = page
		db.rows.Add(int64(len(page)))
		return rows.Err()
	}
}

// tuple makes a tuple of columns as they came. It uses the strings of last, which
// may be nil, where they are equal: in order most are, and a consumer that keeps
// tuples keeps them once.
func tuple(raw [][]byte, last *engine.Tuple) engine.Tuple {
	if last == nil {
		last = &engine.Tuple{}
	}
	return engine.Tuple{
		Object:   engine.Object{Namespace: text(raw[0], last.Object.Namespace), ID: text(raw[1], last.Object.ID)},
		Relation: text(raw[2], last.Relation),
		Subject:  subject(raw[3:], last.Subject),
	}
}

func subject(raw [][]byte, last engine.Subject) engine.Subject {
	return engine.Subject{
		Object:   engine.Object{Namespace: text(raw[0], last.Namespace), ID: text(raw[1], last.ID)},
		Relation: text(raw[2], last.Relation),
	}
}

func text(raw []byte, last string) string {
	if string(raw) == last {
		return last
	}
	return string(raw)
}
