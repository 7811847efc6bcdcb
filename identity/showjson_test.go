package identity

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// fill gives every field of a value something random, or nothing.
func fill(r *rand.Rand, v reflect.Value) {
	texts := []string{"", "password", "日本", `a "quote"`, "a\\b", "<b>&", "line\n", "\u2028\x7f", "\xff"}
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		if r.IntN(4) > 0 {
			*x = time.UnixMicro(r.Int64N(1e16)).UTC()
		}
		return
	case *json.RawMessage:
		if r.IntN(3) > 0 {
			*x, _ = json.Marshal(map[string]any{"a": texts[r.IntN(len(texts))], "b": []any{1.5, nil, true}})
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[r.IntN(len(texts))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Pointer:
		if r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(4); n < 3 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	default:
		panic(v.Type().String())
	}
}

// TestAppendSession holds what whoami writes against package json, with all fields that
// there are.
func TestAppendSession(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 5000 {
		b := randomSession(r)
		b.Methods = shownMethods(b.Methods)
		want, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendSession(nil, b); string(got) != string(want) {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func randomSession(r *rand.Rand) *SessionBody {
	b := &SessionBody{}
	v := reflect.ValueOf(b).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Name != "Identity" {
			fill(r, v.Field(i))
		}
	}
	if r.IntN(4) > 0 {
		b.Identity = &IdentityBody{}
		v = reflect.ValueOf(b.Identity).Elem()
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Credentials" && name != "MetadataAdmin" { // for administrators
				fill(r, v.Field(i))
			}
		}
	}
	return b
}

func BenchmarkAppendSession(b *testing.B) {
	s := &Service{options: Options{BaseURL: "https://id.example.com", SessionIdle: time.Hour, Now: time.Now}}
	now := time.Unix(1_800_000_000, 123_456_000).UTC()
	i := &Identity{ID: NewID(), SchemaID: "default", State: Active, Traits: json.RawMessage(`{"email":"ann@example.com","name":{"first":"Ann","last":"Miller"}}`),
		Verifiable: []VerifiableAddress{{ID: NewID(), Value: "ann@example.com", Via: "email", Status: "pending", CreatedAt: now, UpdatedAt: now}},
		Recovery:   []RecoveryAddress{{ID: NewID(), Value: "ann@example.com", Via: "email", CreatedAt: now, UpdatedAt: now}}, CreatedAt: now, UpdatedAt: now}
	x := &Session{ID: NewID(), Active: true, AAL: AAL1, AuthenticatedAt: now, IssuedAt: now, ExpiresAt: now,
		Methods: []Method{{Method: "password", AAL: AAL1, CompletedAt: now}}, Devices: []Device{{ID: NewID(), Address: "127.0.0.1", UserAgent: "Mozilla/5.0"}}}
	b.Run("append", func(b *testing.B) {
		for b.Loop() {
			appendSession(make([]byte, 0, sessionSize), s.sessionBody(x, i))
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			_, _ = json.Marshal(s.sessionBody(x, i))
		}
	})
}
