package opl_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/opl"
)

// compile compiles one source with the zero options.
func compile(text string) (*opl.Model, error) {
	return opl.Compile([]opl.Source{{Name: "test", Text: []byte(text)}}, opl.Options{})
}

// messages returns the first lines of the errors in err.
func messages(err error) []string {
	var list opl.ErrorList
	errors.As(err, &list)
	var all []string
	for _, e := range list {
		first, _, _ := strings.Cut(e.Error(), "\n")
		all = append(all, first)
	}
	return all
}

func TestModel(t *testing.T) {
	m, err := compile(`class User implements Namespace {}
class Doc implements Namespace {
  related: { owners: (User | SubjectSet<Doc, "owners">)[] parents: Doc[] }
  permits = { view: (ctx) => this.related.parents.traverse((p) => p.permits.view(ctx) && !p.related.owners.includes(ctx.subject)) || true }
}`)
	if err != nil {
		t.Fatal(err)
	}
	if user, ok := m.Namespace("User"); !ok || len(user.Relations) != 0 {
		t.Errorf("User is %+v", user)
	}
	if _, ok := m.Namespace("user"); ok {
		t.Error("there is a namespace user")
	}
	doc, _ := m.Namespace("Doc")
	owners, _ := doc.Relation("owners")
	want := &opl.Relation{Name: "owners", Types: []opl.Type{{Namespace: "User"}, {Namespace: "Doc", Relation: "owners"}}}
	if !reflect.DeepEqual(owners, want) {
		t.Errorf("owners is %+v, want %+v", owners, want)
	}
	view, _ := doc.Relation("view")
	want = &opl.Relation{Name: "view", Permission: true, Rewrite: opl.Or{Of: []opl.Expr{
		opl.Traverse{Relation: "parents", Of: opl.And{Of: []opl.Expr{opl.Computed{Relation: "view"}, opl.Not{Of: opl.Computed{Relation: "owners"}}}}},
		opl.Const(true),
	}}}
	if !reflect.DeepEqual(view, want) {
		t.Errorf("view is %+v, want %+v", view, want)
	}
	if _, ok := doc.Relation("edit"); ok {
		t.Error("there is a relation edit")
	}
}

func TestHash(t *testing.T) {
	const base = `class User implements Namespace {}
class Doc implements Namespace {
  related: { a: User[] b: (User | Doc)[] }
  permits = { v: (ctx) => this.permits.a(ctx) || this.permits.b(ctx) }
}`
	m, err := compile(base)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[32]byte]string{m.Hash(): base}
	tests := []struct {
		old, new string // a change to base
		same     bool
	}{
		{"\n", "\n\n// comment\n", true},
		{"(User | Doc)[]", "Array<Doc | User | Doc>", true},
		{"a: User[] b: (User | Doc)[]", "b: (User | Doc)[] a: User[]", true},
		{"this.permits.a(ctx)", "(this.related.a.includes(ctx.subject))", true},
		{"this.permits.a(ctx)", "!!this.permits.a(ctx)", true},
		{"this.permits.b(ctx)", "(this.permits.b(ctx) || this.permits.a(ctx))", false},
		{"User", "Person", false},
		{"v:", "w:", false},
		{"||", "&&", false},
		{"a: User[]", "a: SubjectSet<Doc, 'a'>[]", false},
		{"this.permits.a(ctx)", "!this.permits.a(ctx)", false},
		{"this.permits.a(ctx)", "true", false},
		{"this.permits.a(ctx)", "false", false},
		{"this.permits.b(ctx)", "this.related.b.traverse(x => false)", false},
		{"class Doc", "class Other implements Namespace {} class Doc", false},
	}
	for _, tt := range tests {
		text := strings.ReplaceAll(base, tt.old, tt.new)
		other, err := compile(text)
		if err != nil {
			t.Fatal(err)
		}
		twin, found := seen[other.Hash()]
		if found != tt.same {
			t.Errorf("equal to another: %t, want %t:\n%s\nand\n%s", found, tt.same, text, twin)
		}
		seen[other.Hash()] = text
	}
}

