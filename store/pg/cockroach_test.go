package pg

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-iam/cardea/engine"
)

// cockroachTexts are the statements for CockroachDB, as a store would send them.
func cockroachTexts(t *testing.T) map[string]string {
	t.Helper()
	on := &cockroach{}
	sql := newTexts(on)
	s := &Store{db: &DB{server: on, sql: sql}, network: 1}
	all := map[string]string{
		"newest": sql.newest, "strange": sql.strange, "kept": sql.kept[0], "tail": sql.tail[0], "sets": sql.sets, "whole": sql.whole,
		"horizon": sql.horizon, "declare": sql.declare, "forget": sql.forget, "trim": sql.trim, "requests": sql.requests,
	}
	ts := tuplesOf(t, "doc:0#view@ann", "doc:1#view@ann")
	j := newJob(s, engine.Write{Key: "k", Model: 1, If: []engine.Precondition{{Exists: true}}, Delete: []engine.Query{{}}})
	j.counted = true
	b := &pgx.Batch{}
	j.queueChecks(b)
	for n := range len(ts) {
		j.inserts, j.deletes = ts[:n+1], ts[:n+1]
		j.queueTuples(b, "")
	}
	j.queueMark(b, "")
	j.queueModel(b, "")
	page, _ := j.deletePage(engine.Query{}, &ts[0])
	all["page"] = page.text.String()
	for _, q := range b.QueuedQueries {
		all[q.SQL] = q.SQL
	}
	return all
}

// TestCockroachTexts: the statements for CockroachDB avoid what its old versions do badly,
// which are seldom at hand to try.
func TestCockroachTexts(t *testing.T) {
	texts := cockroachTexts(t)
	if len(texts) < 20 {
		t.Errorf("there are %d texts", len(texts))
	}
	for what, pattern := range map[string]string{
		// The function is none of those whose value a plan may seek.
		"a search of the log for the time of the transaction": `(created|removed) (=|>|>=) cluster_logical_timestamp\(\) AND (created|removed)|EXISTS \([^()]*> cluster_logical_timestamp\(\)`,
		"rows of keys, for which the table is read":           `\) IN \(SELECT`,
		"what is PostgreSQL's alone":                          `ctid|xid8|pg_current|set_config|advisory|COLLATE|NULLS|ANY\(ARRAY\(SELECT`,
	} {
		for name, text := range texts {
			if found := regexp.MustCompile(pattern).FindString(text); found != "" {
				t.Errorf("%s has %s: %s", name, what, found)
			}
		}
	}
	// A parameter that is cast inside FROM is a text, unless a cast outside says more.
	for name, text := range texts {
		for _, array := range regexp.MustCompile(`\$\d+::text\[\]`).FindAllString(text, -1) {
			if strings.Contains(text, "FROM unnest(") || strings.Contains(text, "FROM (SELECT $1::int, unnest(") {
				if !strings.Contains(text, array+" IS NOT NULL") {
					t.Errorf("%s does not repeat the type of %s", name, array)
				}
			}
		}
	}
}

func TestCockroachScript(t *testing.T) {
	const text = "DELETE FROM t WHERE a = (SELECT b FROM u WHERE c = $1) AND (SELECT d FROM u) = 1"
	if got := (&cockroach{}).script(text); got != "DELETE FROM t WHERE a IN (SELECT b FROM u WHERE c = $1) AND (SELECT d FROM u) = 1" {
		t.Error(got)
	}
}

// TestCockroachSure: what may have been committed is told apart from what was not.
func TestCockroachSure(t *testing.T) {
	for code, sure := range map[string]bool{
		"40001": true, "23505": true, "42P01": true, "0A000": true, "53200": true,
		"40003": false, "57014": false, "57P01": false, "58C01": false, "XXUUU": false, "XX000": false, "08006": false,
	} {
		if got := (&cockroach{}).sure(&pgconn.PgError{Code: code}); got != sure {
			t.Errorf("%s: sure is %v", code, got)
		}
	}
	if (&cockroach{}).sure(io.ErrUnexpectedEOF) || (&cockroach{}).sure(errors.New("other")) {
		t.Error("a broken connection says that nothing was committed")
	}
	if !(postgres{}).sure(&pgconn.PgError{Code: "57014"}) {
		t.Error("PostgreSQL does not commit what runs out of time")
	}
}
