package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
)

func TestSchemaFields(t *testing.T) {
	s, err := NewSchema("s", []byte(`{"type":"object","definitions":{"name":{"type":"string","title":"Name"}},"properties":{"traits":{"type":"object","required":["z"],"properties":{
		"z":{"type":"string","format":"email","ory.sh/kratos":{"credentials":{"password":{"identifier":true},"code":{"identifier":true,"via":"email"}},"verification":{"via":"email"}}},
		"a":{"$ref":"#/definitions/name"},
		"more":{"type":"array","items":{"type":"string","ory.sh/kratos":{"credentials":{"password":{"identifier":true}},"recovery":{"via":"email"}}}},
		"deep":{"type":"object","properties":{"n":{"type":"integer"},"b":{"type":"boolean"},"k":{"enum":["x","y"]}}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range s.nodes("default") {
		names = append(names, n.Attributes.Name+" "+n.Attributes.Type)
	}
	want := []string{"traits.z email", "traits.a text", "traits.deep.n number", "traits.deep.b checkbox", "traits.deep.k text"}
	if !slices.Equal(names, want) {
		t.Errorf("nodes %q, want %q", names, want)
	}
	u := s.read(json.RawMessage(`{"z":" Ann@Example.com","more":["b@example.com","B@example.com "]}`))
	if got := strings.Join(u.identifiers[Password], ","); got != "ann@example.com,b@example.com" {
		t.Errorf("identifiers %q", got)
	}
	if len(u.identifiers[CodeAuth]) != 1 || len(u.verifiable) != 1 || len(u.recovery) != 2 {
		t.Errorf("used for %+v", u)
	}
	f := htmlForm(map[string][]string{"traits.z": {"x@y.z"}, "traits.a": {""}, "traits.deep.n": {"7"}, "traits.deep.b": {"false", "true"}})
	if got := string(f.traits(s)); got != `{"deep":{"b":true,"n":7},"z":"x@y.z"}` {
		t.Errorf("traits %s", got)
	}
}

func TestSchemaMistakes(t *testing.T) {
	for _, text := range []string{`[`, `{}`, `{"properties":{"traits":{"type":"bogus"}}}`, `{"properties":{"traits":{"$ref":"https://example.com/x.json"}}}`,
		`{"properties":{"traits":{"type":"object","properties":{"a":{"$ref":"#/properties/traits"}}}}}`} {
		if _, err := NewSchema("s", []byte(text)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
	s, err := NewSchema("s", []byte(DefaultSchema))
	if err != nil {
		t.Fatal(err)
	}
	for traits, want := range map[string]map[string]int{
		`{"email":"ann@example.com"}`:               nil,
		`{}`:                                        {"traits.email": 4000002},
		`{"email":"x"}`:                             {"traits.email": 4000040},
		`{"email":"not an address"}`:                {"traits.email": 4000040},
		`{"email":"a@b.cd","name":{"first":7}}`:     {"traits.name.first": 4000026},
		`{"email":"a@b.cd","other":"x"}`:            {"": 4000001},
		`{"email":"Ann <ann@example.com>"}`:         {"traits.email": 4000040},
		`{"email":"ann@example.com\r\nBcc: x@y.z"}`: {"traits.email": 4000040},
	} {
		err := s.validate(json.RawMessage(traits))
		var form *FormError
		if !errors.As(err, &form) {
			if want != nil {
				t.Errorf("%s: %v", traits, err)
			}
			continue
		}
		for node, id := range want {
			texts := form.Nodes[node]
			if node == "" {
				texts = form.Texts
			}
			if !slices.ContainsFunc(texts, func(x Text) bool { return x.ID == id }) {
				t.Errorf("%s: node %q has %v, want %d", traits, node, texts, id)
			}
		}
		if want == nil {
			t.Errorf("%s: %+v", traits, form)
		}
	}
}

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		" Ann@Example.COM ": "ann@example.com", "+49 (30) 12-34.56": "+4930123456", "ann": "ann",
		"a\u200bnn": "", "": "", "a\u202enn": "", "+0123456789": "+0123456789",
		// One mailbox, however its domain is written.
		"ann@example\u3002com": "ann@example.com", "\uff41nn@ex\u0430mple.com": "ann@xn--exmple-4nf.com", "ann@b\u00fccher.example": "ann@xn--bcher-kva.example",
		"ann@bu\u0308cher.example": "ann@xn--bcher-kva.example", "ann@XN--BCHER-KVA.example": "ann@xn--bcher-kva.example", "ann@stra\u00dfe.example": "ann@xn--strae-oqa.example",
		"b\u00fccher": "b\u00fccher", "b\u00fc@b_\u00fc@x": "b\u00fc@b_\u00fc@x", "ann@": "ann@", "a_b@x_y.example": "a_b@x_y.example",
		strings.Repeat("\U0001d400", maxIdentifier): strings.Repeat("a", maxIdentifier), strings.Repeat(" ", 4000) + "a": "",
	} {
		got, ok := normalize(in)
		if got != want || ok != (want != "") {
			t.Errorf("%q becomes %q, %t: want %q", in, got, ok, want)
		}
		if again, _ := normalize(got); again != got {
			t.Errorf("%q becomes %q at once, and %q later", in, got, again)
		}
	}
}

func TestSimilar(t *testing.T) {
	for _, tt := range []struct {
		password, identifier string
		want                 bool
	}{
		{"ann@example.com", "ann@example.com", true},
		{"ann@example.com1", "ann@example.com", true},
		{"annexample", "ann@example.com", true},
		{"a stone wall of 7 colours", "ann@example.com", false},
		{strings.Repeat("x", 10_000), strings.Repeat("y", 10_000), false},
	} {
		if got := similar(tt.password, tt.identifier); got != tt.want {
			t.Errorf("%.30q and %.30q: %t", tt.password, tt.identifier, got)
		}
	}
}

func TestHasher(t *testing.T) {
	h := newHasher(HashOptions{Memory: 64, Iterations: 1})
	text, err := h.hash(t.Context(), "right")
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"right": true, "wrong": false, "": false} {
		ok, old, err := h.verify(t.Context(), text, password)
		if err != nil || ok != want || old {
			t.Errorf("%q: %t, old %t, %v", password, ok, old, err)
		}
	}
	other := newHasher(HashOptions{Memory: 128, Iterations: 1})
	if ok, old, err := other.verify(t.Context(), text, "right"); err != nil || !ok || !old {
		t.Errorf("with dearer parameters: %t, old %t, %v", ok, old, err)
	}
	for memory, iterations := range map[uint32]uint32{32: 1, 68: 1, 33: 2} {
		cheap := newHasher(HashOptions{Memory: memory, Iterations: iterations})
		if ok, old, err := cheap.verify(t.Context(), text, "right"); err != nil || !ok || old {
			t.Errorf("with %d KiB, %d times: %t, old %t, %v: a hash as strong would be replaced", memory, iterations, ok, old, err)
		}
	}
	for _, bad := range []string{"", "x", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$", "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3VtIQ",
		"$argon2id$v=19$m=64,t=4000000000,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3VtIQ", "$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c3Vtc3Vtc3Vtc3Vtc3VtIQ"} {
		if _, _, err := h.verify(t.Context(), bad, "x"); errs.KindOf(err) != errs.Unsupported {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := h.waste(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

// TestWeakHashes: a wrong password costs as much where a hash is cheaper than those of
// today, and takes no more memory at once.
func TestWeakHashes(t *testing.T) {
	q := hashParams{memory: 1000, iterations: 3}
	for _, p := range []hashParams{{memory: 8, iterations: 1}, {memory: 1000, iterations: 1}, {memory: 1000, iterations: 2}, {memory: 500, iterations: 5}, {memory: 2000, iterations: 1}} {
		rest := p.upTo(q)
		if all := p.memory*p.iterations + rest.memory*rest.iterations; all > 3000 || all < 2990 || rest.memory > q.memory {
			t.Errorf("%+v and %+v cost %d, want 3000", p, rest, all)
		}
	}
	weak, today := newHasher(HashOptions{Memory: 64, Iterations: 1}), newHasher(HashOptions{Memory: 128, Iterations: 2})
	for _, h := range []*hasher{weak, today} {
		text, err := h.hash(t.Context(), "right")
		if err != nil {
			t.Fatal(err)
		}
		for password, hashes := range map[string]int64{"right": 1, "wrong": 1} {
			if h == weak && password == "wrong" {
				hashes = 2
			}
			before := today.memory.made.Load()
			if _, _, err := today.verify(t.Context(), text, password); err != nil || today.memory.made.Load()-before != hashes {
				t.Errorf("%s: %d hashes, %v, want %d", password, today.memory.made.Load()-before, err, hashes)
			}
		}
	}
}

// TestHasherIsBounded holds all memory, so that nobody else gets a turn.
func TestHasherIsBounded(t *testing.T) {
	h := newHasher(HashOptions{Memory: 64, Iterations: 1, MaxWait: time.Millisecond})
	if err := h.memory.take(t.Context(), h.total); err != nil {
		t.Fatal(err)
	}
	if _, err := h.hash(t.Context(), "x"); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("got %v", err)
	}
	h.memory.leave(h.total)
	var wait sync.WaitGroup
	h.options.MaxWait = time.Minute
	h.total = 64 // so that each needs what the one before has left
	h.memory = newHashMemory(h.total)
	for range 50 {
		wait.Go(func() {
			if _, err := h.hash(context.Background(), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// TestFlowID opens flows by their ids, and by ids that were changed.
func TestFlowID(t *testing.T) {
	keys := func(secrets ...string) *secret.Keyring {
		k, err := secret.New(secrets...)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	const older, newer = "an older secret of the system", "a newer secret of the system"
	s := &Service{keys: keys(older), options: Options{BaseURL: "http://id.example", Network: "default"}}
	s.options.defaults()
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := httptest.NewRequest("GET", "/", nil)
	for _, f := range []Flow{
		{Kind: Login, API: true}, {Kind: Login, Opening: Opening{Refresh: true, AAL: AAL2}}, {Kind: Verification, API: true},
		{Kind: Settings, Owner: "ann", API: true}, {Kind: Settings, Owner: "ann"},
	} {
		f.IssuedAt = now
		f.ID = s.newFlowID(&f, false)
		check := func(s *Service, id, owner string, want bool) {
			t.Helper()
			got, err := s.unopened(r, id, owner)
			if !want {
				if err == nil {
					t.Errorf("%+v: %s was taken for %+v", f, id, got)
				}
				return
			}
			if err != nil {
				t.Errorf("%+v: %v", f, err)
			} else if got.Kind != f.Kind || got.API != f.API || got.Refresh != f.Refresh || got.AAL != f.AAL || got.Owner != f.Owner || !got.IssuedAt.Equal(now) {
				t.Errorf("got %+v, want %+v", got, f)
			}
		}
		if !kratosUUID.MatchString(f.ID) {
			t.Errorf("Ory's user interface takes %s for no flow", f.ID)
		}
		check(s, f.ID, "ann", true)
		check(s, f.ID, "bob", f.Kind != Settings)
		rotated, other, network := *s, *s, *s
		rotated.keys, other.keys, network.options.Network = keys(newer, older), keys(newer), "other"
		check(&rotated, f.ID, "ann", true)
		check(&other, f.ID, "ann", false)
		check(&network, f.ID, "ann", false)
		for i := range f.ID {
			changed := []byte(f.ID)
			if changed[i]++; changed[i] == ':' {
				changed[i] = '0'
			}
			check(s, string(changed), "ann", false)
		}
		check(s, NewID(), "ann", false)
	}
	for _, id := range []string{"6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11", "0a4e2f1c-93d7-402b-a6ce-1b2c3d4e5f60"} {
		if _, err := s.unopened(r, id, ""); errs.KindOf(err) != errs.NotFound {
			t.Errorf("the id of something else: %v", err)
		}
	}
}

// kratosUUID is what user interfaces take for the id of a flow.
var kratosUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestIdentifiersThatCannotBeOne(t *testing.T) {
	s, err := NewSchema("s", []byte(`{"properties":{"traits":{"type":"object","properties":{
		"name": {"type":"string","ory.sh/kratos":{"credentials":{"password":{"identifier":true}}}},
		"mail": {"type":"string","ory.sh/kratos":{"verification":{"via":"email"}}},
		"phone": {"type":"string","ory.sh/kratos":{"credentials":{"code":{"identifier":true,"via":"sms"}}}},
		"free": {"type":"string"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxIdentifier)
	for traits, want := range map[string]int{
		`{"name":"ann","mail":"a@b.cd","phone":"+49 30 123456","free":"\u200b` + long + `"}`: 0,
		`{"name":"` + long + `"}`:          0,
		`{"name":"` + long + `x"}`:         4000017,
		`{"name":"ann\u200b"}`:             4000001,
		`{"name":"an\nn"}`:                 4000001,
		`{"name":"  "}`:                    4000001,
		`{"mail":"ann"}`:                   4000040,
		`{"mail":"` + long + `@e.com"}`:    4000017,
		`{"phone":"123"}`:                  4000041,
		`{"phone":"ann@example.com"}`:      4000041,
		`{"name":"+49 30 123456 or less"}`: 0,
	} {
		var got []int
		var form *FormError
		if errors.As(s.validate(json.RawMessage(traits)), &form) {
			for _, texts := range form.Nodes {
				for _, text := range texts {
					got = append(got, text.ID)
				}
			}
		}
		if want == 0 && len(got) > 0 || want != 0 && !slices.Equal(got, []int{want}) {
			t.Errorf("%.60s: messages %v, want %d", traits, got, want)
		}
	}
}

func TestBodiesThatAreNotExpected(t *testing.T) {
	for body, want := range map[string]string{
		"": "it is empty", `{"schema_id":"a"} {}`: "there is more after the JSON value", `{"schema_id":"a"}]`: "there is more after the JSON value",
		"[]": "it is of the type array", `{"schema_id":7}`: "schema_id is of the type number", "{": "unexpected EOF",
		`{"schema_id":"a"}` + "\n": "",
	} {
		var d draft
		err := readJSON(httptest.NewRequest("POST", "/", strings.NewReader(body)), &d)
		if got := fmt.Sprint(err); (err == nil) != (want == "") || err != nil && got != "the body is not what is expected: "+want {
			t.Errorf("%q: %v, want %q", body, err, want)
		}
	}
}

// TestOrganizationDomains: an address is of an organization however it is written.
func TestOrganizationDomains(t *testing.T) {
	org := &Organization{Domains: []string{"corp.example", "b\u00fccher.example"}}
	for address, want := range map[string]bool{
		"ann@corp.example": true, " Ann@CORP.example": true, "ann@corp\u3002example": true, "ann@b\u00fccher.example": true, "ann@xn--bcher-kva.example": true,
		"ann@evil-corp.example": false, "ann@x.corp.example": false, "corp.example": false, "ann@corp.example@evil.example": false, "": false,
	} {
		if org.has(address) != want {
			t.Errorf("%q is of the organization: %t", address, !want)
		}
	}
}
