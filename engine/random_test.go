package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/cardea-iam/cardea/opl"
)

// A world is a random model and random tuples to go with it.
type world struct {
	source string
	model  *opl.Model
	tuples []Tuple
	// what can be asked
	objects   []Object
	relations []string
	subjects  []Subject
}

// newWorld makes a world that fits in a page of text. A tame one has only
// tuples that the model allows; in a wild one anything may be stored, also what
// the model does not know.
func newWorld(r *rand.Rand, wild bool) *world {
	w := &world{}
	for w.model == nil {
		w.source = randomModel(r)
		// A model with a recursion through a negation is refused; try another.
		w.model, _ = opl.Compile([]opl.Source{{Name: "random", Text: []byte(w.source)}}, opl.Options{})
	}
	for _, ns := range []string{"User", "Group", "Doc"} {
		for i := range 3 {
			w.objects = append(w.objects, Object{ns, fmt.Sprint(i)})
		}
	}
	w.objects = append(w.objects, Object{"Doc", "never written"})
	w.relations = []string{"members", "admins", "a", "b", "parents", "p0", "p1", "p2", "p3"}
	w.subjects = []Subject{SubjectID("ann"), SubjectSet("User", "0", ""), SubjectSet("User", "1", ""),
		SubjectSet("Group", "0", "members"), SubjectSet("Doc", "1", "a"), SubjectSet("User", "never written", "")}
	for range 5 + r.IntN(60) {
		t := w.randomTuple(r, wild)
		if wild || fits(w.model, t) == nil {
			w.tuples = append(w.tuples, t)
		}
	}
	return w
}

func (w *world) randomTuple(r *rand.Rand, wild bool) Tuple {
	t := Tuple{Object: w.objects[r.IntN(9)], Relation: pick(r, w.relations)}
	if wild && r.IntN(8) == 0 {
		t.Relation = pick(r, []string{"", "unheard"})
	}
	switch r.IntN(6) {
	case 0:
		t.Subject = SubjectID("ann")
	case 1:
		t.Subject = Subject{Object: w.objects[r.IntN(9)]}
	case 2:
		t.Subject = Subject{Object: w.objects[r.IntN(2)]}
	default:
		t.Subject = Subject{w.objects[3+r.IntN(6)], pick(r, w.relations)}
	}
	if wild && r.IntN(20) == 0 {
		t.Subject = SubjectSet("Unheard", "x", "of")
	}
	return t
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func randomModel(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("class User implements Namespace {}\n")
	b.WriteString("class Group implements Namespace {\n  related: {\n")
	b.WriteString(`    members: (User | SubjectSet<Group, "members"> | SubjectSet<Group, "admins">)[]` + "\n")
	b.WriteString(`    admins: (User | SubjectSet<Group, "members">` + pick(r, []string{"", ` | SubjectSet<Doc, "a">`, ` | SubjectSet<Doc, "p0">`}) + ")[]\n  }\n")
	if r.IntN(3) == 0 {
		b.WriteString("  permits = {\n    p3: (ctx: Context) => " + randomExpr(r, "this", []string{"members", "admins"}, nil, 2) + ",\n  }\n")
	}
	b.WriteString("}\nclass Doc implements Namespace {\n  related: {\n")
	types := []string{"User", `SubjectSet<Group, "members">`, `SubjectSet<Doc, "b">`, `SubjectSet<Doc, "p1">`, `SubjectSet<Group, "admins">`}
	b.WriteString("    a: (" + strings.Join(types[:1+r.IntN(len(types))], " | ") + ")[]\n")
	b.WriteString("    b: (User | " + pick(r, types[1:]) + ")[]\n    parents: (Doc | SubjectSet<Doc, \"parents\">)[]\n  }\n  permits = {\n")
	for i := range 4 {
		b.WriteString(fmt.Sprintf("    p%d: (ctx: Context): boolean => ", i) +
			randomExpr(r, "this", []string{"a", "b", "parents"}, []string{"p0", "p1", "p2", "p3"}, 3) + ",\n")
	}
	b.WriteString("  }\n}\n")
	return b.String()
}

// randomExpr writes an expression about self with all parentheses.
func randomExpr(r *rand.Rand, self string, related, permits []string, depth int) string {
	part := func() string { return randomExpr(r, self, related, permits, depth-1) }
	n := r.IntN(10)
	if depth == 0 {
		n = r.IntN(5)
	}
	switch {
	case n < 3 || permits == nil && n < 5:
		return self + ".related." + pick(r, related) + ".includes(ctx.subject)"
	case n < 5:
		return self + ".permits." + pick(r, permits) + "(ctx)"
	case n == 5 && permits != nil:
		return self + ".related.parents.traverse((d" + fmt.Sprint(depth) + ") => " + randomExpr(r, "d"+fmt.Sprint(depth), related, permits, depth-1) + ")"
	case n == 6:
		return "!(" + part() + ")"
	case n == 7:
		return "(" + part() + " && " + part() + ")"
	case n == 8 && r.IntN(6) == 0:
		return pick(r, []string{"true", "false"})
	default:
		return "(" + part() + " || " + part() + ")"
	}
}
