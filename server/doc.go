// Package server puts the engine on the wire: it reads the configuration, opens
// the listeners, and translates gRPC, gRPC-Web, Connect and REST into calls of
// the engine and back. docs/api.md describes the doors from the outside.
//
// What goes on one port is told apart in mux.go; New in server.go builds
// everything and is the place to begin reading.
//
// Rules kept everywhere in this package:
//
//	S1  An error has its kind from where it arose and becomes a status in
//	    errors.go, nowhere else.
//	S2  A caller sees messages that were written for callers. Causes, panics and
//	    everything unclassified go to the log, with the id of the request.
//	S3  Generated types come in and go out in convert.go and stay in this package.
//	S4  What was accepted is finished or answered before Run returns, within the
//	    drain time.
//	S5  Whatever a client sends or fails to send, it holds a bounded amount of
//	    memory for a bounded time.
package server
