package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// maxIdentifier bounds identifiers and addresses, in bytes: the longest e-mail address,
// and what databases take as a key.
const maxIdentifier = 320

// normalize returns the one form of an identifier or address, whatever the user typed:
// without blanks around it, e-mail addresses and names in lower case, domains as in the
// DNS, telephone numbers as + and digits. It reports false for what has invisible characters in it, which
// would make two look the same, and for what is too long.
func normalize(text string) (string, bool) {
	if !utf8.ValidString(text) {
		return "", false
	}
	if len(text) > 10*maxIdentifier { // no writing of one takes as much
		return "", false
	}
	text = norm.NFKC.String(strings.TrimSpace(text))
	for _, r := range text {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) {
			return "", false
		}
	}
	if phone, ok := normalizePhone(text); ok {
		return phone, true
	}
	text = asciiDomain(strings.ToLower(text))
	return text, text != "" && len(text) <= maxIdentifier
}

// asciiDomain writes the domain of an e-mail address as mail servers have it: the same one
// can be written in letters of all scripts, with other dots, and in Punycode (RFC 5891). What
// is no domain stays as it is.
func asciiDomain(text string) string {
	name, domain, isAddress := strings.Cut(text, "@")
	if !isAddress || isASCII(domain) && !strings.Contains(domain, "xn--") {
		return text
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return text
	}
	return name + "@" + ascii
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// normalizePhone reads a telephone number with its country, as E.164 writes it, and
// leaves out what people put between the digits.
func normalizePhone(text string) (string, bool) {
	if !strings.HasPrefix(text, "+") {
		return "", false
	}
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()/", r) {
			return -1
		}
		return r
	}, text[1:])
	if len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" || digits[0] == '0' {
		return "", false
	}
	return "+" + digits, true
}
