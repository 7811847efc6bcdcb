package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

func (a *app) listsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what a subject has a relation to, or who has one to an object",
		Example: `  cardea list objects "User:ann" view Document
  cardea list subjects view Document:plan User`,
		Args: knownCommand,
		RunE: help,
	}
	cmd.AddCommand(a.listObjectsCommand(), a.listSubjectsCommand())
	return cmd
}

func (a *app) listObjectsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "objects SUBJECT RELATION NAMESPACE",
		Short: "List the objects of a namespace that a subject has a relation or permission to",
		Long: `Lists every object of the namespace for which a check would say yes, at one
revision. When it cannot be complete, it says so and the exit code is 2.`,
		Example: `  cardea list objects "User:ann" view Document
  cardea list objects "Group:backend#members" edit Folder -o json`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.listObjects(cmd.Context(), args[0], args[1], args[2])
		},
	}
	a.clientFlags(cmd)
	a.consistencyFlag(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) listObjects(ctx context.Context, who, relation, namespace string) error {
	subject, err := engine.ParseSubject(who)
	if err != nil {
		return err
	}
	conn, err := a.readRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := cardeav1.NewListServiceClient(conn).StreamObjects(ctx, &cardeav1.ListObjectsRequest{
		Namespace: namespace, Relation: relation, Subject: subjectProto(subject), Consistency: a.client.proto(),
	})
	if err != nil {
		return err
	}
	var all []string
	token := ""
	err = each(conn, stream, func(m *cardeav1.ListObjectsResponse) {
		all, token = append(all, m.GetObjects()...), m.GetSnaptoken()
	})
	if err != nil {
		return err
	}
	slices.Sort(all)
	if a.output == "json" {
		return a.printJSON(struct {
			Objects   []string `json:"objects"`
			Snaptoken string   `json:"snaptoken"`
		}{nonNil(all), token})
	}
	for _, id := range all {
		fmt.Fprintln(a.stdout, engine.Object{Namespace: namespace, ID: id})
	}
	return nil
}

func (a *app) listSubjectsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "subjects RELATION OBJECT KIND",
		Short: "List the subjects that have a relation or permission to an object",
		Long: `Lists every subject of a kind for which a check would say yes, at one revision. The
kind is a namespace, as User; a namespace and a relation for subject sets, as
Group#members; or - for plain subject ids. When the list cannot be complete, it
says so and the exit code is 2.`,
		Example: `  cardea list subjects view Document:plan User
  cardea list subjects edit Folder:plans "Group#members" -o json`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.listSubjects(cmd.Context(), args[0], args[1], args[2])
		},
	}
	a.clientFlags(cmd)
	a.consistencyFlag(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) listSubjects(ctx context.Context, relation, on, kind string) error {
	object, err := engine.ParseObject(on)
	if err != nil {
		return err
	}
	namespace, set := splitKind(kind)
	conn, err := a.readRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := cardeav1.NewListServiceClient(conn).StreamSubjects(ctx, &cardeav1.ListSubjectsRequest{
		Namespace: object.Namespace, Object: object.ID, Relation: relation,
		SubjectNamespace: namespace, SubjectRelation: set, Consistency: a.client.proto(),
	})
	if err != nil {
		return err
	}
	var all []string
	token := ""
	err = each(conn, stream, func(m *cardeav1.ListSubjectsResponse) {
		for _, s := range m.GetSubjects() {
			all = append(all, subjectFrom(s).String())
		}
		token = m.GetSnaptoken()
	})
	if err != nil {
		return err
	}
	slices.Sort(all)
	if a.output == "json" {
		return a.printJSON(struct {
			Subjects  []string `json:"subjects"`
			Snaptoken string   `json:"snaptoken"`
		}{nonNil(all), token})
	}
	for _, subject := range all {
		fmt.Fprintln(a.stdout, subject)
	}
	return nil
}

// each calls do for every message until the stream ends well.
func each[T any](conn *remote, stream grpc.ServerStreamingClient[T], do func(*T)) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return conn.explain(err)
		}
		do(m)
	}
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// splitKind reads a kind of subjects.
func splitKind(kind string) (namespace, relation string) {
	if kind == "-" {
		return "", ""
	}
	namespace, relation, _ = strings.Cut(kind, "#")
	return namespace, relation
}
