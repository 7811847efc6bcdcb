package pg

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// plan asks the server how it would run a prepared statement whose arguments it
// does not look at.
func plan(t *testing.T, db *DB, text string, args []any) string {
	t.Helper()
	conn, err := db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	ctx := t.Context()
	sd, err := conn.Conn().Prepare(ctx, "planned", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	defer func() {
		if err := conn.Conn().Deallocate(context.WithoutCancel(ctx), "planned"); err != nil {
			t.Error(err)
		}
	}()
	nulls := "NULL"
	if n := len(sd.ParamOIDs); n > 1 {
		nulls += strings.Repeat(", NULL", n-1)
	} else if n == 0 {
		nulls = ""
	}
	if nulls != "" {
		nulls = "(" + nulls + ")"
	}
	rows, err := conn.Query(ctx, "EXPLAIN (COSTS OFF) EXECUTE planned"+nulls, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// seeks are the index scans of a plan with the columns that they seek by.
func seeks(plan string) (out []string) {
	lines := strings.Split(plan, "\n")
	scan := regexp.MustCompile(`Index (?:Only )?Scan(?: Backward)? using (\w+) on `)
	column := regexp.MustCompile(`\b(network|namespace|object|relation|subject_namespace|subject_id|subject_relation|removed|created|number|key|id|name|at)\b[^()]*? (?:=|<|>|<=|>=) `)
	for i, line := range lines {
		m := scan.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		var columns []string
		if i+1 < len(lines) && strings.Contains(lines[i+1], "Index Cond: ") {
			cond := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines[i+1]), "Index Cond:"))
			if row := regexp.MustCompile(`ROW\(([^)]*)\)`).FindStringSubmatch(cond); row != nil {
				cond = strings.Replace(cond, row[0], "", 1)
				for _, c := range strings.Split(row[1], ", ") {
					if !strings.HasPrefix(c, "$") {
						columns = append(columns, c+"+")
					}
				}
			}
			var before []string
			for _, m := range column.FindAllStringSubmatch(cond, -1) {
				before = append(before, m[1])
			}
			columns = append(before, columns...)
		}
		out = append(out, m[1]+"("+strings.Join(columns, " ")+")")
	}
	return out
}

// checkPlan sees that a statement seeks: each of its index scans must begin as one
// of those that are allowed, and nothing may read a table or sort one, but for few
// rows.
func checkPlan(t *testing.T, s *Store, name, text string, args []any, sorts bool, allowed ...string) {
	t.Helper()
	p := plan(t, s.db, text, args)
	scans := seeks(p)
	bad := strings.Contains(p, "Seq Scan") || !sorts && strings.Contains(p, "Sort") || len(scans) == 0 && len(allowed) > 0
	for _, scan := range scans {
		bad = bad || !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(scan, a) })
	}
	if bad {
		t.Errorf("%s: seeks %v, expected each to begin as one of %v\n%s\n%s", name, scans, allowed, text, p)
	}
}

// TestPlans asks PostgreSQL how it runs each kind of statement on a table that it
// knows, and those that matter most also on one that it knows nothing of.
func TestPlans(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("known=%v", known), func(t *testing.T) {
			db := openTest(t, testdb.Postgres(t), Options{deaf: true})
			s := networkTest(t, db, "default")
			fill(t, s, known)
			if known {
				checkPages(t, s)
			}
			checkTexts(t, s)
			checkLog(t, s)
			checkWrites(t, s)
		})
	}
}

// fill writes tuples and, if they are to be known, lets the server count them.
func fill(t *testing.T, s *Store, known bool) {
	t.Helper()
	var w engine.Write
	for i := range 30_000 {
		x := engine.Tuple{Object: engine.Object{Namespace: fmt.Sprint("ns", i%3), ID: fmt.Sprint(i / 10)}, Relation: fmt.Sprint("r", i%2),
			Subject: engine.SubjectSet("User", fmt.Sprint(i%997), "")}
		if i%50 == 0 {
			x.Subject.Relation = "member"
		}
		w.Updates = append(w.Updates, adding(x).Updates...)
	}
	write(t, s, w)
	object := "7"
	write(t, s, engine.Write{Delete: []engine.Query{{Object: &object}}})
	if !known {
		return
	}
	if _, err := s.db.pool.Exec(t.Context(), "VACUUM ANALYZE"); err != nil {
		t.Fatal(err)
	}
}

