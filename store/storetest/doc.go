// Package storetest says in tests what the comments of engine.Store say in
// words. Every backend runs the same suite:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(tb testing.TB) storetest.DB { return storetest.Of(open(tb)) })
//	}
//
// and, if several processes may use one database, a part of it again with a
// handle for each of three nodes, see RunShared.
//
// The suite asks for what the contract promises and no more: it compares
// revisions with Covers alone, where those of two writes at the same time need
// not be comparable, accepts that changes which cancel out are left out, that a
// purge leaves rows for the next one, and that the outcome of an interrupted
// write is unknown, though never half. The oracle is a set of tuples in memory
// (oracle.go). Random tests log their seed; CARDEA_TEST_SEED repeats one.
package storetest