func TestCompileFiles(t *testing.T) {
	user := opl.Source{Name: "user.ts", Text: []byte("class User implements Namespace {}")}
	doc := opl.Source{Name: "doc.ts", Text: []byte("class Doc implements Namespace {\n  related: { owners: User[] }\n}")}
	more := opl.Source{Name: "more.ts", Text: []byte("\n class User implements Namespace { related: { x: Dc[] } }")}
	broken := opl.Source{Name: "broken.ts", Text: []byte("class {}")}
	duplicate := []string{`more.ts:2:8: namespace "User" is declared twice`}
	tests := []struct {
		name    string
		sources []opl.Source
		compat  bool
		want    []string
	}{
		{"none", nil, false, nil},
		{"either order", []opl.Source{doc, user}, false, nil},
		{"alone", []opl.Source{doc}, false, []string{`doc.ts:2:22: namespace "User" was not declared`}},
		{"duplicate", []opl.Source{user, more}, false, duplicate},
		{"duplicate with Compat", []opl.Source{user, more}, true, duplicate},
		{"grammar first", []opl.Source{broken, doc, broken}, false, []string{
			`broken.ts:1:7: expected identifier, got "{"`, `broken.ts:1:7: expected identifier, got "{"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := opl.Compile(tt.sources, opl.Options{Compat: tt.compat})
			if got := messages(err); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("errors %q, want %q", got, tt.want)
			}
			if strings.HasPrefix(tt.name, "duplicate") && !strings.Contains(err.Error(), "user.ts:1:7") {
				t.Errorf("the first declaration is not named: %v", err)
			}
		})
	}
}

func TestPosition(t *testing.T) {
	_, err := compile("// äöü\r\nclass A implements Namespace {\n\t/* 日本 */ related: { x: B[] }\n}")
	var e *opl.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v", err)
	}
	if e.Start != (opl.Pos{Offset: 70, Line: 3, Column: 24}) || e.End != (opl.Pos{Offset: 71, Line: 3, Column: 25}) {
		t.Errorf("place %+v to %+v", e.Start, e.End)
	}
	want := "test:3:25: namespace \"B\" was not declared\n    \t/* 日本 */ related: { x: B[] }\n    \t                       ^"
	if got := e.Error(); got != want {
		t.Errorf("printed as\n%s\nwant\n%s", got, want)
	}
}

func TestLimits(t *testing.T) {
	classes := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "class A%d implements Namespace {}\n", i)
		}
		return b.String()
	}
	relations := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "r%d: A[]\n", i)
		}
		return "class A implements Namespace { related: {" + b.String() + "} }"
	}
	types := func(n int) string {
		return "class A implements Namespace { related: { r: (A" + strings.Repeat("|A", n-1) + ")[] } }"
	}
	entangled := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `class A%d implements Namespace { related: { x: (A%d | SubjectSet<A%d, "x">)[] }
permits = { p: (ctx) => this.related.x.traverse(a => a.related.x.traverse(b => b.permits.p(ctx))) } }
`, i, i, (i+1)%n)
		}
		return b.String()
	}
	tests := []struct{ name, good, bad, want string }{
		{"source", strings.Repeat(" ", opl.MaxSource), strings.Repeat(" ", opl.MaxSource+1), "source has 1048577 bytes, the limit is 1048576"},
		{"namespaces", classes(opl.MaxNamespaces), classes(opl.MaxNamespaces + 1), `namespace "A2000" is one too many, the limit is 2000`},
		{"relations", relations(opl.MaxRelations), relations(opl.MaxRelations + 1), `"r1000" is one too many relations and permissions of namespace "A", the limit is 1000`},
		{"types", types(opl.MaxTypes), types(opl.MaxTypes + 1), `relation "r" has 201 types, the limit is 200`},
		{"steps", entangled(100), entangled(1900), "the model takes more than 2097152 steps to check"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := compile(tt.good); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			_, err := compile(tt.bad)
			var list opl.ErrorList
			if !errors.As(err, &list) || len(list) != 1 || list[0].Msg != tt.want {
				t.Errorf("above the limit: %v", messages(err))
			}
		})
	}
}

func TestModelSize(t *testing.T) {
	source := opl.Source{Name: "s", Text: []byte(strings.Repeat(" ", opl.MaxSource))}
	sources := make([]opl.Source, opl.MaxModel/opl.MaxSource+1)
	for i := range sources {
		sources[i] = source
	}
	if _, err := opl.Compile(sources[1:], opl.Options{}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := opl.Compile(sources, opl.Options{}); err == nil {
		t.Error("above the limit: no error")
	}
}

func TestMaxErrors(t *testing.T) {
	names := "class A implements Namespace { related: {" + strings.Repeat(" x: Nope[] ", 300) + "} }"
	grammar := "class A implements Namespace { related: {" + strings.Repeat(" x: Nope ", 300) + "} }"
	for _, text := range []string{names, grammar} {
		if _, err := compile(text); len(messages(err)) != opl.MaxErrors {
			t.Errorf("%d errors, want %d", len(messages(err)), opl.MaxErrors)
		}
	}
}

// TestNegation says which recursions are refused.
func TestNegation(t *testing.T) {
	tests := []struct {
		name, permits string
		refused       bool
	}{
		{"itself", "x: (ctx) => this.permits.x(ctx)", false},
		{"its negation", "x: (ctx) => !this.permits.x(ctx)", true},
		{"its double negation", "x: (ctx) => !!this.permits.x(ctx)", false},
		{"double negation around or", "x: (ctx) => !(!(this.permits.x(ctx) || true))", false},
		{"two negations apart", "x: (ctx) => !(true && !this.permits.x(ctx))", true},
		{"two steps, one negated", "x: (ctx) => this.permits.y(ctx), y: (ctx) => !this.permits.x(ctx)", true},
		{"two steps, both negated", "x: (ctx) => !this.permits.y(ctx), y: (ctx) => !this.permits.x(ctx)", true},
		{"negation beside the cycle", "x: (ctx) => this.permits.x(ctx) && !this.permits.y(ctx), y: (ctx) => this.related.a.includes(ctx.subject)", false},
		{"the negated leads to the cycle", "x: (ctx) => this.permits.x(ctx), y: (ctx) => !this.permits.x(ctx)", false},
		{"up the parents", "x: (ctx) => this.related.p.traverse(p => !p.permits.x(ctx))", true},
		{"not up the parents", "x: (ctx) => !this.related.p.traverse(p => p.permits.y(ctx)), y: (ctx) => this.related.p.traverse(p => p.permits.y(ctx))", false},
		{"through a subject set", "x: (ctx) => !this.related.s.includes(ctx.subject)", true},
		{"through a member of a subject set", "x: (ctx) => this.related.g.traverse(g => !g.permits.x(ctx))", true},
		{"through another class", "x: (ctx) => this.related.o.traverse(o => o.permits.back(ctx))", true},
		{"a constant", "x: (ctx) => !true", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// What a class of the fixture needs of permission x is declared
			// only where the test is about it.
			set, other := "", ""
			if strings.Contains(tt.permits, "related.s") {
				set = `s: SubjectSet<D, "x">[]`
			}
			if strings.Contains(tt.permits, "related.o") {
				other = "permits = { back: (ctx) => !this.related.d.traverse(d => d.permits.x(ctx)) }"
			}
			_, err := compile(fmt.Sprintf(`class U implements Namespace {}
class O implements Namespace { related: { d: D[] } %s }
class G implements Namespace { related: { members: (D | SubjectSet<G, "members">)[] } }
class D implements Namespace {
  related: { a: U[] p: D[] o: O[] g: SubjectSet<G, "members">[] %s }
  permits = { %s }
}`, other, set, tt.permits))
			if refused := err != nil && strings.Contains(err.Error(), "depends on its own negation"); refused != tt.refused || err != nil && !refused {
				t.Errorf("refused %t, want %t: %v", refused, tt.refused, err)
			}
		})
	}
}

// TestPrecedence says how || and && side by side are read.
func TestPrecedence(t *testing.T) {
	// Operators between a, b, c, d and what each reading makes of them.
	tests := []struct{ ops, typescript, keto string }{
		{"||", "(a || b)", "(a || b)"},
		{"|| &&", "(a || (b && c))", "((a || b) && c)"},
		{"&& ||", "((a && b) || c)", "((a && b) || c)"},
		{"|| && ||", "(a || (b && c) || d)", "(((a || b) && c) || d)"},
		{"&& || &&", "((a && b) || (c && d))", "(((a && b) || c) && d)"},
		{"|| || &&", "(a || b || (c && d))", "((a || b || c) && d)"},
		{"&& && ||", "((a && b && c) || d)", "((a && b && c) || d)"},
	}
	for _, tt := range tests {
		names := []string{"a", "b", "c", "d"}
		text := question(names[0])
		for i, op := range strings.Fields(tt.ops) {
			text += " " + op + " " + question(names[i+1])
		}
		src := opl.Source{Name: "test", Text: []byte("class D implements Namespace { related: { a: D[] b: D[] c: D[] d: D[] } permits = { x: (ctx) => " + text + " } }")}
		for _, reading := range []struct {
			o    opl.Options
			want string
		}{
			{opl.Options{Precedence: opl.TypeScript}, tt.typescript},
			{opl.Options{Precedence: opl.TypeScript, Compat: true}, tt.typescript},
			{opl.Options{Precedence: opl.Keto}, tt.keto},
			{opl.Options{Compat: true}, tt.keto},
		} {
			m, err := opl.Compile([]opl.Source{src}, reading.o)
			if err != nil {
				t.Fatal(err)
			}
			d, _ := m.Namespace("D")
			x, _ := d.Relation("x")
			if got := x.Rewrite.String(); got != reading.want {
				t.Errorf("%+v: a %s is %s, want %s", reading.o, tt.ops, got, reading.want)
			}
			checkPortable(t, src, reading.o, m)
		}
		_, err := opl.Compile([]opl.Source{src}, opl.Options{})
		if mixed := strings.Contains(tt.ops, "||") && strings.Contains(tt.ops, "&&"); mixed != (err != nil) {
			t.Errorf("a %s with the zero options: error %v", tt.ops, err)
		}
	}
}

func question(relation string) string { return "this.related." + relation + ".includes(ctx.subject)" }

// checkPortable fails t unless the canonical text of src means the same with
// the zero options.
func checkPortable(t *testing.T, src opl.Source, o opl.Options, m *opl.Model) {
	t.Helper()
	f, err := opl.Parse(src, o)
	if err != nil {
		t.Fatal(err)
	}
	m2, err := compile(string(opl.Format(f)))
	if err != nil || m2.Hash() != m.Hash() {
		t.Errorf("canonical text means something else with the zero options: error %v\n%s", err, opl.Format(f))
	}
}
