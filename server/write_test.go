package server_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
	"github.com/cardea-iam/cardea/server"
)

// tupleJSON is a tuple of the namespace Open as /v1/ has it.
func tupleJSON(object string) string {
	return `{"namespace":"Open","object":"` + object + `","relation":"r","subject":{"id":"x"}}`
}

func inserting(objects ...string) string {
	var all []string
	for _, o := range objects {
		all = append(all, `{"action":"ACTION_INSERT","tuple":`+tupleJSON(o)+`}`)
	}
	return `"updates":[` + strings.Join(all, ",") + `]`
}

const (
	must    = `{"kind":"KIND_MUST_EXIST","query":`
	mustNot = `{"kind":"KIND_MUST_NOT_EXIST","query":`
)

// TestPreconditions writes under conditions: where one does not hold, the message
// has its index and nothing is written.
func TestPreconditions(t *testing.T) {
	n := startWithModel(t)
	n.insert("Open:a#r@x", "Open:b#r@y")
	refused := func(message string) string { return failed(422, "FAILED_PRECONDITION", message) }
	invalid := func(message string) string { return failed(400, "INVALID_ARGUMENT", message) }
	const path = "/v1/tuples"
	if got := n.do("POST", n.write, path, `{`+inserting("c")+`,"preconditions":[`+must+tupleJSON("a")+`}]}`); got.status != 200 {
		t.Errorf("a condition that holds gives %d %s", got.status, got.body)
	}
	n.run(n.write, []restCase{
		{"the second does not hold", "POST", path, `{` + inserting("d") + `,"preconditions":[` + must + `{"namespace":"Open"}},` + mustNot + tupleJSON("c") + `}]}`, 422,
			refused("precondition 1 does not hold: there is such a tuple")},
		{"the first does not hold", "POST", path, `{` + inserting("d") + `,"preconditions":[` + must + `{"object":"none"}}]}`, 422,
			refused("precondition 0 does not hold: there is no such tuple")},
		{"the state before counts", "POST", path, `{` + inserting("d") + `,"preconditions":[` + must + tupleJSON("d") + `}]}`, 422,
			refused("precondition 0 does not hold: there is no such tuple")},
		{"no kind", "POST", path, `{` + inserting("d") + `,"preconditions":[` + must + `{"object":"a"}},{"query":{"object":"a"}}]}`, 400,
			invalid("preconditions[1].kind is KIND_UNSPECIFIED: expected KIND_MUST_EXIST or KIND_MUST_NOT_EXIST")},
		{"no query", "POST", path, `{` + inserting("d") + `,"preconditions":[{"kind":"KIND_MUST_EXIST"}]}`, 400,
			invalid("preconditions[0] is empty: expected at least one of namespace, object, relation, subject")},
		{"an unfinished subject", "POST", path, `{` + inserting("d") + `,"preconditions":[` + must + `{"subject":{}}}]}`, 400,
			invalid("preconditions[0].subject is missing: expected an id or a set")},
		{"too many", "POST", path, `{"preconditions":[` + strings.Repeat(must+`{"object":"a"}},`, 1000) + must + `{"object":"a"}}]}`, 400,
			invalid("preconditions has 1001 items: expected at most 1000")},
		{"an empty deletion", "POST", path, `{` + inserting("d") + `,"delete":[{"object":"a"},{}]}`, 400,
			invalid("delete[1] is empty: expected at least one of namespace, object, relation, subject")},
		{"delete by query, refused", "POST", "/v1/tuples/delete", `{"query":{"namespace":"Open"},"preconditions":[` + mustNot + `{"subject":{"id":"y"}}}]}`, 422,
			refused("precondition 0 does not hold: there is such a tuple")},
	})
	if got := n.count(); got != 3 {
		t.Errorf("%d tuples are stored, want 3", got)
	}
	got := n.do("POST", n.write, path, `{`+inserting("a", "e")+`,"delete":[{"object":"b"},{"object":"c"}]}`)
	if !strings.HasSuffix(got.body, `"inserted":"1","deleted":"2"}`) {
		t.Errorf("a write of both kinds gives %s", got.body)
	}
	_, err := cardeav1.NewTupleWriteServiceClient(n.dial(n.write)).DeleteByQuery(t.Context(), &cardeav1.DeleteTuplesByQueryRequest{
		Query:         &cardeav1.TupleQuery{Object: ptr("a")},
		Preconditions: []*cardeav1.Precondition{{Kind: cardeav1.Precondition_KIND_MUST_EXIST, Query: &cardeav1.TupleQuery{Object: ptr("none")}}},
	})
	if st := status.Convert(err); st.Code() != codes.FailedPrecondition || st.Message() != "precondition 0 does not hold: there is no such tuple" {
		t.Errorf("over gRPC: %v", err)
	}
}

