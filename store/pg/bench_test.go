package pg_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/store/pg"
)

// raw is a table that somebody would make for the tuples alone, without history.
func raw(b *testing.B) *pgxpool.Pool {
	config, err := pgxpool.ParseConfig(testdb.Postgres(b))
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	for _, text := range []string{
		`CREATE TABLE raw (` + strings.ReplaceAll(rawColumns, ",", ` text COLLATE "C",`) + ` text COLLATE "C", PRIMARY KEY (` + rawColumns + "))",
		"CREATE INDEX ON raw (subject_namespace, subject_id, subject_relation)",
	} {
		if _, err := pool.Exec(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
	return pool
}

const rawColumns = "namespace, object, relation, subject_namespace, subject_id, subject_relation"

func rawFields(t engine.Tuple) []any {
	return []any{t.Object.Namespace, t.Object.ID, t.Relation, t.Subject.Namespace, t.Subject.ID, t.Subject.Relation}
}

func store(tb testing.TB, o pg.Options) *pg.Store {
	tb.Helper()
	db := open(tb, testdb.Postgres(tb), o)
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return network(tb, db, "default")
}

func network(tb testing.TB, db *pg.DB, name string) *pg.Store {
	tb.Helper()
	s, err := db.Network(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func document(i int64) engine.Tuple {
	return engine.Tuple{Object: engine.Object{Namespace: "document", ID: fmt.Sprintf("%08x", uint32(i)*2654435761)}, Relation: "viewer",
		Subject: engine.SubjectSet("user", fmt.Sprint(i%10007), "")}
}

func inserting(ts ...engine.Tuple) engine.Write {
	var w engine.Write
	for _, t := range ts {
		w.Updates = append(w.Updates, engine.Update{Op: engine.Insert, Tuple: t})
	}
	return w
}

// BenchmarkWrite is one tuple a write, from one and from 64 callers.
func BenchmarkWrite(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d/cardea", callers), func(b *testing.B) {
			s := store(b, pg.Options{MaxConns: 16})
			m, err := s.PutModel(b.Context(), "", 0)
			if err != nil {
				b.Fatal(err)
			}
			each(b, callers, func(ctx context.Context, i int64) error {
				w := inserting(document(i))
				w.Model = m.Number
				_, err := s.Write(ctx, w)
				return err
			})
		})
		b.Run(fmt.Sprintf("callers=%d/raw", callers), func(b *testing.B) {
			pool := raw(b)
			each(b, callers, func(ctx context.Context, i int64) error {
				_, err := pool.Exec(ctx, "INSERT INTO raw ("+rawColumns+") VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING", rawFields(document(i))...)
				return err
			})
		})
	}
}

func each(b *testing.B, callers int, do func(context.Context, int64) error) {
	ctx := b.Context()
	var next atomic.Int64
	b.ResetTimer()
	done := make(chan error, callers)
	for range callers {
		go func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					done <- nil
					return
				}
				if err := do(ctx, i); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tuples/s")
}

// BenchmarkImport is 10000 tuples a write.
func BenchmarkImport(b *testing.B) {
	const n = 10_000
	batch := func(k int) []engine.Tuple {
		var ts []engine.Tuple
		for i := range n {
			ts = append(ts, document(int64(k*n+i)))
		}
		return ts
	}
	b.Run("cardea", func(b *testing.B) {
		s := store(b, pg.Options{})
		b.ResetTimer()
		for k := range b.N {
			b.StopTimer()
			w := inserting(batch(k)...)
			b.StartTimer()
			if _, err := s.Write(b.Context(), w); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tuples/s")
	})
	b.Run("raw", func(b *testing.B) {
		pool := raw(b)
		b.ResetTimer()
		for k := range b.N {
			b.StopTimer()
			ts := batch(k)
			b.StartTimer()
			_, err := pool.CopyFrom(b.Context(), pgx.Identifier{"raw"}, strings.Split(rawColumns, ", "),
				pgx.CopyFromSlice(len(ts), func(i int) ([]any, error) { return rawFields(ts[i]), nil }))
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tuples/s")
	})
}

// BenchmarkRead reads 300000 tuples.
func BenchmarkRead(b *testing.B) {
	const n = 300_000
	b.Run("cardea", func(b *testing.B) {
		s := filled(b, n)
		head, err := s.Head(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			rows := 0
			for _, err := range s.Read(b.Context(), head, engine.Query{}, engine.Page{}) {
				if err != nil {
					b.Fatal(err)
				}
				rows++
			}
			if rows != n {
				b.Fatal(rows)
			}
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("raw", func(b *testing.B) {
		pool := raw(b)
		_, err := pool.CopyFrom(b.Context(), pgx.Identifier{"raw"}, strings.Split(rawColumns, ", "),
			pgx.CopyFromSlice(n, func(i int) ([]any, error) { return rawFields(document(int64(i))), nil }))
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			rows, err := pool.Query(b.Context(), "SELECT "+rawColumns+" FROM raw ORDER BY "+rawColumns)
			if err != nil {
				b.Fatal(err)
			}
			var t engine.Tuple
			count := 0
			for rows.Next() {
				if err := rows.Scan(&t.Object.Namespace, &t.Object.ID, &t.Relation, &t.Subject.Namespace, &t.Subject.ID, &t.Subject.Relation); err != nil {
					b.Fatal(err)
				}
				count++
			}
			if err := rows.Err(); err != nil || count != n {
				b.Fatal(count, err)
			}
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

// filled makes a store of n tuples.
func filled(b *testing.B, n int) *pg.Store {
	s := store(b, pg.Options{})
	for k := range n / 10_000 {
		var ts []engine.Tuple
		for i := range 10_000 {
			ts = append(ts, document(int64(k*10_000+i)))
		}
		if _, err := s.Write(b.Context(), inserting(ts...)); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkTail reads the tail of a store of 300000 tuples where there is nothing,
// and behind one write.
func BenchmarkTail(b *testing.B) {
	s := filled(b, 300_000)
	head, err := s.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	none := func(engine.Change) error { return nil }
	b.Run("nothing", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Tail(b.Context(), head, none); err != nil {
				b.Fatal(err)
			}
		}
	})
	if _, err := s.Write(b.Context(), inserting(document(1_000_000))); err != nil {
		b.Fatal(err)
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Tail(b.Context(), head, none); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReadSets reads one set, and a hundred, of a store of 300000 tuples.
func BenchmarkReadSets(b *testing.B) {
	s := filled(b, 300_000)
	head, err := s.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for k := int64(0); b.Loop(); k++ {
				var sets []engine.SetRead
				for i := range int64(n) {
					t := document((k*int64(n) + i*7919) % 300_000)
					sets = append(sets, engine.SetRead{Object: t.Object, Relation: t.Relation, Member: t.Subject})
				}
				for _, err := range s.ReadSets(b.Context(), head, sets, 1000) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
