package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/opl"
)

func (a *app) oplCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "opl",
		Short:   "Work on OPL files, without a server",
		Example: "  cardea opl fmt -w model.ts",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.fmtCommand())
	return cmd
}

func (a *app) fmtCommand() *cobra.Command {
	var flags oplFlags
	var write, list bool
	cmd := &cobra.Command{
		Use:   "fmt FILE|FOLDER|-...",
		Short: "Print OPL files in the one layout",
		Long: `Prints OPL files in the one layout, with their comments. -w writes them back, and
-l lists those that are laid out differently and exits with 1 if there are any.

a || b && c without parentheses means one thing in TypeScript and another in
Keto. --precedence says which is meant, and the parentheses are added.`,
		Example: `  cardea opl fmt model.ts
  cardea opl fmt -l ./models
  cardea opl fmt -w --precedence keto old-model.ts`,
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.options()
			if err != nil {
				return err
			}
			files, err := readOPL(args, a.stdin)
			if err != nil {
				return err
			}
			return a.format(files, options, write, list)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the files instead of printing them")
	cmd.Flags().BoolVarP(&list, "list", "l", false, "list the files that would change, and change none")
	cmd.MarkFlagsMutuallyExclusive("write", "list")
	return cmd
}

func (a *app) format(files []opl.Source, options opl.Options, write, list bool) error {
	var end error
	for _, f := range files {
		parsed, err := opl.Parse(f, options)
		if err != nil {
			return err
		}
		text := opl.Format(parsed)
		same := bytes.Equal(text, f.Text)
		switch {
		case list && !same:
			fmt.Fprintln(a.stdout, f.Name)
			end = errNo
		case list:
		case write && f.Name == "stdin":
			return errors.New("--write: stdin cannot be written: name a file")
		case write && !same:
			if err := os.WriteFile(f.Name, text, 0o644); err != nil { // keeps the mode of a file that is there
				return err
			}
			fmt.Fprintln(a.stdout, f.Name)
		case write:
		default:
			if _, err := a.stdout.Write(text); err != nil {
				return err
			}
		}
	}
	return end
}
