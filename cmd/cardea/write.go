package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// writeFlags are conditions of a write, and the key that makes it safe to repeat.
type writeFlags struct {
	mustExist, mustNotExist []string
	key                     string
}

func (w *writeFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&w.mustExist, "must-exist", nil,
		"write only if this tuple is stored, or some tuple that begins like this:\nns:object#relation or ns:object; may be given several times")
	f.StringArrayVar(&w.mustNotExist, "must-not-exist", nil,
		"write only if there is no such tuple; may be given several times")
	f.StringVar(&w.key, "key", "",
		"idempotency key: a second write with it changes nothing and gives the answer of the first")
}

func (w *writeFlags) preconditions() ([]*cardeav1.Precondition, error) {
	var all []*cardeav1.Precondition
	for _, flag := range []struct {
		kind  cardeav1.Precondition_Kind
		texts []string
	}{
		{cardeav1.Precondition_KIND_MUST_EXIST, w.mustExist},
		{cardeav1.Precondition_KIND_MUST_NOT_EXIST, w.mustNotExist},
	} {
		for _, text := range flag.texts {
			q, err := parseBeginning(text)
			if err != nil {
				return nil, err
			}
			all = append(all, &cardeav1.Precondition{Kind: flag.kind, Query: q})
		}
	}
	return all, nil
}

// condition returns a precondition as it was given, by its index.
func (w *writeFlags) condition(i int) string {
	if i < len(w.mustExist) {
		return "--must-exist " + w.mustExist[i]
	}
	return "--must-not-exist " + w.mustNotExist[i-len(w.mustExist)]
}

// parseBeginning reads a tuple, or the beginning of one, as a query.
func parseBeginning(text string) (*cardeav1.TupleQuery, error) {
	if strings.Contains(text, "@") {
		t, err := engine.ParseTuple(text)
		if err != nil {
			return nil, err
		}
		return &cardeav1.TupleQuery{
			Namespace: &t.Object.Namespace, Object: &t.Object.ID, Relation: &t.Relation, Subject: subjectProto(t.Subject),
		}, nil
	}
	object, relation, hasRelation := strings.Cut(text, "#")
	namespace, id, hasID := strings.Cut(object, ":")
	if namespace == "" || !hasID {
		return nil, fmt.Errorf("condition %q: expected ns:object#relation@subject, ns:object#relation or ns:object", text)
	}
	q := &cardeav1.TupleQuery{Namespace: &namespace, Object: &id}
	if hasRelation {
		q.Relation = &relation
	}
	return q, nil
}

func (a *app) writeCommand() *cobra.Command {
	var create, remove []string
	var flags writeFlags
	cmd := &cobra.Command{
		Use:   "write",
		Short: "Create and delete tuples in one transaction",
		Long: `Deletes and creates tuples, all of them or none, if all conditions hold. To create
one that is there already and to delete one that is not change nothing.`,
		Example: `  cardea tuples write --delete Document:plan#owners@User:ann --create Document:plan#owners@User:bob
  cardea tuples write --create Document:plan#owners@User:ann --must-not-exist Document:plan#owners`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			updates, err := parseUpdates(cardeav1.TupleUpdate_ACTION_DELETE, remove)
			if err != nil {
				return err
			}
			created, err := parseUpdates(cardeav1.TupleUpdate_ACTION_INSERT, create)
			if err != nil {
				return err
			}
			updates = append(updates, created...)
			if len(updates) == 0 {
				return errors.New("nothing to write: expected --create or --delete")
			}
			resp, err := a.write(cmd, updates, &flags)
			if err != nil {
				return err
			}
			return a.print(newWritten(resp), "created %s, deleted %s\n", count(resp.GetInserted()), count(resp.GetDeleted()))
		},
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	flags.add(cmd)
	cmd.Flags().StringArrayVar(&create, "create", nil, "tuple to create; may be given several times")
	cmd.Flags().StringArrayVar(&remove, "delete", nil, "tuple to delete; may be given several times")
	return cmd
}

func parseUpdates(action cardeav1.TupleUpdate_Action, texts []string) ([]*cardeav1.TupleUpdate, error) {
	var updates []*cardeav1.TupleUpdate
	for _, text := range texts {
		t, err := engine.ParseTuple(text)
		if err != nil {
			return nil, err
		}
		updates = append(updates, &cardeav1.TupleUpdate{Action: action, Tuple: tupleProto(t)})
	}
	return updates, nil
}

// write sends a write. Its error names the tuple or the condition that is to
// blame as it was given.
func (a *app) write(cmd *cobra.Command, updates []*cardeav1.TupleUpdate, flags *writeFlags) (*cardeav1.WriteTuplesResponse, error) {
	conditions, err := flags.preconditions()
	if err != nil {
		return nil, err
	}
	conn, err := a.writeRemote()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	resp, err := cardeav1.NewTupleWriteServiceClient(conn).Write(cmd.Context(), &cardeav1.WriteTuplesRequest{
		Updates: updates, Preconditions: conditions, IdempotencyKey: flags.key,
	})
	if err == nil {
		return resp, nil
	}
	if at, why, ok := refusedUpdate(err, len(updates)); ok {
		return nil, fmt.Errorf("%s: %s", formatLine(tupleFrom(updates[at].GetTuple())), why)
	}
	return nil, flags.blame(err)
}

// blame names the condition that the server's error is about, if it is about one.
func (w *writeFlags) blame(err error) error {
	if at, why, ok := brokenCondition(err, len(w.mustExist)+len(w.mustNotExist)); ok {
		return fmt.Errorf("nothing was written: %s %s", w.condition(at), why)
	}
	return err
}

// A written is what a command that writes prints as JSON.
type written struct {
	Tuples    int64  `json:"tuples"` // that changed; of an import, that were in it
	Inserted  int64  `json:"inserted"`
	Deleted   int64  `json:"deleted"`
	Snaptoken string `json:"snaptoken"`
}

func newWritten(r *cardeav1.WriteTuplesResponse) written {
	return written{r.GetInserted() + r.GetDeleted(), r.GetInserted(), r.GetDeleted(), r.GetSnaptoken()}
}
