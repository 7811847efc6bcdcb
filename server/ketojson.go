package server

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// ketoTuple is a tuple in the JSON of Keto.
type ketoTuple struct {
	Namespace  string   `json:"namespace"`
	Object     string   `json:"object"`
	Relation   string   `json:"relation"`
	SubjectID  *string  `json:"subject_id,omitempty"`
	SubjectSet *ketoSet `json:"subject_set,omitempty"`
}

type ketoSet struct {
	Namespace string `json:"namespace"`
	Object    string `json:"object"`
	Relation  string `json:"relation"`
}

type ketoList struct {
	Tuples []ketoTuple `json:"relation_tuples"`
	Next   string      `json:"next_page_token"`
}

type ketoAllowed struct {
	Allowed bool   `json:"allowed"`
	Error   string `json:"error,omitempty"`
}

type ketoTree struct {
	Type     string      `json:"type"`
	Children []*ketoTree `json:"children,omitempty"`
	Tuple    *ketoTuple  `json:"tuple,omitempty"`
}

type ketoDelta struct {
	Action string     `json:"action"`
	Tuple  *ketoTuple `json:"relation_tuple"`
}

// tuple returns t for the engine. With both kinds of subject the id counts, as
// in Keto.
//
// Invalid: there is no subject. NotFound: a namespace is empty.
func (t *ketoTuple) tuple() (engine.Tuple, error) {
	out := engine.Tuple{Object: engine.Object{Namespace: t.Namespace, ID: t.Object}, Relation: t.Relation}
	if t.Namespace == "" {
		return out, unknownNamespace("")
	}
	switch {
	case t.SubjectID != nil:
		out.Subject = engine.SubjectID(*t.SubjectID)
	case t.SubjectSet == nil:
		return out, errNilSubject
	case t.SubjectSet.Namespace == "":
		return out, unknownNamespace("")
	default:
		out.Subject = engine.SubjectSet(t.SubjectSet.Namespace, t.SubjectSet.Object, t.SubjectSet.Relation)
	}
	return out, nil
}

// urlQuery returns the query parameters that list t.
func (t *ketoTuple) urlQuery() url.Values {
	v := url.Values{"namespace": {t.Namespace}, "object": {t.Object}, "relation": {t.Relation}}
	switch {
	case t.SubjectID != nil:
		v.Set("subject_id", *t.SubjectID)
	case t.SubjectSet != nil:
		v.Set("subject_set.namespace", t.SubjectSet.Namespace)
		v.Set("subject_set.object", t.SubjectSet.Object)
		v.Set("subject_set.relation", t.SubjectSet.Relation)
	}
	return v
}

func (t *ketoTuple) setSubject(s engine.Subject) {
	if s.IsID() {
		t.SubjectID = &s.ID
		return
	}
	t.SubjectSet = &ketoSet{Namespace: s.Namespace, Object: s.ID, Relation: s.Relation}
}

func tupleToJSON(t engine.Tuple) ketoTuple {
	out := ketoTuple{Namespace: t.Object.Namespace, Object: t.Object.ID, Relation: t.Relation}
	out.setSubject(t.Subject)
	return out
}

func treeToJSON(t *engine.Tree) *ketoTree {
	types := map[engine.NodeType]string{
		engine.Leaf: "leaf", engine.Union: "union", engine.Intersection: "intersection", engine.Exclusion: "exclusion",
	}
	out := &ketoTree{Type: types[t.Type]}
	if t.Subject != nil {
		out.Tuple = &ketoTuple{}
		out.Tuple.setSubject(*t.Subject)
	}
	for _, child := range t.Children {
		out.Children = append(out.Children, treeToJSON(child))
	}
	return out
}

func updatesFromJSON(deltas []*ketoDelta) ([]engine.Update, error) {
	ops := map[string]engine.Op{"insert": engine.Insert, "delete": engine.Delete}
	ups := make([]engine.Update, len(deltas))
	for i, d := range deltas {
		switch {
		case d == nil:
			return nil, said(fmt.Sprintf("delta %d is null", i))
		case d.Tuple == nil:
			return nil, said("relation_tuple is missing")
		}
		op, ok := ops[d.Action]
		if !ok {
			return nil, said("unknown action " + d.Action)
		}
		t, err := d.Tuple.tuple()
		if err != nil {
			return nil, err
		}
		ups[i] = engine.Update{Op: op, Tuple: t}
	}
	return ups, nil
}

// queryFromURL reads the query parameters of Keto's lists.
func queryFromURL(v url.Values) (engine.Query, error) {
	if v.Has("subject") {
		return engine.Query{}, errs.New(errs.Invalid, `provide "subject_id" or "subject_set.*"; support for "subject" was dropped`)
	}
	q := engine.Query{Namespace: param(v, "namespace"), Object: param(v, "object"), Relation: param(v, "relation")}
	if q.Namespace != nil && *q.Namespace == "" {
		return engine.Query{}, unknownNamespace("")
	}
	var err error
	q.Subject, err = subjectFromURL(v)
	return q, err
}

// subjectFromURL returns nil if the parameters name no subject.
func subjectFromURL(v url.Values) (*engine.Subject, error) {
	namespace, object, relation := param(v, "subject_set.namespace"), param(v, "subject_set.object"), param(v, "subject_set.relation")
	all := namespace != nil && object != nil && relation != nil
	some := namespace != nil || object != nil || relation != nil
	id := param(v, "subject_id")
	switch {
	case id != nil && some:
		return nil, said("exactly one of subject_set or subject_id has to be provided")
	case id != nil:
		s := engine.SubjectID(*id)
		return &s, nil
	case all && *namespace == "":
		return nil, unknownNamespace("")
	case all:
		s := engine.SubjectSet(*namespace, *object, *relation)
		return &s, nil
	case some:
		return nil, said(`incomplete subject, provide "subject_id" or a complete "subject_set.*"`)
	default:
		return nil, nil
	}
}

// param returns a query parameter, nil if it is absent.
func param(v url.Values, key string) *string {
	if !v.Has(key) {
		return nil
	}
	value := v.Get(key)
	return &value
}

// tupleFromURL reads the tuple of a check from the query parameters.
func tupleFromURL(r *http.Request) (engine.Tuple, error) {
	v, err := queryOf(r)
	if err != nil {
		return engine.Tuple{}, err
	}
	q, err := queryFromURL(v)
	switch {
	case err != nil:
		return engine.Tuple{}, err
	case q.Subject == nil:
		return engine.Tuple{}, errNilSubject
	case q.Namespace == nil || q.Object == nil || q.Relation == nil:
		return engine.Tuple{}, said(`incomplete tuple, provide "namespace", "object", "relation", and a subject`)
	default:
		return engine.Tuple{Object: engine.Object{Namespace: *q.Namespace, ID: *q.Object}, Relation: *q.Relation, Subject: *q.Subject}, nil
	}
}

// tupleFromBody reads the tuple of a check from the body.
func tupleFromBody(r *http.Request) (engine.Tuple, error) {
	var body ketoTuple
	if err := decodeBody(r, checkPrefix, &body); err != nil {
		return engine.Tuple{}, err
	}
	return body.tuple()
}
