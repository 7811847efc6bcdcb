package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check SUBJECT RELATION OBJECT | check OBJECT#RELATION@SUBJECT",
		Short: "Ask whether a subject has a relation or permission to an object",
		Long: `Asks whether a subject has a relation or permission to an object, prints allowed
or denied, and exits with 0 or 1; with 2 if there is no answer.

A subject is a plain id, an object such as User:ann, or everyone who has a
relation to an object, such as Group:eng#members.`,
		Example: `  cardea check "User:ann" view Document:plan
  cardea check Document:plan#view@User:ann
  cardea check "Group:backend#members" edit Folder:plans -o json`,
		Args: cobra.MatchAll(cobra.RangeArgs(1, 3), func(_ *cobra.Command, args []string) error {
			if len(args) == 2 {
				return errors.New("2 arguments: expected SUBJECT RELATION OBJECT, or one of the form ns:object#relation@subject")
			}
			return nil
		}),
		RunE: a.check,
	}
	a.clientFlags(cmd)
	a.consistencyFlag(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) check(cmd *cobra.Command, args []string) error {
	question, err := parseQuestion(args)
	if err != nil {
		return err
	}
	conn, err := a.readRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	resp, err := cardeav1.NewCheckServiceClient(conn).Check(cmd.Context(), &cardeav1.CheckRequest{
		Tuple: tupleProto(question), Consistency: a.client.proto(),
	})
	if err != nil {
		return err
	}
	verdict, end := "denied", errNo
	if resp.GetAllowed() {
		verdict, end = "allowed", nil
	}
	if err := a.print(struct {
		Allowed   bool   `json:"allowed"`
		Snaptoken string `json:"snaptoken"`
	}{resp.GetAllowed(), resp.GetSnaptoken()}, "%s\n", verdict); err != nil {
		return err
	}
	return end
}

// parseQuestion reads the arguments of check: a tuple, or its three parts in
// the order in which one says them.
func parseQuestion(args []string) (engine.Tuple, error) {
	if len(args) == 1 {
		return engine.ParseTuple(args[0])
	}
	subject, err := engine.ParseSubject(args[0])
	if err != nil {
		return engine.Tuple{}, err
	}
	object, err := engine.ParseObject(args[2])
	if err != nil {
		return engine.Tuple{}, err
	}
	t := engine.Tuple{Object: object, Relation: args[1], Subject: subject}
	return t, t.Validate()
}
