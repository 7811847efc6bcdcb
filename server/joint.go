package server

import (
	"context"
	"slices"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store"
)

// A joint is what a network keeps of identities, joined with its tuples: a write that
// gives an identity relations, or takes the identity away, changes both in one
// transaction. The subject of an identity's tuples is its id, or an object with its id.
type joint struct {
	*store.People
	engine *engine.Engine
	people string // namespace of objects that are identities
	groups map[identity.GroupKind]identity.GroupOptions
}

// Write implements identity.Writer.
//
// Refused, too: the model has no place for members of groups; the message has one.
func (j *joint) Write(ctx context.Context, ops ...identity.Op) error {
	var w engine.Write
	var rows []identity.Op
	var tokens []*string
	for _, op := range ops {
		switch op := op.(type) {
		case identity.Relate:
			ups, err := j.updates(ctx, op)
			if err != nil {
				return err
			}
			w.Updates = append(w.Updates, ups...)
			continue
		case identity.ShowToken:
			tokens = append(tokens, op.Token)
			continue
		case identity.DeleteIdentity:
			subject := engine.SubjectID(op.ID)
			w.Delete = append(append(w.Delete, engine.Query{Subject: &subject}), j.allOf(j.people, op.ID, "")...)
		}
		rows = append(rows, op)
	}
	if len(w.Updates)+len(w.Delete) == 0 {
		return j.People.Write(ctx, rows...)
	}
	done, err := j.join(ctx, w, rows...)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		*t = string(done.Token)
	}
	return nil
}

// join does w and ops in one transaction.
func (j *joint) join(ctx context.Context, w engine.Write, ops ...identity.Op) (engine.Receipt, error) {
	return j.engine.WriteBy(ctx, w, func(ctx context.Context, w engine.Write) (engine.Written, error) {
		return j.People.Join(ctx, w, ops...)
	})
}

// updates are those of tuples that an op asks for.
func (j *joint) updates(ctx context.Context, op identity.Relate) (ups []engine.Update, err error) {
	for _, r := range op.Relations {
		u := engine.Update{Op: engine.Insert, Tuple: engine.Tuple{
			Object: engine.Object{Namespace: r.Namespace, ID: r.Object}, Relation: r.Relation, Subject: engine.SubjectID(op.Identity),
		}}
		switch err := j.allows(ctx, u.Tuple); {
		case err == nil:
		case op.IfKnown && errs.KindOf(err) != errs.Invalid:
			continue
		default:
			return nil, err
		}
		if op.Remove {
			u.Op = engine.Delete
		}
		ups = append(ups, u)
	}
	return ups, nil
}

// allows reports why the model does not let t be stored, and of members of groups what
// it lacks.
//
// Refused: it lacks the namespace or the relation.
func (j *joint) allows(ctx context.Context, t engine.Tuple) error {
	err := j.engine.Allows(ctx, t)
	if err == nil {
		return nil
	}
	for k, g := range j.groups {
		if t.Object.Namespace == g.Namespace && t.Relation == g.Relation {
			if missing := j.modelled(ctx, k); missing != nil {
				return missing
			}
		}
	}
	return err
}

// modelled reports what the model lacks for identities to be members of groups of a
// kind.
//
// Refused: as said.
func (j *joint) modelled(ctx context.Context, k identity.GroupKind) error {
	g := j.groups[k]
	one := engine.Tuple{Object: engine.Object{Namespace: g.Namespace, ID: "a"}, Relation: g.Relation, Subject: engine.SubjectID("a")}
	if j.engine.Allows(ctx, one) == nil {
		return nil
	}
	return errs.New(errs.Refused, "the model has no place for the members of a %s: expected class %s implements Namespace { related: { %s: (User | SubjectSet<%s, %q>)[] } }, "+
		"or another namespace and relation in identity.%ss", k, g.Namespace, g.Relation, g.Namespace, g.Relation, k)
}

// allOf selects the tuples that an object is in: its own, and those whose subject is it or
// who has a relation to it, of which the model may lack one.
func (j *joint) allOf(namespace, id, relation string) []engine.Query {
	qs := []engine.Query{{Namespace: &namespace, Object: &id}}
	relations := append(j.engine.Relations(namespace), relation, "")
	slices.Sort(relations)
	for _, r := range slices.Compact(relations) {
		of := engine.SubjectSet(namespace, id, r)
		qs = append(qs, engine.Query{Subject: &of})
	}
	return qs
}

// member is the tuple by which a subject is a member of a group.
func (j *joint) member(k identity.GroupKind, id string, subject engine.Subject) engine.Tuple {
	g := j.groups[k]
	return engine.Tuple{Object: engine.Object{Namespace: g.Namespace, ID: id}, Relation: g.Relation, Subject: subject}
}

// members is the subject set of the members of a group.
func (j *joint) members(k identity.GroupKind, id string) engine.Subject {
	g := j.groups[k]
	return engine.SubjectSet(g.Namespace, id, g.Relation)
}
