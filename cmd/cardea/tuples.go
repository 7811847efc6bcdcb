package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

func (a *app) tuplesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tuples",
		Short:   "Create, delete, write, list, import and export relation tuples",
		Example: "  cardea tuples create Document:plan#viewers@User:ann\n  cardea tuples list --namespace Document --object plan",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.createCommand(), a.deleteCommand(), a.writeCommand(), a.listCommand(), a.importCommand(), a.exportCommand())
	return cmd
}

func (a *app) createCommand() *cobra.Command {
	var flags writeFlags
	cmd := &cobra.Command{
		Use:   "create TUPLE...",
		Short: "Create tuples, all of them or none",
		Long:  "Creates tuples of the form ns:object#relation@subject, all of them or none. One\nthat is there already stays as it is.",
		Example: `  cardea tuples create Document:plan#viewers@User:ann
  cardea tuples create "Group:eng#members@User:bob" "Folder:eng#editors@Group:eng#members"
  cardea tuples create Document:plan#owners@User:ann --must-not-exist Document:plan#owners`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("nothing to create: expected tuples of the form ns:object#relation@subject")
			}
			return a.writeArgs(cmd, args, cardeav1.TupleUpdate_ACTION_INSERT, &flags)
		},
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	flags.add(cmd)
	return cmd
}

func (a *app) deleteCommand() *cobra.Command {
	var query queryFlags
	var flags writeFlags
	var force bool
	cmd := &cobra.Command{
		Use:   "delete TUPLE... | delete --force --namespace N ...",
		Short: "Delete tuples, by name or by query",
		Long: `Deletes tuples of the form ns:object#relation@subject, all of them or none. One
that is not there is no error. With query flags, deletes every tuple that
matches them; this takes --force.`,
		Example: `  cardea tuples delete Document:plan#viewers@User:ann
  cardea tuples delete --force --namespace Document --object plan`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := query.proto(cmd)
			switch {
			case err != nil:
				return err
			case len(args) > 0 && q != nil:
				return errors.New("tuples and query flags together: expected one of the two")
			case len(args) > 0:
				return a.writeArgs(cmd, args, cardeav1.TupleUpdate_ACTION_DELETE, &flags)
			case q == nil:
				return errors.New("nothing to delete: expected tuples, or query flags and --force")
			case !force:
				return errors.New("a query deletes every tuple that matches: see them with `cardea tuples list` and the same flags, then add --force")
			}
			return a.deleteByQuery(cmd, q, &flags)
		},
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	query.add(cmd)
	flags.add(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "delete whatever matches the query flags")
	return cmd
}

// writeArgs applies one action to all tuples of the command line, in one write,
// and says how many changed and how many were so already.
func (a *app) writeArgs(cmd *cobra.Command, args []string, action cardeav1.TupleUpdate_Action, flags *writeFlags) error {
	updates, err := parseUpdates(action, args)
	if err != nil {
		return err
	}
	resp, err := a.write(cmd, updates, flags)
	if err != nil {
		return err
	}
	changed, done, so := resp.GetInserted(), "created", "there already"
	if action == cardeav1.TupleUpdate_ACTION_DELETE {
		changed, done, so = resp.GetDeleted(), "deleted", "not there"
	}
	rest := ""
	if same := int64(len(args)) - changed; same > 0 {
		rest = fmt.Sprintf(", %d %s", same, so)
	}
	return a.print(newWritten(resp), "%s %s%s\n", done, count(changed), rest)
}

// refused finds the update that a server's message begins with.
var refused = regexp.MustCompile(`^updates?[ \[](\d+)\]?[:.]? *`)

// refusedUpdate reads from the error of a write of n updates which of them the
// server did not take, and why.
func refusedUpdate(err error, n int) (at int, why string, ok bool) {
	found := refused.FindStringSubmatch(err.Error())
	if found == nil {
		return 0, "", false
	}
	at, convErr := strconv.Atoi(found[1])
	return at, err.Error()[len(found[0]):], convErr == nil && at < n
}

// broken finds the precondition that a server's message begins with.
var broken = regexp.MustCompile(`^precondition (\d+) does not hold: *`)

// brokenCondition reads from the error of a write with n preconditions which of
// them does not hold, and why.
func brokenCondition(err error, n int) (at int, why string, ok bool) {
	found := broken.FindStringSubmatch(err.Error())
	if found == nil {
		return 0, "", false
	}
	at, convErr := strconv.Atoi(found[1])
	return at, "does not hold: " + err.Error()[len(found[0]):], convErr == nil && at < n
}

