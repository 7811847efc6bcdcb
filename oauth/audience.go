package oauth

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// checkAudience reports invalid_request unless all audiences that are asked for are
// allowed. It stands in for fosite's strategy, for which two URNs are the same.
func checkAudience(allowed, asked []string) error {
	if a := uncovered(allowed, asked); a != "" {
		return fosite.ErrInvalidRequest.WithHintf("The audience %.100q is none that the client may ask for.", a)
	}
	return nil
}

// uncovered returns the first of what is asked for that is not allowed, "" if all is.
func uncovered(allowed, asked []string) string {
	for _, a := range asked {
		if !slices.ContainsFunc(allowed, func(s string) bool { return audienceCovers(s, a) }) {
			return a
		}
	}
	return ""
}

// audienceCovers reports whether who may have one audience may have another: the same,
// or one whose URL is below it.
func audienceCovers(allowed, asked string) bool {
	if allowed == asked {
		return true
	}
	a, err := url.Parse(allowed)
	if err != nil || a.Scheme != "https" && a.Scheme != "http" {
		return false
	}
	b, err := url.Parse(asked)
	if err != nil || a.Scheme != b.Scheme || a.Host != b.Host || a.User != nil || b.User != nil || a.RawQuery != "" || b.RawQuery != "" || b.Fragment != "" {
		return false
	}
	under, at := strings.TrimRight(a.Path, "/"), strings.TrimRight(b.Path, "/")
	return (at == "" || path.Clean(at) == at) && (at == under || strings.HasPrefix(at, under+"/"))
}
