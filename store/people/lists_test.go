package people

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
)

var texts = []string{"", "password", "ann@example.com", "日本", `a "quote"`, "a\\b", "<b>", "line\n", "\u2028", "x}],{[:\x7f"}

func text(r *rand.Rand) string { return texts[r.IntN(len(texts))] }

func at(r *rand.Rand) time.Time {
	switch r.IntN(4) {
	case 0:
		return time.Time{}
	case 1:
		return time.Unix(r.Int64N(1e10), 0).In(time.FixedZone("", 7200))
	default:
		return time.UnixMicro(r.Int64N(1e16)).UTC()
	}
}

// same holds a reader of lists against package json, on what is written and on what was
// broken.
func same[T any](t *testing.T, r *rand.Rand, read func(string) ([]T, error), one func() T) {
	t.Helper()
	for range 2000 {
		written := []T{}
		for range r.IntN(4) {
			written = append(written, one())
		}
		line := list(written)
		if r.IntN(2) == 0 {
			i := r.IntN(len(line))
			line = line[:i] + texts[r.IntN(len(texts))] + line[i+r.IntN(2):]
		}
		var want []T
		bad := json.Unmarshal([]byte(line), &want)
		got, err := read(line)
		if (err == nil) != (bad == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\nis %+v, %v\nwant %+v, %v", line, got, err, want, bad)
		}
	}
}

func TestLists(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	same(t, r, methods, func() identity.Method {
		return identity.Method{Method: text(r), AAL: identity.AAL(text(r)), CompletedAt: at(r), Provider: text(r), Organization: text(r), UpstreamACR: text(r), Mailbox: text(r)}
	})
	same(t, r, identifiers, func() string { return text(r) })
	same(t, r, devices, func() identity.Device {
		return identity.Device{ID: text(r), Address: text(r), UserAgent: text(r), Location: text(r)}
	})
	same(t, r, verifiable, func() identity.VerifiableAddress {
		return identity.VerifiableAddress{ID: text(r), Value: text(r), Via: text(r), Verified: r.IntN(2) == 0, Status: text(r), VerifiedAt: at(r), CreatedAt: at(r), UpdatedAt: at(r)}
	})
	same(t, r, recovery, func() identity.RecoveryAddress {
		return identity.RecoveryAddress{ID: text(r), Value: text(r), Via: text(r), CreatedAt: at(r), UpdatedAt: at(r)}
	})
}

func BenchmarkLists(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	when := time.UnixMicro(r.Int64N(1e16)).UTC()
	m := list([]identity.Method{{Method: "password", AAL: identity.AAL1, CompletedAt: when}})
	v := list([]identity.VerifiableAddress{{ID: identity.NewID(), Value: "ann@example.com", Via: "email", Status: "pending", CreatedAt: when, UpdatedAt: when}})
	b.Run("flat", func(b *testing.B) {
		for b.Loop() {
			_, _ = methods(m)
			_, _ = verifiable(v)
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			var ms []identity.Method
			var vs []identity.VerifiableAddress
			_ = json.Unmarshal([]byte(m), &ms)
			_ = json.Unmarshal([]byte(v), &vs)
		}
	})
}
