package server

import (
	"context"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// The services of cardea.v1, each a type of its own since some share the names
// of methods.
type (
	checkService struct {
		*core
		cardeav1.UnimplementedCheckServiceServer
	}
	expandService struct {
		*core
		cardeav1.UnimplementedExpandServiceServer
	}
	tupleService struct {
		*core
		cardeav1.UnimplementedTupleServiceServer
	}
	tupleWriteService struct {
		*core
		cardeav1.UnimplementedTupleWriteServiceServer
	}
	modelService struct {
		*core
		cardeav1.UnimplementedModelServiceServer
	}
	statusService struct {
		*core
		cardeav1.UnimplementedStatusServiceServer
	}
)

func (s *checkService) Check(ctx context.Context, req *cardeav1.CheckRequest) (*cardeav1.CheckResponse, error) {
	t, err := tupleFromCardea(req.Tuple, "tuple")
	if err != nil {
		return nil, err
	}
	at, err := consistencyFromCardea(req.Consistency)
	if err != nil {
		return nil, err
	}
	n := networkOf(ctx)
	answer, err := n.engine.Check(ctx, t, at)
	if err != nil {
		return nil, err
	}
	return n.response(answer), nil
}

// checkAnswers are both answers to a check at one state. They are made once for all who
// ask: nothing changes a response that was returned.
type checkAnswers struct{ yes, no cardeav1.CheckResponse }

// response returns the message for an answer.
func (n *network) response(a engine.Answer) *cardeav1.CheckResponse {
	both := n.answers.Load()
	if both == nil || both.yes.Snaptoken != string(a.Token) {
		both = &checkAnswers{}
		both.yes.Allowed = true
		both.yes.Snaptoken, both.no.Snaptoken = string(a.Token), string(a.Token)
		n.answers.Store(both)
	}
	if a.Allowed {
		return &both.yes
	}
	return &both.no
}

func (s *checkService) BatchCheck(ctx context.Context, req *cardeav1.BatchCheckRequest) (*cardeav1.BatchCheckResponse, error) {
	if err := s.batch(len(req.Tuples)); err != nil {
		return nil, err
	}
	at, err := consistencyFromCardea(req.Consistency)
	if err != nil {
		return nil, err
	}
	one := func(t *cardeav1.Tuple) (engine.Tuple, error) { return tupleFromCardea(t, "tuple") }
	results, token, err := checkBatch(ctx, s.core, req.Tuples, one, at)
	if err != nil {
		return nil, err
	}
	out := &cardeav1.BatchCheckResponse{Results: make([]*cardeav1.CheckResult, len(results)), Snaptoken: string(token)}
	all := make([]cardeav1.CheckResult, len(results)) // one allocation for all
	for i, r := range results {
		out.Results[i] = &all[i]
		all[i].Allowed = r.Allowed
		if r.Err != nil {
			out.Results[i].Error = &cardeav1.CheckError{Code: int32(codeOf(r.Err).grpc), Message: text(r.Err)}
		}
	}
	return out, nil
}

func (s *expandService) Expand(ctx context.Context, req *cardeav1.ExpandRequest) (*cardeav1.ExpandResponse, error) {
	subject, err := subjectFromCardea(req.Subject, "", "subject")
	if err != nil {
		return nil, err
	}
	if req.MaxDepth < 0 {
		return nil, errs.New(errs.Invalid, "max_depth is %d: expected 0 for no limit, or more", req.MaxDepth)
	}
	at, err := consistencyFromCardea(req.Consistency)
	if err != nil {
		return nil, err
	}
	tree, token, err := engineOf(ctx).Expand(ctx, subject, int(req.MaxDepth), at)
	if err != nil {
		return nil, err
	}
	return &cardeav1.ExpandResponse{Tree: treeToCardea(tree), Snaptoken: string(token)}, nil
}

func (s *tupleService) List(ctx context.Context, req *cardeav1.ListTuplesRequest) (*cardeav1.ListTuplesResponse, error) {
	q, err := queryFromCardea(req.Query, "query")
	if err != nil {
		return nil, err
	}
	at, err := consistencyFromCardea(req.Consistency)
	if err != nil {
		return nil, err
	}
	size, err := checkedPageSize(req.PageSize)
	if err != nil {
		return nil, err
	}
	list, err := engineOf(ctx).List(ctx, q, engine.ListPage{Size: size, Token: req.PageToken}, at)
	if err != nil {
		return nil, err
	}
	out := &cardeav1.ListTuplesResponse{NextPageToken: list.Next, Snaptoken: string(list.Token)}
	for _, t := range list.Tuples {
		out.Tuples = append(out.Tuples, tupleToCardea(t))
	}
	return out, nil
}

func checkedPageSize(asked int32) (int, error) {
	if asked < 0 {
		return 0, errs.New(errs.Invalid, "page_size is %d: expected 0 for %d, or more", asked, defaultPage)
	}
	return pageSize(int(asked)), nil
}

func (s *tupleWriteService) Write(ctx context.Context, req *cardeav1.WriteTuplesRequest) (*cardeav1.WriteTuplesResponse, error) {
	w, err := writeFromCardea(req)
	if err != nil {
		return nil, err
	}
	done, err := engineOf(ctx).Write(ctx, w)
	if err != nil {
		return nil, err
	}
	return &cardeav1.WriteTuplesResponse{Snaptoken: string(done.Token), Inserted: done.Inserted, Deleted: done.Deleted}, nil
}

func (s *tupleWriteService) DeleteByQuery(ctx context.Context, req *cardeav1.DeleteTuplesByQueryRequest) (*cardeav1.DeleteTuplesByQueryResponse, error) {
	q, err := queryFromCardea(req.Query, "query")
	if err != nil {
		return nil, err
	}
	conditions, err := preconditionsFromCardea(req.Preconditions)
	if err != nil {
		return nil, err
	}
	done, err := engineOf(ctx).Delete(ctx, q, engine.Write{If: conditions, Key: req.IdempotencyKey})
	if err != nil {
		return nil, err
	}
	return &cardeav1.DeleteTuplesByQueryResponse{Deleted: done.Deleted, Snaptoken: string(done.Token)}, nil
}

func (s *modelService) Check(_ context.Context, req *cardeav1.CheckModelRequest) (*cardeav1.CheckModelResponse, error) {
	list, err := s.parseModel([]byte(req.Source))
	if err != nil {
		return nil, err
	}
	out := &cardeav1.CheckModelResponse{}
	for _, e := range list {
		out.Errors = append(out.Errors, &cardeav1.ModelError{
			Message: e.Msg,
			Start:   &cardeav1.Position{Line: int32(e.Start.Line), Column: int32(e.Start.Column + 1)},
			End:     &cardeav1.Position{Line: int32(e.End.Line), Column: int32(e.End.Column + 1)},
			Text:    e.Error(),
		})
	}
	return out, nil
}

func (s *modelService) Apply(ctx context.Context, req *cardeav1.ApplyModelRequest) (*cardeav1.ApplyModelResponse, error) {
	v, token, err := engineOf(ctx).ApplyModel(ctx, req.Source, engine.ApplyModel{Force: req.Force, DryRun: req.DryRun})
	if err != nil {
		return nil, err
	}
	return &cardeav1.ApplyModelResponse{Model: modelToCardea(v), Snaptoken: string(token)}, nil
}

func (s *modelService) Get(ctx context.Context, req *cardeav1.GetModelRequest) (*cardeav1.GetModelResponse, error) {
	if req.Version < 0 {
		return nil, errs.New(errs.Invalid, "version is %d: expected 0 for the active version, or more", req.Version)
	}
	if req.Version > 0 {
		v, err := engineOf(ctx).ModelVersion(ctx, req.Version)
		if err != nil {
			return nil, err
		}
		return &cardeav1.GetModelResponse{Model: modelToCardea(v)}, nil
	}
	if s.model != nil {
		return &cardeav1.GetModelResponse{Model: &cardeav1.Model{Source: s.model.source(), Location: s.model.location}}, nil
	}
	v, _ := engineOf(ctx).Model()
	if v.Number == 0 {
		return nil, errs.New(errs.NotFound, "there is no model yet: apply one, or name one as model.location")
	}
	return &cardeav1.GetModelResponse{Model: modelToCardea(v)}, nil
}

func (s *modelService) List(ctx context.Context, req *cardeav1.ListModelsRequest) (*cardeav1.ListModelsResponse, error) {
	size, err := checkedPageSize(req.PageSize)
	if err != nil {
		return nil, err
	}
	before, err := modelPage(req.PageToken)
	if err != nil {
		return nil, err
	}
	versions, err := engineOf(ctx).Models(ctx, before, size)
	if err != nil {
		return nil, err
	}
	out := &cardeav1.ListModelsResponse{}
	for _, v := range versions {
		v.Source = ""
		out.Models = append(out.Models, modelToCardea(v))
	}
	if n := len(versions); n == size && versions[n-1].Number > 1 {
		out.NextPageToken = strconv.FormatInt(versions[n-1].Number, 10)
	}
	return out, nil
}

// modelPage reads a page token, which is the number of the last version seen.
func modelPage(token string) (before int64, err error) {
	if token == "" {
		return 0, nil
	}
	before, err = strconv.ParseInt(token, 10, 64)
	if err != nil || before < 1 {
		return 0, errs.New(errs.Invalid, "page_token is malformed: expected one that this method returned")
	}
	return before, nil
}

func (s *statusService) GetStatus(ctx context.Context, _ *cardeav1.GetStatusRequest) (*cardeav1.GetStatusResponse, error) {
	problems := s.health.problems(ctx)
	net := networkOf(ctx)
	stats := net.engine.Stats()
	out := &cardeav1.GetStatusResponse{
		Version: Version(), Ready: len(problems) == 0, Problems: problems,
		Network: net.name, Tuples: stats.Tuples, Bounded: stats.Bounded,
	}
	if out.Ready {
		token, err := net.engine.Head(ctx)
		if err != nil {
			return nil, err
		}
		out.Snaptoken = string(token)
	}
	return out, nil
}

// codeNames are the names of gRPC's codes as google.rpc.Code has them.
var codeNames = map[codes.Code]string{
	codes.Internal: "INTERNAL", codes.InvalidArgument: "INVALID_ARGUMENT", codes.Unauthenticated: "UNAUTHENTICATED",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.NotFound: "NOT_FOUND", codes.Aborted: "ABORTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.OutOfRange: "OUT_OF_RANGE",
	codes.ResourceExhausted: "RESOURCE_EXHAUSTED", codes.Unavailable: "UNAVAILABLE",
	codes.Unimplemented: "UNIMPLEMENTED", codes.Unknown: "UNKNOWN", codes.Canceled: "CANCELLED", codes.DeadlineExceeded: "DEADLINE_EXCEEDED",
}

func codeName(c codes.Code) string { return codeNames[c] }
