package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/engine"
)

func TestParseLine(t *testing.T) {
	ann := engine.SubjectSet("User", "ann", "")
	plan := engine.Object{Namespace: "Document", ID: "plan"}
	tests := []struct {
		line string
		want engine.Tuple
		ok   bool
		err  string // a part of it
	}{
		{line: ""},
		{line: "  \t"},
		{line: "// a comment"},
		{line: "# another"},
		{line: "Document:plan#view@User:ann", want: engine.Tuple{Object: plan, Relation: "view", Subject: ann}, ok: true},
		{line: "  Document:plan#view@(User:ann)\r", want: engine.Tuple{Object: plan, Relation: "view", Subject: ann}, ok: true},
		{line: `{"namespace":"Document","object":"plan","relation":"view","subject_id":"ann"}`,
			want: engine.Tuple{Object: plan, Relation: "view", Subject: engine.SubjectID("ann")}, ok: true},
		{line: `{"namespace":"Document","object":"plan","relation":"view","subject_set":{"namespace":"User","object":"ann","relation":""}}`,
			want: engine.Tuple{Object: plan, Relation: "view", Subject: ann}, ok: true},
		{line: `{"namespace":"Document","object":"plan","relation":"view","subject_id":""}`,
			want: engine.Tuple{Object: plan, Relation: "view", Subject: engine.SubjectID("")}, ok: true},
		{line: "Document:plan", err: "expected ns:object#relation@subject"},
		{line: "{", err: "not a tuple in JSON"},
		{line: `{"namespace":"D","object":"o","relation":"r"}`, err: "exactly one"},
		{line: `{"namespace":"D","object":"o","relation":"r","subject_id":"a","subject_set":{"namespace":"U"}}`, err: "exactly one"},
		{line: `{"namespace":"D","object":"o","relation":"r","subject_set":{"object":"a"}}`, err: "subject_set.namespace is empty"},
		{line: `{"namespace":"D","objekt":"o","relation":"r","subject_id":"a"}`, err: `"objekt"`},
		{line: `{"namespace":"","object":"o","relation":"r","subject_id":"a"}`, err: "namespace is empty"},
		{line: `{"namespace":"D","object":"o","relation":"r","subject_id":"a"} {}`, err: "more than one"},
		{line: "D:o#r@" + strings.Repeat("x", 1001), err: "subject_id has 1001 bytes"},
	}
	for _, tt := range tests {
		got, ok, err := parseLine(tt.line)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error %v, want one with %q", tt.line, err, tt.err)
			}
		case err != nil || ok != tt.ok || got != tt.want:
			t.Errorf("%q: %+v, %t, %v; want %+v, %t", tt.line, got, ok, err, tt.want, tt.ok)
		}
	}
}

// FuzzFormatLine: what export prints, import reads back as the same tuple, in
// one line.
func FuzzFormatLine(f *testing.F) {
	f.Add("Document", "plan", "view", "User", "ann", "")
	f.Add("D", "a#b", "r", "", "ann", "")
	f.Add("D", "o", "r", "", "a:b", "")
	f.Add("//D", "o\n", "r@", "", "", "")
	f.Add("{", " o ", "", "U", "x#y", "z")
	f.Add("#", "", "", "", " ", "")
	f.Fuzz(func(t *testing.T, ns, object, relation, sns, sobject, srelation string) {
		want := engine.Tuple{
			Object: engine.Object{Namespace: ns, ID: object}, Relation: relation,
			Subject: engine.SubjectSet(sns, sobject, srelation),
		}
		if want.Validate() != nil {
			t.Skip("not a tuple")
		}
		for _, line := range []string{formatLine(want), formatJSON(want)} {
			if strings.ContainsAny(line, "\n\r") || len(line) > maxLine {
				t.Fatalf("%q is no line", line)
			}
			if got, ok, err := parseLine(line); err != nil || !ok || got != want {
				t.Fatalf("%q reads back as %+v, %t, %v; want %+v", line, got, ok, err, want)
			}
		}
	})
}

func TestTuplesOfFolders(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("b.jsonl", `{"namespace":"D","object":"2","relation":"r","subject_id":"a"}`)
	write("a.txt", "\ufeff// first\nD:1#r@a\n\n")
	write("sub/c.txt", "D:3#r@a\nnonsense\n")
	write("model.ts", "class D implements Namespace {}")
	write(".hidden.txt", "nonsense")

	from, err := sources([]string{dir, "-"}, strings.NewReader("D:4#r@a\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var failed error
	for l, err := range tuples(from) {
		if err != nil {
			failed = err
			break
		}
		rel, _ := filepath.Rel(dir, l.place.file)
		got = append(got, filepath.ToSlash(rel)+" "+l.tuple.String())
	}
	want := "a.txt D:1#r@a, b.jsonl D:2#r@a, sub/c.txt D:3#r@a"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if failed == nil || !strings.Contains(failed.Error(), filepath.Join("sub", "c.txt")+":2: ") {
		t.Errorf("error %v, want one that names sub/c.txt:2", failed)
	}

	if _, err := sources([]string{filepath.Join(dir, "nope")}, nil); err == nil {
		t.Error("a file that is not there is no error")
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := sources([]string{filepath.Join(dir, "empty")}, nil); err == nil || !strings.Contains(err.Error(), ".jsonl") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestLongLine(t *testing.T) {
	from, err := sources(nil, strings.NewReader("D:1#r@a\n"+strings.Repeat("x", maxLine+1)))
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	for _, err := range tuples(from) {
		failed = err
	}
	if failed == nil || !strings.HasPrefix(failed.Error(), "stdin:2: line is longer") {
		t.Errorf("error %v", failed)
	}
}
