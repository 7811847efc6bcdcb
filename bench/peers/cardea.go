package main

import (
	"context"
	"path/filepath"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

func cardea() program {
	return program{
		name: "cardea", binary: "cardea", module: "github.com/cardea-iam/cardea",
		settings: []string{"defaults: all tuples in memory, PostgreSQL is the truth"},
		asks: map[mode]string{
			minimizeLatency: "minimize_latency",
			withToken:       "at_least_as_fresh, token of the last write",
			fullyConsistent: "fully_consistent",
		},
		start: startCardea,
	}
}

func startCardea(ctx context.Context, at site) (*instance, error) {
	addrs, err := freeAddresses(5)
	if err != nil {
		return nil, err
	}
	read, write := addrs[0], addrs[1]
	s := starter{ctx: ctx, at: at}
	s.run("migrate", "up", "--dsn", at.dsn)
	s.serve(read, "serve", "--dsn", at.dsn, "--read", read, "--write", write,
		"--public", addrs[2], "--metrics", addrs[3], "--opl", addrs[4], "--log-level", "warn")
	reads, writes := s.dial(read), s.dial(write)
	if s.err != nil {
		return nil, s.fail()
	}
	return s.instance(&cardeaClient{
		checks: cardeav1.NewCheckServiceClient(reads),
		tuples: cardeav1.NewTupleWriteServiceClient(writes),
		models: cardeav1.NewModelServiceClient(writes),
	}), nil
}

type cardeaClient struct {
	checks cardeav1.CheckServiceClient
	tuples cardeav1.TupleWriteServiceClient
	models cardeav1.ModelServiceClient
}

func (c *cardeaClient) applyModel(ctx context.Context) error {
	_, err := c.models.Apply(ctx, &cardeav1.ApplyModelRequest{Source: bench.DriveModel})
	return err
}

func (c *cardeaClient) insert(ctx context.Context, tuples []engine.Tuple) (string, error) {
	req := &cardeav1.WriteTuplesRequest{}
	for _, t := range tuples {
		req.Updates = append(req.Updates, &cardeav1.TupleUpdate{Action: cardeav1.TupleUpdate_ACTION_INSERT, Tuple: cardeaTuple(t)})
	}
	done, err := c.tuples.Write(ctx, req)
	return done.GetSnaptoken(), err
}

func (c *cardeaClient) check(ctx context.Context, t engine.Tuple, at freshness) (bool, error) {
	req := &cardeav1.CheckRequest{Tuple: cardeaTuple(t), Consistency: &cardeav1.Consistency{}}
	switch at.mode {
	case withToken:
		req.Consistency.Mode = &cardeav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: at.token}
	case fullyConsistent:
		req.Consistency.Mode = &cardeav1.Consistency_FullyConsistent{FullyConsistent: true}
	default:
		req.Consistency.Mode = &cardeav1.Consistency_MinimizeLatency{MinimizeLatency: true}
	}
	answer, err := c.checks.Check(ctx, req)
	return answer.GetAllowed(), err
}

func cardeaTuple(t engine.Tuple) *cardeav1.Tuple {
	return &cardeav1.Tuple{
		Namespace: t.Object.Namespace, Object: t.Object.ID, Relation: t.Relation,
		Subject: &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{
			Namespace: t.Subject.Namespace, Object: t.Subject.ID, Relation: t.Subject.Relation,
		}}},
	}
}

// modelFile writes the Drive model where a server can read it.
func modelFile(folder string) (string, error) {
	path := filepath.Join(folder, "model.ts")
	return path, writeFile(path, bench.DriveModel)
}