const (
	pkey      = "tuple_pkey(network"
	bySubject = "tuple_by_subject(network subject_namespace subject_id subject_relation"
	byCreated = "tuple_by_created(network created"
	byRemoved = "tuple_by_removed(network removed"
)

// checkPages looks at the pages of Read.
func checkPages(t *testing.T, s *Store) {
	x := tupleOf(t, "doc:1#view@User:ann")
	ns, object, relation, subject := &x.Object.Namespace, &x.Object.ID, &x.Relation, &x.Subject
	behind := x
	behind.Subject.ID = "aaa"
	at, err := s.db.server.parse("15:20:15")
	if err != nil {
		t.Fatal(err)
	}
	const tuple = "tuple_pkey(network namespace object relation subject_namespace subject_id subject_relation"
	for _, c := range []struct {
		name        string
		q           engine.Query
		sorts       bool
		first, next []string
	}{
		{"everything", engine.Query{}, false, []string{pkey + ")"}, []string{pkey + " namespace+ object+ relation+ subject_namespace+ subject_id+ subject_relation+"}},
		{"namespace", engine.Query{Namespace: ns}, false, []string{pkey + " namespace)"}, []string{pkey + " namespace object+ relation+ subject_namespace+"}},
		{"object", engine.Query{Namespace: ns, Object: object}, false, []string{pkey + " namespace object)"}, []string{pkey + " namespace object relation+ subject_namespace+"}},
		{"object and relation", engine.Query{Namespace: ns, Object: object, Relation: relation}, false, []string{pkey + " namespace object relation)"},
			[]string{pkey + " namespace object relation subject_namespace+ subject_id+ subject_relation+"}},
		{"one tuple", engine.Query{Namespace: ns, Object: object, Relation: relation, Subject: subject}, false,
			[]string{tuple, bySubject + " namespace object relation"}, []string{tuple, bySubject + " namespace object relation"}},
		{"subject", engine.Query{Subject: subject}, false, []string{bySubject + ")"}, []string{bySubject + " namespace+ object+ relation+"}},
		{"subject in a namespace", engine.Query{Namespace: ns, Subject: subject}, false, []string{bySubject + " namespace)"}, []string{bySubject + " namespace object+ relation+"}},
		{"subject of an object", engine.Query{Namespace: ns, Object: object, Subject: subject}, false, []string{pkey + " namespace object ", bySubject + " namespace object"},
			[]string{pkey + " namespace object relation ", bySubject + " namespace object relation"}},
		{"subject of a relation", engine.Query{Relation: relation, Subject: subject}, false, []string{bySubject + " relation"}, []string{bySubject + " relation namespace+"}},
		// First the namespaces, then the object in each.
		{"object anywhere", engine.Query{Object: object}, true, []string{pkey + ")", pkey + " namespace)", pkey + " namespace object"},
			[]string{pkey + ")", pkey + " namespace)", pkey + " namespace object"}},
		// These have to look at the whole table or namespace, in order.
		{"relation", engine.Query{Relation: relation}, false, []string{pkey + " relation)"}, []string{pkey + " relation namespace+"}},
		{"relation in a namespace", engine.Query{Namespace: ns, Relation: relation}, false, []string{pkey + " namespace relation)"}, []string{pkey + " namespace relation object+"}},
	} {
		st, _ := s.pageQuery(at, c.q, nil, 10)
		checkPlan(t, s, c.name, st.text.String(), st.args, c.sorts, c.first...)
		if st, ok := s.pageQuery(at, c.q, &behind, 10); ok {
			checkPlan(t, s, c.name+", next page", st.text.String(), st.args, c.sorts, c.next...)
		}
	}
}

// newest are the seeks for the last row of each index of a network.
var newest = []string{"tuple_by_created(network)", "tuple_by_removed(network)", "model_by_created(network)", "purged_pkey(network)", "network_pkey(id"}

