// Package examples holds models of real shape with tuples and the answers that
// are expected from them. People read and load them; the tests ask every
// question of every implementation and over every door.
//
// An example is a folder with three files:
//
//	model.ts      the model, in the Ory Permission Language
//	tuples.txt    one ns:object#relation@subject a line
//	expected.txt  one "allow" or "deny" and a question in that form a line
//
// In the two text files blank lines and lines that start with // or # say
// nothing. The package knows what lines are, and not what they mean: it parses
// neither models nor tuples.
package examples

import (
	"embed"
	"fmt"
	"strings"
)

//go:generate go run ./drive -o drive/tuples.txt

//go:embed */model.ts */tuples.txt */expected.txt
var files embed.FS

// names lists the folders, the one to start with first.
var names = []string{"drive", "github", "rbac"}

// An Example is a model, the tuples under it and questions with their answers.
type Example struct {
	Name     string
	Model    string     // OPL text
	Tuples   []string   // ns:object#relation@subject, in the order of the file
	Expected []Question // in the order of the file
}

// A Question is a tuple, in text, and whether it holds in its example.
type Question struct {
	Line    int // of expected.txt, from 1
	Tuple   string
	Allowed bool
}

// All returns every example, the one to start with first.
func All() []Example {
	var all []Example
	for _, name := range names {
		e, _ := Get(name)
		all = append(all, e)
	}
	return all
}

// Names returns the names of the examples, the one to start with first.
func Names() []string { return append([]string(nil), names...) }

// Get returns the example of that name, and whether there is one.
func Get(name string) (Example, bool) {
	model, err := files.ReadFile(name + "/model.ts")
	if err != nil {
		return Example{}, false
	}
	e := Example{Name: name, Model: string(model)}
	for _, text := range lines(name + "/tuples.txt") {
		if text != "" {
			e.Tuples = append(e.Tuples, text)
		}
	}
	for i, text := range lines(name + "/expected.txt") {
		if text == "" {
			continue
		}
		verdict, tuple, _ := strings.Cut(text, " ")
		if verdict != "allow" && verdict != "deny" {
			// The files are part of the program, so this is a bug in it.
			panic(fmt.Sprintf("examples: %s/expected.txt:%d: %q: expected allow or deny, then a question", name, i+1, text))
		}
		e.Expected = append(e.Expected, Question{Line: i + 1, Tuple: strings.TrimSpace(tuple), Allowed: verdict == "allow"})
	}
	return e, true
}

// lines returns the lines of an embedded file without blanks at their ends. A
// comment is an empty line, so that the index stays the number of the line.
func lines(path string) []string {
	data, err := files.ReadFile(path)
	if err != nil {
		panic(err) // the embed pattern names it
	}
	all := strings.Split(string(data), "\n")
	for i, line := range all {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "//") || strings.HasPrefix(line, "#") {
			line = ""
		}
		all[i] = line
	}
	return all
}
