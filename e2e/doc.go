// Package e2e tests Cardea from the outside: it builds the program, starts it
// with a folder and ports of its own, and talks to it as users do, with the
// command line, with plain HTTP, and with the unchanged clients of Ory Keto for
// Go and JavaScript. It imports none of our packages but the examples, whose
// questions it asks, and testdb, which has the databases.
package e2e
