package graph

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// TestUUIDs: a UUID is packed, and its bytes are those of its text and of no other.
func TestUUIDs(t *testing.T) {
	const digits = "0123456789abcdef"
	for range 2000 {
		text := []byte("00000000-0000-0000-0000-000000000000")
		plain := make([]byte, 0, 32)
		for i := range text {
			if text[i] != '-' {
				text[i] = digits[rand.IntN(16)]
				plain = append(plain, text[i])
			}
		}
		var packed [16]byte
		if !packUUID(&packed, string(text)) || hex.EncodeToString(packed[:]) != string(plain) {
			t.Fatalf("%s is packed as %x", text, packed)
		}
		if got := unpackUUID(packed[:]); got != string(text) || !isUUID(packed[:], string(text)) {
			t.Fatalf("%x is %s, want %s", packed, got, text)
		}
		other := append([]byte(nil), text...)
		i := rand.IntN(len(other))
		for other[i] == text[i] {
			other[i] = byte(rand.IntN(256))
		}
		if isUUID(packed[:], string(other)) {
			t.Fatalf("the bytes of %s are those of %q", text, other)
		}
	}
	for _, text := range []string{"", "0", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000000",
		"00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000g", "00000000000000000000000000000000----"} {
		var packed [16]byte
		if packUUID(&packed, text) || isUUID(make([]byte, 16), text) {
			t.Errorf("%q is taken for a UUID", text)
		}
	}
}
