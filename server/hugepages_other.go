//go:build !linux

package server

import "time"

// hugePages is a matter of Linux.
type hugePages struct{ asked map[uintptr]time.Time }

func (*hugePages) ask() {}
