package pg

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/cardea-iam/cardea/engine"
)

// A position is a revision, understood.
type position interface {
	// revision is the canonical text.
	revision() engine.Revision

	// covers reports whether the state shows all that the other one shows.
	covers(position) bool

	// readable reports Expired or Invalid if the state lies outside of the history
	// that begins with oldest, as the server writes it, and ends at newest.
	readable(oldest string, newest position) error

	// arg is the parameter of server.seen.
	arg() string

	// marks are the parameters of server.newer: one or two, as the state has it.
	marks() []any
}

// A server is what differs between PostgreSQL and CockroachDB. It has many methods,
// since it is the list of all that differs, and most are a piece of SQL: those that
// return a string. param is a placeholder such as $1.
type server interface {
	// parse reads a revision that a caller holds. Invalid: it is none.
	parse(rev engine.Revision) (position, error)

	// parseRaw reads what the SQL of head or mark returned.
	parseRaw(text string) (position, error)

	// head is the newest revision of a network, as raw text. It is one only together
	// with what its statement reads, see ask.
	head(network string) string

	// newestArgs are the arguments of a statement that has head or mark for the
	// network $1 and no other parameter.
	newestArgs(network int64) []any

	// ask finds the newest revision in one round trip, without its changes.
	ask(ctx context.Context, s *Store) (position, error)

	// mark is the first revision that shows what the running transaction did, as
	// raw text. It belongs into the last statement of the transaction. sure says
	// that the transaction writes something.
	mark(network string, sure bool) string

	// groups says whether writes of one tuple shall share transactions. Where those
	// of different tuples can be in each other's way they had better not.
	groups() bool

	// now identifies the running transaction in created and removed.
	now() string

	// never is a transaction before all others.
	never() string

	// living is removed of a row that lives.
	living() string

	// lives says of a row whether it lives now. Unlike a comparison with living, it
	// does not lead to an index of column.
	lives(column string) string

	// analyze is a statement that lets the server count what a table holds, if it
	// does not do so soon enough by itself.
	analyze() string

	// seen says whether the transaction in column is visible at param.
	seen(column, param string) string

	// newer lists conditions of which each finds by index some of the
	// transactions in column that are not visible at a position, whose marks, so
	// many, are the parameters from first on. Together they find all.
	newer(column string, first, marks int) []string

	// older bounds column for the sake of an index by what can be visible at param.
	older(column, param string) string

	// everyNamespace limits namespace to those that the network of param has, if
	// that helps to find rows by index; else it is empty.
	everyNamespace(param string) string

	// guard is a condition that no check of the running transaction has failed, and
	// stop what a check does to fail. They are empty and a constant where a
	// transaction looks at the results of its checks before it goes on.
	guard() string
	stop() string

	// try does j in a transaction. If it fails, unsure says that the transaction
	// may have been committed all the same.
	try(ctx context.Context, j *job) (unsure bool, err error)

	// settings are parameters of all connections.
	settings() map[string]string

	// transacts reports whether a batch outside of a transaction is one.
	transacts() bool

	// script is the text of a step of a script, as the server likes it best.
	script(text string) string

	// dialect is the folder of migrations.
	dialect() string

	// tells reports whether the server has LISTEN and NOTIFY.
	tells() bool

	// these selects the rows of tuple with the keys that the query rows returns, as
	// network and columns, and with the value of removed.
	these(rows, removed string) string

	// deleteSome deletes the first rows that where selects, as many as limit.
	deleteSome(table, where, order, limit string) string

	// removeSome ends the life of the first tuples that where selects, in the order of
	// list and as many as limit. It returns a row for each, or fewer: their number, and
	// list. The last tuple is among them.
	removeSome(where, limit string) string

	// foreign says that the transaction in column lies ahead of all that the server
	// has begun. ahead are the arguments for that from $2 on.
	foreign(column string) string
	ahead(ctx context.Context, db *DB) ([]any, error)

	// anew is SQL for created and revision of rows that Restored writes.
	anew(ctx context.Context, db *sql.DB) (created, revision string, err error)

	// sure reports whether an error of a commit says that nothing was committed.
	sure(err error) bool

	// settled says that whoever asks for a new revision sees the transaction in
	// column, and what came before it.
	settled(column string) string

	// migrating runs do while no other node does.
	migrating(ctx context.Context, db *sql.DB, o Options, do func(context.Context) error) error

	// alone runs do unless another node does the same; key says what.
	alone(ctx context.Context, db *DB, key int64, do func(context.Context) error) error
}

// A statement is SQL that is being written, with its arguments.
type statement struct {
	text strings.Builder
	args []any
}

// arg adds an argument and returns its placeholder.
func (s *statement) arg(value any) string {
	s.args = append(s.args, value)
	return placeholder(len(s.args))
}

// sql appends to the text.
func (s *statement) sql(parts ...string) {
	for _, part := range parts {
		s.text.WriteString(part)
	}
}

func placeholder(n int) string { return "$" + strconv.Itoa(n) }
