package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/cardea-iam/cardea/opl"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// A relationOf names a relation of a namespace.
type relationOf struct{ namespace, relation string }

// traversed returns the relations that permissions of m traverse, in a fixed
// order. What a traverse does with the objects it reaches is about their
// namespaces, so it is looked at for each of them.
func traversed(m *opl.Model) []relationOf {
	found := map[relationOf]bool{}
	var visit func(namespace string, e opl.Expr)
	visit = func(namespace string, e opl.Expr) {
		switch e := e.(type) {
		case opl.Or:
			for _, part := range e.Of {
				visit(namespace, part)
			}
		case opl.And:
			for _, part := range e.Of {
				visit(namespace, part)
			}
		case opl.Not:
			visit(namespace, e.Of)
		case opl.Traverse:
			found[relationOf{namespace, e.Relation}] = true
			for _, next := range typesOf(m, namespace, e.Relation) {
				visit(next, e.Of)
			}
		}
	}
	for _, ns := range m.Namespaces {
		for _, r := range ns.Relations {
			visit(ns.Name, r.Rewrite)
		}
	}
	var all []relationOf
	for r := range found {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b relationOf) int {
		return slices.Compare([]string{a.namespace, a.relation}, []string{b.namespace, b.relation})
	})
	return all
}

// typesOf returns the namespaces of the objects that a relation may lead to.
func typesOf(m *opl.Model, namespace, relation string) []string {
	ns, ok := m.Namespace(namespace)
	if !ok {
		return nil
	}
	r, ok := ns.Relation(relation)
	if !ok {
		return nil
	}
	var all []string
	for _, t := range r.Types {
		if !slices.Contains(all, t.Namespace) {
			all = append(all, t.Namespace)
		}
	}
	return all
}

// unreachable warns of stored tuples that a permission of m traverses in vain:
// a plain subject id names no object, so traverse goes nowhere from it.
func unreachable(ctx context.Context, read *remote, m *opl.Model) ([]string, error) {
	client := cardeav1.NewTupleServiceClient(read)
	warnings := []string{}
	for _, r := range traversed(m) {
		n, example, err := plainSubjects(ctx, client, r)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			warnings = append(warnings, fmt.Sprintf(
				"relation %s of %s is traversed, and in %s, such as %s, it leads to a plain subject id, where traverse finds nothing: name an object there, as ns:id",
				r.relation, r.namespace, count(n), example))
		}
	}
	return warnings, nil
}

// plainSubjects counts the stored tuples of a relation whose subject is a plain
// id, and returns one of them.
func plainSubjects(ctx context.Context, client cardeav1.TupleServiceClient, r relationOf) (n int64, example string, err error) {
	req := &cardeav1.ListTuplesRequest{
		Query:    &cardeav1.TupleQuery{Namespace: &r.namespace, Relation: &r.relation},
		PageSize: exportPage, Consistency: clientFlags{consistency: "latest"}.proto(),
	}
	for {
		resp, err := client.List(ctx, req)
		if isNotFound(err) {
			return 0, "", nil // the server has no such namespace yet, and so no tuples of it
		}
		if err != nil {
			return 0, "", err
		}
		for _, t := range resp.GetTuples() {
			if tuple := tupleFrom(t); tuple.Subject.IsID() {
				n++
				example = tuple.String()
			}
		}
		if resp.GetNextPageToken() == "" {
			return n, example, nil
		}
		req.PageToken, req.Consistency = resp.GetNextPageToken(), nil // the token has the revision
	}
}
