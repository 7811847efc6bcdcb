package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/openfga/language/pkg/go/transformer"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

func TestByName(t *testing.T) {
	list, err := byName([]string{"keto", "cardea"})
	if err != nil || len(list) != 2 || list[0].name != "cardea" || list[1].name != "keto" {
		t.Errorf("got %v, %v, want cardea and keto", list, err)
	}
	if _, err := byName([]string{"cardea", "nobody"}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a name that is not known: %v", err)
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"--peer", "cardea,keto", "--keto", "/opt/keto"}, io.Discard)
	if err != nil || o.named["keto"] != "/opt/keto" || !slices.Equal(o.peers, []string{"cardea", "keto"}) {
		t.Errorf("got %+v, %v", o, err)
	}
	_, err = parse([]string{"--tuples", "1", "--duration", "0", "--peer", "nobody", "--skew", "0.5", "more"}, io.Discard)
	for _, word := range []string{"--tuples", "--duration", "nobody", "--skew", "more"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not name %s", err, word)
		}
	}
}

// TestTokens: only engines that have tokens are measured with writes beside.
func TestTokens(t *testing.T) {
	for _, p := range programs() {
		if got, want := p.hasToken(), p.name == "cardea" || p.name == "spicedb"; got != want {
			t.Errorf("%s has tokens: %t, want %t", p.name, got, want)
		}
		for _, m := range modes {
			if p.asks[m] == "" {
				t.Errorf("%s does not say how it is asked for %s", p.name, m)
			}
		}
	}
}

func TestOpenFGAModel(t *testing.T) {
	model, err := transformer.TransformDSLToProto(openfgaModel)
	if err != nil || len(model.GetTypeDefinitions()) != 4 {
		t.Errorf("the model has %d types, %v, want 4", len(model.GetTypeDefinitions()), err)
	}
}

func TestNames(t *testing.T) {
	set := engine.SubjectSet("Group", "g", "members")
	if got := openfgaSubject(set); got != "group:g#members" {
		t.Errorf("OpenFGA: got %s", got)
	}
	if got := spicedbSubject(set); got.Object.ObjectType != "group" || got.Object.ObjectId != "g" || got.OptionalRelation != "members" {
		t.Errorf("SpiceDB: got %v", got)
	}
	one := engine.Tuple{Object: engine.Object{Namespace: "Group", ID: "g"}, Relation: "members", Subject: set}
	if got := distinct([]engine.Tuple{one, one}); len(got) != 1 {
		t.Errorf("distinct left %d tuples of 1", len(got))
	}
}

// newRun prepares a small run; it skips the test where there is no PostgreSQL.
func newRun(t *testing.T, args ...string) *run {
	t.Helper()
	o, err := parse(append([]string{"--tuples", "1000", "--duration", "300ms", "--warm-up", "100ms", "--bin", t.TempDir()}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	db, err := startDatabase(t.Context())
	if errs.KindOf(err) == errs.Unsupported {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.close(); err != nil {
			t.Error(err)
		}
	})
	find, err := o.binaries(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return startRun(o, db, find, t.Output())
}

// TestCardea runs all of it, with Cardea alone.
func TestCardea(t *testing.T) {
	r := newRun(t, "--peer", "cardea")
	report, err := r.all(t.Context())
	report.compare()
	if err := errors.Join(err, report.wrong()); err != nil {
		t.Fatal(err)
	}
	if len(report.Engines) != 1 || len(report.Engines[0].Modes) != 3 {
		t.Fatalf("got %+v", report)
	}
	for _, m := range report.Engines[0].Modes {
		if m.Checks == 0 || m.Allowed == 0 || m.Allowed == m.Checks {
			t.Errorf("%s: %d of %d checks were allowed", m.Mode, m.Allowed, m.Checks)
		}
		if (m.Writes > 0) != (m.Mode == withToken) {
			t.Errorf("%s: %d writes", m.Mode, m.Writes)
		}
	}
	if m := report.Engines[0].Modes[2]; m.Queries == 0 {
		t.Errorf("%s took no query", m.Mode)
	}
	if err := report.print(t.Output()); err != nil {
		t.Error(err)
	}
}

// TestWrongAnswer: an engine whose answers are wrong fails the run.
func TestWrongAnswer(t *testing.T) {
	r := newRun(t, "--peer", "cardea")
	p := cardea()
	right := p.start
	p.start = func(ctx context.Context, at site) (*instance, error) {
		in, err := right(ctx, at)
		if err == nil {
			in.client = wrong{in.client}
		}
		return in, err
	}
	binary, err := r.find.find(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	one, err := r.engine(t.Context(), p, binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&Report{Engines: []EngineReport{one}}).wrong(); err == nil {
		t.Error("nobody noticed")
	}
}

// wrong allows everything.
type wrong struct{ client }

func (wrong) check(context.Context, engine.Tuple, freshness) (bool, error) { return true, nil }

// TestKetoClient asks Cardea as if it were Keto, whose API it has. What only Keto can
// tell is whether Keto starts.
func TestKetoClient(t *testing.T) {
	r := newRun(t, "--peer", "cardea")
	p := cardea()
	p.asks = keto().asks
	p.start = startAsKeto
	binary, err := r.find.find(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	one, err := r.engine(t.Context(), p, binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&Report{Engines: []EngineReport{one}}).wrong(); err != nil {
		t.Error(err)
	}
	if len(one.Modes) != 3 || one.Modes[1].SameAs != minimizeLatency || one.Modes[2].SameAs != minimizeLatency {
		t.Errorf("modes without a difference were measured apart: %+v", one.Modes)
	}
}

func startAsKeto(ctx context.Context, at site) (*instance, error) {
	addrs, err := freeAddresses(4)
	if err != nil {
		return nil, err
	}
	model, err := modelFile(at.folder)
	if err != nil {
		return nil, err
	}
	s := starter{ctx: ctx, at: at}
	s.run("migrate", "up", "--dsn", at.dsn)
	s.serve(addrs[0], "serve", "--dsn", at.dsn, "--read", addrs[0], "--write", addrs[1], "--public", addrs[2], "--metrics", addrs[3],
		"--opl", "", "--compat", "keto", "--model", model, "--log-level", "warn")
	s.await(addrs[1])
	reads, writes := s.dial(addrs[0]), s.dial(addrs[1])
	if s.err != nil {
		return nil, s.fail()
	}
	return s.instance(newKetoClient(reads, writes)), nil
}
