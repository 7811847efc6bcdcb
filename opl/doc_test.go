package opl_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/cardea-iam/cardea/opl"
)

var codeBlock = regexp.MustCompile("(?ms)^```(ts|ts fails|text)\n(.*?)^```\n")

// TestGuide compiles every example of the guide for users. The output that
// follows an example that fails must be what the package says.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/opl.md")
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	examples := 0
	for _, block := range codeBlock.FindAllStringSubmatch(string(guide), -1) {
		kind, text := block[1], block[2]
		if kind == "text" {
			if failed == nil || failed.Error()+"\n" != text {
				t.Errorf("the guide says\n%s\nthe package says\n%v", text, failed)
			}
			continue
		}
		examples++
		src := opl.Source{Name: "model", Text: []byte(text)}
		m, err := opl.Compile([]opl.Source{src}, opl.Options{})
		if failed = err; (kind == "ts fails") != (err != nil) {
			t.Errorf("error %v in the example\n%s", err, text)
		}
		if err == nil {
			checkFormat(t, src, opl.Options{}, m)
		}
	}
	if examples < 6 {
		t.Errorf("found only %d examples", examples)
	}
}
