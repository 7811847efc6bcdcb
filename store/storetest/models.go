package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

func modelsAreNumbered(h *harness) {
	var all []engine.ModelVersion
	for i := range int64(5) {
		before := h.insert(numbered(int(i), int(i)+1)...)
		m := h.at(int(i)).putModel(fmt.Sprint("// ", i), i)
		if m.Number != i+1 || m.Source != fmt.Sprint("// ", i) || m.Created.IsZero() || m.Created.Location() != time.UTC {
			h.Fatalf("version %+v", m)
		}
		h.later(before, m.Revision)
		all = append(all, m)
		if got, err := h.Model(h.ctx, before); err != nil || got.Number != i {
			h.Fatalf("before version %d there was %+v, error %v", m.Number, got, err)
		}
	}
	for _, m := range all {
		if got, err := h.Model(h.ctx, m.Revision); err != nil || got != m {
			h.Fatalf("got %+v, error %v: expected %+v", got, err, m)
		}
	}
	slices.Reverse(all)
	for _, c := range []struct {
		before int64
		limit  int
		want   []engine.ModelVersion
	}{{0, 100, all}, {0, 2, all[:2]}, {4, 2, all[2:4]}, {1, 10, nil}, {99, 1, all[:1]}} {
		got, err := h.Models(h.ctx, c.before, c.limit)
		h.must(err)
		if !slices.Equal(got, c.want) {
			h.Fatalf("up to %d below %d: got %+v, want %+v", c.limit, c.before, got, c.want)
		}
	}
}

func modelText(h *harness) {
	for i, text := range []string{"", "'\"\\;--\n\t", "日本 \U0001f600", strings.Repeat("// long\n", 100_000)} {
		m := h.putModel(text, int64(i))
		if got, err := h.Model(h.ctx, h.head()); err != nil || got != m || got.Source != text {
			h.Fatalf("text %d comes back as %.40q, error %v", i, got.Source, err)
		}
	}
}

func modelConflict(h *harness) {
	_, err := h.PutModel(h.ctx, "", 1)
	h.fails(err, errs.Conflict)
	m := h.putModel("// 1", 0)
	for _, after := range []int64{0, 2, -1} {
		_, err := h.PutModel(h.ctx, "// other", after)
		h.fails(err, errs.Conflict)
	}
	if got, err := h.Model(h.ctx, h.head()); err != nil || got != m {
		h.Fatalf("model %+v, error %v: expected %+v", got, err, m)
	}
	if got := h.changes(m.Revision, h.head()); len(got) != 0 {
		h.Fatalf("refused models are in the log: %v", got)
	}
}

// modelRace has many callers append after the same version: one wins.
func modelRace(h *harness) {
	for after := range int64(5) {
		var mu sync.Mutex
		won := 0
		parallel(h, 8, func(i int) error {
			_, err := h.node(i).PutModel(h.ctx, fmt.Sprint(i), after)
			if errs.KindOf(err) == errs.Conflict {
				return nil
			}
			mu.Lock()
			won++
			mu.Unlock()
			return err
		})
		if won != 1 {
			h.Fatalf("%d callers became version %d: expected 1", won, after+1)
		}
	}
}

func writeUnderModel(h *harness) {
	ts := numbered(0, 4)
	_, err := h.Write(h.ctx, engine.Write{Updates: updates(engine.Insert, ts[:1]), Model: 1})
	h.fails(err, errs.Conflict)
	h.insert(ts[0])
	h.putModel("// 1", 0)
	_, err = h.Write(h.ctx, engine.Write{Updates: updates(engine.Insert, ts[1:2]), Model: 1})
	h.must(err)
	h.putModel("// 2", 1)
	_, err = h.Write(h.ctx, engine.Write{Updates: updates(engine.Insert, ts[2:3]), Model: 1})
	h.fails(err, errs.Conflict)
	_, err = h.Write(h.ctx, engine.Write{Updates: updates(engine.Delete, ts[:2]), Model: 3})
	h.fails(err, errs.Conflict)
	h.shows(h.head(), ts[:2]...)
	_, err = h.Write(h.ctx, engine.Write{Updates: updates(engine.Insert, ts[3:4]), Model: 0})
	h.must(err)
	h.shows(h.head(), ts[0], ts[1], ts[3])
}

// writeRacesModel lets writers check against a version while it changes. A
// write that succeeds must lie in the log before the next version does.
func writeRacesModel(h *harness) {
	ts := numbered(0, 200)
	h.putModel("", 0)
	type write struct {
		rev   engine.Revision
		model int64
	}
	var mu sync.Mutex
	var writes []write
	parallel(h, 5, func(i int) error {
		if i == 0 {
			for n := range int64(10) {
				if _, err := h.node(i).PutModel(h.ctx, "", n+1); err != nil {
					return err
				}
			}
			return nil
		}
		for _, t := range ts[(i-1)*50 : i*50] {
			s := h.node(i)
			head, err := s.Head(h.ctx)
			if err != nil {
				return err
			}
			m, err := s.Model(h.ctx, head)
			if err != nil {
				return err
			}
			w := adding(t)
			w.Model = m.Number
			done, err := s.Write(h.ctx, w)
			switch errs.KindOf(err) {
			case errs.OK:
				mu.Lock()
				writes = append(writes, write{done.Revision, m.Number})
				mu.Unlock()
			case errs.Conflict:
			default:
				return err
			}
		}
		return nil
	})
	for _, w := range writes {
		if m, err := h.Model(h.ctx, w.rev); err != nil || m.Number != w.model {
			h.Fatalf("a write under version %d is shown under %+v, error %v", w.model, m, err)
		}
	}
}
