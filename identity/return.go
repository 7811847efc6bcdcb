package identity

import (
	"net/url"
	"path"
	"strings"
)

// maxURL bounds what is kept of a URL of a client, in bytes.
const maxURL = 8 << 10

// returnTo returns where a browser goes after a flow, if it may go there: to this
// server, to where it goes when nothing is named, or below a URL that is allowed.
//
// A *Problem, of kind Invalid: it may not.
func (s *Service) returnTo(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	to, ok := parseReturn(text)
	if !ok || len(text) > maxURL {
		return "", errReturnTo(cut(text, 200))
	}
	if to.Scheme == "" { // a path of ours
		base, err := url.Parse(s.options.BaseURL)
		if err != nil {
			return "", err
		}
		return base.ResolveReference(to).String(), nil
	}
	for _, allowed := range append([]string{s.options.BaseURL, s.options.ReturnTo}, s.options.AllowedReturnURLs...) {
		if prefix, err := url.Parse(allowed); err == nil && below(to, prefix) {
			return text, nil
		}
	}
	return "", errReturnTo(text)
}

// parseReturn reads a URL, or a path of this server. What browsers read in another way
// than we do is refused.
func parseReturn(text string) (*url.URL, bool) {
	if strings.ContainsAny(text, "\\\x00\r\n\t") || strings.HasPrefix(text, "//") {
		return nil, false
	}
	to, err := url.Parse(text)
	if err != nil || to.User != nil || to.Opaque != "" {
		return nil, false
	}
	switch strings.ToLower(to.Scheme) {
	case "javascript", "data", "vbscript", "file", "blob", "about":
		return nil, false
	case "":
		return to, to.Host == "" && strings.HasPrefix(to.Path, "/") && !strings.HasPrefix(to.Path, "//")
	case "http", "https":
		return to, to.Host != ""
	default: // of an app
		return to, true
	}
}

// below reports whether a URL has the scheme and host of another one, and whole
// segments of its path. A host of *.example.com is any below example.com.
func below(to, prefix *url.URL) bool {
	if !strings.EqualFold(to.Scheme, prefix.Scheme) || !sameHost(to, prefix) {
		return false
	}
	want := strings.TrimSuffix(cleanPath(prefix.Path), "/")
	got := cleanPath(to.Path)
	return got == want || strings.HasPrefix(got, want+"/")
}

func cleanPath(p string) string { return path.Clean("/" + p) }

func sameHost(to, prefix *url.URL) bool {
	if to.Port() != prefix.Port() {
		return false
	}
	host, want := strings.ToLower(to.Hostname()), strings.ToLower(prefix.Hostname())
	if parent, wild := strings.CutPrefix(want, "*."); wild {
		return strings.HasSuffix(host, "."+parent) && len(host) > len(parent)+1
	}
	return host == want
}

// withQuery adds parameters to a URL of the configuration.
func withQuery(base string, pairs ...string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	q := u.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	u.RawQuery = q.Encode()
	return u.String()
}
