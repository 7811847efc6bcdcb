package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/sqlite"
)

const docs = `
class User implements Namespace {}
class Group implements Namespace {
  related: { members: (User | SubjectSet<Group, "members">)[] }
}
class Doc implements Namespace {
  related: {
    parents: Doc[]
    viewers: (User | SubjectSet<Group, "members">)[]
    banned: User[]
  }
  permits = {
    view: (ctx: Context): boolean =>
      (this.related.viewers.includes(ctx.subject) || this.related.parents.traverse((p) => p.permits.view(ctx))) &&
      !this.related.banned.includes(ctx.subject),
  }
}
`

// never is a poll interval that no test waits for, so that what is seen is seen
// because somebody asked.
const never = time.Hour

var (
	latency = engine.Consistency{}
	fully   = engine.Consistency{Mode: engine.FullyConsistent}
)

func atLeast(t engine.Token) engine.Consistency {
	return engine.Consistency{Mode: engine.AtLeastAsFresh, Token: t}
}

func exactly(t engine.Token) engine.Consistency {
	return engine.Consistency{Mode: engine.Exact, Token: t}
}

func newStore(tb testing.TB) engine.Store {
	tb.Helper()
	_, s := newDB(tb)
	return s
}

func newDB(tb testing.TB) (*sqlite.DB, engine.Store) {
	tb.Helper()
	db, err := sqlite.Open(tb.Context(), sqlite.Memory)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	s, err := db.Network(tb.Context(), "default")
	if err != nil {
		tb.Fatal(err)
	}
	return db, s
}

