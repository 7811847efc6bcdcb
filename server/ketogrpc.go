//lint:file-ignore SA1019 Clients of Keto may use the deprecated fields, so they are served.

package server

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	ketoopl "github.com/cardea-iam/cardea/proto/ory/keto/opl/v1alpha1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// ketoService is Keto's gRPC API on tuples; a listener registers those of its
// services that belong there.
type ketoService struct {
	*core
	keto.UnimplementedCheckServiceServer
	keto.UnimplementedExpandServiceServer
	keto.UnimplementedNamespacesServiceServer
	keto.UnimplementedReadServiceServer
	keto.UnimplementedVersionServiceServer
	keto.UnimplementedWriteServiceServer
}

// sendToken returns a snaptoken to callers of methods whose response has no
// field for it.
func sendToken(ctx context.Context, t engine.Token) {
	// Fails only after the headers went out, which is no matter here.
	_ = grpc.SetHeader(ctx, metadata.Pairs(tokenKey, string(t)))
}

// sentIdempotencyKey returns the idempotency key of a call, "" if it has none.
func sentIdempotencyKey(ctx context.Context) (string, error) {
	return onlyKey(sentHeader(ctx, idempotencyKey))
}

func (s *ketoService) Check(ctx context.Context, req *keto.CheckRequest) (*keto.CheckResponse, error) {
	var question ketoFields = req
	if req.Tuple != nil {
		question = req.Tuple
	}
	t, err := tupleFromKeto(question)
	if err != nil {
		return nil, err
	}
	answer, err := engineOf(ctx).Check(ctx, t, freshness(req.Latest, req.Snaptoken))
	if err != nil {
		return nil, err
	}
	return &keto.CheckResponse{Allowed: answer.Allowed, Snaptoken: string(answer.Token)}, nil
}

func (s *ketoService) BatchCheck(ctx context.Context, req *keto.BatchCheckRequest) (*keto.BatchCheckResponse, error) {
	if err := s.batch(len(req.Tuples)); err != nil {
		return nil, err
	}
	results, token, err := checkBatch(ctx, s.core, req.Tuples, tupleFromKeto[*keto.RelationTuple], freshness(req.Latest, req.Snaptoken))
	if err != nil {
		return nil, err
	}
	out := &keto.BatchCheckResponse{Results: make([]*keto.CheckResponseWithError, len(results))}
	all := make([]keto.CheckResponseWithError, len(results)) // one allocation for all
	for i, r := range results {
		out.Results[i] = &all[i]
		all[i].Allowed, all[i].Error, all[i].Snaptoken = r.Allowed, itemError(r.Err), string(token)
	}
	return out, nil
}

// itemError returns what Keto says of an item of a batch: the message alone.
func itemError(err error) string {
	if err == nil {
		return ""
	}
	message, _ := ketoText(err)
	return message
}

// checkBatch asks the engine those questions that convert can read; the others
// have its error as their result.
func checkBatch[T any](ctx context.Context, c *core, questions []T, convert func(T) (engine.Tuple, error), at engine.Consistency) ([]engine.Result, engine.Token, error) {
	results := make([]engine.Result, len(questions))
	tuples := make([]engine.Tuple, 0, len(questions))
	asked := make([]int, 0, len(questions))
	for i, q := range questions {
		t, err := convert(q)
		if err != nil {
			results[i].Err = err
			continue
		}
		tuples, asked = append(tuples, t), append(asked, i)
	}
	answers, token, err := engineOf(ctx).BatchCheck(ctx, tuples, at)
	if err != nil {
		return nil, "", err
	}
	for n, i := range asked {
		results[i] = answers[n]
	}
	return results, token, nil
}

func (s *ketoService) Expand(ctx context.Context, req *keto.ExpandRequest) (*keto.ExpandResponse, error) {
	subject, err := subjectFromKeto(req.Subject)
	if err != nil {
		return nil, err
	}
	tree, token, err := engineOf(ctx).Expand(ctx, subject, int(req.MaxDepth), freshness(false, req.Snaptoken))
	if err != nil {
		return nil, err
	}
	sendToken(ctx, token)
	out := treeToKeto(tree)
	if subject.IsID() && out != nil {
		out.Tuple = nil // as in Keto
	}
	return &keto.ExpandResponse{Tree: out}, nil
}

func (s *ketoService) ListNamespaces(ctx context.Context, _ *keto.ListNamespacesRequest) (*keto.ListNamespacesResponse, error) {
	out := &keto.ListNamespacesResponse{}
	for _, name := range engineOf(ctx).Namespaces() {
		out.Namespaces = append(out.Namespaces, &keto.Namespace{Name: name})
	}
	return out, nil
}

