//lint:file-ignore SA1019 Clients of Keto may use the deprecated fields, so they are served.

package server

import (
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// maxConditions bounds the preconditions of a write, and its deletions by query.
const maxConditions = 1000

// errNilSubject is what Keto's clients are told when there is no subject.
var errNilSubject = said("subject is not allowed to be nil")

// unknownNamespace is what Keto says for a namespace that the model lacks. The
// engine says it too, but calls an empty name invalid, and takes a subject set
// with an empty namespace for a plain id.
func unknownNamespace(name string) error {
	return errs.New(errs.NotFound, "Unknown namespace with name %q.", name)
}

// ketoFields is what Keto's messages for a tuple have in common.
type ketoFields interface {
	GetNamespace() string
	GetObject() string
	GetRelation() string
	GetSubject() *keto.Subject
}

func tupleFromKeto[T ketoFields](t T) (engine.Tuple, error) {
	s, err := subjectFromKeto(t.GetSubject())
	if err != nil {
		return engine.Tuple{}, err
	}
	if t.GetNamespace() == "" {
		return engine.Tuple{}, unknownNamespace("")
	}
	o := engine.Object{Namespace: t.GetNamespace(), ID: t.GetObject()}
	return engine.Tuple{Object: o, Relation: t.GetRelation(), Subject: s}, nil
}

func subjectFromKeto(s *keto.Subject) (engine.Subject, error) {
	switch ref := s.GetRef().(type) {
	case *keto.Subject_Id:
		return engine.SubjectID(ref.Id), nil
	case *keto.Subject_Set:
		if ref.Set.GetNamespace() == "" {
			return engine.Subject{}, unknownNamespace("")
		}
		return engine.SubjectSet(ref.Set.GetNamespace(), ref.Set.GetObject(), ref.Set.GetRelation()), nil
	default:
		return engine.Subject{}, errNilSubject
	}
}

// queryFromKeto reads a query whose fields are set or not.
func queryFromKeto(q *keto.RelationQuery) (engine.Query, error) {
	out := engine.Query{Namespace: q.Namespace, Object: q.Object, Relation: q.Relation}
	if out.Namespace != nil && *out.Namespace == "" {
		return engine.Query{}, unknownNamespace("")
	}
	if q.GetSubject() == nil {
		return out, nil
	}
	s, err := subjectFromKeto(q.GetSubject())
	out.Subject = &s
	return out, err
}

// queryFromOldKeto reads a query whose empty fields are not set.
func queryFromOldKeto(q ketoFields) (engine.Query, error) {
	out := engine.Query{Namespace: nonEmpty(q.GetNamespace()), Object: nonEmpty(q.GetObject()), Relation: nonEmpty(q.GetRelation())}
	if q.GetSubject().GetRef() == nil {
		return out, nil
	}
	s, err := subjectFromKeto(q.GetSubject())
	out.Subject = &s
	return out, err
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func tupleToKeto(t engine.Tuple) *keto.RelationTuple {
	return &keto.RelationTuple{
		Namespace: t.Object.Namespace, Object: t.Object.ID, Relation: t.Relation, Subject: subjectToKeto(t.Subject),
	}
}

func subjectToKeto(s engine.Subject) *keto.Subject {
	if s.IsID() {
		return &keto.Subject{Ref: &keto.Subject_Id{Id: s.ID}}
	}
	return &keto.Subject{Ref: &keto.Subject_Set{Set: &keto.SubjectSet{Namespace: s.Namespace, Object: s.ID, Relation: s.Relation}}}
}

func treeToKeto(t *engine.Tree) *keto.SubjectTree {
	if t == nil {
		return nil
	}
	types := map[engine.NodeType]keto.NodeType{
		engine.Leaf: keto.NodeType_NODE_TYPE_LEAF, engine.Union: keto.NodeType_NODE_TYPE_UNION,
		engine.Intersection: keto.NodeType_NODE_TYPE_INTERSECTION, engine.Exclusion: keto.NodeType_NODE_TYPE_EXCLUSION,
	}
	out := &keto.SubjectTree{NodeType: types[t.Type]}
	if t.Subject != nil {
		out.Subject = subjectToKeto(*t.Subject)
		out.Tuple = &keto.RelationTuple{Subject: out.Subject}
	}
	for _, child := range t.Children {
		out.Children = append(out.Children, treeToKeto(child))
	}
	return out
}

// tupleFromCardea reads a tuple; field is its name in messages.
func tupleFromCardea(t *cardeav1.Tuple, field string) (engine.Tuple, error) {
	if t == nil {
		return engine.Tuple{}, errs.New(errs.Invalid, "%s is missing", field)
	}
	s, err := subjectFromCardea(t.GetSubject(), field, ".subject")
	if err != nil {
		return engine.Tuple{}, err
	}
	o := engine.Object{Namespace: t.GetNamespace(), ID: t.GetObject()}
	return engine.Tuple{Object: o, Relation: t.GetRelation(), Subject: s}, nil
}

// subjectFromCardea reads a subject; the texts together are its name in messages.
func subjectFromCardea(s *cardeav1.Subject, in, field string) (engine.Subject, error) {
	switch ref := s.GetRef().(type) {
	case *cardeav1.Subject_Id:
		return engine.SubjectID(ref.Id), nil
	case *cardeav1.Subject_Set:
		if ref.Set.GetNamespace() == "" {
			return engine.Subject{}, errs.New(errs.Invalid, "%s%s.set.namespace is empty: expected the name of a namespace", in, field)
		}
		return engine.SubjectSet(ref.Set.GetNamespace(), ref.Set.GetObject(), ref.Set.GetRelation()), nil
	default:
		return engine.Subject{}, errs.New(errs.Invalid, "%s%s is missing: expected an id or a set", in, field)
	}
}

// queryFromCardea reads a query; field is its name in messages.
func queryFromCardea(q *cardeav1.TupleQuery, field string) (engine.Query, error) {
	if q == nil {
		return engine.Query{}, nil
	}
	out := engine.Query{Namespace: q.Namespace, Object: q.Object, Relation: q.Relation}
	if q.GetSubject() == nil {
		return out, nil
	}
	s, err := subjectFromCardea(q.GetSubject(), field, ".subject")
	out.Subject = &s
	return out, err
}

func tupleToCardea(t engine.Tuple) *cardeav1.Tuple {
	return &cardeav1.Tuple{
		Namespace: t.Object.Namespace, Object: t.Object.ID, Relation: t.Relation, Subject: subjectToCardea(t.Subject),
	}
}

func subjectToCardea(s engine.Subject) *cardeav1.Subject {
	if s.IsID() {
		return &cardeav1.Subject{Ref: &cardeav1.Subject_Id{Id: s.ID}}
	}
	return &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{Namespace: s.Namespace, Object: s.ID, Relation: s.Relation}}}
}

