package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/identity"
)

func (a *app) passwordsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "passwords",
		Short:   "Work on lists of known passwords, without a server",
		Example: "  cardea passwords filter --entries 1000000 known.filter < list.txt",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.filterCommand())
	return cmd
}

func (a *app) filterCommand() *cobra.Command {
	var entries int64
	var rate float64
	cmd := &cobra.Command{
		Use:   "filter FILE",
		Short: "Make a filter of known passwords out of a list",
		Long: `Reads a list of passwords, or of their SHA-1 hashes in hexadecimal with or without
a colon and a count, one a line, and writes a filter: a small file by which a server
recognises them, without being able to say what they are. A server uses it with
identity.selfservice.methods.password.config.breached_passwords_file.

All passwords of the list are recognised, and of others as many as --rate says. At
0.001 a password takes two bytes. The filter is made in memory.`,
		Example: "  cardea passwords filter --entries 1000000 known.filter < list.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.makeFilter(args[0], entries, rate)
		},
	}
	cmd.Flags().Int64Var(&entries, "entries", 0, "how many passwords the list has, or a few more (needed)")
	cmd.Flags().Float64Var(&rate, "rate", 0.001, "how many of other passwords are taken for known, between 0 and 1")
	_ = cmd.MarkFlagRequired("entries")
	return cmd
}

func (a *app) makeFilter(path string, entries int64, rate float64) error {
	filter, err := identity.NewFilter(entries, rate)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(a.stdin)
	lines.Buffer(nil, 1<<16)
	n := int64(0)
	for lines.Scan() {
		if filter.AddLine(lines.Text()) {
			n++
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the list cannot be read after line %d: %w", n, err)
	}
	if n > entries {
		return fmt.Errorf("the list has %d passwords, --entries says %d: the filter would take too many others for known", n, entries)
	}
	if err := writeWhole(path, filter); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s knows %d passwords\n", path, n)
	return err
}

// writeWhole writes a file beside its place and moves it there, so that a server that
// uses it sees the old one or the new one.
func writeWhole(path string, filter *identity.FilterBuilder) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".filter-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = filter.WriteTo(file)
	if err == nil {
		err = file.Chmod(0o644)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
