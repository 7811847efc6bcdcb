// Package testdb gives tests real databases. Each test process starts at most
// one PostgreSQL of its own, on first use, and each test gets a database of its
// own on it; tests that kill the server get one for themselves. Nothing is left
// when the process ends, however it ends (see package localdb).
//
//	CARDEA_TEST_POSTGRES   DSN of a server to use instead, on which databases may
//	                       be made; or "required": where PostgreSQL is missing,
//	                       tests fail rather than be skipped
//	CARDEA_TEST_COCKROACH  the same for CockroachDB
//	COCKROACH_BINARY       the cockroach program; else it is looked for on PATH,
//	                       and then downloaded if that is possible
//
// Where this machine has no PostgreSQL, root with apt-get installs it. Where a
// database cannot be had, the test is skipped with one line that says why.
package testdb
