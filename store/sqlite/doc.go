// Package sqlite keeps tuples, models and their history in one SQLite file, or
// in memory for tests. It is the embedded backend: one process owns the file.
//
// Rules kept everywhere in this package:
//
//	S1  A revision is a counter. Every request that changes something takes the
//	    next number, in the transaction that makes the change; a request that
//	    changes nothing takes none. The networks of a file share the counter.
//	S2  All writing is done by one goroutine. It gathers the requests that wait
//	    and commits them together, each in a savepoint of its own, so that one
//	    that fails leaves the others alone. A request sees those before it, so
//	    what it has checked still holds when it writes.
//	S3  A request is answered after the commit that holds it has reached the
//	    disk (WAL, synchronous=FULL). The head moves at the same moment.
//	S4  Readers never hold a transaction while their consumer works. They read
//	    page by page, and the revision columns make the pages fit together.
//	S5  Rows are overwritten once, when a tuple is removed, and deleted only by
//	    Purge, after the revisions that need them have been declared expired.
//	S6  Every statement on tuples, models and requests names the network first,
//	    and every index on them begins with it.
//
// The package knows nothing of models beyond their text, and of no other
// process: a lock beside the file keeps others out.
package sqlite
