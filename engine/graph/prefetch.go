//go:build amd64 || arm64

package graph

import "unsafe"

// prefetch has the processor bring the lines of memory at three addresses into its cache,
// and does not wait for them, as a read does once some hundred instructions have passed.
// They are three, which may be the same, because the call costs more than all else.
//
//go:noescape
func prefetch(a, b, c unsafe.Pointer)
