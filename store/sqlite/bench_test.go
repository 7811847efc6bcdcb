package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// The benchmarks do the same rows a second time with plain SQL on the same
// schema, driver and settings, in the same run. The metric "x-raw" is the speed
// of the store as a multiple of that.

const rawInsert = `INSERT INTO tuple (network, namespace, object, relation, subject_namespace, subject_id, subject_relation, created, removed)
	VALUES (1, ?, ?, ?, ?, ?, ?, ?, 9223372036854775807) ON CONFLICT DO NOTHING`

// raw opens a file with the schema of the store, for plain SQL.
func raw(b *testing.B) *sql.DB {
	b.Helper()
	path := file(b)
	if _, err := sqlite.Migrate(b.Context(), path); err != nil {
		b.Fatal(err)
	}
	params := url.Values{"_pragma": {"journal_mode(wal)", "synchronous(full)", "cache_size(-65536)", "wal_autocheckpoint(16384)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+params.Encode())
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { db.Close() })
	return db
}

// tuples returns n different tuples in random order: documents with four
// viewers each.
func tuples(n int) []engine.Tuple {
	out := make([]engine.Tuple, n)
	for i := range out {
		out[i] = engine.Tuple{
			Object:   engine.Object{Namespace: "Document", ID: fmt.Sprintf("doc-%08d", i/4)},
			Relation: "viewers",
			Subject:  engine.SubjectSet("User", fmt.Sprintf("user-%07d", i*7919%n), ""),
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func write(s *sqlite.Store, ts []engine.Tuple) (engine.Revision, error) {
	done, err := s.Write(context.Background(), engine.Write{Updates: inserts(ts)})
	return done.Revision, err
}

func inserts(ts []engine.Tuple) []engine.Update {
	ups := make([]engine.Update, len(ts))
	for i, t := range ts {
		ups[i] = engine.Update{Op: engine.Insert, Tuple: t}
	}
	return ups
}

func values(t engine.Tuple, rev int64) []any {
	return []any{t.Object.Namespace, t.Object.ID, t.Relation, t.Subject.Namespace, t.Subject.ID, t.Subject.Relation, rev}
}

func report(b *testing.B, rows int, ours, theirs time.Duration) {
	b.ReportMetric(float64(rows)/ours.Seconds(), "tuples/s")
	b.ReportMetric(float64(rows)/theirs.Seconds(), "raw-tuples/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-raw")
}

// BenchmarkWrite measures durable writes of one tuple by n callers at once.
func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			own, db := open(b, file(b)), raw(b)
			defer own.Close()
			s := network(b, own)
			ts := tuples(1 << 18)
			var next atomic.Int64
			stmt, err := db.Prepare(rawInsert)
			if err != nil {
				b.Fatal(err)
			}
			const each = 1024 // writes per turn
			var ours, theirs time.Duration
			rows := 0
			for b.Loop() {
				ours += timed(b, n, each, func() error {
					t := ts[int(next.Add(1))%len(ts)]
					_, err := write(s, []engine.Tuple{t})
					return err
				})
				theirs += timed(b, n, each, func() error {
					i := next.Add(1)
					_, err := stmt.Exec(values(ts[int(i)%len(ts)], i)...)
					return err
				})
				rows += each
			}
			report(b, rows, ours, theirs)
		})
	}
}

