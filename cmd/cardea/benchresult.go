package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
)

// resultFlags adds the flags of a benchmark that reports a result: -o and --save.
func (a *app) resultFlags(cmd *cobra.Command) {
	a.outputFlag(cmd, "text", "json")
	cmd.Flags().StringVar(&a.save, "save", "", "folder to write the result to, as NAME.json and NAME.svg (--save alone: bench/results)")
	cmd.Flags().Lookup("save").NoOptDefVal = "bench/results"
}

// newResult begins the result of the command that runs.
func (a *app) newResult(name, title string) *bench.Result {
	return bench.NewResult(name, title, a.args)
}

// printResult prints a result as a table or as JSON, and saves it if asked to. It
// returns errNo if a bar is missed.
func (a *app) printResult(r *bench.Result) error {
	if a.save != "" {
		if err := r.Save(a.save); err != nil {
			return err
		}
	}
	if err := a.print(r, "%s\n%s(%s)\n", r.Title, columns(r.Table()), r.Machine); err != nil {
		return err
	}
	if !r.Met() {
		return errNo
	}
	return nil
}

// columns lines up the cells of rows.
func columns(rows [][]any) string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(table, "\t")
			}
			fmt.Fprint(table, cell)
		}
		fmt.Fprintln(table)
	}
	table.Flush() // a strings.Builder takes everything
	return text.String()
}

func (a *app) benchPlotCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "plot FILE.json...",
		Short:   "Draw saved results anew",
		Long:    "Draw results that --save wrote, each as an SVG picture beside its file.",
		Example: "  cardea bench plot bench/results/*.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, paths []string) error {
			for _, path := range paths {
				r, err := bench.LoadResult(path)
				if err != nil {
					return err
				}
				if err := r.Save(filepath.Dir(path)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
