// Package storetest says in tests what the comments of engine.Store say in
// words. Every backend runs the same suite:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(tb testing.TB) engine.Store { return open(tb) })
//	}
//
// The suite asks for what the contract promises and no more: it compares
// revisions with Covers alone, accepts that changes which cancel out are left
// out, and that the outcome of an interrupted write is unknown, though never
// half. The oracle is a set of tuples in memory (oracle.go). Random tests log
// their seed; CARDEA_TEST_SEED repeats one.
package storetest
