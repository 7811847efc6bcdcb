// Package pg keeps tuples, models and their history in a PostgreSQL server (13
// and newer) or a CockroachDB cluster (20.2 and newer), for any number of nodes.
//
// Rules kept everywhere in this package:
//
//	P1  A row has the transaction that created it and the one that removed it.
//	    There is no counter, so writers do not wait for one another.
//	P2  A revision says which transactions are visible. On PostgreSQL it is a
//	    snapshot, on CockroachDB a time stamp. A row is there at a revision if
//	    its creator is visible and its remover is not.
//	P3  Only postgres.go and cockroach.go (and the migrations) know which server
//	    it is. All other SQL runs on both.
//	P4  Readers hold neither a transaction nor a connection while their consumer
//	    works. They read page by page, and ask with each page whether the history
//	    still reaches back to their revision.
//	P5  A question costs one round trip, however many sets or tuples it is about,
//	    as long as the answer fits on a page.
//	P6  Every statement ends: the server has a time limit for it, and the client
//	    one for the round trip, because a paused server keeps no promises.
//	P7  A write whose outcome is unknown is not repeated, unless it has a key.
//	P8  Rows are overwritten once, when a tuple is removed, and deleted only by
//	    Purge, after the revisions that need them have been declared expired.
//	P9  Every statement on tuples, models and requests names the network first,
//	    and every index on them begins with it.
//
// What tokens and rows do not survive is another history of transactions: a database
// that was restored from a dump, or a standby that was promoted before it had
// everything. Such a database needs a new epoch, see Restored; Network
// refuses it where it can tell.
package pg
