// Package engine answers permission questions over a graph of relation tuples.
//
// A tuple says that a subject has a relation to an object. A model, compiled by
// package opl, says which permissions follow from which relations. Check walks
// the graph from the object towards the subject until the answer is known.
//
// Rules kept everywhere in this package:
//
//	E1  A walk reads at one revision and one model, chosen before its first
//	    read: a *state, which never changes.
//	E2  "No" is said only after every branch was looked at. A branch that
//	    failed, was cancelled or went beyond the budget has no answer; it gives
//	    an error and never counts as a "no".
//	E3  In a union a "yes" outweighs an error; in an intersection a "no" does.
//	E4  Caches change how long an answer takes, never the answer.
//	E5  Cycles are normal in data; an answer is the least fixed point. Recursion
//	    through a negation has none: package opl refuses it in models, and a
//	    walk that meets it in data that no model describes gives an error.
//
// reference_test.go holds the shortest program that obeys E1 to E5, and
// TestAgainstReference compares the engine with it on random models and graphs.
//
// The node's copy of the graph (package graph) is kept exact by following the
// store's log: see follow.go for who waits for what. The package knows nothing
// of SQL, gRPC or HTTP, and logs nothing; numbers leave through Stats.
package engine
