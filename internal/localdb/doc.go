// Package localdb runs database servers of its own on this machine: a private
// PostgreSQL from the machine's binaries, or CockroachDB nodes from a binary that
// it is given. They listen on loopback, keep their data in a temporary folder,
// and are as durable as in production (fsync is on), since tests kill them.
//
// Nothing is left behind. A server is the child of a small shell that waits on a
// pipe from this process. When this process ends, however it ends, the pipe
// closes, the shell ends the server and removes its folder.
package localdb
