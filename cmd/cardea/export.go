package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// exportPage is how many tuples of an export come with one answer.
const exportPage = 500

func (a *app) exportCommand() *cobra.Command {
	var query queryFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print all stored tuples that match, for import",
		Long: `Prints stored tuples at one revision, all of them or those that match, a line
each: as text, and a tuple that text cannot hold as JSON; with -o json all as
JSON lines. cardea tuples import reads both.`,
		Example: `  cardea tuples export > backup.txt
  cardea tuples export --namespace Document -o json > documents.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := query.proto(cmd)
			if err != nil {
				return err
			}
			return a.export(cmd, q)
		},
	}
	a.clientFlags(cmd)
	a.consistencyFlag(cmd)
	a.outputFlag(cmd)
	query.add(cmd)
	return cmd
}

func (a *app) export(cmd *cobra.Command, q *cardeav1.TupleQuery) error {
	conn, err := a.readRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	format := formatLine
	if a.output == "json" {
		format = formatJSON
	}
	client := cardeav1.NewTupleServiceClient(conn)
	out := bufio.NewWriter(a.stdout)
	req := &cardeav1.ListTuplesRequest{Query: q, PageSize: exportPage, Consistency: a.client.proto()}
	for {
		resp, err := client.List(cmd.Context(), req)
		if err != nil {
			out.Flush()
			return err
		}
		for _, t := range resp.GetTuples() {
			fmt.Fprintln(out, format(tupleFrom(t)))
		}
		if resp.GetNextPageToken() == "" {
			return out.Flush()
		}
		req.PageToken, req.Consistency = resp.GetNextPageToken(), nil // the token has the revision
	}
}
