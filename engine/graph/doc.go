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
// The adjacency stands in chunks: flat arrays, without pointers but for very long
// lists, of 256 objects of one namespace with consecutive numbers. Each object has a line
// of its chunk, which is found by its number alone. There are two sets of them, from
// objects to subjects and from subjects to objects. A change copies the chunks
// that it touches, one in each direction, which are found through a persistent
// array.
//
// Invariants:
//
//	G1  What a published snapshot can reach is never written again.
//	G2  A Builder changes nothing but what it made itself; any number of them may
//	    start from any snapshot. Names are shared by all snapshots of a graph.
//	G3  Numbers are never reused and mean the same in all snapshots of a graph. 0
//	    is the empty name, for namespaces and relations, and no object at all.
//	G4  The subjects of a Set are distinct, and sorted by relation and object.
//	G5  In a complete graph a Ref without a Set has no subjects. In a partial one
//	    its subjects are not known unless it is Loaded. Changes of what is not
//	    known are not remembered, and memberships are not kept.
//	G6  What is said of an object is the same in both directions.
//
// Designs that were tried before, with numbers from a shared machine with two
// cores: Go maps copied on every batch of writes took 8 to 16 ms for
// a million keys, however small the batch. Persistent hash tries (Bagwell, Ideal
// Hash Trees, 2001) took 25 µs for a write, 68 bytes for a tuple beside its names,
// in one direction, and 50 ns for a step of a walk through a wide graph, most of
// it spent on hashing and on cache misses of the four or five nodes of a path.
// Chunks take 7 µs for a write, 33 bytes for a tuple of the Drive workload with its
// names and both directions, and 20 ns to find a set. Flat arrays for everything, with an overlay
// of changes that is merged in the background, would save the directory's second
// level and two look-ups' misses, and would pay with a second place to look at in
// every step, and a merge that copies gigabytes.
//
// The package knows no tuples, models or stores; package engine translates.
package graph
