package pg

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// TestGroup: writes of one tuple that come at the same time share transactions, and
// each is told what it changed itself, shown at its own revision.
func TestGroup(t *testing.T) {
	s := networkTest(t, openTest(t, testdb.Postgres(t), Options{}), "default")
	const callers, each = 32, 20
	var inserted, deleted atomic.Int64
	before := s.db.Stats().Rounds
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				own := tupleOf(t, fmt.Sprintf("doc:%d#view@User:%d", c, i))
				shared := tupleOf(t, fmt.Sprintf("doc:shared#view@User:%d", i))
				for _, x := range []engine.Tuple{own, shared} {
					done, err := s.Write(t.Context(), adding(x))
					if err != nil {
						t.Error(err)
						return
					}
					inserted.Add(done.Inserted)
					found := 0
					q := engine.Query{Namespace: &x.Object.Namespace, Object: &x.Object.ID, Subject: &x.Subject}
					for _, err := range s.Read(t.Context(), done.Revision, q, engine.Page{}) {
						if err != nil {
							t.Error(err)
						}
						found++
					}
					if found != 1 {
						t.Errorf("%s is there %d times at the revision of its write", x, found)
					}
				}
				done, err := s.Write(t.Context(), removing(own))
				if err != nil {
					t.Error(err)
					return
				}
				deleted.Add(done.Deleted)
			}
		})
	}
	wg.Wait()
	if got, want := inserted.Load(), int64(callers*each+each); got != want {
		t.Errorf("writes say that they inserted %d tuples: expected %d", got, want)
	}
	if got, want := deleted.Load(), int64(callers*each); got != want {
		t.Errorf("writes say that they deleted %d tuples: expected %d", got, want)
	}
	const writes, reads = 3 * callers * each, 2 * callers * each
	if got := s.db.Stats().Rounds - before; got >= writes+reads {
		t.Errorf("%d writes and %d reads took %d round trips: they share none", writes, reads, got)
	}
}

// TestGroupOfModels: writes that were checked against another model than the active
// one are refused, and others that came with them are not.
func TestGroupOfModels(t *testing.T) {
	s := networkTest(t, openTest(t, testdb.Postgres(t), Options{}), "default")
	if _, err := s.PutModel(t.Context(), "// 1", 0); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for c := range 40 {
		wg.Go(func() {
			w := adding(tupleOf(t, fmt.Sprintf("doc:%d#view@User:ann", c)))
			w.Model = int64(c%2) * 7
			_, err := s.Write(t.Context(), w)
			if want := [2]errs.Kind{errs.OK, errs.Conflict}[c%2]; errs.KindOf(err) != want {
				t.Errorf("model %d: error %v", w.Model, err)
			}
		})
	}
	wg.Wait()
}
