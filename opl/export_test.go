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
