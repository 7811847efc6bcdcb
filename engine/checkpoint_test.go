package engine_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
)

// TestCheckpoint: an engine that begins with a checkpoint is as one that read the
// store, whatever was written since, and one whose checkpoint is of no use says why
// and reads the store.
func TestCheckpoint(t *testing.T) {
	db, s := newDB(t)
	e := newEngine(t, s, engine.Options{})
	if _, _, err := e.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		write(t, e, fmt.Sprintf("Doc:%d#viewers@Group:g%d#members", i, i%7), fmt.Sprintf("Group:g%d#members@User:u%d", i%7, i))
	}
	var file bytes.Buffer
	if err := e.WriteCheckpoint(&file); err != nil {
		t.Fatal(err)
	}
	write(t, e, "-Group:g3#members@User:u3", "Doc:1#banned@User:u1", "Doc:new#viewers@User:new")
	if _, _, err := e.ApplyModel(t.Context(), docs+"class More implements Namespace {}\n", engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	same := func(name string, other *engine.Engine) {
		t.Helper()
		for i := range 40 {
			for j := range 40 {
				q := fmt.Sprintf("Doc:%d#view@User:u%d", i, j)
				if check(t, e, q, latency) != check(t, other, q, latency) {
					t.Errorf("%s: another answer to %s", name, q)
				}
			}
		}
		if !check(t, other, "Doc:new#view@User:new", latency) || len(other.Namespaces()) != len(e.Namespaces()) {
			t.Errorf("%s: what came after the checkpoint is not there", name)
		}
		write(t, e, "Doc:later#viewers@User:u1")
		if !check(t, other, "Doc:later#view@User:u1", fully) {
			t.Errorf("%s: the engine does not follow the log", name)
		}
		write(t, e, "-Doc:later#viewers@User:u1")
	}
	begin := func(data []byte) *engine.Engine {
		return newEngine(t, s, engine.Options{Checkpoint: bytes.NewReader(data)})
	}
	good := begin(file.Bytes())
	if err := good.Resumed(); err != nil || good.Stats().StoreRows > 10 {
		t.Errorf("the checkpoint was of no use: %v; %d rows were read", err, good.Stats().StoreRows)
	}
	same("good", good)
	damaged := bytes.Clone(file.Bytes())
	damaged[len(damaged)/2] ^= 1
	for name, data := range map[string][]byte{"damaged": damaged, "cut": file.Bytes()[:file.Len()/2], "empty": {}} {
		other := begin(data)
		if other.Resumed() == nil {
			t.Errorf("%s: nothing is said", name)
		}
		same(name, other)
	}
	elsewhere := newEngine(t, newStore(t), engine.Options{Checkpoint: bytes.NewReader(file.Bytes())})
	if elsewhere.Resumed() == nil || elsewhere.Stats().Tuples != 0 {
		t.Error("the checkpoint of another store was taken")
	}
	if _, err := db.Purge(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	same("purged", begin(file.Bytes()))
}
