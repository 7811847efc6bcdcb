package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"

	"google.golang.org/grpc"

	"github.com/cardea-iam/cardea/engine"
	ketopb "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

func keto() program {
	return program{
		name: "keto", binary: "keto", module: "github.com/ory/keto",
		settings: []string{
			"limit.max_read_depth 50 rather than 5, without which deep folders get wrong answers",
			"namespaces.experimental_strict_mode, with which checks take fewer queries",
			"otherwise defaults; there is no cache to turn on",
		},
		asks: map[mode]string{
			minimizeLatency: "without: every check reads the current state",
			withToken:       "without: every check reads the current state",
			fullyConsistent: "without: every check reads the current state",
		},
		start: startKeto,
	}
}

// ketoConfig takes the DSN, the URL of the model, and host and port of the read,
// write, metrics and syntax listeners.
const ketoConfig = `dsn: %q
log: {level: error}
namespaces: {location: %q, experimental_strict_mode: true}
limit: {max_read_depth: 50, max_read_width: 1000}
serve:
  read: {host: %s, port: %s}
  write: {host: %s, port: %s}
  metrics: {host: %s, port: %s}
  opl: {host: %s, port: %s}
`

func startKeto(ctx context.Context, at site) (*instance, error) {
	addrs, err := freeAddresses(4)
	if err != nil {
		return nil, err
	}
	config, err := ketoFiles(at, addrs)
	if err != nil {
		return nil, err
	}
	s := starter{ctx: ctx, at: at, env: []string{"SQA_OPT_OUT=true"}}
	s.run("migrate", "up", "--yes", "--config", config)
	s.serve(addrs[0], "serve", "--config", config)
	s.await(addrs[1])
	reads, writes := s.dial(addrs[0]), s.dial(addrs[1])
	if s.err != nil {
		return nil, s.fail()
	}
	return s.instance(newKetoClient(reads, writes)), nil
}

// ketoFiles writes the model and the configuration, and returns the path of the
// latter.
func ketoFiles(at site, addrs []string) (string, error) {
	model, err := modelFile(at.folder)
	if err != nil {
		return "", err
	}
	fields := []any{at.dsn, "file://" + filepath.ToSlash(model)}
	for _, a := range addrs {
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			return "", err
		}
		fields = append(fields, host, port)
	}
	config := filepath.Join(at.folder, "keto.yaml")
	return config, writeFile(config, fmt.Sprintf(ketoConfig, fields...))
}

type ketoClient struct {
	checks ketopb.CheckServiceClient
	writes ketopb.WriteServiceClient
}

func newKetoClient(reads, writes grpc.ClientConnInterface) *ketoClient {
	return &ketoClient{checks: ketopb.NewCheckServiceClient(reads), writes: ketopb.NewWriteServiceClient(writes)}
}

// applyModel has nothing to do: Keto reads its model from the file that its
// configuration names.
func (c *ketoClient) applyModel(context.Context) error { return nil }

func (c *ketoClient) insert(ctx context.Context, tuples []engine.Tuple) (string, error) {
	req := &ketopb.TransactRelationTuplesRequest{}
	for _, t := range distinct(tuples) {
		req.RelationTupleDeltas = append(req.RelationTupleDeltas, &ketopb.RelationTupleDelta{
			Action: ketopb.RelationTupleDelta_ACTION_INSERT, RelationTuple: ketoTuple(t),
		})
	}
	_, err := c.writes.TransactRelationTuples(ctx, req)
	return "", err
}

func (c *ketoClient) check(ctx context.Context, t engine.Tuple, _ freshness) (bool, error) {
	answer, err := c.checks.Check(ctx, &ketopb.CheckRequest{Tuple: ketoTuple(t)})
	return answer.GetAllowed(), err
}

func ketoTuple(t engine.Tuple) *ketopb.RelationTuple {
	return &ketopb.RelationTuple{
		Namespace: t.Object.Namespace, Object: t.Object.ID, Relation: t.Relation,
		Subject: &ketopb.Subject{Ref: &ketopb.Subject_Set{Set: &ketopb.SubjectSet{
			Namespace: t.Subject.Namespace, Object: t.Subject.ID, Relation: t.Subject.Relation,
		}}},
	}
}
