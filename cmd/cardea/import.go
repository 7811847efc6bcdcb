package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// batchSize is how many tuples of an import are in one write.
const batchSize = 1000

func (a *app) importCommand() *cobra.Command {
	var skip int64
	var verbose bool
	cmd := &cobra.Command{
		Use:   "import [FILE|FOLDER|-]...",
		Short: "Create the tuples of files or of stdin",
		Long: `Creates the tuples of files, of the files in folders, or of stdin, in writes of
1000. Each line is a tuple, either ns:object#relation@subject or a JSON object as
Keto's REST API has it; blank lines and lines that start with // or # are
skipped. Tuples that are there already stay as they are, so an import that was
interrupted may simply be run again.`,
		Example: `  cardea tuples import examples/drive/tuples.txt
  cardea tuples export | cardea tuples import --write-remote 127.0.0.1:5567
  cardea tuples import --skip 250000 large.jsonl`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && isTerminal(a.stdin) {
				return errors.New("stdin is a terminal: name files, or pipe tuples in")
			}
			from, err := sources(args, a.stdin)
			if err != nil {
				return err
			}
			conn, err := a.writeRemote()
			if err != nil {
				return err
			}
			defer conn.Close()
			imp := &importer{
				to:       cardeav1.NewTupleWriteServiceClient(conn),
				skip:     skip,
				progress: progress(a.stderr, verbose || isTerminal(a.stderr), count),
			}
			if err := imp.run(cmd.Context(), from); err != nil {
				return err
			}
			return a.print(written{imp.done, imp.inserted, 0, imp.token}, "%s\n", imp.summary())
		},
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().Int64Var(&skip, "skip", 0, "leave out this many tuples at the start")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the progress even where stderr is no terminal")
	return cmd
}

// An importer writes tuples in batches and remembers how far it came.
type importer struct {
	to       cardeav1.TupleWriteServiceClient
	skip     int64
	progress func(done int64)

	batch []located
	done  int64 // tuples that the server has acknowledged
	last  place // of the last of them
	token string

	inserted int64 // tuples that were not there before
}

// summary says what was done.
func (i *importer) summary() string {
	text := "imported " + count(i.done)
	if there := i.done - i.inserted; there > 0 {
		text += fmt.Sprintf(", %d of them there already", there)
	}
	return text
}

func (i *importer) run(ctx context.Context, from []source) error {
	var seen int64
	for t, err := range tuples(from) {
		if err != nil {
			return i.stopped(errors.Join(i.flush(ctx), err))
		}
		if seen++; seen <= i.skip {
			continue
		}
		if i.batch = append(i.batch, t); len(i.batch) == batchSize {
			if err := i.flush(ctx); err != nil {
				return i.stopped(err)
			}
		}
	}
	if err := i.flush(ctx); err != nil {
		return i.stopped(err)
	}
	return nil
}

// flush writes the batch. An error names the lines of the batch, for the server
// refused all of it.
func (i *importer) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	req := &cardeav1.WriteTuplesRequest{}
	for _, t := range i.batch {
		req.Updates = append(req.Updates, &cardeav1.TupleUpdate{
			Action: cardeav1.TupleUpdate_ACTION_INSERT, Tuple: tupleProto(t.tuple),
		})
	}
	resp, err := i.to.Write(ctx, req)
	if err != nil {
		return i.blame(err)
	}
	i.done += int64(len(i.batch))
	i.last = i.batch[len(i.batch)-1].place
	i.token = resp.GetSnaptoken()
	i.inserted += resp.GetInserted()
	i.batch = i.batch[:0]
	i.progress(i.done)
	return nil
}

// blame says which line the server did not take, if its message names the
// update, and else which lines were in the write.
func (i *importer) blame(err error) error {
	first, last := i.batch[0].place, i.batch[len(i.batch)-1].place
	if at, why, ok := refusedUpdate(err, len(i.batch)); ok {
		return fmt.Errorf("%s: %s", i.batch[at].place, why)
	}
	if first == last {
		return fmt.Errorf("%s: %w", first, err)
	}
	return fmt.Errorf("%s to %s: %w", first, last, err)
}

// stopped adds to err what was done before it and how to go on.
func (i *importer) stopped(err error) error {
	if i.done == 0 {
		return fmt.Errorf("%w\nnothing was imported", err)
	}
	return fmt.Errorf("%w\nimported so far: %s, up to %s; to go on from there, run the import again with --skip %d (or without: what is there stays as it is)",
		err, count(i.done), i.last, i.skip+i.done)
}

// progress returns a function that says on w how far an import came, at most
// once a second; text says how much it is.
func progress(w io.Writer, show bool, text func(int64) string) func(int64) {
	start := time.Now()
	last := start
	return func(done int64) {
		now := time.Now()
		if !show || now.Sub(last) < time.Second {
			return
		}
		last = now
		fmt.Fprintf(w, "%s, %.0f a second\n", text(done), float64(done)/now.Sub(start).Seconds())
	}
}

// isTerminal reports whether a stream is one at which a person sits.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
