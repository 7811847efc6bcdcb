package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A fileLock keeps other processes, and other stores of this one, away from a
// data file. It is a file of its own, because closing any descriptor of the
// data file would drop the locks that SQLite holds on it.
type fileLock struct{ file *flock.Flock }

// acquire creates the file path and its directory if they are not there,
// readable by their owner alone, and locks it. In memory it returns nil.
//
// Refused: somebody else holds the lock, or the file cannot be created.
func acquire(path string) (*fileLock, error) {
	if path == Memory {
		return nil, nil
	}
	if err := create(path); err != nil {
		return nil, errs.Wrap(errs.Refused, err, "data file %s cannot be created", path)
	}
	file := flock.New(path+".lock", flock.SetPermissions(0o600))
	held, err := file.TryLock()
	if err != nil {
		return nil, errs.Wrap(errs.Refused, err, "data file %s cannot be locked", path)
	}
	if !held {
		return nil, errs.New(errs.Refused, "data file %s is in use by another process: stop that one, or name another file", path)
	}
	return &fileLock{file}, nil
}

// release gives the lock back. The lock file stays: removing it would let two
// processes lock two files of the same name.
func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

func create(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new file's name survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
