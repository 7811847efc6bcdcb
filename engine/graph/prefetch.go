//go:build amd64 || arm64

package graph

import "unsafe"

// prefetch has the processor bring the line of memory at an address into its cache, and
// does not wait for it, as a read does once some hundred instructions have passed.
//
//go:noescape
func prefetch(at unsafe.Pointer)
