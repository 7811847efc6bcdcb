// Package script is SQL that reads the same on every database that Cardea knows:
// statements that run in one transaction, and in one round trip where the database
// allows. What is stored beside tuples is written in it, once.
//
// The text keeps to what SQLite, PostgreSQL and CockroachDB have in common:
// placeholders are $1, $2, ...; times are integers in microseconds since 1970,
// truths are 0 and 1, lists are texts of the caller's. A statement is decided by
// rows that earlier ones of the same script left, since no code runs between them. A
// condition = (SELECT ...) may be asked as IN (SELECT ...), so it stands where both mean
// the same, and in no SET.
package script

import (
	"context"
	"slices"
)

// A Script is a list of statements. Again says that a connection broke before, so that
// all of it may have been done already.
type Script struct {
	Steps []Step
	Again bool
}

// A Step is one statement. Row, if there is one, is called for each row that it
// returns. N, if there is one, becomes the number of rows that it changed. Must, if
// there is one, is why the script fails if it changes none.
type Step struct {
	SQL  string
	Args []any
	Row  func(Scan) error
	N    *int64
	Must error
}

// Scan reads the columns of a row.
type Scan func(dest ...any) error

// Do adds a statement.
func (s *Script) Do(sql string, args ...any) { s.Steps = append(s.Steps, Step{SQL: sql, Args: args}) }

// Count adds a statement, and sets n to the number of rows that it changed.
func (s *Script) Count(n *int64, sql string, args ...any) {
	*n = 0
	s.Steps = append(s.Steps, Step{SQL: sql, Args: args, N: n})
}

// Must adds a statement that has to change a row. If it changes none, nothing of the
// script is done, and Write returns failure, which has a kind.
func (s *Script) Must(failure error, sql string, args ...any) {
	s.Steps = append(s.Steps, Step{SQL: sql, Args: args, Must: failure})
}

// Demands reports whether a step must change a row.
func (s *Script) Demands() bool {
	return slices.ContainsFunc(s.Steps, func(step Step) bool { return step.Must != nil })
}

// Ask adds a statement whose rows go to row.
func (s *Script) Ask(row func(Scan) error, sql string, args ...any) {
	s.Steps = append(s.Steps, Step{SQL: sql, Args: args, Row: row})
}

// A Runner is one network of a database. Its methods may be called from many
// goroutines at once. doing completes "could not ..." in errors, which have a kind.
type Runner interface {
	// Network is the number of the network, which is the first column of every key.
	Network() int64

	// Read runs what changes nothing. build starts anew whenever the script has to be
	// repeated, so it also resets what the rows are read into.
	Read(ctx context.Context, doing string, build func(*Script)) error

	// Write runs the script in one transaction. Where a connection breaks it may be
	// repeated although it was committed, so it must come to the same end then. A
	// script that has a step with Must is not repeated then.
	//
	// Conflict: it adds a row whose key is taken; nothing is written. Unknown: a
	// connection broke, and it may be committed or not.
	Write(ctx context.Context, doing string, build func(*Script)) error
}
