package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// TestPagesOfObjects: pages fit together whatever is written between them, in
// complete and in bounded mode.
func TestPagesOfObjects(t *testing.T) {
	for name, memory := range map[string]int64{"complete": 0, "bounded": 1} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			writer := newEngine(t, s, engine.Options{})
			if _, _, err := writer.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i := range 25 {
				write(t, writer, fmt.Sprintf("Doc:%d#viewers@Group:eng#members", i))
				if i%5 == 0 {
					write(t, writer, fmt.Sprintf("Doc:%d#banned@User:ann", i))
				} else {
					want = append(want, fmt.Sprint(i))
				}
			}
			token := write(t, writer, "Group:eng#members@User:ann", "Group:eng#members@User:bob")
			e := newEngine(t, s, engine.Options{Memory: memory})
			q := engine.ObjectQuery{Namespace: "Doc", Relation: "view", Subject: engine.SubjectSet("User", "ann", "")}
			var got []string
			next := ""
			for range 100 {
				page, err := e.ObjectsPage(t.Context(), q, engine.ListPage{Size: 7, Token: next}, atLeast(token))
				if err != nil {
					t.Fatal(err)
				}
				if page.Token != token {
					t.Error("a page is of another revision")
				}
				for _, o := range page.Items {
					got = append(got, o.ID)
				}
				write(t, writer, "-Doc:9#viewers@Group:eng#members", "Doc:90#viewers@User:ann")
				if next = page.Next; next == "" {
					break
				}
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			subjects, err := e.SubjectsPage(t.Context(), engine.SubjectQuery{
				Object: engine.Object{Namespace: "Doc", ID: "5"}, Relation: "view", Namespace: "User",
			}, engine.ListPage{}, fully)
			if err != nil || len(subjects.Items) != 1 || subjects.Items[0].ID != "bob" {
				t.Errorf("subjects %v, %v", subjects.Items, err)
			}
			_, err = e.ObjectsPage(t.Context(), q, engine.ListPage{Token: "x"}, fully)
			wantKind(t, err, errs.Invalid, "pagination token")
			q.Namespace = "Nope"
			_, err = e.ObjectsPage(t.Context(), q, engine.ListPage{}, fully)
			wantKind(t, err, errs.NotFound, "Nope")
		})
	}
}
