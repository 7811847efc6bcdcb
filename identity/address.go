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
