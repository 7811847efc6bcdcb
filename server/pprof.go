package server

import (
	"net/http"
	"net/http/pprof"
)

// profiles registers what the Go runtime tells about the process, in the form that
// go tool pprof fetches. They show names from memory, so they are there only if asked
// for, on the metrics listener.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
