// Command cardea is the server and its client in one program.
//
// cardea serve starts the server. The other commands ask a running one over
// gRPC, but for those that need none: opl fmt, model check, migrate, key, version.
//
// Rules kept by every command:
//
//   - What was asked for goes to stdout; errors, hints and progress to stderr.
//   - The exit code is 0 for yes and for done, 1 for no, and 2 for an error,
//     which is one line that names what is wrong and what would be right.
//   - -o json prints JSON and nothing else to stdout, in a form that stays.
package main
