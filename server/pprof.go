package server

import (
	"net/http"
	"net/http/pprof"
)

// profiles registers what the Go runtime tells about the process, in the form that
// go tool pprof fetches. They show names from memory, so they are there only if asked
// for, on the metrics listener.
func profiles(rs *routes) {
	rs.operators("GET /debug/pprof/", http.HandlerFunc(pprof.Index))
	rs.operators("GET /debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	rs.operators("GET /debug/pprof/trace", http.HandlerFunc(pprof.Trace))
}