func checkTexts(t *testing.T, s *Store) {
	start := []string{"network_pkey(id", "purged_pkey(network removed"}
	texts := &s.db.sql
	for i := range maxMarks {
		checkPlan(t, s, "start of the history", texts.kept[i], nil, false, start...)
		checkPlan(t, s, "tail", texts.tail[i], nil, true, append(newest, append(start, byCreated, byRemoved, "model_pkey(network", "model_by_created(network created")...)...)
	}
	checkPlan(t, s, "newest", texts.newest, nil, false, newest...)
	checkPlan(t, s, "rows of another server", texts.strange, nil, false, byCreated, byRemoved, "model_by_created(network created", "model_pkey(network")
	checkPlan(t, s, "sets", texts.sets, nil, false, pkey+" namespace object relation", "tuple_of_sets(network namespace object relation subject_relation",
		bySubject+" namespace object relation")
	checkPlan(t, s, "whole sets", texts.whole, nil, false, pkey+" namespace object relation")
	checkPlan(t, s, "horizon of a purge", texts.horizon, nil, false, byRemoved)
	checkPlan(t, s, "declaration of a purge", texts.declare, nil, true, byRemoved)
	checkPlan(t, s, "purge", texts.forget, nil, false, byRemoved)
	checkPlan(t, s, "oldest", trimOldest, nil, false, "network_pkey(id", "purged_pkey(network)")
	checkPlan(t, s, "purge of purges", texts.trim, nil, false, "network_pkey(id", "purged_pkey(network removed")
	checkPlan(t, s, "purge of keys", texts.requests, nil, false, "request_by_at(at")
}

func checkLog(t *testing.T, s *Store) {
	low, err := s.db.server.parse("5:7:5")
	if err != nil {
		t.Fatal(err)
	}
	high, err := s.db.server.parse("15:20:15")
	if err != nil {
		t.Fatal(err)
	}
	x := tupleOf(t, "doc:1#view@User:ann")
	for _, p := range s.logParts(low, high) {
		index := map[string]string{"created": byCreated, "removed": byRemoved}[p.column]
		st := p.query()
		checkPlan(t, s, "log of "+p.column, st.text.String(), st.args, true, index) // sorts the rows of one transaction
		p.from, p.at = &x, "3"
		st = p.query()
		checkPlan(t, s, "next page of the log of "+p.column, st.text.String(), st.args, true, index)
	}
}

// checkWrites looks at all statements of several kinds of writes.
func checkWrites(t *testing.T, s *Store) {
	x, y := tupleOf(t, "doc:1#view@User:ann"), tupleOf(t, "doc:2#view@User:ann")
	allowed := []string{"request_pkey(network key", "model_pkey(network", byCreated, byRemoved, bySubject,
		pkey + " namespace object relation subject_namespace subject_id subject_relation removed"}
	allowed = append(allowed, newest...)
	for i, w := range []engine.Write{adding(x), adding(x, y), removing(x), removing(x, y), {Delete: []engine.Query{{Subject: &x.Subject}}, Updates: adding(x, y).Updates}} {
		w.Key = "k"
		w.If = []engine.Precondition{{Query: engine.Query{Subject: &x.Subject}, Exists: true}}
		j := &job{s: s, w: w, expected: 1}
		j.inserts, j.deletes = lasting(w.Updates)
		b := &pgx.Batch{}
		j.queueLocks(b)
		j.queueChecks(b)
		for _, q := range w.Delete {
			for _, after := range []*engine.Tuple{nil, &x} {
				if st, ok := j.deletePage(q, after); ok {
					checkPlan(t, s, "deletion by query", st.text.String(), st.args, true, bySubject) // sorts to find the last
				}
			}
		}
		j.queueChanges(b, s.db.server.guard())
		for n, q := range b.QueuedQueries {
			if !strings.Contains(q.SQL, " FROM ") || strings.HasPrefix(q.SQL, "INSERT INTO tuple") || strings.Contains(q.SQL, "advisory") {
				continue
			}
			checkPlan(t, s, fmt.Sprintf("statement %d of write %d", n, i), q.SQL, q.Arguments, false, allowed...)
		}
	}
}
