package engine

import (
	"fmt"
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
)

// TestBudgetEndsAClimb: a walk that runs out of steps says so wherever it is, also on its way up
// from the subject, and never that the answer is "no".
func TestBudgetEndsAClimb(t *testing.T) {
	m := ModelOf(t, `class User implements Namespace {}
class Group implements Namespace { related: { members: (User | SubjectSet<Group, "members">)[] } }
class Doc implements Namespace { related: { viewers: SubjectSet<Group, "members">[] } }`)
	group := func(i int) Object { return Object{"Group", fmt.Sprint(i)} }
	members := func(i int) Subject { return Subject{group(i), "members"} }
	const height, others = 60, 40
	tuples := []Tuple{{group(0), "members", SubjectSet("User", "ann", "")}}
	for i := range height {
		tuples = append(tuples, Tuple{group(i + 1), "members", members(i)})
	}
	for i := range others {
		for _, doc := range []string{"shared", "closed"} {
			tuples = append(tuples, Tuple{Object{"Doc", doc}, "viewers", members(1000 + i)})
		}
		tuples = append(tuples, Tuple{group(1000 + i), "members", members(2000 + i)})
	}
	tuples = append(tuples, Tuple{Object{"Doc", "shared"}, "viewers", members(height)})
	s := stateOf(m, tuples, false)
	for doc, want := range map[string]bool{"shared": true, "closed": false} {
		q := Tuple{Object{"Doc", doc}, "viewers", SubjectSet("User", "ann", "")}
		_, whole, err := s.check(t.Context(), &q, 1e6, nil)
		if err != nil {
			t.Fatal(err)
		}
		ended := 0
		for budget := int64(1); budget <= whole+1; budget++ {
			switch got, _, err := s.check(t.Context(), &q, budget, nil); {
			case errs.KindOf(err) == errs.Exhausted:
				ended++
			case err != nil || got != want:
				t.Errorf("%s with %d steps: %v, %v", doc, budget, got, err)
			}
		}
		if ended < height/2 {
			t.Errorf("%s takes %d steps, and %d budgets were too small: too few to show anything", doc, whole, ended)
		}
	}
}