func (s *ketoService) ListRelationTuples(ctx context.Context, req *keto.ListRelationTuplesRequest) (*keto.ListRelationTuplesResponse, error) {
	var q engine.Query
	var err error
	switch {
	case req.RelationQuery != nil:
		q, err = queryFromKeto(req.RelationQuery)
	case req.Query != nil:
		q, err = queryFromOldKeto(req.Query)
	default:
		err = said("you must provide a query")
	}
	if err != nil {
		return nil, err
	}
	page := engine.ListPage{Size: pageSize(int(req.PageSize)), Token: req.PageToken}
	list, err := s.list(ctx, q, page, freshness(false, req.Snaptoken))
	if err != nil {
		return nil, err
	}
	sendToken(ctx, list.Token)
	out := &keto.ListRelationTuplesResponse{NextPageToken: list.Next}
	for _, t := range list.Tuples {
		out.RelationTuples = append(out.RelationTuples, tupleToKeto(t))
	}
	return out, nil
}

func (s *ketoService) GetVersion(context.Context, *keto.GetVersionRequest) (*keto.GetVersionResponse, error) {
	return &keto.GetVersionResponse{Version: Version()}, nil
}

func (s *ketoService) TransactRelationTuples(ctx context.Context, req *keto.TransactRelationTuplesRequest) (*keto.TransactRelationTuplesResponse, error) {
	ups := make([]engine.Update, len(req.RelationTupleDeltas))
	for i, d := range req.RelationTupleDeltas {
		op, err := opFromKeto(d.GetAction(), i)
		if err != nil {
			return nil, err
		}
		t, err := tupleFromKeto(d.GetRelationTuple())
		if err != nil {
			return nil, err
		}
		ups[i] = engine.Update{Op: op, Tuple: t}
	}
	key, err := sentIdempotencyKey(ctx)
	if err != nil {
		return nil, err
	}
	done, err := engineOf(ctx).Write(ctx, engine.Write{Updates: ups, Key: key})
	if err != nil {
		return nil, err
	}
	sendToken(ctx, done.Token)
	out := &keto.TransactRelationTuplesResponse{Snaptokens: make([]string, len(ups))}
	for i := range ups {
		out.Snaptokens[i] = string(done.Token)
	}
	return out, nil
}

func opFromKeto(action keto.RelationTupleDelta_Action, i int) (engine.Op, error) {
	switch action {
	case keto.RelationTupleDelta_ACTION_INSERT:
		return engine.Insert, nil
	case keto.RelationTupleDelta_ACTION_DELETE:
		return engine.Delete, nil
	default:
		return 0, errs.New(errs.Invalid, "relation_tuple_deltas[%d].action is %v: expected ACTION_INSERT or ACTION_DELETE", i, action)
	}
}

func (s *ketoService) DeleteRelationTuples(ctx context.Context, req *keto.DeleteRelationTuplesRequest) (*keto.DeleteRelationTuplesResponse, error) {
	var q engine.Query
	var err error
	switch {
	case req.RelationQuery != nil:
		q, err = queryFromKeto(req.RelationQuery)
	case req.Query != nil:
		q, err = queryFromOldKeto(req.Query)
	default:
		err = errs.New(errs.Invalid, "invalid request")
	}
	if err != nil {
		return nil, err
	}
	key, err := sentIdempotencyKey(ctx)
	if err != nil {
		return nil, err
	}
	done, err := engineOf(ctx).Delete(ctx, q, engine.Write{Key: key})
	if err != nil {
		return nil, err
	}
	sendToken(ctx, done.Token)
	return &keto.DeleteRelationTuplesResponse{}, nil
}

// list is the engine's, but for the message that Keto's clients know a bad page
// token by.
func (c *core) list(ctx context.Context, q engine.Query, p engine.ListPage, at engine.Consistency) (engine.List, error) {
	list, err := engineOf(ctx).List(ctx, q, p, at)
	if errors.Is(err, engine.ErrPageToken) {
		return list, said(text(err))
	}
	return list, err
}

// ketoSyntax is Keto's syntax check.
type ketoSyntax struct {
	*core
	ketoopl.UnimplementedSyntaxServiceServer
}

// Check is always OK: what is wrong with the text is in the response.
func (s *ketoSyntax) Check(_ context.Context, req *ketoopl.CheckRequest) (*ketoopl.CheckResponse, error) {
	list, err := s.parseModel(req.Content)
	if err != nil {
		return nil, fmt.Errorf("syntax check: %w", err)
	}
	out := &ketoopl.CheckResponse{}
	for _, e := range list {
		out.ParseErrors = append(out.ParseErrors, &ketoopl.ParseError{
			Message: e.Msg,
			Start:   &ketoopl.SourcePosition{Line: uint32(e.Start.Line), Column: uint32(e.Start.Column)},
			End:     &ketoopl.SourcePosition{Line: uint32(e.End.Line), Column: uint32(e.End.Column)},
		})
	}
	return out, nil
}
