// Package graph holds the tuple graph of a node in memory.
//
// A Snapshot is one state of the graph. It never changes, so any number of
// goroutines walk it without locks, and old snapshots stay exact for as long as
// somebody holds them. A Builder makes the next snapshot from the last one; the
// two share all that the changes did not touch.
//
// Names become small integers on their way in: a namespace, a relation and an
// object are each a uint32, and a Ref, an object with a relation, is a uint64.
// A subject is a Ref too: a subject set is the Ref of its relation, an object
// as a subject is the Ref with the empty relation, and a plain subject id is an
// object of the namespace that has no name.
//
// Invariants:
//
//	G1  What a published snapshot can reach is never written again.
//	G2  There is at most one Builder at work on the newest snapshot. A second
//	    one must start from Snapshot.Fork.
//	G3  Ids are never reused and mean the same in all snapshots of one line of
//	    builders. 0 is the empty name, for namespaces and relations, and no
//	    object at all.
//	G4  The members of a Set are sorted and distinct.
//	G5  In a complete graph a Ref without a Set has no subjects. In a partial
//	    one nothing is known of it, and the empty Set says that there are none.
//	    Changes of what is not known are not remembered.
//
// The maps are hash array mapped tries (Bagwell, Ideal Hash Trees, 2001): a
// look-up at a million keys visits four or five nodes, and a change copies as
// many. A Go map that is copied on every batch of writes was the simpler
// design; at a million keys one copy took 8 to 16 ms, for however small a
// batch, and left the old map as garbage. Maps guarded by locks would let a
// writer stop readers and would give no snapshots.
//
// The package knows no tuples, models or stores; package engine translates.
package graph
