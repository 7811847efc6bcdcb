//go:build !linux

package server

// hugePages is a matter of Linux.
type hugePages struct{ tries map[uintptr]int }

func (*hugePages) ask() {}