func newEngine(tb testing.TB, s engine.Store, o engine.Options) *engine.Engine {
	tb.Helper()
	if o.Poll == 0 {
		o.Poll = never
	}
	e, err := engine.New(tb.Context(), s, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

// withDocs returns an engine on a new store with the model docs and tuples.
func withDocs(tb testing.TB, o engine.Options, tuples ...string) *engine.Engine {
	tb.Helper()
	e := newEngine(tb, newStore(tb), o)
	if _, _, err := e.ApplyModel(tb.Context(), docs, engine.ApplyModel{}); err != nil {
		tb.Fatal(err)
	}
	write(tb, e, tuples...)
	return e
}

func parse(tb testing.TB, text string) engine.Tuple {
	tb.Helper()
	t, err := engine.ParseTuple(text)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// updates reads tuples, with a minus in front of those to delete.
func updates(tb testing.TB, texts ...string) []engine.Update {
	tb.Helper()
	var ups []engine.Update
	for _, text := range texts {
		op := engine.Insert
		if rest, ok := strings.CutPrefix(text, "-"); ok {
			op, text = engine.Delete, rest
		}
		ups = append(ups, engine.Update{Op: op, Tuple: parse(tb, text)})
	}
	return ups
}

func write(tb testing.TB, e *engine.Engine, texts ...string) engine.Token {
	tb.Helper()
	done, err := e.Write(tb.Context(), engine.Write{Updates: updates(tb, texts...)})
	if err != nil {
		tb.Fatal(err)
	}
	return done.Token
}

func check(tb testing.TB, e *engine.Engine, text string, at engine.Consistency) bool {
	tb.Helper()
	answer, err := e.Check(tb.Context(), parse(tb, text), at)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	if answer.Token == "" {
		tb.Errorf("%s: no token", text)
	}
	return answer.Allowed
}

func wantKind(tb testing.TB, err error, kind errs.Kind, words string) {
	tb.Helper()
	if errs.KindOf(err) != kind || kind != errs.OK && !strings.Contains(err.Error(), words) {
		tb.Errorf("error (%v) %v, want (%v) with %q", errs.KindOf(err), err, kind, words)
	}
}

// TestConsistency runs two engines, as on two nodes, over one store.
func TestConsistency(t *testing.T) {
	s := newStore(t)
	a := newEngine(t, s, engine.Options{})
	if _, _, err := a.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	b := newEngine(t, s, engine.Options{})
	const question = "Doc:1#view@User:ann"

	granted := write(t, a, "Doc:1#viewers@User:ann")
	if !check(t, a, question, latency) {
		t.Error("the node that wrote does not see its own write")
	}
	if check(t, b, question, latency) {
		t.Error("the other node saw the write without asking: the rest of this test shows nothing")
	}
	if !check(t, b, question, atLeast(granted)) {
		t.Error("at least as fresh as the write, but it is not seen")
	}
	revoked := write(t, a, "-Doc:1#viewers@User:ann")
	if !check(t, b, question, atLeast(granted)) {
		t.Error("a node moved although the token it was asked for is covered")
	}
	if check(t, b, question, fully) {
		t.Error("fully consistent, but the last write is not seen")
	}
	regranted := write(t, a, "Doc:1#viewers@User:ann")
	for _, e := range []*engine.Engine{a, b} {
		if !check(t, e, question, exactly(granted)) || check(t, e, question, exactly(revoked)) || !check(t, e, question, exactly(regranted)) {
			t.Error("exact revisions are not exact")
		}
	}
}

func TestTokensAreRefused(t *testing.T) {
	e, other := withDocs(t, engine.Options{}), withDocs(t, engine.Options{})
	foreign := write(t, other, "Doc:1#viewers@User:ann")
	for _, token := range []engine.Token{foreign, "not yet implemented"} {
		for _, at := range []engine.Consistency{atLeast(token), exactly(token), {Mode: engine.FullyConsistent, Token: token}} {
			_, err := e.Check(t.Context(), parse(t, "Doc:1#view@User:ann"), at)
			wantKind(t, err, errs.Invalid, "snaptoken")
			_, _, err = e.Expand(t.Context(), engine.SubjectSet("Doc", "1", "viewers"), 0, at)
			wantKind(t, err, errs.Invalid, "snaptoken")
			_, err = e.List(t.Context(), engine.Query{}, engine.ListPage{}, at)
			wantKind(t, err, errs.Invalid, "snaptoken")
		}
	}
	_, err := e.Check(t.Context(), parse(t, "Doc:1#view@User:ann"), exactly(""))
	wantKind(t, err, errs.Invalid, "snaptoken is empty")
}

// TestModelAndTuplesAreOneRevision: a question at a revision uses the model of
// that revision (rule E1).
func TestModelAndTuplesAreOneRevision(t *testing.T) {
	e := withDocs(t, engine.Options{KeepStates: 1})
	before := write(t, e, "Doc:1#viewers@User:ann", "Doc:1#banned@User:ann")
	without := strings.Replace(docs, "&&\n      !this.related.banned.includes(ctx.subject)", "", 1)
	_, after, err := e.ApplyModel(t.Context(), without, engine.ApplyModel{})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		write(t, e, "Doc:2#viewers@User:bob", "Doc:2#viewers@User:eve")
		write(t, e, "-Doc:2#viewers@User:bob")
	}
	if check(t, e, "Doc:1#view@User:ann", exactly(before)) || !check(t, e, "Doc:1#view@User:ann", exactly(after)) || !check(t, e, "Doc:1#view@User:ann", latency) {
		t.Error("the model is not that of the revision")
	}
}

func TestExpired(t *testing.T) {
	db, s := newDB(t)
	e := newEngine(t, s, engine.Options{KeepStates: 1})
	if _, _, err := e.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	old := write(t, e, "Doc:1#viewers@User:ann", "Doc:1#viewers@User:bob", "Doc:1#viewers@User:eve")
	list, err := e.List(t.Context(), engine.Query{}, engine.ListPage{Size: 1}, latency)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		write(t, e, "-Doc:1#viewers@User:ann")
		write(t, e, "Doc:1#viewers@User:ann")
	}
	if _, err := db.Purge(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err = e.Check(t.Context(), parse(t, "Doc:1#view@User:ann"), exactly(old))
	wantKind(t, err, errs.Expired, "no longer kept")
	_, err = e.List(t.Context(), engine.Query{}, engine.ListPage{Size: 1, Token: list.Next}, latency)
	wantKind(t, err, errs.Expired, "no longer kept")
	if !check(t, e, "Doc:1#view@User:ann", atLeast(old)) {
		t.Error("an old token does not ask for more than it shows")
	}
}

func TestWriteIsChecked(t *testing.T) {
	tests := []struct {
		ups   string // one tuple a word
		kind  errs.Kind
		words string
	}{
		{"Doc:1#viewers@User:ann", errs.OK, ""},
		{"Doc:1#viewers@ann", errs.OK, ""}, // some type is without a relation
		{"Doc:1#viewers@Group:eng#members", errs.OK, ""},
		{"User:ann#anything@Group:eng#whatever", errs.OK, ""}, // User declares nothing
		{"-Doc:1#viewers@User:nobody", errs.OK, ""},
		{"Nope:1#viewers@User:ann", errs.NotFound, `Unknown namespace with name "Nope".`},
		{"-Nope:1#viewers@User:ann", errs.NotFound, `Unknown namespace with name "Nope".`},
		{"Doc:1#viewers@Nope:ann", errs.NotFound, `Unknown namespace with name "Nope".`},
		{"Doc:1#nope@User:ann", errs.Invalid, `relation "nope" does not exist`},
		{"Doc:1#@User:ann", errs.Invalid, `relation "" does not exist`},
		{"Doc:1#view@User:ann", errs.Invalid, `"view" is a permission`},
		{"Doc:1#viewers@Group:eng", errs.Invalid, `expected User or SubjectSet<Group, "members">`},
		{"Doc:1#viewers@Group:eng#admins", errs.Invalid, "does not take the subject"},
		{"Doc:1#parents@User:ann", errs.Invalid, "expected Doc"},
		{"Doc:2#viewers@User:ann Doc:3#nope@User:ann", errs.Invalid, "update 1: "},
	}
	for _, tt := range tests {
		t.Run(tt.ups, func(t *testing.T) {
			e := withDocs(t, engine.Options{})
			_, err := e.Write(t.Context(), engine.Write{Updates: updates(t, strings.Fields(tt.ups)...)})
			wantKind(t, err, tt.kind, tt.words)
			list, listErr := e.List(t.Context(), engine.Query{}, engine.ListPage{}, fully)
			if listErr != nil {
				t.Fatal(listErr)
			}
			if err != nil && len(list.Tuples) > 0 {
				t.Errorf("refused, but %v was written", list.Tuples)
			}
		})
	}
}

func TestCompatWritesAnything(t *testing.T) {
	e := withDocs(t, engine.Options{Compat: true}, "Doc:1#view@User:ann", "Doc:1#nope@Group:eng#admins")
	if !check(t, e, "Doc:1#view@User:ann", latency) {
		t.Error("a tuple on a permission does not count")
	}
	_, err := e.Write(t.Context(), engine.Write{Updates: updates(t, "Nope:1#viewers@User:ann")})
	wantKind(t, err, errs.NotFound, "Nope")
}

func TestCheckRefuses(t *testing.T) {
	e := withDocs(t, engine.Options{}, "Doc:1#viewers@User:ann")
	for question, want := range map[string]struct {
		kind  errs.Kind
		words string
	}{
		"Nope:1#view@User:ann": {errs.NotFound, `Unknown namespace with name "Nope".`},
		"Doc:1#view@Nope:ann":  {errs.NotFound, `Unknown namespace with name "Nope".`},
		"Doc:1#zzz@User:ann":   {errs.Invalid, `relation "zzz" does not exist`},
	} {
		_, err := e.Check(t.Context(), parse(t, question), latency)
		wantKind(t, err, want.kind, want.words)
	}
	// What is merely not there is an answer.
	for _, question := range []string{"Doc:never#view@User:ann", "Doc:1#view@User:never", "Doc:1#view@never", "Doc:1#@User:ann", "User:ann#unheard@User:ann"} {
		if check(t, e, question, latency) {
			t.Errorf("%s is allowed", question)
		}
	}
}

// TestSubjectsAreKeptApart: a plain id, an object and an object of a namespace
// that nobody has heard of never stand for one another.
func TestSubjectsAreKeptApart(t *testing.T) {
	e := withDocs(t, engine.Options{}, "Doc:1#viewers@ann", "Doc:2#viewers@User:ann", "Doc:3#viewers@Group:ann#members")
	for question, want := range map[string]bool{
		"Doc:1#viewers@ann": true, "Doc:1#viewers@User:ann": false, "Doc:1#viewers@Group:ann": false, "Doc:1#viewers@Group:ann#members": false,
		"Doc:2#viewers@ann": false, "Doc:2#viewers@User:ann": true, "Doc:2#viewers@Group:ann": false,
		"Doc:3#viewers@ann": false, "Doc:3#viewers@Group:ann": false, "Doc:3#viewers@Group:ann#members": true,
	} {
		if got := check(t, e, question, latency); got != want {
			t.Errorf("%s: got %v", question, got)
		}
	}
}

func TestBatchCheck(t *testing.T) {
	e := withDocs(t, engine.Options{MaxBatch: 4}, "Doc:1#viewers@User:ann")
	var questions []engine.Tuple
	for _, text := range []string{"Doc:1#view@User:ann", "Doc:1#view@User:bob", "Doc:1#zzz@User:ann", "Doc:1#view@User:ann"} {
		questions = append(questions, parse(t, text))
	}
	results, token, err := e.BatchCheck(t.Context(), questions, latency)
	if err != nil || token == "" {
		t.Fatal(err, token)
	}
	for i, want := range []engine.Result{{Allowed: true}, {}, {Err: errors.New("")}, {Allowed: true}} {
		if results[i].Allowed != want.Allowed || (results[i].Err == nil) != (want.Err == nil) {
			t.Errorf("item %d: %+v", i, results[i])
		}
	}
	_, _, err = e.BatchCheck(t.Context(), append(questions, questions[0]), latency)
	wantKind(t, err, errs.Invalid, "batch exceeds max size of 4")
	if results, _, err = e.BatchCheck(t.Context(), nil, latency); err != nil || len(results) != 0 {
		t.Error("an empty batch has no empty answer")
	}
}

func TestDelete(t *testing.T) {
	e := withDocs(t, engine.Options{}, "Doc:1#viewers@User:ann", "Doc:1#banned@User:ann", "Doc:2#viewers@User:ann")
	_, err := e.Delete(t.Context(), engine.Query{}, engine.Write{})
	wantKind(t, err, errs.Invalid, "the query is empty")
	nope := "Nope"
	_, err = e.Delete(t.Context(), engine.Query{Namespace: &nope}, engine.Write{})
	wantKind(t, err, errs.NotFound, "Nope")
	object := "1"
	if done, err := e.Delete(t.Context(), engine.Query{Object: &object}, engine.Write{}); done.Deleted != 2 || done.Token == "" || err != nil {
		t.Errorf("deleted %d, %v", done.Deleted, err)
	}
	if check(t, e, "Doc:1#viewers@User:ann", latency) || !check(t, e, "Doc:2#viewers@User:ann", latency) {
		t.Error("deleted the wrong ones")
	}
}

// TestOrphans: tuples of a namespace that the model no longer has can be listed
// and deleted, and nothing else is possible with them.
func TestOrphans(t *testing.T) {
	e := withDocs(t, engine.Options{}, "Group:eng#members@User:ann", "Doc:1#viewers@Group:eng#members", "Doc:2#viewers@User:ann")
	less := "class User implements Namespace {}\nclass Doc implements Namespace { related: { viewers: User[]; banned: User[]; parents: Doc[] } }"
	_, _, err := e.ApplyModel(t.Context(), less, engine.ApplyModel{})
	wantKind(t, err, errs.Refused, "2 stored tuples do not fit the new model")
	if _, _, err := e.ApplyModel(t.Context(), less, engine.ApplyModel{Force: true}); err != nil {
		t.Fatal(err)
	}
	_, err = e.Check(t.Context(), parse(t, "Doc:1#viewers@User:ann"), latency)
	wantKind(t, err, errs.Invalid, `namespace "Group", which does not exist`)
	if !check(t, e, "Doc:2#viewers@User:ann", latency) {
		t.Error("an orphan elsewhere changes an answer")
	}
	gone := "Group"
	list, err := e.List(t.Context(), engine.Query{Namespace: &gone}, engine.ListPage{}, latency)
	if err != nil || len(list.Tuples) != 1 {
		t.Errorf("listed %v, %v", list.Tuples, err)
	}
	write(t, e, "-Doc:1#viewers@Group:eng#members")
	if done, err := e.Delete(t.Context(), engine.Query{Namespace: &gone}, engine.Write{}); done.Deleted != 1 || err != nil {
		t.Errorf("deleted %d, %v", done.Deleted, err)
	}
	_, err = e.List(t.Context(), engine.Query{Namespace: &gone}, engine.ListPage{}, latency)
	wantKind(t, err, errs.NotFound, "Group")
}

func TestApplyModel(t *testing.T) {
	e := withDocs(t, engine.Options{})
	_, _, err := e.ApplyModel(t.Context(), "class Doc implements Namespace { related: { a: Nope[] } }", engine.ApplyModel{})
	wantKind(t, err, errs.Invalid, `namespace "Nope" was not declared`)
	if v, _, err := e.ApplyModel(t.Context(), docs, engine.ApplyModel{}); v.Number != 1 || err != nil {
		t.Errorf("the same text again became version %d, %v", v.Number, err)
	}
	next := docs + "class More implements Namespace {}\n"
	if v, _, err := e.ApplyModel(t.Context(), next, engine.ApplyModel{DryRun: true}); v.Number != 2 || err != nil {
		t.Errorf("dry run: version %d, %v", v.Number, err)
	}
	if v, _ := e.Model(); v.Number != 1 || len(e.Namespaces()) != 3 {
		t.Error("the dry run was not dry")
	}
	v, token, err := e.ApplyModel(t.Context(), next, engine.ApplyModel{})
	if err != nil || v.Number != 2 || v.Source != next || token != e.Token(v) {
		t.Errorf("version %+v, %v", v, err)
	}
	if got := strings.Join(e.Namespaces(), " "); got != "User Group Doc More" {
		t.Errorf("namespaces %s", got)
	}
	versions, err := e.Models(t.Context(), 0, 10)
	if err != nil || len(versions) != 2 || versions[0].Number != 2 {
		t.Errorf("history %+v, %v", versions, err)
	}
	if v, err := e.ModelVersion(t.Context(), 1); err != nil || v.Source != docs {
		t.Errorf("version 1: %+v, %v", v, err)
	}
	_, err = e.ModelVersion(t.Context(), 3)
	wantKind(t, err, errs.NotFound, "no model version 3")
}

func TestListPages(t *testing.T) {
	e := withDocs(t, engine.Options{})
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("Doc:%02d#viewers@User:ann", i))
	}
	write(t, e, want...)
	ns := "Doc"
	q := engine.Query{Namespace: &ns}
	var got []string
	for page := (engine.ListPage{Size: 7}); ; {
		list, err := e.List(t.Context(), q, page, latency)
		if err != nil {
			t.Fatal(err)
		}
		for _, tuple := range list.Tuples {
			got = append(got, tuple.String())
		}
		// What is written between pages does not show.
		write(t, e, fmt.Sprintf("Doc:%02d#banned@User:ann", len(got)), "-"+want[len(got)-1])
		if list.Next == "" {
			break
		}
		if _, err := e.List(t.Context(), engine.Query{}, engine.ListPage{Token: list.Next}, latency); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a token of another query: error %v", err)
		}
		page.Token = list.Next
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v", got)
	}
	for _, token := range []string{"garbage", "MTIzLnt9", "e30", "====", strings.Repeat("A", 1000)} {
		_, err := e.List(t.Context(), q, engine.ListPage{Token: token}, latency)
		wantKind(t, err, errs.Invalid, "invalid pagination token")
	}
}

