package engine

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cardea-iam/cardea/internal/errs"
)

func TestParseTuple(t *testing.T) {
	tests := []struct {
		in   string
		want Tuple
		kind errs.Kind
	}{
		{"doc:1#viewer@ann", Tuple{Object{"doc", "1"}, "viewer", SubjectID("ann")}, errs.OK},
		{"doc:1#viewer@user:ann", Tuple{Object{"doc", "1"}, "viewer", SubjectSet("user", "ann", "")}, errs.OK},
		{"doc:1#viewer@group:eng#member", Tuple{Object{"doc", "1"}, "viewer", SubjectSet("group", "eng", "member")}, errs.OK},
		{"doc:a/b@c#viewer@user:ann@example.org", Tuple{Object{"doc", "a/b@c"}, "viewer", SubjectSet("user", "ann@example.org", "")}, errs.OK},
		{"doc:a:b#viewer@user:x:y", Tuple{Object{"doc", "a:b"}, "viewer", SubjectSet("user", "x:y", "")}, errs.OK},
		{"doc:#@user:ann", Tuple{Object{"doc", ""}, "", SubjectSet("user", "ann", "")}, errs.OK},
		{"", Tuple{}, errs.Invalid},
		{"doc:1", Tuple{}, errs.Invalid},
		{"doc:1#viewer", Tuple{}, errs.Invalid},
		{"doc:1#viewer@", Tuple{}, errs.Invalid},
		{"1#viewer@ann", Tuple{}, errs.Invalid},
		{":1#viewer@ann", Tuple{}, errs.Invalid},
		{"doc:1#viewer@group:eng#", Tuple{}, errs.Invalid},
		{"doc:1#viewer@:eng", Tuple{}, errs.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseTuple(tt.in)
			if errs.KindOf(err) != tt.kind {
				t.Fatalf("error %v, want kind %v", err, tt.kind)
			}
			if err != nil {
				return
			}
			if got != tt.want {
				t.Errorf("got %#v, want %#v", got, tt.want)
			}
			if got.String() != tt.in {
				t.Errorf("prints as %q", got)
			}
		})
	}
}

func TestParseTupleWithParentheses(t *testing.T) {
	got := parse(t, "doc:1#viewer@(group:eng#member)")
	if want := SubjectSet("group", "eng", "member"); got.Subject != want {
		t.Errorf("got %v, want %v", got.Subject, want)
	}
}

func TestValidate(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name  string
		tuple Tuple
		field string // that the message names; "" if the tuple is fine
	}{
		{"at the limits", Tuple{Object{long(MaxNamespace), long(MaxID)}, long(MaxRelation), SubjectSet(long(MaxNamespace), long(MaxID), long(MaxRelation))}, ""},
		{"no namespace", Tuple{Object{"", "1"}, "r", SubjectID("a")}, "namespace"},
		{"long namespace", Tuple{Object{long(MaxNamespace + 1), "1"}, "r", SubjectID("a")}, "namespace"},
		{"long object", Tuple{Object{"n", long(MaxID + 1)}, "r", SubjectID("a")}, "object"},
		{"long relation", Tuple{Object{"n", "1"}, long(MaxRelation + 1), SubjectID("a")}, "relation"},
		{"long subject id", Tuple{Object{"n", "1"}, "r", SubjectID(long(100_000))}, "subject_id"},
		{"long subject namespace", Tuple{Object{"n", "1"}, "r", SubjectSet(long(MaxNamespace+1), "x", "")}, "subject_set.namespace"},
		{"long subject object", Tuple{Object{"n", "1"}, "r", SubjectSet("n", long(MaxID+1), "")}, "subject_set.object"},
		{"long subject relation", Tuple{Object{"n", "1"}, "r", SubjectSet("n", "x", long(MaxRelation+1))}, "subject_set.relation"},
		{"set without namespace", Tuple{Object{"n", "1"}, "r", SubjectSet("", "x", "member")}, "subject_set.namespace"},
		{"not UTF-8", Tuple{Object{"n", "\xff"}, "r", SubjectID("a")}, "object"},
		{"NUL", Tuple{Object{"n", "a\x00b"}, "r", SubjectID("a")}, "object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.tuple.Validate()
			if tt.field == "" && err == nil {
				return
			}
			if tt.field == "" || errs.KindOf(err) != errs.Invalid || !strings.HasPrefix(err.Error(), tt.field+" ") {
				t.Errorf("error %v, want one about %q", err, tt.field)
			}
		})
	}
}

func TestToken(t *testing.T) {
	id, other := StoreID{1}, StoreID{2}
	token := newToken(id, "revision 7")
	if rev, err := token.revision(id); rev != "revision 7" || err != nil {
		t.Fatalf("got %q, %v", rev, err)
	}
	for name, bad := range map[string]Token{
		"of another store": newToken(other, "revision 7"),
		"Keto's":           "not yet implemented",
		"cut":              token[:len(token)-1],
		"changed":          "B" + token[1:],
		"padded":           token + "A",
		"short":            "AQ",
	} {
		if _, err := bad.revision(id); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a token that is %s: error %v", name, err)
		}
	}
}

// FuzzParseTuple: nothing panics, and what parses prints to what parses to the
// same tuple.
func FuzzParseTuple(f *testing.F) {
	for _, seed := range []string{"a:b#c@d", "a:b#c@(d:e#f)", "a:b#c@d:e#f", "#@", "a:#@()", "a:b#c@d#e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tuple, err := ParseTuple(text)
		if err != nil {
			return
		}
		again, err := ParseTuple(tuple.String())
		if err != nil || again != tuple {
			t.Errorf("%q: %#v prints as %q, which is %#v, %v", text, tuple, tuple, again, err)
		}
	})
}

// TestPlain: what isPlain takes, the long way takes as well.
func TestPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		text := make([]byte, r.IntN(20))
		for i := range text {
			text[i] = byte(1 + r.IntN(0x7f))
		}
		if n := len(text); n > 0 && r.IntN(2) == 0 {
			text[r.IntN(n)] = byte(r.IntN(256))
		}
		want := true
		for _, c := range text {
			want = want && c > 0 && c < utf8.RuneSelf
		}
		if got := isPlain(string(text)); got != want {
			t.Fatalf("%q is plain: %t", text, got)
		}
	}
}