func (a *app) deleteByQuery(cmd *cobra.Command, q *cardeav1.TupleQuery, flags *writeFlags) error {
	conditions, err := flags.preconditions()
	if err != nil {
		return err
	}
	conn, err := a.writeRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	resp, err := cardeav1.NewTupleWriteServiceClient(conn).DeleteByQuery(cmd.Context(), &cardeav1.DeleteTuplesByQueryRequest{
		Query: q, Preconditions: conditions, IdempotencyKey: flags.key,
	})
	if err != nil {
		return flags.blame(err)
	}
	return a.print(written{resp.GetDeleted(), 0, resp.GetDeleted(), resp.GetSnaptoken()}, "deleted %s\n", count(resp.GetDeleted()))
}

// count says how many tuples there are.
func count(n int64) string {
	if n == 1 {
		return "1 tuple"
	}
	return fmt.Sprintf("%d tuples", n)
}

func (a *app) listCommand() *cobra.Command {
	var query queryFlags
	var size int32
	var token string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the stored tuples that match, a page of them",
		Long: `Lists stored tuples in their order, up to --page-size of them. If there are more,
stderr says how to get the next page. cardea tuples export prints all at once.`,
		Example: `  cardea tuples list --namespace Document --object plan
  cardea tuples list --subject "Group:engineering#members" -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := query.proto(cmd)
			if err != nil {
				return err
			}
			return a.list(cmd, &cardeav1.ListTuplesRequest{
				Query: q, PageSize: size, PageToken: token, Consistency: a.client.proto(),
			})
		},
	}
	a.clientFlags(cmd)
	a.consistencyFlag(cmd)
	a.outputFlag(cmd)
	query.add(cmd)
	cmd.Flags().Int32Var(&size, "page-size", 100, "tuples in a page, 500 at most")
	cmd.Flags().StringVar(&token, "page-token", "", "token of the page, from the page before it")
	return cmd
}

func (a *app) list(cmd *cobra.Command, req *cardeav1.ListTuplesRequest) error {
	conn, err := a.readRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	if req.PageToken != "" {
		req.Consistency = nil // the token has the revision of the first page
	}
	resp, err := cardeav1.NewTupleServiceClient(conn).List(cmd.Context(), req)
	if err != nil {
		return err
	}
	tuples := make([]tupleJSON, 0, len(resp.GetTuples()))
	for _, t := range resp.GetTuples() {
		tuples = append(tuples, toJSON(tupleFrom(t)))
	}
	if a.output == "json" {
		return a.printJSON(struct {
			Tuples    []tupleJSON `json:"relation_tuples"`
			Next      string      `json:"next_page_token"`
			Snaptoken string      `json:"snaptoken"`
		}{tuples, resp.GetNextPageToken(), resp.GetSnaptoken()})
	}
	for _, t := range resp.GetTuples() {
		fmt.Fprintln(a.stdout, formatLine(tupleFrom(t)))
	}
	if next := resp.GetNextPageToken(); next != "" {
		fmt.Fprintf(a.stderr, "there are more: add --page-token %s\n", next)
	}
	return nil
}

// queryFlags select tuples.
type queryFlags struct{ namespace, object, relation, subject string }

func (q *queryFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.namespace, "namespace", "", "only tuples of objects of this namespace")
	f.StringVar(&q.object, "object", "", "only tuples of objects with this id")
	f.StringVar(&q.relation, "relation", "", "only tuples of this relation")
	f.StringVar(&q.subject, "subject", "", "only tuples of this subject: an id, ns:object or ns:object#relation")
}

// proto returns nil if no flag was given. A flag given as "" selects the empty
// string.
func (q *queryFlags) proto(cmd *cobra.Command) (*cardeav1.TupleQuery, error) {
	p, any := &cardeav1.TupleQuery{}, false
	for _, f := range []struct {
		name  string
		value *string
		field **string
	}{
		{"namespace", &q.namespace, &p.Namespace},
		{"object", &q.object, &p.Object},
		{"relation", &q.relation, &p.Relation},
	} {
		if cmd.Flags().Changed(f.name) {
			*f.field, any = f.value, true
		}
	}
	if cmd.Flags().Changed("subject") {
		s, err := engine.ParseSubject(q.subject)
		if err != nil {
			return nil, err
		}
		p.Subject, any = subjectProto(s), true
	}
	if !any {
		return nil, nil
	}
	return p, nil
}
