package pg

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cardea-iam/cardea/engine"
)

// parsed reads a snapshot that must be well formed.
func parsed(t *testing.T, text string) snapshot {
	t.Helper()
	s, err := parseSnapshot(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return s
}

func TestSnapshotText(t *testing.T) {
	for text, canonical := range map[string]string{
		"":               "",
		"1:1:":           "1:1:",
		"10:10:":         "10:10:",
		"10:20:":         "20:20:",
		"10:20:10":       "10:20:10",
		"10:20:12,15":    "12:20:12,15",
		"10:20:12,19":    "12:19:12",
		"10:20:18,19":    "18:18:",
		"5:20:17,18,19":  "17:17:",
		"10:20:15,18,19": "15:18:15",
	} {
		if got := parsed(t, text).String(); got != canonical {
			t.Errorf("%q is %q: expected %q", text, got, canonical)
		}
	}
	for _, bad := range []string{"1", "1:", "1:2", "a:2:", "1:b:", "2:1:", "1:2:2", "2:3:1", "0:1:", "1:0:", "1:5:3,", "1:5:,3", "1:5:3,,4",
		"1:5:4,3", "1:5:3,3", "01:5:", "+1:5:", "1:5:+3", " 1:5:", "1:5: ", "1:5:3:4", "1:9223372036854775808:", "18446744073709551615:18446744073709551615:"} {
		if s, err := parseSnapshot(bad); err == nil {
			t.Errorf("%q is read as %v", bad, s)
		}
	}
	for _, strange := range []string{"10:20:", "10:20:12,19", "1:20:12"} { // a server may say so, but nobody was given it
		if _, err := (postgres{}).parse(engine.Revision(strange)); err == nil {
			t.Errorf("%q with a tail is a revision", strange)
		}
	}
}

// universe is how many transactions the random snapshots are about.
const universe = 24

// TestSnapshotAlgebra compares snapshots with the sets of transactions that they
// stand for.
func TestSnapshotAlgebra(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	random := func() (snapshot, [universe]bool) {
		xmax := 1 + r.Uint64N(universe-1)
		var xip []uint64
		for x := uint64(1); x < universe; x++ {
			if r.IntN(3) == 0 {
				xip = append(xip, x)
			}
		}
		r.Shuffle(len(xip), func(i, j int) { xip[i], xip[j] = xip[j], xip[i] })
		var set [universe]bool
		for x := range xmax {
			set[x] = x > 0 && !slices.Contains(xip, x)
		}
		return newSnapshot(xmax, xip), set
	}
	set := func(s snapshot) (out [universe]bool) {
		for x := uint64(1); x < universe; x++ {
			out[x] = s.sees(x)
		}
		return out
	}
	for range 20_000 {
		a, inA := random()
		b, inB := random()
		if set(a) != inA {
			t.Fatalf("%v sees %v: expected %v", a, set(a), inA)
		}
		if again := parsed(t, a.String()); set(again) != inA {
			t.Fatalf("%v is read as %v", a, again)
		}
		covers := true
		for x := range inB {
			covers = covers && (inA[x] || !inB[x])
		}
		if got := a.covers(b); got != covers {
			t.Fatalf("%v covers %v: %v, expected %v", a, b, got, covers)
		}
		if (a.String() == b.String()) != (inA == inB) {
			t.Fatalf("%v and %v are equal as text, or as sets, but not both", a, b)
		}
		x := 1 + r.Uint64N(universe-1)
		with := a.with(x)
		inA[x] = true
		if set(with) != inA || !with.covers(a) || !with.sees(x) {
			t.Fatalf("%v with %d is %v", a, x, with)
		}
		if with.String() != newSnapshot(with.xmax, slices.Clone(with.xip)).String() {
			t.Fatalf("%v with %d is not canonical: %v", a, x, with)
		}
	}
}

func TestMark(t *testing.T) {
	for raw, want := range map[string]string{
		"10:20:12+^500":          "12:20:12",
		"10:20:12+12^500":        "20:20:",
		"10:20:12+11^500":        "12:20:12",
		"10:20:12+20^500":        "12:21:12",
		"10:20:12+22^500":        "12:23:12,20,21",
		"20:20:+20^500":          "21:21:",
		"10:20:12,13,19+19^500":  "12:20:12,13",
		"10:20:12,13,19+400^500": "",
		// Above the newest transaction that left something nothing is known.
		"10:20:12^19":      "12:20:12",
		"10:20:12^18":      "12:19:12",
		"10:20:12,13^11":   "12:12:",
		"10:20:12,13^14":   "12:15:12,13",
		"10:20:12+15^15":   "12:16:12",
		"10:20:12+22^25":   "12:23:12,20,21",
		"10:20:12,16+15^9": "10:10:",
	} {
		p, err := postgres{}.parseRaw(raw)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			if s := p.(snapshot); !s.sees(400) || s.sees(399) || s.sees(19) || !s.sees(18) || s.sees(401) {
				t.Errorf("%s is %s", raw, p.revision())
			}
		} else if string(p.revision()) != want {
			t.Errorf("%s is %s: expected %s", raw, p.revision(), want)
		}
	}
	if _, err := (postgres{}).parseRaw("10:20:12+2000000000^1"); err != errWide {
		t.Errorf("error %v: expected that it is too wide", err)
	}
	if _, err := (postgres{}).parseRaw("x"); err == nil {
		t.Error("x is a revision")
	}
}

func TestHLC(t *testing.T) {
	c := &cockroach{}
	for raw, want := range map[string]string{
		"0":                                "",
		"0.0000000000":                     "",
		"1594645200123456789":              "1594645200123456789.0000000000",
		"1594645200123456789.0000000003":   "1594645200123456789.0000000003",
		"1594645200123456789.00000000030":  "1594645200123456789.0000000003",
		"1594645200123456789.0000000000":   "1594645200123456789.0000000000",
		"1594645200123456789.2":            "1594645200123456789.2000000000",
		"1594645200123456789.000000000300": "1594645200123456789.0000000003",
	} {
		p, err := c.parseRaw(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if string(p.revision()) != want {
			t.Errorf("%s is %s: expected %s", raw, p.revision(), want)
		}
		if again, err := c.parse(p.revision()); err != nil || again != p {
			t.Errorf("%s is read as %v, error %v", p.revision(), again, err)
		}
	}
	for _, bad := range []string{"x", "-1", "1", "1.0", "1e3", "1.00000000000", "01.0000000000", "1.0000000000 ", "9223372036854775808.0000000000", "1.9000000000"} {
		if p, err := c.parse(engine.Revision(bad)); err == nil {
			t.Errorf("%s is the revision %v", bad, p)
		}
	}
	ordered := []hlc{{}, {1, 0}, {1, 1}, {1, 10}, {2, 0}, {10, 0}, {10, 1}}
	for i, a := range ordered {
		for k, b := range ordered {
			if a.covers(b) != (i >= k) {
				t.Errorf("%v covers %v: %v", a, b, a.covers(b))
			}
		}
	}
}
