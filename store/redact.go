package store

import (
	"regexp"
	"strings"
)

const hidden = "xxxxx"

// secret matches the parameters of a DSN whose value must not be seen, in URL
// form and in the form "key=value key=value" of libpq.
var secret = regexp.MustCompile(`(?i)([^?&\s=]*(?:password|passwd|secret|token|key)[^?&\s=]*=)('(?:[^'\\]|\\.)*'|[^&\s]*)`)

// Redact returns dsn fit for a log or a message: the password and every
// parameter whose name speaks of a secret are replaced. It works on text that
// is no valid DSN as well, and then rather hides too much.
func Redact(dsn string) string {
	scheme, rest, ok := strings.Cut(dsn, "://")
	if !ok {
		return secret.ReplaceAllString(dsn, "${1}"+hidden)
	}
	// The last @ ends the user's part: a password may hold an @, / or ? that
	// somebody forgot to escape.
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, _, found := strings.Cut(rest[:at], ":")
		if found {
			user += ":" + hidden
		}
		rest = user + rest[at:]
	}
	return scheme + "://" + secret.ReplaceAllString(rest, "${1}"+hidden)
}
