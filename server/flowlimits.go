package server

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/limit"
)

// A FlowLimits bounds what comes from one address, or network of 64 bits. 0: nothing does.
type FlowLimits struct {
	Open   int // flows in a minute
	Submit int // forms in a minute
	Fail   int // wrong passwords, codes and the like in an hour, of each kind of flow
}

var flowLimitSettings = []setting{
	{"identity.limits.openings", "", "600", "flows that one address opens in a minute; 0: any number",
		func(c *Config) any { return &c.Identity.Limits.Open }, isNotNegative},
	{"identity.limits.submissions", "", "600", "forms of flows that one address submits in a minute; 0: any number",
		func(c *Config) any { return &c.Identity.Limits.Submit }, isNotNegative},
	{"identity.limits.failures", "", "300", "wrong passwords, codes and the like that one address submits in an hour, in flows of one kind; 0: any number",
		func(c *Config) any { return &c.Identity.Limits.Fail }, isNotNegative},
}

// A flowGate lets flows through as often as an address may.
type flowGate struct {
	of                 func(*http.Request) string // the address
	open, submit, fail *limit.Limiter             // nil: there is no limit
	told               *limit.Limiter             // that a limit was reached, in the log
	log                *slog.Logger
}

func newFlowGate(c FlowLimits, of func(*http.Request) string, log *slog.Logger) *flowGate {
	bound := func(n int, in time.Duration) *limit.Limiter {
		if n == 0 {
			return nil
		}
		return limit.New(n, in/time.Duration(n), guessers, nil)
	}
	return &flowGate{of, bound(c.Open, time.Minute), bound(c.Submit, time.Minute), bound(c.Fail, time.Hour), limit.New(1, time.Minute, 1, nil), log}
}

// guessed counts a wrong password, code or the like. A limit of logins leaves recoveries
// open.
func (g *flowGate) guessed(r *http.Request, k identity.Kind) {
	if g.fail != nil {
		g.fail.Count(guessKey(g.of(r), k))
	}
}

func guessKey(from string, k identity.Kind) string { return from + " " + string(k) }

// limited is what a route serves to those who do not overdo it.
func (g *flowGate) limited(pattern string, h restHandler) restHandler {
	method, path, _ := strings.Cut(pattern, " ")
	kind, rest, _ := strings.Cut(strings.TrimPrefix(path, "/self-service/"), "/")
	switch {
	case !strings.HasPrefix(path, "/self-service/") || kind == "logout":
		return h
	case method == http.MethodGet && (rest == "browser" || rest == "api"):
		return g.passing(g.open, "identity.limits.openings", h)
	case method == http.MethodPost && rest == "":
		return g.passing(g.submit, "identity.limits.submissions", g.unguessed(identity.Kind(kind), h))
	default:
		return h
	}
}

func (g *flowGate) passing(l *limit.Limiter, setting string, h restHandler) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if l != nil {
			if wait := l.Try(g.of(r)); wait > 0 {
				return g.later(w, r, wait, setting)
			}
		}
		return h(w, r)
	}
}

// unguessed is h for addresses that have not guessed wrong too often.
func (g *flowGate) unguessed(k identity.Kind, h restHandler) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if g.fail != nil {
			if wait := g.fail.Wait(guessKey(g.of(r), k)); wait > 0 {
				return g.later(w, r, wait, "identity.limits.failures")
			}
		}
		return h(w, r)
	}
}

// later also tells the operator: where proxies are not trusted everybody has their address.
func (g *flowGate) later(w http.ResponseWriter, r *http.Request, wait time.Duration, setting string) error {
	if g.told.Try("") == 0 {
		g.log.Warn("an address has reached a limit: if it is a proxy, set serve.trusted_proxies", "address", g.of(r), "limit", setting)
	}
	return later(w, wait, "too many requests from this address: try again later")
}