func ptr(s string) *string { return &s }

// TestPreconditionRace: of many who want a thing that nobody has, one gets it.
func TestPreconditionRace(t *testing.T) {
	n := startWithModel(t)
	for round := range 5 {
		var won sync.Map
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				object := fmt.Sprintf("%d", round)
				body := fmt.Sprintf(`{"updates":[{"action":"ACTION_INSERT","tuple":{"namespace":"Open","object":"%s","relation":"r","subject":{"id":"%d"}}}],"preconditions":[%s{"object":"%s"}}]}`,
					object, i, mustNot, object)
				switch got := n.do("POST", n.write, "/v1/tuples", body); got.status {
				case 200:
					won.Store(i, true)
				case 422:
				default:
					t.Errorf("got %d %s", got.status, got.body)
				}
			})
		}
		all.Wait()
		winners := 0
		won.Range(func(any, any) bool { winners++; return true })
		if winners != 1 || n.count() != round+1 {
			t.Errorf("round %d: %d of 8 won, and there are %d tuples", round, winners, n.count())
		}
	}
}

// TestIdempotency repeats writes with a key, on each API: the second changes
// nothing, even if the effect of the first was undone, and has its answer.
func TestIdempotency(t *testing.T) {
	n := startWithModel(t)
	undo := func() {
		n.t.Helper()
		n.insert("Open:other#r@x")
		n.post(n.write, "/v1/tuples/delete", `{"query":{"namespace":"Open"}}`, "deleted")
	}
	const ketoPath = "/admin/relation-tuples"
	const body = `{"namespace":"Open","object":"k","relation":"r","subject_id":"x"}`
	for name, write := range map[string]func(key, object string) reply{
		"/v1/ by header": func(key, object string) reply {
			return n.do("POST", n.write, "/v1/tuples", `{`+inserting(object)+`}`, "Idempotency-Key: "+key)
		},
		"/v1/ by field": func(key, object string) reply {
			return n.do("POST", n.write, "/v1/tuples", `{`+inserting(object)+`,"idempotency_key":"`+key+`"}`)
		},
		"PUT": func(key, object string) reply {
			return n.do("PUT", n.write, ketoPath, strings.Replace(body, `"k"`, `"`+object+`"`, 1), "Idempotency-Key: "+key)
		},
		"PATCH": func(key, object string) reply {
			return n.do("PATCH", n.write, ketoPath, `[{"action":"insert","relation_tuple":`+strings.Replace(body, `"k"`, `"`+object+`"`, 1)+`}]`, "Idempotency-Key: "+key)
		},
		"Connect": func(key, object string) reply {
			return n.do("POST", n.write, ketoPackage+"WriteService/TransactRelationTuples",
				`{"relationTupleDeltas":[{"action":"ACTION_INSERT","relationTuple":{"namespace":"Open","object":"`+object+`","relation":"r","subject":{"id":"x"}}}]}`,
				"Content-Type: application/json", "Idempotency-Key: "+key)
		},
	} {
		first := write("key of "+name, "k")
		if first.status >= 300 || n.count() != 1 {
			t.Fatalf("%s: %d %s, and there are %d tuples", name, first.status, first.body, n.count())
		}
		undo()
		again := write("key of "+name, "k")
		if again.status != first.status || again.body != first.body || again.header.Get("Cardea-Snaptoken") != first.header.Get("Cardea-Snaptoken") || n.count() != 0 {
			t.Errorf("%s, repeated: %d %s, want %d %s; there are %d tuples", name, again.status, again.body, first.status, first.body, n.count())
		}
		if other := write("key of "+name, "different"); other.status != 400 || n.count() != 0 {
			t.Errorf("%s: another write with the key gives %d %s", name, other.status, other.body)
		}
		if long := write(strings.Repeat("k", 201), "k"); long.status != 400 {
			t.Errorf("%s: a key that is too long gives %d", name, long.status)
		}
	}
	deletion := func() reply {
		return n.do("DELETE", n.write, ketoPath+"?"+url.Values{"namespace": {"Open"}}.Encode(), "", "Idempotency-Key: d")
	}
	n.insert("Open:a#r@x")
	first := deletion()
	n.insert("Open:a#r@x")
	if again := deletion(); again.status != 204 || again.header.Get("Cardea-Snaptoken") != first.header.Get("Cardea-Snaptoken") || n.count() != 1 {
		t.Errorf("DELETE, repeated: %d, and there are %d tuples", again.status, n.count())
	}
	client := keto.NewWriteServiceClient(n.dial(n.write))
	transact := func(keys ...string) (*keto.TransactRelationTuplesResponse, error) {
		var headers []string
		for _, k := range keys {
			headers = append(headers, "idempotency-key", k)
		}
		return client.TransactRelationTuples(as(t.Context(), headers...), &keto.TransactRelationTuplesRequest{RelationTupleDeltas: []*keto.RelationTupleDelta{
			{Action: keto.RelationTupleDelta_ACTION_INSERT, RelationTuple: ketoTuple(t, "Open:g#r@x")},
		}})
	}
	one, err := transact("g")
	if err != nil {
		t.Fatal(err)
	}
	undo()
	two, err := transact("g")
	if err != nil || two.Snaptokens[0] != one.Snaptokens[0] || n.count() != 0 {
		t.Errorf("over gRPC, repeated: %v, %v", two, err)
	}
	if _, err := transact("g", "h"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("two keys give %v", err)
	}
	n.run(n.write, []restCase{{"two keys", "POST", "/v1/tuples", `{"idempotency_key":"a"}`, 200, `{...`}})
	if got := n.do("POST", n.write, "/v1/tuples", `{"idempotency_key":"a"}`, "Idempotency-Key: b"); got.status != 400 {
		t.Errorf("different keys in body and header give %d %s", got.status, got.body)
	}
}

