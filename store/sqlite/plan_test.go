package sqlite

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/engine"
)

// TestPlans asks SQLite how it would run each kind of query. The common ones
// must seek to their first row in an index that has the right order, so that a
// page costs what it returns; none may sort.
func TestPlans(t *testing.T) {
	s := openMemory(t)
	x := tuple(t, "doc:1#view@User:ann")
	const (
		key       = "SEARCH tuple USING PRIMARY KEY (network=?"
		bySubject = "SEARCH tuple USING COVERING INDEX tuple_by_subject (network=? AND subject_namespace=? AND subject_id=? AND subject_relation=?"
	)
	ns, object, relation, subject := &x.Object.Namespace, &x.Object.ID, &x.Relation, &x.Subject
	behind := x
	behind.Subject.ID = "aaa"
	for _, c := range []struct {
		name        string
		q           engine.Query
		first, next string // the plan of the first page, and of one behind a tuple
	}{
		{"everything", engine.Query{}, key + ")",
			key + " AND (namespace,object,relation,subject_namespace,subject_id,subject_relation)>(?,?,?,?,?,?))"},
		{"namespace", engine.Query{Namespace: ns}, key + " AND namespace=?)",
			key + " AND namespace=? AND (object,relation,subject_namespace,subject_id,subject_relation)>(?,?,?,?,?))"},
		{"object", engine.Query{Namespace: ns, Object: object}, key + " AND namespace=? AND object=?)",
			key + " AND namespace=? AND object=? AND (relation,subject_namespace,subject_id,subject_relation)>(?,?,?,?))"},
		{"object and relation", engine.Query{Namespace: ns, Object: object, Relation: relation}, key + " AND namespace=? AND object=? AND relation=?)",
			key + " AND namespace=? AND object=? AND relation=? AND (subject_namespace,subject_id,subject_relation)>(?,?,?))"},
		{"one tuple", engine.Query{Namespace: ns, Object: object, Relation: relation, Subject: subject},
			bySubject + " AND namespace=? AND object=? AND relation=?)",
			bySubject + " AND namespace=? AND object=? AND relation=?)"},
		{"subject", engine.Query{Subject: subject}, bySubject + ")",
			bySubject + " AND (namespace,object,relation)>(?,?,?))"},
		{"subject in a namespace", engine.Query{Namespace: ns, Subject: subject}, bySubject + " AND namespace=?)",
			bySubject + " AND namespace=? AND (object,relation)>(?,?))"},
		{"object anywhere", engine.Query{Object: object}, key + " AND namespace=? AND object=?)", key + " AND namespace=? AND object=?)"},
		// These have to look at the whole table or namespace, in order.
		{"relation", engine.Query{Relation: relation}, key + ")",
			key + " AND (namespace,object,relation,subject_namespace,subject_id,subject_relation)>(?,?,?,?,?,?))"},
		{"relation in a namespace", engine.Query{Namespace: ns, Relation: relation}, key + " AND namespace=?)",
			key + " AND namespace=? AND (object,relation,subject_namespace,subject_id,subject_relation)>(?,?,?,?,?))"},
	} {
		text, args, _ := pageQuery(1, 1, c.q, nil, 10)
		checkPlan(t, s, c.name, text, args, c.first)
		text, args, _ = pageQuery(1, 1, c.q, &behind, 10)
		checkPlan(t, s, c.name+", next page", text, args, c.next)
		unordered := strings.TrimSuffix(c.first, ")")
		if unordered == key { // any index will do
			unordered = "SEARCH tuple USING"
		}
		text, args = existsQuery(1, c.q)
		checkPlan(t, s, c.name+", is there one", text, args, "SCAN CONSTANT ROW", unordered)
		text, args = deleteQuery(1, 1, c.q)
		checkPlan(t, s, c.name+", delete all", text, args, unordered)
	}
	for _, subject := range []*engine.Subject{nil, subject} { // whatever is left: no sorting
		for _, relation := range []*string{nil, relation} {
			q := engine.Query{Object: object, Relation: relation, Subject: subject}
			text, args, _ := pageQuery(1, 1, q, nil, 10)
			checkPlan(t, s, "object anywhere, and more", text, args, "")
			text, args, _ = pageQuery(1, 1, q, &behind, 10)
			checkPlan(t, s, "object anywhere, and more, next page", text, args, "")
		}
	}
	checkPlan(t, s, "subject sets", subjectSets, make([]any, 10), "SEARCH tuple USING COVERING INDEX tuple_of_sets (network=? AND "+
		"namespace=? AND object=? AND relation=? AND (subject_namespace,subject_id,subject_relation)>(?,?,?))")
	checkPlan(t, s, "newest removal", newestRemoval, make([]any, 2), "SEARCH tuple USING COVERING INDEX tuple_by_removed (network=? AND removed<?)")
	checkPlan(t, s, "old removals", deleteRemoved, make([]any, 3), "SEARCH tuple USING PRIMARY KEY (network=?", "tuple_by_removed (network=? AND removed<?)")
	checkPlan(t, s, "old keys", deleteKeys, make([]any, 2), "SEARCH request USING PRIMARY KEY (network=? AND key=?)", "request_by_at (at<?)")
	for op, column := range map[engine.Op]string{engine.Insert: "created", engine.Delete: "removed"} {
		const index = "SEARCH tuple USING COVERING INDEX tuple_by_"
		start, resume := logQueries(op, column)
		checkPlan(t, s, "log by "+column, start, make([]any, 4), index+column+" (network=? AND "+column+">? AND "+column+"<?)")
		checkPlan(t, s, "log by "+column+", next page", resume, make([]any, 10), index+column+
			" (network=? AND ("+column+",namespace,object,relation,subject_namespace,subject_id,subject_relation)>(?,?,?,?,?,?,?) AND "+column+"<?)")
	}
}

// checkPlan expects how the first step of the plan begins, what else it names, and
// that it sorts nothing.
func checkPlan(t *testing.T, s *Store, name, text string, args []any, first string, others ...string) {
	t.Helper()
	all := planOf(t, s.db, text, args)
	good := strings.HasPrefix(all, first) && !strings.Contains(all, "TEMP B-TREE")
	for _, other := range others {
		good = good && strings.Contains(all, other)
	}
	if !good {
		t.Errorf("%s: plan\n%s\nwant\n%s %q", name, all, first, others)
	}
}

// planOf is how SQLite would run a statement, a line for each step.
func planOf(t *testing.T, db *DB, text string, args []any) string {
	t.Helper()
	rows, err := db.reads.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}
