package main

import (
	"errors"
	"fmt"
)

// A notDeleted is what became of a thing that is still there.
type notDeleted struct {
	ID    string     `json:"id"`
	Error errorShown `json:"error"`
}

// deleteEach deletes things one by one, and says of each what became of it: one that
// cannot be deleted keeps nothing else from it.
func (a *app) deleteEach(which []string, del func(string) error) error {
	deleted, failed := []string{}, []notDeleted(nil)
	var all []error
	for _, id := range which {
		if err := del(id); err != nil {
			failed = append(failed, notDeleted{id, shown(err)})
			all = append(all, fmt.Errorf("%s: %w", id, err))
			continue
		}
		deleted = append(deleted, id)
		if a.output != "json" {
			fmt.Fprintf(a.stdout, "deleted %s\n", id)
		}
	}
	if a.output == "json" {
		err := a.printJSON(struct {
			Deleted []string     `json:"deleted"`
			Failed  []notDeleted `json:"failed,omitempty"`
		}{deleted, failed})
		if err != nil {
			return err
		}
	}
	return errors.Join(all...)
}