// TestBudget: a server whose tuples outgrow the budget says so, and answers as
// before.
func TestBudget(t *testing.T) {
	n := startWithModel(t, func(c *server.Config) { c.Memory.Budget = 2000 })
	n.insert("Doc:a#owners@User:ann", "Doc:b#owners@User:bob", "Group:g#members@User:ann", "Doc:b#viewers@Group:g#members")
	if got := n.do("GET", n.read, "/v1/status", ""); !strings.Contains(got.body, `"bounded":true`) {
		t.Errorf("the status is %s", got.body)
	}
	for tuple, want := range map[string]bool{"Doc:a#view@User:ann": true, "Doc:b#view@User:ann": true, "Doc:a#view@User:bob": false} {
		got, err := keto.NewCheckServiceClient(n.dial(n.read)).Check(t.Context(), &keto.CheckRequest{Tuple: ketoTuple(t, tuple)})
		if err != nil || got.Allowed != want {
			t.Errorf("%s: %v, %v", tuple, got, err)
		}
	}
	metrics := n.do("GET", n.metrics, "/metrics", "").body
	if !strings.Contains(metrics, `cardea_bounded{network="default"} 1`) || strings.Contains(metrics, `cardea_check_round_trips_total{network="default"} 0`) {
		t.Error("the metrics do not show bounded mode")
	}
}
