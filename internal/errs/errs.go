// Package errs gives every error of Cardea a kind, which says what the caller
// can do about it. A kind is set where the error arises and becomes a status
// code in one table of package server; nothing in between looks at it.
package errs

import (
	"errors"
	"fmt"
)

// A Kind says what the caller can do about an error.
type Kind uint8

const (
	OK              Kind = iota // no error
	Internal                    // a bug, or a failure nobody classified
	Invalid                     // the request can never succeed as it stands
	Unauthenticated             // the caller must say who it is
	Denied                      // the caller may not do this
	NotFound                    // the named thing is not there
	Conflict                    // another write came first: read again, then retry
	Refused                     // the present state forbids it: change that first
	Expired                     // the revision is no longer kept: ask at a newer one
	Exhausted                   // a limit was reached: work, size, rate
	Unavailable                 // the same request may succeed later
	Unsupported                 // this server cannot do it
	Unknown                     // it may have been done or not: repeat it if that is safe
)

var names = [...]string{"ok", "internal", "invalid", "unauthenticated", "denied", "not found",
	"conflict", "refused", "expired", "exhausted", "unavailable", "unsupported", "unknown"}

func (k Kind) String() string { return names[k] }

// An Error is an error with a kind. Msg is written for the caller and may be
// sent to it. Err is written for the log and never leaves the process.
type Error struct {
	Kind Kind
	Msg  string
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// New returns an error of the kind with a message for the caller.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of the kind whose cause goes to the log only.
func Wrap(kind Kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...), Err: cause}
}

// KindOf returns OK for nil, the kind of the outermost *Error in err's chain if
// there is one, and Internal for everything else.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e) && e.Kind != OK:
		return e.Kind
	default:
		return Internal
	}
}
