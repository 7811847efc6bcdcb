package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

func (a *app) expandCommand() *cobra.Command {
	var depth int32
	cmd := &cobra.Command{
		Use:   "expand RELATION OBJECT | expand OBJECT#RELATION",
		Short: "Show who has a relation to an object, and through what",
		Long: `Draws the tree of subjects that have a relation to an object: groups are followed
to their members, and their groups' members. A set that is its own ancestor, or
lies at --depth, is shown and not followed.`,
		Example: `  cardea expand editors Folder:engineering
  cardea expand Folder:engineering#editors -o json
  cardea expand members Group:everyone -o dot | dot -Tsvg > everyone.svg`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.expand(cmd, args, depth) },
	}
	a.clientFlags(cmd)
	a.consistencyFlag(cmd)
	a.outputFlag(cmd, "text", "json", "dot")
	cmd.Flags().Int32VarP(&depth, "depth", "d", 0, "greatest depth of the tree; 0 means no limit")
	return cmd
}

func (a *app) expand(cmd *cobra.Command, args []string, depth int32) error {
	set, err := parseSet(args)
	if err != nil {
		return err
	}
	conn, err := a.readRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	resp, err := cardeav1.NewExpandServiceClient(conn).Expand(cmd.Context(), &cardeav1.ExpandRequest{
		Subject: subjectProto(set), MaxDepth: depth, Consistency: a.client.proto(),
	})
	if err != nil {
		return err
	}
	var root *tree
	if resp.GetTree() != nil {
		root = treeFrom(resp.GetTree())
	}
	switch {
	case a.output == "json":
		return a.printJSON(struct {
			Tree      *tree  `json:"tree"`
			Snaptoken string `json:"snaptoken"`
		}{root, resp.GetSnaptoken()})
	case root == nil:
		fmt.Fprintf(a.stderr, "nobody has %s\n", set)
		return nil
	case a.output == "dot":
		return root.writeDot(a.stdout)
	default:
		return root.writeText(a.stdout)
	}
}

// parseSet reads the arguments of expand.
func parseSet(args []string) (engine.Subject, error) {
	if len(args) == 2 {
		o, err := engine.ParseObject(args[1])
		if err != nil {
			return engine.Subject{}, err
		}
		return engine.SubjectSet(o.Namespace, o.ID, args[0]), nil
	}
	s, err := engine.ParseSubject(args[0])
	if err != nil {
		return engine.Subject{}, err
	}
	if s.IsID() || s.Relation == "" {
		return engine.Subject{}, fmt.Errorf("%q: expected RELATION OBJECT, or one argument of the form ns:object#relation", args[0])
	}
	return s, nil
}
