package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGenerated compares tuples.txt with what the generator writes now.
func TestGenerated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tuples.txt")
	if err := writeFile(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("tuples.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("tuples.txt is not what the generator writes: run go generate ./examples")
	}
}
