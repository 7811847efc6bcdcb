package main

import (
	"testing"
)

func TestParseBeginning(t *testing.T) {
	for text, want := range map[string]string{
		"Doc:a#viewers@User:ann":          "Doc a viewers set",
		"Doc:a#viewers@x":                 "Doc a viewers id",
		"Doc:a#viewers":                   "Doc a viewers -",
		"Doc:a":                           "Doc a - -",
		"Doc:":                            "Doc  - -",
		"Doc:a#":                          "Doc a  -",
		"Doc:a:b#viewers@Group:g#members": "Doc a:b viewers set",
		"Doc":                             "",
		"":                                "",
		":a":                              "",
		"@x":                              "",
	} {
		q, err := parseBeginning(text)
		if err != nil {
			if want != "" {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		got := ""
		for _, field := range []*string{q.Namespace, q.Object, q.Relation} {
			if field == nil {
				got += "- "
			} else {
				got += *field + " "
			}
		}
		switch {
		case q.GetSubject() == nil:
			got += "-"
		case q.GetSubject().GetSet() != nil:
			got += "set"
		default:
			got += "id"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestBrokenCondition(t *testing.T) {
	flags := &writeFlags{mustExist: []string{"A:1", "B:2"}, mustNotExist: []string{"C:3"}}
	for msg, want := range map[string]string{
		"precondition 0 does not hold: no":  "nothing was written: --must-exist A:1 does not hold: no",
		"precondition 2 does not hold: yes": "nothing was written: --must-not-exist C:3 does not hold: yes",
		"precondition 3 does not hold: yes": "precondition 3 does not hold: yes",
		"the store is closed":               "the store is closed",
	} {
		if got := flags.blame(&remoteError{msg: msg}).Error(); got != want {
			t.Errorf("%q: %q, want %q", msg, got, want)
		}
	}
}
