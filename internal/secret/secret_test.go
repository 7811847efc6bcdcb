package secret_test

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
)

func ring(t *testing.T, secrets ...string) *secret.Keyring {
	t.Helper()
	k, err := secret.New(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const older, newer = "an older secret of the system", "a newer secret of the system"

func TestSeal(t *testing.T) {
	k := ring(t, older)
	sealed := k.Seal("rows", "key/1", []byte("text"))
	if strings.Contains(string(sealed), "text") {
		t.Fatal("the text can be read")
	}
	for _, tt := range []struct {
		name, purpose, place string
		ring                 *secret.Keyring
		kind                 errs.Kind
	}{
		{"same", "rows", "key/1", k, errs.OK},
		{"rotated", "rows", "key/1", ring(t, newer, older), errs.OK},
		{"forgotten", "rows", "key/1", ring(t, newer), errs.Invalid},
		{"other place", "rows", "key/2", k, errs.Invalid},
		{"other purpose", "cookies", "key/1", k, errs.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := tt.ring.Open(tt.purpose, tt.place, sealed)
			if errs.KindOf(err) != tt.kind || err == nil && string(text) != "text" {
				t.Errorf("got %q, %v: expected the kind %v", text, err, tt.kind)
			}
		})
	}
	for i := range sealed {
		broken := append([]byte(nil), sealed...)
		broken[i] ^= 1
		if _, err := k.Open("rows", "key/1", broken); errs.KindOf(err) != errs.Invalid {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := k.Open("rows", "key/1", sealed[:i]); errs.KindOf(err) != errs.Invalid {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
}

func TestMAC(t *testing.T) {
	old := ring(t, older)
	both := ring(t, newer, older)
	mac := old.MAC("token", []byte("text"))
	if !old.Verify("token", []byte("text"), mac) || !both.Verify("token", []byte("text"), mac) {
		t.Error("a MAC of a known secret is refused")
	}
	if both.Verify("token", []byte("tex"), mac) || both.Verify("code", []byte("text"), mac) || ring(t, newer).Verify("token", []byte("text"), mac) {
		t.Error("a MAC of something else is accepted")
	}
	if all := both.MACs("token", []byte("text")); len(all) != 2 || string(all[1]) != string(mac) {
		t.Error("MACs does not list that of the older secret last")
	}
}

func TestNew(t *testing.T) {
	for _, secrets := range [][]string{nil, {"short"}, {newer, "short"}} {
		if _, err := secret.New(secrets...); errs.KindOf(err) != errs.Invalid {
			t.Errorf("New(%q): %v", secrets, err)
		}
	}
	if a, b := secret.Random(), secret.Random(); a == b || len(a) < secret.MinLength {
		t.Errorf("random secrets %q and %q", a, b)
	}
}

func TestNewest(t *testing.T) {
	k := ring(t, newer, older)
	for _, tt := range []struct {
		name, purpose string
		sealed        []byte
		want          bool
	}{
		{"newest", "rows", k.Seal("rows", "x", nil), true},
		{"older", "rows", ring(t, older).Seal("rows", "x", nil), false},
		{"other purpose", "keys", k.Seal("rows", "x", nil), false},
		{"nothing", "rows", nil, false},
	} {
		if got := k.Newest(tt.purpose, tt.sealed); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// TestIn: realms have nothing in common, and each is the same whenever it is made.
func TestIn(t *testing.T) {
	k, err := secret.New("a secret of the tests")
	if err != nil {
		t.Fatal(err)
	}
	rings := []*secret.Keyring{k, k.In("a"), k.In("b"), k.In("a").In("b"), k.In("ab")}
	for i, from := range rings {
		sealed, mac := from.Seal("p", "", []byte("text")), from.MAC("p", []byte("text"))
		for j, to := range rings {
			_, err := to.Open("p", "", sealed)
			if opens := err == nil; opens != (i == j) || to.Verify("p", []byte("text"), mac) != (i == j) {
				t.Errorf("what realm %d sealed opens in realm %d: %t", i, j, opens)
			}
		}
	}
	if _, err := k.In("a").Open("p", "", rings[1].Seal("p", "", nil)); err != nil {
		t.Error(err)
	}
}
