package server_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRightCodeWins: of as many tries at the same time as a code has, the right one is good,
// and each is counted once, however often it gets in the way of others.
func TestRightCodeWins(t *testing.T) {
	n, box := startWithMail(t, passwordless)
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	for _, kind := range []string{"login", "recovery", "verification"} {
		for range 3 {
			flow := v.get("/self-service/" + kind + "/api").is(200)
			v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com", "identifier": "ann@example.com"})
			code := box.take("ann@example.com").code
			var won atomic.Int64
			var wait sync.WaitGroup
			for try := range 5 {
				text := code
				if try != 2 {
					text = otherCode(code)
				}
				wait.Go(func() {
					got := v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "identifier": "ann@example.com", "code": text})
					if got.status == 200 && got.at("state") != "sent_email" {
						won.Add(1)
					}
				})
			}
			wait.Wait()
			if won.Load() != 1 {
				t.Errorf("%s: the right code was good %d times", kind, won.Load())
			}
		}
	}
}

// TestWrongCodesAreCounted: of many at the same time no more are looked at than a code has.
func TestWrongCodesAreCounted(t *testing.T) {
	n, box := startWithMail(t, passwordless)
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	flow := v.get("/self-service/login/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "identifier": "ann@example.com"}).is(400)
	code := box.take("ann@example.com").code
	var looked atomic.Int64
	var wait sync.WaitGroup
	for try := range 12 {
		wait.Go(func() {
			text := fmt.Sprintf("%06d", try)
			if text == code {
				return
			}
			got := v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "identifier": "ann@example.com", "code": text}).is(400)
			for _, id := range got.messages() {
				if id == 4010008 {
					looked.Add(1)
				}
			}
		})
	}
	wait.Wait()
	if looked.Load() != 5 {
		t.Errorf("%d wrong codes were looked at, want 5", looked.Load())
	}
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "identifier": "ann@example.com", "code": code}).is(400).says(4000001)
}
