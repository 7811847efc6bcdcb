package identity_test

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/identity"
)

// TestConfirmedPasskey: where addresses are verified first, the passkey waits with the
// account.
func TestConfirmedPasskey(t *testing.T) {
	var box office
	h := newHouse(t, func(o *identity.Options) {
		o.Courier = identity.CourierOptions{Carrier: &box, Letters: plainLetters{}}
	})
	g, a := h.guest(true), h.authenticator()
	begun := g.registerPasskey(a, "ann@example.com").is(200).has("continue_with.0.action", "show_verification_ui").has("session", nil)
	early := h.guest(true)
	early.passkeyLogin(a).is(400).says(4000015)
	if _, err := h.DeliverSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(box.letters) != 1 {
		t.Fatalf("%d letters", len(box.letters))
	}
	words := strings.Fields(box.letters[0].Text)
	if len(words) < 2 {
		t.Fatalf("letter %q", box.letters[0].Text)
	}
	flow := g.ask("GET", "/self-service/verification/flows?id="+begun.str("continue_with.0.flow.id"), nil).is(200)
	g.send(flow, object{"method": "code", "code": words[1]}).is(200).has("state", "passed_challenge")
	g.ask("GET", "/sessions/whoami", nil).is(200).has("authentication_methods.0.method", "passkey")
	early.passkeyLogin(a).is(200).has("session.identity.traits.email", "ann@example.com")
}
