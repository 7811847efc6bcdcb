package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// TestCheckpoint: what a server writes when it stops the next one begins with, and
// one that is damaged is passed over.
func TestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "memory", "default.graph")
	edit := func(c *server.Config) {
		c.DSN = "sqlite://" + filepath.Join(dir, "cardea.db")
		c.Memory.Checkpoint.Dir = filepath.Dir(file)
	}
	n := startWithModel(t, edit)
	n.insert("Doc:a#viewers@User:ann")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v: expected a file for its owner only", info, err)
	}
	for round, damage := range []func([]byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		func([]byte) []byte { return nil },
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, damage(data), 0o600); err != nil {
			t.Fatal(err)
		}
		n := start(t, edit)
		n.run(n.read, []restCase{
			{"ann", "GET", "/relation-tuples/check?namespace=Doc&object=a&relation=view&subject_set.namespace=User&subject_set.object=ann&subject_set.relation=", "", 200, `{"allowed":true}`},
		})
		n.insert("Doc:b#viewers@User:ann")
		if got := n.count(); got != 2 {
			t.Errorf("round %d: %d tuples", round, got)
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
