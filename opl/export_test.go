package opl

import "strings"

// Comments returns the comments of a source, without the space at the ends of
// their lines, in their order.
func Comments(src Source, o Options) []string {
	_, comments := scan(src.Text, o.Compat)
	var texts []string
	for _, c := range comments {
		texts = append(texts, strings.TrimRight(string(src.Text[c.start:c.end]), " \t\r\v\f"))
	}
	return texts
}

// Gaps returns the places between the tokens of a source, where comments may
// stand.
func Gaps(src Source, o Options) []int {
	tokens, _ := scan(src.Text, o.Compat)
	gaps := []int{0}
	for _, t := range tokens {
		gaps = append(gaps, int(t.end))
	}
	return gaps
}
