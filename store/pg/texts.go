package pg

import (
	"fmt"
	"strings"
)

// texts are the statements that do not depend on what is asked for.
type texts struct {
	server server

	newest      string
	strange     string           // for belongs
	kept, tail  [maxMarks]string // by the number of marks, less one
	sets, whole string

	horizon, declare, forget, trim, requests string // of Purge
}

// maxMarks is how many marks a position has at most.
const maxMarks = 2

func newTexts(on server) texts {
	t := texts{server: on}
	t.newest = "SELECT " + on.head("$1")
	for i := range maxMarks {
		t.kept[i] = "SELECT (SELECT oldest FROM network WHERE id = $1)::text, " + t.lacksText(2, i+1)
		t.tail[i] = t.tailText(i + 1)
	}
	t.sets = t.setsText()
	t.whole = t.wholeText()
	ahead := func(table, column string) string {
		return "EXISTS (SELECT 1 FROM " + table + " WHERE network = $1 AND " + on.foreign(column) + " AND " + column + " < " + on.living() + ")"
	}
	t.strange = "SELECT " + ahead("tuple", "created") + " OR " + ahead("tuple", "removed") + " OR " + ahead("model", "created")
	old := " FROM tuple WHERE network = $1 AND removed < " + on.living()
	t.horizon = "SELECT removed::text AS mark, removed_at < $2" + old + " AND " + on.settled("removed") + " ORDER BY removed LIMIT $3"
	t.declare = "INSERT INTO purged (network, removed) SELECT DISTINCT network, removed" + old + " AND removed <= $2 ON CONFLICT DO NOTHING"
	t.forget = on.deleteSome("tuple", "network = $1 AND removed < "+on.living()+" AND removed <= $2", "removed", "$3")
	t.trim = on.deleteSome("purged", "network = $1 AND removed <= (SELECT oldest FROM network WHERE id = $1)", "removed", "$2")
	t.requests = on.deleteSome("request", "at < $1", "at", "$2")
	return t
}

// lacksText is whether the history begins behind a position wherever it starts,
// because that does not show all whose removals were purged.
//
//	$1 network, from first on the marks of the position
func (t *texts) lacksText(first, marks int) string {
	var lacks []string
	for _, newer := range t.server.newer("removed", first, marks) {
		lacks = append(lacks, "EXISTS (SELECT 1 FROM purged WHERE network = $1 AND "+newer+")")
	}
	return "CASE WHEN " + strings.Join(lacks, " OR ") + " THEN 'expired' ELSE '' END"
}

// visible is whether a row of tuple is there at param.
func (t *texts) visible(param string) string {
	return t.server.seen("created", param) + " AND NOT " + t.server.seen("removed", param)
}

const membersOf = "network = $1 AND namespace = s.namespace AND object = s.object AND relation = s.relation"

// setsText reads sets in one statement: for each its members if there are few,
// else its subject sets and whether the one that was named is among the rest.
//
//	$1 network, $2 to $7 the sets by column, $8 the revision, $9 the limit, $10 the limit and one
func (t *texts) setsText() string {
	const arrays = "array_agg(x.subject_namespace) AS namespaces, array_agg(x.subject_id) AS ids, array_agg(x.subject_relation) AS relations"
	const columns = "subject_namespace, subject_id, subject_relation"
	visible := t.visible("$8")
	return `SELECT s.i, few.n > $9,
	CASE WHEN few.n > $9 THEN groups.namespaces ELSE few.namespaces END,
	CASE WHEN few.n > $9 THEN groups.ids ELSE few.ids END,
	CASE WHEN few.n > $9 THEN groups.relations ELSE few.relations END,
	named.n
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
	WITH ORDINALITY AS s (namespace, object, relation, member_namespace, member_id, member_relation, i)
CROSS JOIN LATERAL (SELECT count(*) AS n, ` + arrays + ` FROM (
	SELECT ` + columns + ` FROM tuple WHERE ` + membersOf + ` AND ` + visible + `
	ORDER BY ` + columns + ` LIMIT $10) AS x) AS few
CROSS JOIN LATERAL (SELECT ` + arrays + ` FROM (
	SELECT ` + columns + ` FROM tuple WHERE few.n > $9 AND ` + membersOf + ` AND subject_relation > '' AND ` + visible + `) AS x) AS groups
CROSS JOIN LATERAL (SELECT count(*) AS n FROM tuple WHERE few.n > $9 AND ` + membersOf + ` AND subject_namespace = s.member_namespace
	AND subject_id = s.member_id AND subject_relation = s.member_relation AND ` + visible + `) AS named
WHERE ` + casts(2, 7)
}

// wholeText reads the first members of sets.
//
//	$1 network, $2 to $4 the sets by column, $5 the revision, $6 the limit
func (t *texts) wholeText() string {
	const columns = "subject_namespace, subject_id, subject_relation"
	return `SELECT s.i, x.subject_namespace, x.subject_id, x.subject_relation
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS s (namespace, object, relation, i)
CROSS JOIN LATERAL (SELECT ` + columns + ` FROM tuple WHERE ` + membersOf + ` AND ` + t.visible("$5") + `
	ORDER BY ` + columns + ` LIMIT $6) AS x
WHERE ` + casts(2, 4)
}

// casts repeats the types of array parameters outside of FROM, since CockroachDB
// does not see them there.
func casts(first, last int) string {
	var terms []string
	for i := first; i <= last; i++ {
		terms = append(terms, fmt.Sprintf("$%d::text[] IS NOT NULL", i))
	}
	return strings.Join(terms, " AND ")
}

// tailText reads the head with the start of the history, and what is new there: first
// what went, then what came, then models. What came and went in between does not show.
//
//	$1 network, $2 the limit of each part, $3 the old revision, $4 on its marks
func (t *texts) tailText(marks int) string {
	parts := []string{"SELECT 'h', " + t.server.head("$1") + ", oldest::text, " + t.lacksText(4, marks) + ", '', '', '' FROM network WHERE id = $1"}
	lives := t.server.lives("removed")
	for _, newer := range t.server.newer("removed", 4, marks) {
		parts = append(parts, "(SELECT 'd', "+list+" FROM tuple WHERE network = $1 AND removed < "+t.server.living()+
			" AND "+newer+" AND "+t.server.seen("created", "$3")+" LIMIT $2)")
	}
	for _, newer := range t.server.newer("created", 4, marks) {
		parts = append(parts, "(SELECT 'i', "+list+" FROM tuple WHERE network = $1 AND "+lives+" AND "+newer+" LIMIT $2)")
	}
	for _, newer := range t.server.newer("created", 4, marks) {
		parts = append(parts, "(SELECT 'm', number::text AS digits, revision, "+micros+", source, '', '' FROM model WHERE network = $1 AND "+newer+" ORDER BY number LIMIT $2)")
	}
	return strings.Join(parts, "\nUNION ALL ")
}

// micros is when a model came, in microseconds since 1970, as text.
const micros = "round(extract(epoch FROM at) * 1000000)::bigint::text"
