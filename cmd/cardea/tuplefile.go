package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/engine"
)

// maxLine is the greatest length of a line of a tuple file, in bytes. The
// longest valid tuple in JSON, with every character escaped, is shorter.
const maxLine = 64 << 10

// tupleSuffixes are the files that are read when a folder is named.
var tupleSuffixes = []string{".txt", ".tuples", ".json", ".jsonl", ".ndjson"}

// A place is a line of a file.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// A source is something to read tuples from.
type source struct {
	name string
	open func() (io.ReadCloser, error)
}

// sources finds what the arguments name: files, folders with all that lie in
// them in the order of their names, and - for stdin, which is also what no
// argument means.
func sources(args []string, stdin io.Reader) ([]source, error) {
	if len(args) == 0 {
		args = []string{"-"}
	}
	var all []source
	for _, arg := range args {
		if arg == "-" {
			all = append(all, source{"stdin", func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }})
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		files := []string{arg}
		if info.IsDir() {
			if files, err = filesIn(arg, tupleSuffixes); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			all = append(all, source{file, func() (io.ReadCloser, error) { return os.Open(file) }})
		}
	}
	return all, nil
}

// filesIn returns the files below dir that end in one of the suffixes, in the
// order of their names, without hidden ones.
func filesIn(dir string, suffixes []string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && slices.Contains(suffixes, filepath.Ext(path)) && !strings.HasPrefix(d.Name(), "."):
			files = append(files, path)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("folder %s: there is no file in it that ends in %s", dir, strings.Join(suffixes, ", "))
	}
	return files, err
}

// tuples yields the tuples of all sources and the line of each. An error comes
// last, and names its line.
func tuples(all []source) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		for _, s := range all {
			r, err := s.open()
			if err != nil {
				yield(located{}, err)
				return
			}
			more := tuplesOf(s.name, r, yield)
			r.Close()
			if !more {
				return
			}
		}
	}
}

// A located is a tuple and where it stands.
type located struct {
	tuple engine.Tuple
	place place
}

func tuplesOf(name string, r io.Reader, yield func(located, error) bool) bool {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, 4096), maxLine)
	at := place{file: name}
	for scanner.Scan() {
		at.line++
		line := scanner.Bytes()
		if at.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")) // the mark some editors put first
		}
		t, ok, err := parseLine(string(line))
		if err != nil {
			yield(located{}, fmt.Errorf("%s: %w", at, err))
			return false
		}
		if ok && !yield(located{t, at}, nil) {
			return false
		}
	}
	switch err := scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		at.line++
		yield(located{}, fmt.Errorf("%s: line is longer than %d bytes", at, maxLine))
		return false
	case err != nil:
		yield(located{}, fmt.Errorf("%s: %w", at, err))
		return false
	}
	return true
}

// parseLine reads one line: a tuple in text or JSON, or nothing (false) if the
// line is blank or a comment, that is, starts with // or #.
func parseLine(line string) (engine.Tuple, bool, error) {
	line = strings.TrimSpace(line)
	switch {
	case line == "" || strings.HasPrefix(line, "//") || strings.HasPrefix(line, "#"):
		return engine.Tuple{}, false, nil
	case strings.HasPrefix(line, "{"):
		t, err := parseTupleJSON(line)
		return t, err == nil, err
	default:
		t, err := engine.ParseTuple(line)
		return t, err == nil, err
	}
}

// parseTupleJSON reads a tuple in the form of Keto's REST API. A misspelt key
// is an error.
func parseTupleJSON(line string) (engine.Tuple, error) {
	var v tupleJSON
	dec := json.NewDecoder(strings.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return engine.Tuple{}, fmt.Errorf("not a tuple in JSON: %w", err)
	}
	if dec.More() {
		return engine.Tuple{}, errors.New("more than one JSON object in a line: expected one")
	}
	if (v.SubjectID == nil) == (v.SubjectSet == nil) {
		return engine.Tuple{}, errors.New("subject_id and subject_set: expected exactly one of them")
	}
	t := engine.Tuple{Object: engine.Object{Namespace: v.Namespace, ID: v.Object}, Relation: v.Relation}
	if v.SubjectID != nil {
		t.Subject = engine.SubjectID(*v.SubjectID)
	} else {
		if v.SubjectSet.Namespace == "" {
			return engine.Tuple{}, errors.New("subject_set.namespace is empty: expected the name of a namespace")
		}
		t.Subject = engine.SubjectSet(v.SubjectSet.Namespace, v.SubjectSet.Object, v.SubjectSet.Relation)
	}
	return t, t.Validate()
}

// formatLine prints a tuple so that parseLine reads it back: in text where that
// is possible, and else as JSON.
func formatLine(t engine.Tuple) string {
	text := t.String()
	if back, ok, err := parseLine(text); err == nil && ok && back == t && !strings.ContainsAny(text, "\n\r") {
		return text
	}
	return formatJSON(t)
}

// formatJSON prints a tuple as one line of JSON.
func formatJSON(t engine.Tuple) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(toJSON(t)); err != nil {
		panic(err) // it is made of strings
	}
	return strings.TrimSuffix(b.String(), "\n")
}
