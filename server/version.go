package server

import "runtime/debug"

// version is set by the linker in releases.
var version string

// Version returns the version of this program: that of the release, else that of
// the commit it was built from, else "dev".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "dev"
}
