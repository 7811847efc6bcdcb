package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// failed returns the body of an error under /v1/.
func failed(code int, name, message string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"status":%q,"message":%s,"request":"...`, code, name, quote(message))
}

// post sends a body and reads the answer's field.
func (n *node) post(address, path, body, field string) string {
	n.t.Helper()
	got := n.do("POST", address, path, body)
	var fields map[string]any
	if err := json.Unmarshal([]byte(got.body), &fields); err != nil || got.status != 200 {
		n.t.Fatalf("%s: %d %s", path, got.status, got.body)
	}
	return fmt.Sprint(fields[field])
}

func TestCardeaREST(t *testing.T) {
	n := start(t)
	n.run(n.write, []restCase{{"no model", "GET", "/v1/model", "", 404, failed(404, "NOT_FOUND", "there is no model yet: apply one, or name one as model.location")}})
	n.post(n.write, "/v1/model", `{"source":`+quoteJSON(testModel)+`}`, "model")
	const write = `{"updates":[{"action":"ACTION_INSERT","tuple":{"namespace":"Doc","object":"a","relation":"owners","subject":{"set":{"namespace":"User","object":"ann"}}}},` +
		`{"action":"ACTION_INSERT","tuple":{"namespace":"Open","object":"o","relation":"r","subject":{"id":"x"}}}]}`
	token := n.post(n.write, "/v1/tuples", write, "snaptoken")
	const question = `"tuple":{"namespace":"Doc","object":"a","relation":"view","subject":{"set":{"namespace":"User","object":"ann"}}}`
	for _, mode := range []string{`"minimize_latency":true`, `"at_least_as_fresh":"` + token + `"`, `"fully_consistent":true`, `"exact":"` + token + `"`} {
		if got := n.post(n.read, "/v1/check", `{`+question+`,"consistency":{`+mode+`}}`, "allowed"); got != "true" {
			t.Errorf("%s: allowed %s", mode, got)
		}
	}
	if got := n.post(n.write, "/v1/tuples/delete", `{"query":{"namespace":"Doc"}}`, "deleted"); got != "1" {
		t.Errorf("deleted %s", got)
	}
	if got := n.post(n.read, "/v1/check", `{`+question+`}`, "allowed"); got != "false" {
		t.Errorf("after the deletion: allowed %s", got)
	}
	if got := n.post(n.read, "/v1/check", `{`+question+`,"consistency":{"exact":"`+token+`"}}`, "allowed"); got != "true" {
		t.Errorf("before the deletion: allowed %s", got)
	}
	const x = `{"namespace":"Open","object":"o","relation":"r","subject":{"id":"x"}}`
	n.run(n.read, []restCase{
		{"batch", "POST", "/v1/batch-check", `{"tuples":[` + x + `,{"namespace":"Nope","object":"a","relation":"b","subject":{"id":"x"}},{"namespace":"Open"}]}`, 200,
			`{"results":[{"allowed":true},{"allowed":false,"error":{"code":5,"message":"Unknown namespace with name \"Nope\"."}},` +
				`{"allowed":false,"error":{"code":3,"message":"tuple.subject is missing: expected an id or a set"}}],"snaptoken":"...`},
		{"expand", "POST", "/v1/expand", `{"subject":{"set":{"namespace":"Open","object":"o","relation":"r"}}}`, 200,
			`{"tree":{"node_type":"NODE_TYPE_UNION","subject":{"set":{"namespace":"Open","object":"o","relation":"r"}},` +
				`"children":[{"node_type":"NODE_TYPE_LEAF","subject":{"id":"x"},"children":[]}]},"snaptoken":"...`},
		{"list", "GET", "/v1/tuples?query.subject.id=x&page_size=5&consistency.fully_consistent=true", "", 200, `{"tuples":[` + x + `],"next_page_token":"","snaptoken":"...`},
		{"list at a token", "GET", "/v1/tuples?query.namespace=Doc&consistency.exact=" + url.QueryEscape(token), "", 200, `{"tuples":[{"namespace":"Doc",...`},
		{"status", "GET", "/v1/status", "", 200, `{"version":...`},
	})
}

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestCardeaRESTBadInput(t *testing.T) {
	n := startWithModel(t)
	n.insert("Open:o#r@x")
	const x = `{"namespace":"Open","object":"new","relation":"r","subject":{"id":"x"}}`
	const good = `{"action":"ACTION_INSERT","tuple":` + x + `}`
	invalid := func(message string) string { return failed(400, "INVALID_ARGUMENT", message) }
	n.run(n.read, []restCase{
		{"empty body", "POST", "/v1/check", "", 400, invalid("tuple is missing")},
		{"unknown field", "POST", "/v1/check", `{"more":1}`, 400, invalid(`the body is not the expected JSON: (line 1:2): unknown field "more"`)},
		{"wrong type", "POST", "/v1/check", `{"tuple":5}`, 400, invalid(`the body is not the expected JSON: syntax error (line 1:10): unexpected token 5`)},
		{"more than one value", "POST", "/v1/check", `{}{}`, 400, invalid(`the body is not the expected JSON: syntax error (line 1:3): unexpected token {`)},
		{"both subjects", "POST", "/v1/check", `{"tuple":{"namespace":"Open","subject":{"id":"x","set":{}}}}`, 400,
			invalid(`the body is not the expected JSON: (line 1:50): error parsing "set", oneof cardea.v1.Subject.ref is already set`)},
		{"neither subject", "POST", "/v1/check", `{"tuple":{"namespace":"Open","subject":{}}}`, 400, invalid("tuple.subject is missing: expected an id or a set")},
		{"empty namespace", "POST", "/v1/check", `{"tuple":{"subject":{"id":"x"}}}`, 400, invalid("namespace is empty: expected the name of a namespace")},
		{"empty namespace of the subject", "POST", "/v1/check", `{"tuple":{"namespace":"Open","subject":{"set":{"object":"x"}}}}`, 400, invalid("tuple.subject.set.namespace is empty: expected the name of a namespace")},
		{"unknown namespace", "POST", "/v1/check", `{"tuple":{"namespace":"Nope","subject":{"id":"x"}}}`, 404, failed(404, "NOT_FOUND", `Unknown namespace with name "Nope".`)},
		{"huge name", "POST", "/v1/check", `{"tuple":{"namespace":"Open","object":"` + huge + `","subject":{"id":"x"}}}`, 400, invalid("object has 100000 bytes: expected at most 1000")},
		{"invalid UTF-8", "POST", "/v1/check", "{\"tuple\":{\"namespace\":\"\xff\"}}", 400, invalid("the body is not valid UTF-8")},
		{"consistency without token", "POST", "/v1/check", `{"tuple":` + x + `,"consistency":{"exact":""}}`, 400, invalid("consistency.exact is empty: expected a snaptoken")},
		{"consistency that is false", "POST", "/v1/check", `{"tuple":` + x + `,"consistency":{"fully_consistent":false}}`, 400, invalid("consistency.fully_consistent is false: expected true, or another mode")},
		{"malformed token", "POST", "/v1/check", `{"tuple":` + x + `,"consistency":{"at_least_as_fresh":"zzz"}}`, 400, invalid("snaptoken is malformed: expected one that this server returned")},
		{"batch that is too long", "POST", "/v1/batch-check", `{"tuples":[` + strings.Repeat(`{},`, 10_000) + `{}]}`, 400, invalid("batch exceeds max size of 10000")},
		{"null in a batch", "POST", "/v1/batch-check", `{"tuples":[null]}`, 400, invalid("the body is not the expected JSON: syntax error (line 1:12): unexpected token null")},
		{"expand nothing", "POST", "/v1/expand", `{}`, 400, invalid("subject is missing: expected an id or a set")},
		{"expand to a negative depth", "POST", "/v1/expand", `{"subject":{"id":"x"},"max_depth":-1}`, 400, invalid("max_depth is -1: expected 0 for no limit, or more")},
		{"list with an unknown parameter", "GET", "/v1/tuples?namespace=Open", "", 400, invalid(`query parameter "namespace" is unknown`)},
		{"list with a parameter that is a message", "GET", "/v1/tuples?query=Open", "", 400, invalid(`query parameter "query" is unknown`)},
		{"list with a parameter twice", "GET", "/v1/tuples?page_size=1&page_size=2", "", 400, invalid(`query parameter "page_size" is given more than once`)},
		{"list with a wrong type", "GET", "/v1/tuples?page_size=many", "", 400, invalid(`the query parameters are not as expected: (line 1:14): invalid value for int32 field pageSize: "many"`)},
		{"list with a wrong bool", "GET", "/v1/tuples?consistency.fully_consistent=1", "", 400, invalid(`query parameter "consistency.fully_consistent" is "1": expected true or false`)},
		{"list with a negative page", "GET", "/v1/tuples?page_size=-1", "", 400, invalid("page_size is -1: expected 0 for 100, or more")},
		{"list with a foreign page token", "GET", "/v1/tuples?page_token=x", "", 400, invalid("invalid pagination token")},
		{"list with invalid UTF-8", "GET", "/v1/tuples?query.object=%ff", "", 400, invalid(`query parameter "query.object" is not valid UTF-8`)},
		{"wrong method", "GET", "/v1/check", "", 405, failed(405, "UNIMPLEMENTED", "the method is not one of those in the header Allow")},
		{"trailing slash", "POST", "/v1/check/", "", 404, failed(404, "NOT_FOUND", `there is nothing at "/v1/check/"`)},
	})
	n.run(n.write, []restCase{
		{"unspecified action", "POST", "/v1/tuples", `{"updates":[` + good + `,{"tuple":` + x + `}]}`, 400,
			invalid("updates[1].action is ACTION_UNSPECIFIED: expected ACTION_INSERT or ACTION_DELETE")},
		{"no tuple", "POST", "/v1/tuples", `{"updates":[` + good + `,{"action":"ACTION_DELETE"}]}`, 400, invalid("updates[1].tuple is missing")},
		{"unknown relation", "POST", "/v1/tuples", `{"updates":[` + good + `,{"action":"ACTION_INSERT","tuple":{"namespace":"Doc","relation":"zzz","subject":{"id":"x"}}}]}`, 400,
			invalid(`update 1: relation "zzz" does not exist in namespace "Doc"`)},
		{"delete everything", "POST", "/v1/tuples/delete", `{"query":{}}`, 400, invalid("the query is empty: expected at least one of namespace, object, relation, subject")},
		{"broken model", "POST", "/v1/model", `{"source":"class"}`, 400, `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"model:1:...`},
		{"model that tuples do not fit", "POST", "/v1/model", `{"source":"class User implements Namespace {}"}`, 422, `{"error":{"code":422,"status":"FAILED_PRECONDITION","message":"1 stored tuples do not fit...`},
		{"model check", "POST", "/v1/model/check", `{"source":"class"}`, 200, `{"errors":[{"message":"...`},
		{"version that is none", "GET", "/v1/model?version=99", "", 404, failed(404, "NOT_FOUND", "there is no model version 99")},
		{"negative version", "GET", "/v1/model?version=-1", "", 400, invalid("version is -1: expected 0 for the active version, or more")},
		{"foreign page token of the history", "GET", "/v1/model/history?page_token=x", "", 400, invalid("page_token is malformed: expected one that this method returned")},
	})
}