// TestDeepAndWide: answers are exact at any depth and width, and neither takes
// the process down.
func TestDeepAndWide(t *testing.T) {
	e := withDocs(t, engine.Options{})
	var batch []string
	for i := range 20_000 {
		batch = append(batch, fmt.Sprintf("Group:%d#members@Group:%d#members", i, i+1), fmt.Sprintf("Doc:wide#parents@Doc:%d", i),
			fmt.Sprintf("Doc:%d#parents@Doc:%d", i, i+1))
	}
	batch = append(batch, "Group:20000#members@User:ann", "Doc:1#viewers@Group:0#members", "Doc:19999#viewers@User:bob",
		"Group:20000#members@Group:0#members") // and a cycle
	write(t, e, batch...)
	for question, want := range map[string]bool{
		"Doc:1#view@User:ann": true, "Doc:1#view@User:eve": false, "Group:7#members@User:ann": true, "Group:7#members@User:eve": false,
		"Doc:wide#view@User:bob": true, "Doc:wide#view@User:eve": false, "Doc:0#view@User:bob": true,
	} {
		if got := check(t, e, question, latency); got != want {
			t.Errorf("%s: got %v", question, got)
		}
	}
	_, _, err := e.Expand(t.Context(), engine.SubjectSet("Group", "0", "members"), 0, latency)
	wantKind(t, err, errs.Exhausted, "more than 1000 levels")
	small := newEngine(t, newStore(t), engine.Options{MaxExpand: 2, MaxWork: 3})
	if _, _, err := small.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	write(t, small, batch[0], batch[3], batch[6], batch[9], batch[12])
	_, _, err = small.Expand(t.Context(), engine.SubjectSet("Group", "0", "members"), 0, latency)
	wantKind(t, err, errs.Exhausted, "limits.expand")
	_, err = small.Check(t.Context(), parse(t, "Group:0#members@User:ann"), latency)
	wantKind(t, err, errs.Exhausted, "limits.work")
}

