package main

import (
	"context"
	"slices"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/language/pkg/go/transformer"

	"github.com/cardea-iam/cardea/engine"
)

// openfgaModel is bench.DriveModel. By custom OpenFGA's types are in lower case.
const openfgaModel = `model
  schema 1.1

type user

type group
  relations
    define members: [user, group#members]

type folder
  relations
    define parents: [folder]
    define viewers: [user, group#members]
    define view: viewers or view from parents

type document
  relations
    define parents: [folder]
    define owners: [user]
    define viewers: [user, group#members]
    define banned: [user]
    define view: (owners or viewers or view from parents) but not banned
`

// openfgaBatch is how many tuples one write may have by default.
const openfgaBatch = 100

func openfga() program {
	return program{
		name: "openfga", binary: "openfga", module: "github.com/openfga/openfga", tools: true,
		settings: []string{
			"query cache, iterator cache and cache controller on, as its guide to production asks; their sizes and times are the defaults (10,000 entries, 10 s)",
			"shared iterators on",
			"no playground and no HTTP gateway, which would only cost; otherwise defaults, among them at most 30 connections",
		},
		asks: map[mode]string{
			minimizeLatency: "MINIMIZE_LATENCY",
			// There are no tokens: to see a write one has to go past the caches.
			withToken:       "HIGHER_CONSISTENCY",
			fullyConsistent: "HIGHER_CONSISTENCY",
		},
		start: func(ctx context.Context, at site) (*instance, error) { return startOpenFGA(ctx, at) },
	}
}

// openfgaWeighted is OpenFGA with its new way to check, which it calls experimental
// and which costs less.
func openfgaWeighted() program {
	p := openfga()
	p.name = "openfga-weighted"
	p.settings = append(p.settings, "experimental weighted_graph_check on")
	p.start = func(ctx context.Context, at site) (*instance, error) {
		return startOpenFGA(ctx, at, "--experimentals", "weighted_graph_check,pipeline_list_objects")
	}
	return p
}

func startOpenFGA(ctx context.Context, at site, more ...string) (*instance, error) {
	addrs, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	s := starter{ctx: ctx, at: at}
	store := []string{"--datastore-engine", "postgres", "--datastore-uri", at.dsn}
	s.run(slices.Concat([]string{"migrate"}, store)...)
	s.serve(addrs[0], slices.Concat([]string{"run"}, store, []string{
		"--grpc-addr", addrs[0], "--metrics-addr", addrs[1], "--http-enabled=false", "--playground-enabled=false",
		"--check-query-cache-enabled", "--check-iterator-cache-enabled", "--cache-controller-enabled",
		"--shared-iterator-enabled", "--log-level", "warn"}, more)...)
	conn := s.dial(addrs[0])
	if s.err != nil {
		return nil, s.fail()
	}
	return s.instance(&openfgaClient{api: openfgav1.NewOpenFGAServiceClient(conn)}), nil
}

type openfgaClient struct {
	api          openfgav1.OpenFGAServiceClient
	store, model string // ids, set by applyModel
}

func (c *openfgaClient) applyModel(ctx context.Context) error {
	store, err := c.api.CreateStore(ctx, &openfgav1.CreateStoreRequest{Name: "peers"})
	if err != nil {
		return err
	}
	model, err := transformer.TransformDSLToProto(openfgaModel)
	if err != nil {
		return err
	}
	written, err := c.api.WriteAuthorizationModel(ctx, &openfgav1.WriteAuthorizationModelRequest{
		StoreId: store.GetId(), SchemaVersion: model.GetSchemaVersion(), TypeDefinitions: model.GetTypeDefinitions(),
	})
	c.store, c.model = store.GetId(), written.GetAuthorizationModelId()
	return err
}

func (c *openfgaClient) insert(ctx context.Context, tuples []engine.Tuple) (string, error) {
	for batch := range slices.Chunk(distinct(tuples), openfgaBatch) {
		writes := &openfgav1.WriteRequestWrites{OnDuplicate: "ignore"}
		for _, t := range batch {
			writes.TupleKeys = append(writes.TupleKeys, &openfgav1.TupleKey{
				Object: openfgaObject(t.Object), Relation: t.Relation, User: openfgaSubject(t.Subject),
			})
		}
		_, err := c.api.Write(ctx, &openfgav1.WriteRequest{StoreId: c.store, AuthorizationModelId: c.model, Writes: writes})
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

func (c *openfgaClient) check(ctx context.Context, t engine.Tuple, at freshness) (bool, error) {
	prefer := openfgav1.ConsistencyPreference_HIGHER_CONSISTENCY
	if at.mode == minimizeLatency {
		prefer = openfgav1.ConsistencyPreference_MINIMIZE_LATENCY
	}
	answer, err := c.api.Check(ctx, &openfgav1.CheckRequest{
		StoreId: c.store, AuthorizationModelId: c.model, Consistency: prefer,
		TupleKey: &openfgav1.CheckRequestTupleKey{
			Object: openfgaObject(t.Object), Relation: t.Relation, User: openfgaSubject(t.Subject),
		},
	})
	return answer.GetAllowed(), err
}

func openfgaObject(o engine.Object) string { return strings.ToLower(o.Namespace) + ":" + o.ID }

func openfgaSubject(s engine.Subject) string {
	if s.Relation == "" {
		return openfgaObject(s.Object)
	}
	return openfgaObject(s.Object) + "#" + s.Relation
}
