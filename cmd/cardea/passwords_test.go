package main

import (
	"crypto/sha1"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/identity"
)

func TestPasswordsFilter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known")
	const list = "letmein\r\nhunter2\n\n5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\n"
	if code, _, errs := try(t, list, "passwords", "filter", "--entries", "2", path); code == exitYes || !strings.Contains(errs, "3 passwords") {
		t.Errorf("too many passwords: %d %q", code, errs)
	}
	if _, err := (identity.Filter{Path: path}).Has([sha1.Size]byte{}); err == nil {
		t.Error("a filter was left behind")
	}
	if code, out, errs := try(t, list, "passwords", "filter", "--entries", "100", "--rate", "0.0001", path); code != exitYes || !strings.Contains(out, "3 passwords") {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	for text, want := range map[string]bool{"letmein": true, "hunter2": true, "password": true, "a stone wall": false} {
		if got, err := (identity.Filter{Path: path}).Has(sha1.Sum([]byte(text))); got != want || err != nil {
			t.Errorf("%s: %t, %v", text, got, err)
		}
	}
	for _, args := range [][]string{{"passwords", "filter", path}, {"passwords", "filter", "--entries", "0", path}, {"passwords", "filter", "--entries", "1", "--rate", "2", path}} {
		if code, _, errs := try(t, list, args...); code == exitYes || errs == "" {
			t.Errorf("%q: %d %q", args, code, errs)
		}
	}
}