func TestCancelledCheckIsNoAnswer(t *testing.T) {
	e := withDocs(t, engine.Options{})
	var batch []string
	for i := range 5000 {
		batch = append(batch,
			fmt.Sprintf("Group:%d#members@Group:%d#members", i, i+1),
			fmt.Sprintf("Group:above-%d#members@Group:above-%d#members", i+1, i)) // neither side ends soon
	}
	batch = append(batch, "Group:above-0#members@User:ann")
	write(t, e, batch...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Check(ctx, parse(t, "Group:0#members@User:ann"), latency)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	_, _, err = e.BatchCheck(ctx, []engine.Tuple{parse(t, "Group:0#members@User:ann")}, latency)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	_, err = e.Check(ctx, parse(t, "Group:0#members@User:ann"), fully)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// TestWriteUnderNewModel: a node whose model is older than that of another takes a
// write that only the new one allows.
func TestWriteUnderNewModel(t *testing.T) {
	s := newStore(t)
	a, b := newEngine(t, s, engine.Options{}), newEngine(t, s, engine.Options{})
	if _, _, err := a.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	token := write(t, b, "Doc:1#viewers@User:ann")
	if !check(t, a, "Doc:1#view@User:ann", atLeast(token)) {
		t.Error("the write is lost")
	}
	_, err := b.Write(t.Context(), engine.Write{Updates: updates(t, "Nope:1#viewers@User:ann")})
	wantKind(t, err, errs.NotFound, "Nope")
}

// A faulty store fails when told to.
type faulty struct {
	engine.Store
	down atomic.Bool
}

var errDown = errs.New(errs.Unavailable, "the store is down")

func (f *faulty) Tail(ctx context.Context, from engine.Revision, yield func(engine.Change) error) (engine.Revision, error) {
	if f.down.Load() {
		return "", errDown
	}
	return f.Store.Tail(ctx, from, yield)
}

func (f *faulty) ReadSets(ctx context.Context, rev engine.Revision, sets []engine.SetRead, limit int) iter.Seq2[engine.SetRow, error] {
	if f.down.Load() {
		return func(yield func(engine.SetRow, error) bool) { yield(engine.SetRow{}, errDown) }
	}
	return f.Store.ReadSets(ctx, rev, sets, limit)
}

// TestStoreDown: what can be answered without the store is, what cannot is an
// error and never a wrong "no", and the engine recovers by itself.
func TestStoreDown(t *testing.T) {
	s := &faulty{Store: newStore(t)}
	a, b := newEngine(t, s, engine.Options{}), newEngine(t, s, engine.Options{})
	if _, _, err := a.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	token := write(t, a, "Doc:1#viewers@User:ann")
	s.down.Store(true)
	question := parse(t, "Doc:1#view@User:ann")
	_, err := b.Check(t.Context(), question, atLeast(token))
	wantKind(t, err, errs.Unavailable, "down")
	_, err = a.Check(t.Context(), question, fully)
	wantKind(t, err, errs.Unavailable, "down")
	if a.Ready(t.Context()) == nil {
		t.Error("ready, though the log cannot be followed")
	}
	if !check(t, a, "Doc:1#view@User:ann", latency) || !check(t, a, "Doc:1#view@User:ann", atLeast(token)) {
		t.Error("what memory knows is not answered")
	}
	s.down.Store(false)
	if !check(t, b, "Doc:1#view@User:ann", atLeast(token)) || !check(t, a, "Doc:1#view@User:ann", fully) {
		t.Error("no recovery")
	}
	if err := a.Ready(t.Context()); err != nil {
		t.Errorf("not ready after recovery: %v", err)
	}
}

// TestReadYourWrite: many writers at once, each of whom sees its own writes with
// the weakest consistency on its node, and with the token on the other.
func TestReadYourWrite(t *testing.T) {
	s := newStore(t)
	a := newEngine(t, s, engine.Options{})
	if _, _, err := a.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	b := newEngine(t, s, engine.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			doc := fmt.Sprintf("Doc:%d#viewers@User:ann", i)
			for n := range 50 {
				text, want := doc, true
				if n%2 == 1 {
					text, want = "-"+doc, false
				}
				token := write(t, a, text)
				if check(t, a, doc, latency) != want || check(t, b, doc, atLeast(token)) != want {
					t.Errorf("%s is not seen", text)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestConfiguredModel: a model from the configuration goes before the store's.
func TestConfiguredModel(t *testing.T) {
	e := withDocs(t, engine.Options{}, "Doc:1#viewers@User:ann")
	e.UseModel(engine.ModelOf(t, "class Other implements Namespace {}"), "other.ts")
	if _, location := e.Model(); location != "other.ts" || len(e.Namespaces()) != 1 {
		t.Errorf("model from %q, namespaces %v", location, e.Namespaces())
	}
	_, err := e.Check(t.Context(), parse(t, "Doc:1#view@User:ann"), latency)
	wantKind(t, err, errs.NotFound, "Doc")
	write(t, e, "Other:1#r@ann")
	_, _, err = e.ApplyModel(t.Context(), docs+"\n", engine.ApplyModel{})
	wantKind(t, err, errs.Refused, "other.ts")
	e.UseModel(engine.ModelOf(t, docs), "other.ts")
	if !check(t, e, "Doc:1#view@User:ann", latency) {
		t.Error("the model was not replaced")
	}
}