func TestModelService(t *testing.T) {
	n := start(t)
	models := cardeav1.NewModelServiceClient(n.dial(n.write))
	apply := func(req *cardeav1.ApplyModelRequest) (*cardeav1.ApplyModelResponse, error) {
		return models.Apply(t.Context(), req)
	}

	checked, err := models.Check(t.Context(), &cardeav1.CheckModelRequest{Source: "class User implements Names {}"})
	if err != nil || len(checked.Errors) != 1 {
		t.Fatalf("check: %v, %v", checked, err)
	}
	e := checked.Errors[0]
	if e.Start.Line != 1 || e.Start.Column != 23 || !strings.HasPrefix(e.Text, "model:1:23: "+e.Message) {
		t.Errorf("got %v", e)
	}
	dry, err := apply(&cardeav1.ApplyModelRequest{Source: testModel, DryRun: true})
	if err != nil || dry.Model.Version != 1 {
		t.Errorf("dry run: %v, %v", dry, err)
	}
	for i := range 3 {
		got, err := apply(&cardeav1.ApplyModelRequest{Source: testModel + strings.Repeat("\n", i)})
		if err != nil || got.Model.Version != int64(i+1) || got.Snaptoken == "" || got.Model.Created == nil {
			t.Errorf("apply %d: %v, %v", i, got, err)
		}
	}
	n.insert("Open:o#r@x")
	smaller := class("User")
	if _, err := apply(&cardeav1.ApplyModelRequest{Source: smaller}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a model that tuples do not fit gives %v", err)
	}
	if got, err := apply(&cardeav1.ApplyModelRequest{Source: smaller, Force: true}); err != nil || got.Model.Version != 4 {
		t.Errorf("forced: %v, %v", got, err)
	}
	active, err := models.Get(t.Context(), &cardeav1.GetModelRequest{})
	if err != nil || active.Model.Source != smaller || active.Model.Version != 4 {
		t.Errorf("active: %v, %v", active, err)
	}
	second, err := models.Get(t.Context(), &cardeav1.GetModelRequest{Version: 2})
	if err != nil || second.Model.Source != testModel+"\n" {
		t.Errorf("version 2: %v, %v", second, err)
	}
	var numbers []int64
	req := &cardeav1.ListModelsRequest{PageSize: 3}
	for {
		page, err := models.List(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Models {
			numbers = append(numbers, m.Version)
			if m.Source != "" {
				t.Errorf("version %d comes with its source", m.Version)
			}
		}
		if req.PageToken = page.NextPageToken; req.PageToken == "" {
			break
		}
	}
	if fmt.Sprint(numbers) != "[4 3 2 1]" {
		t.Errorf("history %v", numbers)
	}
}

func TestCardeaGRPCErrors(t *testing.T) {
	n := startWithModel(t)
	_, err := cardeav1.NewCheckServiceClient(n.dial(n.read)).Check(t.Context(), &cardeav1.CheckRequest{Tuple: cardeaTuple(t, "Nope:a#b@c")})
	st := status.Convert(err)
	if st.Code() != codes.NotFound || st.Message() != `Unknown namespace with name "Nope".` || reasonOf(st) != "NOT_FOUND" {
		t.Errorf("got %v, reason %q", st, reasonOf(st))
	}
	_, err = cardeav1.NewTupleWriteServiceClient(n.dial(n.write)).DeleteByQuery(t.Context(), &cardeav1.DeleteTuplesByQueryRequest{
		Query: &cardeav1.TupleQuery{Namespace: proto.String("Nope")},
	})
	if status.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
}