func treeToCardea(t *engine.Tree) *cardeav1.SubjectTree {
	if t == nil {
		return nil
	}
	types := map[engine.NodeType]cardeav1.SubjectTree_NodeType{
		engine.Leaf: cardeav1.SubjectTree_NODE_TYPE_LEAF, engine.Union: cardeav1.SubjectTree_NODE_TYPE_UNION,
		engine.Intersection: cardeav1.SubjectTree_NODE_TYPE_INTERSECTION, engine.Exclusion: cardeav1.SubjectTree_NODE_TYPE_EXCLUSION,
	}
	out := &cardeav1.SubjectTree{NodeType: types[t.Type]}
	if t.Subject != nil {
		out.Subject = subjectToCardea(*t.Subject)
	}
	for _, child := range t.Children {
		out.Children = append(out.Children, treeToCardea(child))
	}
	return out
}

// queriesFromCardea reads queries each of which has to select something.
func queriesFromCardea(list []*cardeav1.TupleQuery, name string) ([]engine.Query, error) {
	if len(list) > maxConditions {
		return nil, errs.New(errs.Invalid, "%s has %d items: expected at most %d", name, len(list), maxConditions)
	}
	out := make([]engine.Query, len(list))
	for i, q := range list {
		field := fmt.Sprintf("%s[%d]", name, i)
		query, err := queryFromCardea(q, field)
		if err == nil && query.IsEmpty() {
			err = errs.New(errs.Invalid, "%s is empty: expected at least one of namespace, object, relation, subject", field)
		}
		if err != nil {
			return nil, err
		}
		out[i] = query
	}
	return out, nil
}

