package server

import (
	"encoding/base64"
	"errors"
	"slices"
)

// Add adds a schema whose text is given.
func (s *identitySchemas) Add(id, text string) error {
	*s = append(*s, identitySchema{ID: id, URL: "base64://" + base64.StdEncoding.EncodeToString([]byte(text))})
	return nil
}

// SetHooks sets hooks of a flow, a list in JSON: of its end, or where is "before" or a
// method.
func (c *Config) SetHooks(kind, where, text string) error {
	for _, one := range flowEnds {
		if string(one.kind) != kind {
			continue
		}
		hooks := &one.flow(c).After.Hooks
		if n := slices.Index(endMethods[:], where); n >= 0 {
			hooks = &one.flow(c).Methods[n].Hooks
		} else if where == "before" {
			hooks = &one.flow(c).Before
		}
		return hooks.parse(text)
	}
	return errors.New("there is no such flow")
}
