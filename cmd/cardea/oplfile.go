package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/opl"
)

// oplSuffixes are the files that are read when a folder is named.
var oplSuffixes = []string{".ts", ".opl"}

// oplFlags say how a model is read. They have the names and values of the
// server's settings.
type oplFlags struct{ compat, precedence string }

func (o *oplFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.compat, "compat", "", "keto: accept what Keto accepts by accident")
	cmd.Flags().StringVar(&o.precedence, "precedence", "", "how a || b && c is read without parentheses: typescript or keto; empty: refused")
}

func (o *oplFlags) options() (opl.Options, error) {
	var out opl.Options
	switch o.compat {
	case "":
	case "keto":
		out.Compat = true
	default:
		return out, fmt.Errorf("--compat is %q: expected keto", o.compat)
	}
	switch o.precedence {
	case "":
	case "typescript":
		out.Precedence = opl.TypeScript
	case "keto":
		out.Precedence = opl.Keto
	default:
		return out, fmt.Errorf("--precedence is %q: expected typescript or keto", o.precedence)
	}
	return out, nil
}

// readOPL reads what the arguments name: files, the files in folders, or - for
// stdin.
func readOPL(args []string, stdin io.Reader) ([]opl.Source, error) {
	if len(args) == 0 {
		return nil, errors.New("no model: expected files, folders, or - for stdin")
	}
	var all []opl.Source
	for _, arg := range args {
		files := []string{arg}
		if info, err := os.Stat(arg); err == nil && info.IsDir() {
			if files, err = filesIn(arg, oplSuffixes); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			name, text, err := file, []byte(nil), error(nil)
			if arg == "-" {
				name = "stdin"
				text, err = io.ReadAll(stdin)
			} else {
				text, err = os.ReadFile(file)
			}
			if err != nil {
				return nil, err
			}
			all = append(all, opl.Source{Name: name, Text: text})
		}
	}
	return all, nil
}

// A joined is several files in one text, for a server takes one.
type joined struct {
	text  string
	files []opl.Source
}

func join(files []opl.Source) joined {
	var b strings.Builder
	for i, f := range files {
		if i > 0 && !strings.HasSuffix(b.String(), "\n") {
			b.WriteByte('\n')
		}
		b.Write(f.Text)
	}
	return joined{b.String(), files}
}

// place finds a line of the text in the files.
func (j joined) place(line int) place {
	for i, f := range j.files {
		lines := strings.Count(string(f.Text), "\n")
		if !strings.HasSuffix(string(f.Text), "\n") {
			lines++
		}
		if line <= lines || i == len(j.files)-1 {
			return place{f.Name, line}
		}
		line -= lines
	}
	return place{"model", line}
}
