package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binaries finds the executables of the engines, and builds those that it can.
type binaries struct {
	root   string            // of Cardea's tree
	folder string            // where built ones are kept
	build  bool              // whether peers are built
	named  map[string]string // paths by name, from flags
	log    io.Writer
}

// sourceRoot returns the root of Cardea's tree, of which this module is a part.
func sourceRoot(ctx context.Context) (string, error) {
	return output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cardea-iam/cardea")
}

// find returns the path of a program's executable: the one of the flag, the one
// that its module builds, or the one on PATH.
func (b binaries) find(ctx context.Context, p program) (string, error) {
	if path := b.named[p.binary]; path != "" {
		return path, isFile(path)
	}
	if p.name == "cardea" {
		path := filepath.Join(b.folder, p.binary)
		return path, b.compile(ctx, b.root, "./cmd/cardea", path)
	}
	var unbuilt error
	if p.tools {
		path, err := b.buildPeer(ctx, p)
		if err == nil {
			return path, nil
		}
		unbuilt = err
	}
	path, err := exec.LookPath(p.binary)
	if err != nil {
		return "", errors.Join(fmt.Errorf("not on this machine: --%s names its program, or PATH has it", p.binary), unbuilt)
	}
	return path, nil
}

// buildPeer builds a peer from its module, unless it was built before.
func (b binaries) buildPeer(ctx context.Context, p program) (string, error) {
	tools := filepath.Join(b.root, "bench", "peers", "tools", p.binary)
	version, err := output(ctx, "go", "-C", tools, "list", "-m", "-f", "{{.Version}}", p.module)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.folder, p.binary+"-"+version)
	if isFile(path) == nil {
		return path, nil
	}
	if !b.build {
		return "", fmt.Errorf("--build=false, and %s was not built before", path)
	}
	fmt.Fprintf(b.log, "building %s %s, which may take minutes\n", p.binary, version)
	return path, b.compile(ctx, tools, p.module+"/cmd/"+p.binary, path)
}

func (b binaries) compile(ctx context.Context, in, pkg, to string) error {
	if err := os.MkdirAll(b.folder, 0o755); err != nil {
		return err
	}
	_, err := output(ctx, "go", "-C", in, "build", "-o", to, pkg)
	return err
}

// version says which version of a program an executable is.
func (b binaries) version(ctx context.Context, p program, path string) string {
	if p.name == "cardea" && b.named[p.binary] == "" {
		if v, err := output(ctx, "git", "-C", b.root, "describe", "--tags", "--always", "--dirty"); err == nil {
			return v
		}
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == p.module {
			return m.Version
		}
	}
	return "unknown"
}

func isFile(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	return err
}

// output runs a command and returns what it prints, without the end of line.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
