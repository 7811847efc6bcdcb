// Package grants is the oauth.Store of every SQL database. Each method is one script,
// see package script, and as a rule one round trip.
//
// Rules kept everywhere in this package:
//
//	G1  One statement decides between callers who race: an UPDATE of a row that is
//	    still as it has to be, or an INSERT under a key. All others of its script look
//	    at what it left.
//	G2  A call writes its mark, a random number, into the rows that it adds or changes.
//	    If the script is run again because a connection broke, it finds the mark and
//	    comes to the same end.
//	G3  Whether a token is revoked is never written into it, but seen when it is read:
//	    its grant is revoked or not there, or its client is not there.
//	G4  What can be many rows is deleted or changed in batches, in the order of an index.
//
// The package does not know what the data of a row mean, nor what time it is.
package grants
