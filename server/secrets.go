package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/store"
)

// secretSuffix follows the name of an SQLite file in that of the file with its
// system secrets, one a line, the newest first.
const secretSuffix = ".secrets"

func areSecrets(value any) error {
	for i, s := range *value.(*[]string) {
		if len(s) < secret.MinLength {
			return fmt.Errorf("secret %d has %d bytes: expected at least %d", i, len(s), secret.MinLength)
		}
	}
	return nil
}

// keyring returns the system secrets of the configuration. Without them an SQLite
// file has its own beside it, so that they are not in every copy of it; memory has
// new ones at each start, and so has --dev, whose sessions end then. For a database
// server, whose nodes must all know the same, it is nil: OAuth2 and identity are off.
func (c Config) keyring(log *slog.Logger) (*secret.Keyring, error) {
	if len(c.Secrets.System) > 0 {
		return secret.New(c.Secrets.System...)
	}
	path, own, err := store.File(c.DSN)
	switch {
	case err != nil:
		return nil, err
	case path != "":
		return besideFile(path + secretSuffix)
	case own:
		return secret.New(secret.Random())
	case c.Dev:
		log.Warn("secrets.system is not set: what is encrypted and signed now is lost when this process ends")
		return secret.New(secret.Random())
	default:
		log.Warn("secrets.system is not set: OAuth2 and identity are off, and the public API is closed; all nodes need the same secrets")
		return nil, nil
	}
}

// secretsOf returns the system secrets as oauth has them in a network: who may answer
// the challenges of one network cannot answer those of another. Package identity sees
// to that itself.
func (c *core) secretsOf(n *network) *secret.Keyring {
	if n.name == usualNetwork {
		return c.secrets
	}
	return c.secrets.In(n.name)
}

// besideFile reads the secrets of a file, which it makes if there is none.
func besideFile(path string) (*secret.Keyring, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(secret.Random() + "\n")
		err = writeSecret(path, text)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Refused, err, "the file with the system secrets, %s, cannot be read or made: %v", path, err)
	}
	k, err := secret.New(strings.Fields(string(text))...)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "%s: %v", path, err)
	}
	return k, nil
}

// writeSecret leaves no half-written file: what was encrypted with a secret that is
// lost is lost, too.
func writeSecret(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
