package opl_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/opl"
)

// FuzzParse gives any text to the package: it must not panic, must keep its
// limits, report mistakes at places that exist, and print what it accepts in a
// form that is stable, keeps the comments, and means the same.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/parse/*.opl")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		o := options(text)
		f.Add(text, o.Compat, uint8(o.Precedence))
	}
	f.Fuzz(func(t *testing.T, text []byte, compat bool, precedence uint8) {
		o := opl.Options{Compat: compat, Precedence: opl.Precedence(precedence % 3)}
		checkAnything(t, opl.Source{Name: "fuzz", Text: text}, o)
	})
}

// checkAnything fails t unless src, which may be anything, is dealt with.
func checkAnything(t *testing.T, src opl.Source, o opl.Options) {
	t.Helper()
	m, err := opl.Compile([]opl.Source{src}, o)
	checkErrors(t, src.Text, err)
	if _, err := opl.Parse(src, o); err != nil {
		checkErrors(t, src.Text, err)
		return
	}
	checkFormat(t, src, o, m)
	checkComments(t, src, o)
	if m != nil {
		checkModel(t, m)
	}
}

func checkErrors(t *testing.T, text []byte, err error) {
	if err == nil {
		return
	}
	list := err.(opl.ErrorList)
	if len(list) == 0 || len(list) > opl.MaxErrors {
		t.Fatalf("%d errors", len(list))
	}
	for _, e := range list {
		if e.Start.Offset < 0 || e.End.Offset < e.Start.Offset || e.End.Offset > len(text) || e.Start.Line < 1 || e.Start.Column < 0 {
			t.Errorf("place %+v to %+v: %v", e.Start, e.End, e)
		}
		if e.Msg == "" || len(e.Line) > 1000 {
			t.Errorf("message %q, line of %d bytes", e.Msg, len(e.Line))
		}
	}
	if len(list) == opl.MaxErrors {
		return
	}
	for i, e := range list {
		if i > 0 && e.Start == list[i-1].Start && e.Msg == list[i-1].Msg {
			t.Errorf("reported twice: %v", e)
		}
	}
}

// checkComments fails t if a comment of src is not in its canonical text.
func checkComments(t testing.TB, src opl.Source, o opl.Options) {
	f, err := opl.Parse(src, o)
	if err != nil {
		t.Fatal(err)
	}
	want, got := opl.Comments(src, o), opl.Comments(opl.Source{Text: opl.Format(f)}, o)
	if !slices.Equal(want, got) {
		t.Errorf("comments %q became %q", want, got)
	}
}

// checkModel fails t if m breaks what the types promise.
func checkModel(t *testing.T, m *opl.Model) {
	for _, n := range m.Namespaces {
		if got, ok := m.Namespace(n.Name); !ok || got != n || n.Name == "" || len(n.Name) > opl.MaxNamespaceLen {
			t.Errorf("namespace %q", n.Name)
		}
		for _, r := range n.Relations {
			if got, ok := n.Relation(r.Name); !ok || got != r || r.Name == "" || len(r.Name) > opl.MaxRelationLen {
				t.Errorf("relation %q", r.Name)
			}
			if r.Permission != (r.Rewrite != nil) || r.Permission && r.Types != nil {
				t.Errorf("relation %+v", r)
			}
			if r.Permission {
				checkExpr(t, r.Rewrite)
			}
		}
	}
}

func checkExpr(t *testing.T, e opl.Expr) {
	var of []opl.Expr
	switch e := e.(type) {
	case opl.Or:
		of = e.Of
		if len(of) < 2 || slices.ContainsFunc(of, func(e opl.Expr) bool { _, ok := e.(opl.Or); return ok }) {
			t.Errorf("expression %v", e)
		}
	case opl.And:
		of = e.Of
		if len(of) < 2 || slices.ContainsFunc(of, func(e opl.Expr) bool { _, ok := e.(opl.And); return ok }) {
			t.Errorf("expression %v", e)
		}
	case opl.Not:
		of = []opl.Expr{e.Of}
		if _, ok := e.Of.(opl.Not); ok {
			t.Errorf("expression %v", e)
		}
	case opl.Traverse:
		of = []opl.Expr{e.Of}
	case nil:
		t.Error("no expression")
	}
	for _, x := range of {
		checkExpr(t, x)
	}
}

// TestLongInputs gives the package what is large or deep without being long to
// write down.
func TestLongInputs(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", opl.MaxSource),
		strings.Repeat("class A implements Namespace { related: { x: (", 10000),
		strings.Repeat("\"", opl.MaxSource-1),
		strings.Repeat("class ", 100000),
		strings.Repeat("{", opl.MaxSource),
		strings.Repeat("import ", 100000),
		"class A implements Namespace { permits = { x: (ctx) => " + strings.Repeat("!", 500000),
		"class A implements Namespace { permits = { x: (ctx) => " + strings.Repeat("(", 500000),
		"class A implements Namespace { permits = { " + strings.Repeat("x: (ctx) => this.related.x.traverse(p => ", 20000),
		strings.Repeat("/* */", 200000),
		strings.Repeat("import 'a' ", 90000),
	} {
		for _, o := range []opl.Options{{}, {Compat: true}} {
			f, err := opl.Parse(opl.Source{Name: "long", Text: []byte(text)}, o)
			if err != nil {
				checkErrors(t, []byte(text), err)
			} else {
				opl.Format(f)
			}
		}
	}
}
