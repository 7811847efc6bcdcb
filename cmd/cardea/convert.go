package main

import (
	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

func tupleProto(t engine.Tuple) *cardeav1.Tuple {
	return &cardeav1.Tuple{
		Namespace: t.Object.Namespace,
		Object:    t.Object.ID,
		Relation:  t.Relation,
		Subject:   subjectProto(t.Subject),
	}
}

func subjectProto(s engine.Subject) *cardeav1.Subject {
	if s.IsID() {
		return &cardeav1.Subject{Ref: &cardeav1.Subject_Id{Id: s.ID}}
	}
	return &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{
		Namespace: s.Namespace, Object: s.ID, Relation: s.Relation,
	}}}
}

func tupleFrom(p *cardeav1.Tuple) engine.Tuple {
	return engine.Tuple{
		Object:   engine.Object{Namespace: p.GetNamespace(), ID: p.GetObject()},
		Relation: p.GetRelation(),
		Subject:  subjectFrom(p.GetSubject()),
	}
}

func subjectFrom(p *cardeav1.Subject) engine.Subject {
	if set := p.GetSet(); set != nil {
		return engine.SubjectSet(set.GetNamespace(), set.GetObject(), set.GetRelation())
	}
	return engine.SubjectID(p.GetId())
}

// A tupleJSON is a tuple in the form of Keto's REST API, which is what -o json
// prints and import reads.
type tupleJSON struct {
	Namespace string `json:"namespace"`
	Object    string `json:"object"`
	Relation  string `json:"relation"`
	subjectJSON
}

// A subjectJSON has exactly one of its fields.
type subjectJSON struct {
	SubjectID  *string         `json:"subject_id,omitempty"`
	SubjectSet *subjectSetJSON `json:"subject_set,omitempty"`
}

type subjectSetJSON struct {
	Namespace string `json:"namespace"`
	Object    string `json:"object"`
	Relation  string `json:"relation"`
}

func toJSON(t engine.Tuple) tupleJSON {
	return tupleJSON{t.Object.Namespace, t.Object.ID, t.Relation, subjectToJSON(t.Subject)}
}

func subjectToJSON(s engine.Subject) subjectJSON {
	if s.IsID() {
		return subjectJSON{SubjectID: &s.ID}
	}
	return subjectJSON{SubjectSet: &subjectSetJSON{s.Namespace, s.ID, s.Relation}}
}
