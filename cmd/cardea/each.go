package main

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
)

// A notDone is what became of a thing that is as it was.
type notDone struct {
	ID    string     `json:"id"`
	Error errorShown `json:"error"`
}

// deleteEach is each for what deletes.
func (a *app) deleteEach(which []string, del func(string) error) error {
	return a.each(which, "deleted", "deleted", del)
}

// each does something to things one by one, and says of each what became of it: verb says
// what was done, and key names them in JSON. What fails for one keeps nothing else from it,
// unless it would fail for all.
func (a *app) each(which []string, verb, key string, do func(string) error) error {
	done, failed := []string{}, []notDone(nil)
	var all []error
	for n, id := range which {
		err := do(id)
		if err == nil {
			done = append(done, id)
			if a.output != "json" {
				fmt.Fprintf(a.stdout, "%s %s\n", verb, id)
			}
			continue
		}
		failed = append(failed, notDone{id, shown(err)})
		all = append(all, fmt.Errorf("%s: %w", id, err))
		if rest := which[n+1:]; isForAll(err) && len(rest) > 0 {
			all = append(all, fmt.Errorf("%d more were not tried", len(rest)))
			break
		}
	}
	if a.output == "json" {
		out := map[string]any{key: done}
		if failed != nil {
			out["failed"] = failed
		}
		if err := a.printJSON(out); err != nil {
			return err
		}
	}
	return errors.Join(all...)
}

// isForAll reports whether an error is not about the thing that was asked for.
func isForAll(err error) bool {
	var e *remoteError
	if !errors.As(err, &e) {
		return true
	}
	switch e.code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Unauthenticated, codes.PermissionDenied, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}
