package server_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// limitedTo serves with limits, and believes addresses that tests make up.
func limitedTo(limits server.FlowLimits) func(*server.Config) {
	return func(c *server.Config) {
		c.Identity.Limits = limits
		c.Serve.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
}

func from(address string) []string { return append([]string{"X-Forwarded-For", address}, asProgram...) }

// tooMany asserts Kratos's error, and that it says when to try again.
func (s *said) tooMany() {
	s.Helper()
	s.is(429).has("error.code", 429.0).has("error.status", "Too Many Requests")
	if wait, err := strconv.Atoi(s.header.Get("Retry-After")); err != nil || wait < 1 || s.str("error.message") == "" {
		s.Errorf("Retry-After is %q: %s", s.header.Get("Retry-After"), s.text)
	}
}

// TestLimitOfOpenings: one address opens so many flows, of all kinds together, and what was
// opened goes on.
func TestLimitOfOpenings(t *testing.T) {
	n := start(t, withIdentity, limitedTo(server.FlowLimits{Open: 3}))
	v := n.visitor(t, false)
	flow := v.get("/self-service/login/api", from("192.0.2.1")...).is(200)
	v.get("/self-service/registration/api", from("192.0.2.1")...).is(200)
	b := n.visitor(t, true)
	b.get("/self-service/login/browser", from("192.0.2.1")...).is(200)
	for _, path := range []string{"/self-service/login/api", "/self-service/registration/browser", "/self-service/settings/api"} {
		v.get(path, from("192.0.2.1")...).tooMany()
	}
	b.follow(b.get("/self-service/login/browser", "X-Forwarded-For", "192.0.2.1", "Accept", "text/html").is(303)).shows("too many requests from this address")
	v.get("/self-service/login/flows?id="+flow.str("id"), from("192.0.2.1")...).is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": "x"}, from("192.0.2.1")...).is(400).says(4000006)
	v.get("/sessions/whoami", from("192.0.2.1")...).is(401)
	v.get("/self-service/login/api", from("192.0.2.2")...).is(200)
	v.get("/self-service/login/api", from("2001:db8::1")...).is(200)
}

func TestLimitOfSubmissions(t *testing.T) {
	n := start(t, withIdentity, limitedTo(server.FlowLimits{Submit: 3}))
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	flow := v.get("/self-service/login/api").is(200)
	form := map[string]any{"method": "password", "identifier": "ann@example.com"}
	for range 3 {
		v.do("POST", flow.str("ui.action"), form, from("192.0.2.1")...).is(400).says(4000002)
	}
	form["password"] = goodPassword
	v.do("POST", flow.str("ui.action"), form, from("192.0.2.1")...).tooMany()
	v.do("POST", "/self-service/registration?flow=x", form, from("192.0.2.1")...).tooMany()
	v.get("/self-service/login/api", from("192.0.2.1")...).is(200)
	v.do("POST", flow.str("ui.action"), form, from("192.0.2.2")...).is(200) // it was not used up
}

// TestLimitOfFailures: whoever tries a password at one account after another is stopped, and
// can still recover an account.
func TestLimitOfFailures(t *testing.T) {
	n, box := startWithMail(t, limitedTo(server.FlowLimits{Fail: 4}))
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	flow := v.get("/self-service/login/api").is(200)
	try := func(address, email, password string) *said {
		t.Helper()
		return v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": email, "password": password}, from(address)...)
	}
	for range 20 { // what is only missing is no guess
		try("192.0.2.1", "ann@example.com", "").is(400).says(4000002)
	}
	for i := range 4 {
		try("192.0.2.1", fmt.Sprintf("a%d@example.com", i), "secret").is(400).says(4000006)
	}
	try("192.0.2.1", "ann@example.com", goodPassword).tooMany()

	recovery := v.get("/self-service/recovery/api").is(200)
	v.do("POST", recovery.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com"}, from("192.0.2.1")...).is(200).has("state", "sent_email")
	code := box.take("ann@example.com").code
	for range 4 {
		v.do("POST", recovery.str("ui.action"), map[string]any{"method": "code", "code": otherCode(code)}, from("192.0.2.1")...).is(200).says(4060006)
	}
	v.do("POST", recovery.str("ui.action"), map[string]any{"method": "code", "code": code}, from("192.0.2.1")...).tooMany()
	v.do("POST", recovery.str("ui.action"), map[string]any{"method": "code", "code": code}, from("192.0.2.2")...).is(200).has("state", "passed_challenge")
	try("192.0.2.2", "ann@example.com", goodPassword).is(200)
}

// TestNoLimits: 0 is any number.
func TestNoLimits(t *testing.T) {
	n := start(t, withIdentity, limitedTo(server.FlowLimits{}))
	v := n.visitor(t, false)
	for i := range 700 {
		flow := v.get("/self-service/login/api", from("192.0.2.1")...).is(200)
		if i < 20 {
			v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": fmt.Sprintf("a%d@example.com", i), "password": "x"}, from("192.0.2.1")...).is(400)
		}
	}
}
