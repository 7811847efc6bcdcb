package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	keto "github.com/ory/keto/proto/ory/keto/relation_tuples/v1alpha2"

	"github.com/cardea-iam/cardea/examples"
)

// TestExamples asks every question of every example over each door.
func TestExamples(t *testing.T) {
	for _, e := range examples.All() {
		t.Run(e.Name, func(t *testing.T) {
			s := load(t, e.Name)
			check := keto.NewCheckServiceClient(dial(t, s.Read))
			doors := map[string]func(*testing.T, string) bool{
				"gRPC": func(t *testing.T, question string) bool {
					resp, err := check.Check(t.Context(), &keto.CheckRequest{Tuple: tuple(question)})
					if err != nil {
						t.Fatal(err)
					}
					return resp.Allowed
				},
				"REST GET": func(t *testing.T, question string) bool {
					code, body := get(t, "http://"+s.Read+"/relation-tuples/check?"+query(question))
					return verdict(t, code, body)
				},
				"REST POST": func(t *testing.T, question string) bool {
					code, body := call(t, http.MethodPost, "http://"+s.Read+"/relation-tuples/check", body(t, question))
					return verdict(t, code, body)
				},
				"command line": func(t *testing.T, question string) bool {
					r := s.cardea(t, "check", question)
					if want := map[int]string{0: "allowed\n", 1: "denied\n"}[r.code]; r.out != want || r.err != "" {
						t.Fatalf("%+v", r)
					}
					return r.code == 0
				},
			}
			for door, ask := range doors {
				t.Run(door, func(t *testing.T) {
					for _, q := range e.Expected {
						if got := ask(t, q.Tuple); got != q.Allowed {
							t.Errorf("%s/expected.txt:%d: %s: allowed is %t, want %t", e.Name, q.Line, q.Tuple, got, q.Allowed)
						}
					}
				})
			}
			t.Run("REST batch", func(t *testing.T) { askBatch(t, s, e) })
		})
	}
}

// query returns a question as the parameters of Keto's REST API.
func query(question string) string {
	q := tuple(question)
	v := url.Values{"namespace": {q.Namespace}, "object": {q.Object}, "relation": {q.Relation}}
	if set := q.Subject.GetSet(); set != nil {
		v.Set("subject_set.namespace", set.Namespace)
		v.Set("subject_set.object", set.Object)
		v.Set("subject_set.relation", set.Relation)
	} else {
		v.Set("subject_id", q.Subject.GetId())
	}
	return v.Encode()
}

// body returns a question as the JSON of Keto's REST API.
func body(t *testing.T, question string) string {
	t.Helper()
	q := tuple(question)
	v := map[string]any{"namespace": q.Namespace, "object": q.Object, "relation": q.Relation}
	if set := q.Subject.GetSet(); set != nil {
		v["subject_set"] = map[string]string{"namespace": set.Namespace, "object": set.Object, "relation": set.Relation}
	} else {
		v["subject_id"] = q.Subject.GetId()
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// verdict reads the answer of a check over REST: 200 and true, or 403 and false.
func verdict(t *testing.T, code int, body string) bool {
	t.Helper()
	var v struct{ Allowed *bool }
	if err := json.Unmarshal([]byte(body), &v); err != nil || v.Allowed == nil {
		t.Fatalf("status %d, body %s", code, body)
	}
	if want := map[bool]int{true: 200, false: 403}[*v.Allowed]; code != want {
		t.Fatalf("status %d with %s, want %d", code, body, want)
	}
	return *v.Allowed
}

func askBatch(t *testing.T, s *instance, e examples.Example) {
	var items []string
	for _, q := range e.Expected {
		items = append(items, body(t, q.Tuple))
	}
	code, text := call(t, http.MethodPost, "http://"+s.Read+"/relation-tuples/batch/check", fmt.Sprintf(`{"tuples":[%s]}`, strings.Join(items, ",")))
	var resp struct {
		Results []struct {
			Allowed bool
			Error   string
		}
	}
	if err := json.Unmarshal([]byte(text), &resp); err != nil || code != 200 || len(resp.Results) != len(items) {
		t.Fatalf("status %d, %v, %s", code, err, text)
	}
	for i, r := range resp.Results {
		if q := e.Expected[i]; r.Allowed != q.Allowed || r.Error != "" {
			t.Errorf("%s: %+v, want allowed %t", q.Tuple, r, q.Allowed)
		}
	}
}
