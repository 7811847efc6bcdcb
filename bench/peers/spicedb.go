package main

import (
	"context"
	"strings"

	authzed "github.com/authzed/authzed-go/proto/authzed/api/v1"
	"google.golang.org/grpc"

	"github.com/cardea-iam/cardea/engine"
)

// spicedbModel is bench.DriveModel. SpiceDB's types are in lower case.
const spicedbModel = `
definition user {}

definition group {
	relation members: user | group#members
}

definition folder {
	relation parents: folder
	relation viewers: user | group#members
	permission view = viewers + parents->view
}

definition document {
	relation parents: folder
	relation owners: user
	relation viewers: user | group#members
	relation banned: user
	permission view = (owners + viewers + parents->view) - banned
}
`

const spicedbKey = "peers"

func spicedb() program {
	return program{
		name: "spicedb", binary: "spicedb", module: "github.com/authzed/spicedb", tools: true,
		settings: []string{
			"defaults: dispatch cache 30 % of memory, revisions quantized to 5 s, at most 20 + 10 connections",
			"PostgreSQL with track_commit_timestamp, as its documentation asks",
			"no telemetry and no HTTP gateway, which would only cost",
		},
		asks: map[mode]string{
			minimizeLatency: "minimize_latency",
			withToken:       "at_least_as_fresh, ZedToken of the last write",
			fullyConsistent: "fully_consistent",
		},
		start: startSpiceDB,
	}
}

func startSpiceDB(ctx context.Context, at site) (*instance, error) {
	addrs, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	s := starter{ctx: ctx, at: at}
	store := []string{"--datastore-engine", "postgres", "--datastore-conn-uri", at.dsn, "--log-level", "warn", "--skip-release-check"}
	s.run(append([]string{"datastore", "migrate", "head"}, store...)...)
	s.serve(addrs[0], append([]string{"serve", "--grpc-preshared-key", spicedbKey, "--grpc-addr", addrs[0],
		"--metrics-addr", addrs[1], "--http-enabled=false", "--telemetry-endpoint", ""}, store...)...)
	conn := s.dial(addrs[0], grpc.WithPerRPCCredentials(bearer(spicedbKey)))
	if s.err != nil {
		return nil, s.fail()
	}
	return s.instance(&spicedbClient{
		permissions: authzed.NewPermissionsServiceClient(conn),
		schemas:     authzed.NewSchemaServiceClient(conn),
	}), nil
}

// bearer is an API key that goes with every call.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (b bearer) RequireTransportSecurity() bool { return false }

type spicedbClient struct {
	permissions authzed.PermissionsServiceClient
	schemas     authzed.SchemaServiceClient
}

func (c *spicedbClient) applyModel(ctx context.Context) error {
	_, err := c.schemas.WriteSchema(ctx, &authzed.WriteSchemaRequest{Schema: spicedbModel})
	return err
}

func (c *spicedbClient) insert(ctx context.Context, tuples []engine.Tuple) (string, error) {
	req := &authzed.WriteRelationshipsRequest{}
	for _, t := range distinct(tuples) {
		req.Updates = append(req.Updates, &authzed.RelationshipUpdate{
			Operation: authzed.RelationshipUpdate_OPERATION_TOUCH,
			Relationship: &authzed.Relationship{
				Resource: spicedbObject(t.Object), Relation: t.Relation, Subject: spicedbSubject(t.Subject),
			},
		})
	}
	done, err := c.permissions.WriteRelationships(ctx, req)
	return done.GetWrittenAt().GetToken(), err
}

func (c *spicedbClient) check(ctx context.Context, t engine.Tuple, at freshness) (bool, error) {
	req := &authzed.CheckPermissionRequest{
		Consistency: &authzed.Consistency{},
		Resource:    spicedbObject(t.Object), Permission: t.Relation, Subject: spicedbSubject(t.Subject),
	}
	switch at.mode {
	case withToken:
		req.Consistency.Requirement = &authzed.Consistency_AtLeastAsFresh{AtLeastAsFresh: &authzed.ZedToken{Token: at.token}}
	case fullyConsistent:
		req.Consistency.Requirement = &authzed.Consistency_FullyConsistent{FullyConsistent: true}
	default:
		req.Consistency.Requirement = &authzed.Consistency_MinimizeLatency{MinimizeLatency: true}
	}
	answer, err := c.permissions.CheckPermission(ctx, req)
	return answer.GetPermissionship() == authzed.CheckPermissionResponse_PERMISSIONSHIP_HAS_PERMISSION, err
}

func spicedbObject(o engine.Object) *authzed.ObjectReference {
	return &authzed.ObjectReference{ObjectType: strings.ToLower(o.Namespace), ObjectId: o.ID}
}

func spicedbSubject(s engine.Subject) *authzed.SubjectReference {
	return &authzed.SubjectReference{Object: spicedbObject(s.Object), OptionalRelation: s.Relation}
}

// distinct drops tuples that come twice, which SpiceDB and OpenFGA refuse.
func distinct(tuples []engine.Tuple) []engine.Tuple {
	seen := make(map[engine.Tuple]bool, len(tuples))
	var list []engine.Tuple
	for _, t := range tuples {
		if !seen[t] {
			seen[t] = true
			list = append(list, t)
		}
	}
	return list
}