// timed returns how long n callers take to run do count times in all.
func timed(b *testing.B, n, count int, do func() error) time.Duration {
	b.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for range count / n {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// BenchmarkImport measures writes of 1000 tuples, one after the other, into a
// store that grows to 200,000, and the size of the file in the end.
func BenchmarkImport(b *testing.B) {
	const n, batch = 200_000, 1000
	ts := tuples(n)
	var ours, theirs time.Duration
	var size int64
	rows := 0
	for b.Loop() {
		path := file(b)
		own, db := open(b, path), raw(b)
		s := network(b, own)
		for i := 0; i < n; i += batch { // in turn, so that other load meets both
			start := time.Now()
			if _, err := write(s, ts[i:i+batch]); err != nil {
				b.Fatal(err)
			}
			ours += time.Since(start)
			start = time.Now()
			rawBatch(b, db, ts[i:i+batch], int64(i))
			theirs += time.Since(start)
		}
		rows += n
		if err := own.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		size = info.Size()
	}
	report(b, rows, ours, theirs)
	b.ReportMetric(float64(size)/n, "bytes/tuple")
}

func rawBatch(b *testing.B, db *sql.DB, ts []engine.Tuple, rev int64) {
	b.Helper()
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	stmt, err := tx.Prepare(rawInsert)
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range ts {
		if _, err := stmt.Exec(values(t, rev)...); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReadAll measures reading everything in order, as at a start.
func BenchmarkReadAll(b *testing.B) {
	const n = 200_000
	ts := tuples(n)
	path := file(b)
	own := open(b, path)
	defer own.Close()
	s := network(b, own)
	for i := 0; i < n; i += 10_000 {
		if _, err := write(s, ts[i:i+10_000]); err != nil {
			b.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	head, err := s.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	rows := 0
	for b.Loop() {
		start := time.Now()
		got := 0
		for _, err := range s.Read(b.Context(), head, engine.Query{}, engine.Page{}) {
			if err != nil {
				b.Fatal(err)
			}
			got++
		}
		ours += time.Since(start)
		if got != n {
			b.Fatalf("%d tuples", got)
		}
		start = time.Now()
		rawRead(b, db)
		theirs += time.Since(start)
		rows += n
	}
	report(b, rows, ours, theirs)
}

func rawRead(b *testing.B, db *sql.DB) {
	b.Helper()
	rows, err := db.Query(`SELECT namespace, object, relation, subject_namespace, subject_id, subject_relation FROM tuple
		WHERE network = 1 AND +created <= 1000000 AND +removed > 1000000
		ORDER BY namespace, object, relation, subject_namespace, subject_id, subject_relation`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	var t engine.Tuple
	for rows.Next() {
		if err := rows.Scan(&t.Object.Namespace, &t.Object.ID, &t.Relation, &t.Subject.Namespace, &t.Subject.ID, &t.Subject.Relation); err != nil {
			b.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPage measures one small page of the tuples of an object, and of a
// subject.
func BenchmarkPage(b *testing.B) {
	own := open(b, file(b))
	defer own.Close()
	s := network(b, own)
	ts := tuples(50_000)
	rev, err := write(s, ts)
	if err != nil {
		b.Fatal(err)
	}
	for name, query := range map[string]func(engine.Tuple) engine.Query{
		"object": func(t engine.Tuple) engine.Query {
			return engine.Query{Namespace: &t.Object.Namespace, Object: &t.Object.ID}
		},
		"subject": func(t engine.Tuple) engine.Query { return engine.Query{Subject: &t.Subject} },
		"object anywhere": func(t engine.Tuple) engine.Query {
			return engine.Query{Object: &t.Object.ID}
		},
	} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i++
				for _, err := range s.Read(b.Context(), rev, query(ts[i%len(ts)]), engine.Page{Limit: 100}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkReadSets measures a wide walk's step: a thousand sets of four members
// in one call.
func BenchmarkReadSets(b *testing.B) {
	own := open(b, file(b))
	defer own.Close()
	s := network(b, own)
	const n = 1000
	ts := tuples(50_000)
	rev, err := write(s, ts)
	if err != nil {
		b.Fatal(err)
	}
	sets := make([]engine.SetRead, n)
	for i := range sets {
		sets[i] = engine.SetRead{Object: ts[i].Object, Relation: ts[i].Relation, Member: ts[i].Subject}
	}
	rows, calls := 0, 0
	start := time.Now()
	for b.Loop() {
		calls++
		for _, err := range s.ReadSets(b.Context(), rev, sets, 100) {
			if err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(calls*n)/time.Since(start).Seconds(), "sets/s")
	b.ReportMetric(float64(rows)/time.Since(start).Seconds(), "rows/s")
}

// BenchmarkPreconditions measures writes of a thousand tuples, each with another
// one that may not be there.
func BenchmarkPreconditions(b *testing.B) {
	own := open(b, file(b))
	defer own.Close()
	s := network(b, own)
	const batch = 1000
	ts := tuples(200_000)
	i := 0
	start := time.Now()
	for b.Loop() {
		w := engine.Write{Updates: inserts(ts[i%len(ts):][:batch])}
		for _, u := range w.Updates {
			t := u.Tuple
			t.Subject.ID += "?"
			w.If = append(w.If, engine.Precondition{Query: engine.Query{
				Namespace: &t.Object.Namespace, Object: &t.Object.ID, Relation: &t.Relation, Subject: &t.Subject}})
		}
		if _, err := s.Write(b.Context(), w); err != nil {
			b.Fatal(err)
		}
		i += batch
	}
	b.ReportMetric(float64(i)/time.Since(start).Seconds(), "preconditions/s")
}
