// Package oauth is an OAuth 2 authorization server and OpenID provider: it says which
// application may act for whom. It speaks Hydra's public and admin interfaces, and
// the RFCs where the two differ.
//
// Rules kept everywhere in this package:
//
//	O1  fosite reads requests and names errors. Storage, sessions, keys, tokens and
//	    everything that is written to a client are ours, so each departure from
//	    fosite stands in one named file.
//	O2  What may be used once is redeemed by Store.Redeem, in the transaction that
//	    adds what it was exchanged for. A second use revokes the grant.
//	O3  A token lives as long as its grant: revoking the grant is one row, and a token
//	    that is added to a revoked grant is dead on arrival.
//	O4  Tokens are 256 random bits, and stored as their SHA-256.
//	O5  A request on its way through login and consent is sealed in the challenge that
//	    the browser carries. Nothing is stored before the consent.
//
// The package knows nothing of SQL, of identities, and of permissions: server joins
// them.
package oauth
