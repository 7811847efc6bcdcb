// Package testapt installs what tests need and a machine does not have: where the test
// runs as root on a system with apt-get, as continuous integration does. Elsewhere the
// test that asked is skipped, and says what is missing.
package testapt

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/cardea-iam/cardea/internal/errs"
)

// limit bounds an installation.
const limit = 5 * time.Minute

// Install installs packages. missing says what is not there and what people can do about
// it; have reports whether it is there, since the processes of other tests may want the
// same at the same time.
//
// Unsupported: this process may not install anything, or it cannot be had.
func Install(missing string, have func() bool, packages ...string) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return errs.New(errs.Unsupported, "%s", missing)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	lock := flock.New(filepath.Join(os.TempDir(), "cardea-install.lock"))
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	defer lock.Unlock()
	if have() {
		return nil // another process was first
	}
	install := append([]string{"install", "-o", "DPkg::Lock::Timeout=120", "-y", "-qq", "--no-install-recommends"}, packages...)
	for _, args := range [][]string{{"update", "-qq"}, install} {
		cmd := exec.CommandContext(ctx, apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return errs.Wrap(errs.Unsupported, err, "%s (apt-get %s: %s)", missing, args[0], lastLine(string(out)))
		}
	}
	return nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
