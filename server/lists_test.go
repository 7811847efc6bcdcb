package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// collect reads a stream to its end.
func collect[T any](stream grpc.ServerStreamingClient[T], err error) ([]*T, error) {
	var all []*T
	for err == nil {
		var m *T
		if m, err = stream.Recv(); err == nil {
			all = append(all, m)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

func TestLists(t *testing.T) {
	n := startWithModel(t)
	var tuples []string
	for i := range 1200 {
		tuples = append(tuples, fmt.Sprintf("Doc:%04d#viewers@Group:eng#members", i))
	}
	token := n.insert(append(tuples, "Group:eng#members@User:ann", "Group:eng#members@bob", "Doc:own#owners@User:eve", "Group:eng#members@Group:web#members")...)
	client := cardeav1.NewListServiceClient(n.dial(n.read))
	ann := &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{Namespace: "User", Object: "ann"}}}
	ask := func(edit func(*cardeav1.ListObjectsRequest)) *cardeav1.ListObjectsRequest {
		req := &cardeav1.ListObjectsRequest{
			Namespace: "Doc", Relation: "view", Subject: ann,
			Consistency: &cardeav1.Consistency{Mode: &cardeav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}},
		}
		edit(req)
		return req
	}
	messages, err := collect(client.StreamObjects(t.Context(), ask(func(*cardeav1.ListObjectsRequest) {})))
	if err != nil {
		t.Fatal(err)
	}
	var streamed []string
	for _, m := range messages {
		streamed = append(streamed, m.Objects...)
		if m.Snaptoken != token {
			t.Errorf("a message is of another revision")
		}
	}
	slices.Sort(streamed)
	if len(streamed) != 1200 || streamed[7] != "0007" || len(messages) < 3 {
		t.Errorf("%d objects in %d messages", len(streamed), len(messages))
	}
	var paged []string
	for next := ""; ; {
		page, err := client.ListObjects(t.Context(), ask(func(r *cardeav1.ListObjectsRequest) { r.PageSize, r.PageToken = 700, next }))
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, page.Objects...)
		n.insert("Doc:0000a#viewers@User:ann") // between the pages
		if next = page.NextPageToken; next == "" {
			break
		}
	}
	if !slices.Equal(paged, streamed) {
		t.Errorf("pages have %d objects, not those of the stream", len(paged))
	}
	nobody, err := collect(client.StreamObjects(t.Context(), ask(func(r *cardeav1.ListObjectsRequest) { r.Subject.GetSet().Object = "nobody" })))
	if err != nil || len(nobody) != 1 || len(nobody[0].Objects) != 0 || nobody[0].Snaptoken == "" {
		t.Errorf("of nobody: %v, %v", nobody, err)
	}
	ann.GetSet().Object = "ann"
	for kind, want := range map[[2]string]string{
		{"User", ""}: "ann", {"", ""}: "bob", {"Group", "members"}: "eng web", {"Group", ""}: "",
	} {
		n.subjects(client, kind, want)
	}
	for name, tt := range map[string]struct {
		edit func(*cardeav1.ListObjectsRequest)
		code codes.Code
	}{
		"no subject":      {func(r *cardeav1.ListObjectsRequest) { r.Subject = nil }, codes.InvalidArgument},
		"no namespace":    {func(r *cardeav1.ListObjectsRequest) { r.Namespace = "" }, codes.InvalidArgument},
		"other namespace": {func(r *cardeav1.ListObjectsRequest) { r.Namespace = "Nope" }, codes.NotFound},
		"no relation":     {func(r *cardeav1.ListObjectsRequest) { r.Relation = "nope" }, codes.InvalidArgument},
		"page size":       {func(r *cardeav1.ListObjectsRequest) { r.PageSize = -1 }, codes.InvalidArgument},
		"page token":      {func(r *cardeav1.ListObjectsRequest) { r.PageToken = "x" }, codes.InvalidArgument},
	} {
		_, err := client.ListObjects(t.Context(), ask(tt.edit))
		if status.Code(err) != tt.code {
			t.Errorf("%s: %v", name, err)
		}
		if _, err = collect(client.StreamObjects(t.Context(), ask(tt.edit))); status.Code(err) != tt.code {
			t.Errorf("%s, streamed: %v", name, err)
		}
		ann.GetSet().Object = "ann"
	}
	_, err = client.ListSubjects(t.Context(), &cardeav1.ListSubjectsRequest{Namespace: "Doc", Object: "own", Relation: "view", SubjectRelation: "members"})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a relation without a namespace: %v", err)
	}
	n.run(n.read, []restCase{
		{"objects", "GET", "/v1/objects?namespace=Doc&relation=view&subject.set.namespace=User&subject.set.object=eve", "", 200, `{"objects":["own"],"next_page_token":"","snaptoken":"...`},
		{"subjects", "GET", "/v1/subjects?namespace=Doc&object=own&relation=view&subject_namespace=User", "", 200, `{"subjects":[{"set":{"namespace":"User","object":"eve","relation":""}}],"next_page_token":"","snaptoken":"...`},
		{"no subject", "GET", "/v1/objects?namespace=Doc&relation=view", "", 400, failed(400, "INVALID_ARGUMENT", "subject is missing: expected an id or a set")},
	})
}

// subjects compares those of one kind that may view document 0001.
func (n *node) subjects(client cardeav1.ListServiceClient, kind [2]string, want string) {
	n.t.Helper()
	req := &cardeav1.ListSubjectsRequest{Namespace: "Doc", Object: "0001", Relation: "view", SubjectNamespace: kind[0], SubjectRelation: kind[1]}
	messages, err := collect(client.StreamSubjects(context.Background(), req))
	if err != nil {
		n.t.Fatal(err)
	}
	var got []string
	for _, m := range messages {
		for _, s := range m.Subjects {
			got = append(got, s.GetId()+s.GetSet().GetObject())
		}
	}
	slices.Sort(got)
	page, err := client.ListSubjects(context.Background(), req)
	if err != nil || len(page.Subjects) != len(got) {
		n.t.Errorf("a page of %v has %d subjects, error %v", kind, len(page.Subjects), err)
	}
	text := ""
	for i, g := range got {
		if i > 0 {
			text += " "
		}
		text += g
	}
	if text != want {
		n.t.Errorf("subjects like %v: %q, want %q", kind, text, want)
	}
}