func preconditionsFromCardea(list []*cardeav1.Precondition) ([]engine.Precondition, error) {
	queries := make([]*cardeav1.TupleQuery, len(list))
	for i, p := range list {
		queries[i] = p.GetQuery()
	}
	selected, err := queriesFromCardea(queries, "preconditions")
	if err != nil {
		return nil, err
	}
	out := make([]engine.Precondition, len(list))
	for i, p := range list {
		kind := p.GetKind()
		if kind != cardeav1.Precondition_KIND_MUST_EXIST && kind != cardeav1.Precondition_KIND_MUST_NOT_EXIST {
			return nil, errs.New(errs.Invalid, "preconditions[%d].kind is %v: expected KIND_MUST_EXIST or KIND_MUST_NOT_EXIST", i, kind)
		}
		out[i] = engine.Precondition{Query: selected[i], Exists: kind == cardeav1.Precondition_KIND_MUST_EXIST}
	}
	return out, nil
}

func writeFromCardea(req *cardeav1.WriteTuplesRequest) (w engine.Write, err error) {
	w.Key = req.IdempotencyKey
	if w.If, err = preconditionsFromCardea(req.Preconditions); err != nil {
		return w, err
	}
	if w.Delete, err = queriesFromCardea(req.Delete, "delete"); err != nil {
		return w, err
	}
	w.Updates, err = updatesFromCardea(req.Updates)
	return w, err
}

// updatesFromCardea reads the updates of one write.
func updatesFromCardea(list []*cardeav1.TupleUpdate) ([]engine.Update, error) {
	ops := map[cardeav1.TupleUpdate_Action]engine.Op{
		cardeav1.TupleUpdate_ACTION_INSERT: engine.Insert, cardeav1.TupleUpdate_ACTION_DELETE: engine.Delete,
	}
	out := make([]engine.Update, len(list))
	for i, u := range list {
		field := fmt.Sprintf("updates[%d]", i)
		op, ok := ops[u.GetAction()]
		if !ok {
			return nil, errs.New(errs.Invalid, "%s.action is %v: expected ACTION_INSERT or ACTION_DELETE", field, u.GetAction())
		}
		t, err := tupleFromCardea(u.GetTuple(), field+".tuple")
		if err != nil {
			return nil, err
		}
		out[i] = engine.Update{Op: op, Tuple: t}
	}
	return out, nil
}

// consistencyFromCardea reads how fresh an answer has to be.
func consistencyFromCardea(c *cardeav1.Consistency) (engine.Consistency, error) {
	needsToken := func(mode engine.Mode, field, token string) (engine.Consistency, error) {
		if token == "" {
			return engine.Consistency{}, errs.New(errs.Invalid, "consistency.%s is empty: expected a snaptoken", field)
		}
		return engine.Consistency{Mode: mode, Token: engine.Token(token)}, nil
	}
	needsTrue := func(mode engine.Mode, field string, value bool) (engine.Consistency, error) {
		if !value {
			return engine.Consistency{}, errs.New(errs.Invalid, "consistency.%s is false: expected true, or another mode", field)
		}
		return engine.Consistency{Mode: mode}, nil
	}
	switch mode := c.GetMode().(type) {
	case *cardeav1.Consistency_MinimizeLatency:
		return needsTrue(engine.MinimizeLatency, "minimize_latency", mode.MinimizeLatency)
	case *cardeav1.Consistency_AtLeastAsFresh:
		return needsToken(engine.AtLeastAsFresh, "at_least_as_fresh", mode.AtLeastAsFresh)
	case *cardeav1.Consistency_FullyConsistent:
		return needsTrue(engine.FullyConsistent, "fully_consistent", mode.FullyConsistent)
	case *cardeav1.Consistency_Exact:
		return needsToken(engine.Exact, "exact", mode.Exact)
	default:
		return engine.Consistency{}, nil
	}
}

func modelToCardea(v engine.ModelVersion) *cardeav1.Model {
	out := &cardeav1.Model{Version: v.Number, Source: v.Source}
	if !v.Created.IsZero() {
		out.Created = timestamppb.New(v.Created)
	}
	return out
}
