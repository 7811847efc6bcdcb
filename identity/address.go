package identity

import "strings"

// How an address is reached.
const (
	viaEmail = "email"
	viaSMS   = "sms"
)

// addressOf reads an address that somebody wrote: a telephone number, or else an e-mail
// address. It reports false for what can be neither.
func addressOf(text string) (via, value string, ok bool) {
	value, ok = normalize(text)
	switch {
	case !ok:
		return "", "", false
	case strings.HasPrefix(value, "+") && !strings.Contains(value, "@"):
		_, ok = normalizePhone(value)
		return viaSMS, value, ok
	default:
		return viaEmail, value, isEmail(value) == nil
	}
}

// reach is where a message to the address goes.
func (a VerifiableAddress) reach() string { return a.Via + " " + a.Value }
func (a RecoveryAddress) reach() string   { return a.Via + " " + a.Value }
func (c *Code) reach() string             { return c.Via + " " + c.Address }

// merge returns the addresses that the traits want, each once, with what is known of those
// that the identity has. start is for the others.
func merge[A any](want, have []A, reach func(A) string, start func(*A)) (out []A) {
	known := map[string]A{}
	for _, a := range have {
		known[reach(a)] = a
	}
	seen := map[string]bool{}
	for _, a := range want {
		at := reach(a)
		if seen[at] {
			continue
		}
		seen[at] = true
		if old, ok := known[at]; ok {
			a = old
		} else {
			start(&a)
		}
		out = append(out, a)
	}
	return out
}
