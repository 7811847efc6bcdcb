// Package identity answers who somebody is: it keeps identities, their credentials
// and sessions, and runs the flows in which people register, log in, change their
// settings, and recover. It speaks Ory Kratos's HTTP API.
//
// Where to start: store.go has what is stored, flow.go what a flow is, machine.go how
// a flow goes from one form to the next, and strategy.go the interface of a way to
// prove who one is. password.go is the shortest strategy.
//
// Rules kept everywhere:
//
//	I1  What one submission changes is written in one transaction, or not at all. An
//	    identity is changed by comparing its version, so of two changes of the same
//	    state one is made, and the other one starts again.
//	I2  Tokens and codes are stored as hashes, secrets of people encrypted. None of
//	    them is logged.
//	I3  Opening a flow writes nothing. Its id carries what is needed to begin it, see
//	    flowid.go, and what does not fit there lies in a sealed cookie.
//	I4  An answer does not tell whether an account exists: not by its text, its
//	    status, or its time.
//	I5  Whatever works once is decided by one statement in the database.
//	I6  A form is built anew whenever it is shown. Stored are only what the user wrote
//	    and the messages.
//
// It knows no SQL, nothing of OAuth2, and of permissions the words in groups.go only.
package identity
