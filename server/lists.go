package server

import (
	"context"
	"iter"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

type listService struct {
	*core
	cardeav1.UnimplementedListServiceServer
}

const (
	// maxListed is the largest page of objects or subjects.
	maxListed = 10_000
	// streamed is how many of them a message of a stream has, but for the first,
	// which has one, so that who waits for any at all waits no longer than needed.
	streamed = 500
)

func (s *listService) ListObjects(ctx context.Context, req *cardeav1.ListObjectsRequest) (*cardeav1.ListObjectsResponse, error) {
	q, at, err := s.objectQuery(req)
	if err != nil {
		return nil, err
	}
	p, err := listPage(req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	page, err := engineOf(ctx).ObjectsPage(ctx, q, p, at)
	if err != nil {
		return nil, err
	}
	out := objectsToCardea(page.Items, page.Token)
	out.NextPageToken = page.Next
	return out, nil
}

func (s *listService) StreamObjects(req *cardeav1.ListObjectsRequest, stream cardeav1.ListService_StreamObjectsServer) error {
	q, at, err := s.objectQuery(req)
	if err == nil {
		err = unpaged(req.PageSize, req.PageToken)
	}
	if err != nil {
		return err
	}
	list, token, err := engineOf(stream.Context()).Objects(stream.Context(), q, at)
	if err != nil {
		return err
	}
	return inMessages(list, func(objects []engine.Object) error { return stream.Send(objectsToCardea(objects, token)) })
}

func (s *listService) objectQuery(req *cardeav1.ListObjectsRequest) (q engine.ObjectQuery, at engine.Consistency, err error) {
	subject, err := subjectFromCardea(req.Subject, "", "subject")
	if err != nil {
		return q, at, err
	}
	at, err = consistencyFromCardea(req.Consistency)
	return engine.ObjectQuery{Namespace: req.Namespace, Relation: req.Relation, Subject: subject}, at, err
}

func objectsToCardea(objects []engine.Object, token engine.Token) *cardeav1.ListObjectsResponse {
	out := &cardeav1.ListObjectsResponse{Objects: make([]string, len(objects)), Snaptoken: string(token)}
	for i, o := range objects {
		out.Objects[i] = o.ID
	}
	return out
}

func (s *listService) ListSubjects(ctx context.Context, req *cardeav1.ListSubjectsRequest) (*cardeav1.ListSubjectsResponse, error) {
	q, at, err := s.subjectQuery(req)
	if err != nil {
		return nil, err
	}
	p, err := listPage(req.PageSize, req.PageToken)
	if err != nil {
		return nil, err
	}
	page, err := engineOf(ctx).SubjectsPage(ctx, q, p, at)
	if err != nil {
		return nil, err
	}
	out := subjectsToCardea(page.Items, page.Token)
	out.NextPageToken = page.Next
	return out, nil
}

func (s *listService) StreamSubjects(req *cardeav1.ListSubjectsRequest, stream cardeav1.ListService_StreamSubjectsServer) error {
	q, at, err := s.subjectQuery(req)
	if err == nil {
		err = unpaged(req.PageSize, req.PageToken)
	}
	if err != nil {
		return err
	}
	list, token, err := engineOf(stream.Context()).Subjects(stream.Context(), q, at)
	if err != nil {
		return err
	}
	return inMessages(list, func(subjects []engine.Subject) error { return stream.Send(subjectsToCardea(subjects, token)) })
}

func (s *listService) subjectQuery(req *cardeav1.ListSubjectsRequest) (q engine.SubjectQuery, at engine.Consistency, err error) {
	if req.SubjectNamespace == "" && req.SubjectRelation != "" {
		return q, at, errs.New(errs.Invalid, "subject_relation is set and subject_namespace is not: expected both, or neither for plain subject ids")
	}
	at, err = consistencyFromCardea(req.Consistency)
	return engine.SubjectQuery{
		Object: engine.Object{Namespace: req.Namespace, ID: req.Object}, Relation: req.Relation,
		Namespace: req.SubjectNamespace, Set: req.SubjectRelation,
	}, at, err
}

func subjectsToCardea(subjects []engine.Subject, token engine.Token) *cardeav1.ListSubjectsResponse {
	out := &cardeav1.ListSubjectsResponse{Subjects: make([]*cardeav1.Subject, len(subjects)), Snaptoken: string(token)}
	for i, x := range subjects {
		out.Subjects[i] = subjectToCardea(x)
	}
	return out
}

func listPage(size int32, token string) (engine.ListPage, error) {
	if size < 0 {
		return engine.ListPage{}, errs.New(errs.Invalid, "page_size is %d: expected 0 for %d, or more", size, defaultPage)
	}
	return engine.ListPage{Size: min(int(size), maxListed), Token: token}, nil
}

func unpaged(size int32, token string) error {
	if size != 0 || token != "" {
		return errs.New(errs.Invalid, "page_size and page_token are not for streams, which send everything")
	}
	return nil
}

// inMessages sends what list yields, several at a time. An empty list is one empty
// message, so that its revision is known.
func inMessages[T any](list iter.Seq2[T, error], send func([]T) error) error {
	var batch []T
	sent := 0
	for item, err := range list {
		if err != nil {
			return err
		}
		batch = append(batch, item)
		if len(batch) == streamed || sent == 0 {
			if err := send(batch); err != nil {
				return err
			}
			batch, sent = batch[:0], sent+1
		}
	}
	if len(batch) == 0 && sent > 0 {
		return nil
	}
	return send(batch)
}
