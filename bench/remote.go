package bench

import (
	"context"

	"google.golang.org/grpc"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// Remote is a server reached by gRPC.
type Remote struct {
	checks cardeav1.CheckServiceClient
	tuples cardeav1.TupleWriteServiceClient
	models cardeav1.ModelServiceClient
}

// NewRemote returns the server behind connections to its read and write
// listeners.
func NewRemote(read, write grpc.ClientConnInterface) *Remote {
	return &Remote{
		checks: cardeav1.NewCheckServiceClient(read),
		tuples: cardeav1.NewTupleWriteServiceClient(write),
		models: cardeav1.NewModelServiceClient(write),
	}
}

// ApplyModel implements Target.
func (r *Remote) ApplyModel(ctx context.Context, source string) error {
	_, err := r.models.Apply(ctx, &cardeav1.ApplyModelRequest{Source: source})
	return err
}

// Insert implements Target.
func (r *Remote) Insert(ctx context.Context, tuples []engine.Tuple) error {
	req := &cardeav1.WriteTuplesRequest{}
	for _, t := range tuples {
		req.Updates = append(req.Updates, &cardeav1.TupleUpdate{
			Action: cardeav1.TupleUpdate_ACTION_INSERT, Tuple: message(t),
		})
	}
	_, err := r.tuples.Write(ctx, req)
	return err
}

// Check implements Target.
func (r *Remote) Check(ctx context.Context, t engine.Tuple) (bool, error) {
	answer, err := r.checks.Check(ctx, &cardeav1.CheckRequest{Tuple: message(t)})
	return answer.GetAllowed(), err
}

func message(t engine.Tuple) *cardeav1.Tuple {
	m := &cardeav1.Tuple{Namespace: t.Object.Namespace, Object: t.Object.ID, Relation: t.Relation, Subject: &cardeav1.Subject{}}
	if t.Subject.IsID() {
		m.Subject.Ref = &cardeav1.Subject_Id{Id: t.Subject.ID}
	} else {
		m.Subject.Ref = &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{
			Namespace: t.Subject.Namespace, Object: t.Subject.ID, Relation: t.Subject.Relation,
		}}
	}
	return m
}
