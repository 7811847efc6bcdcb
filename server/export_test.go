package server

import "encoding/base64"

// Add adds a schema whose text is given.
func (s *identitySchemas) Add(id, text string) error {
	return s.parse([]any{map[string]any{"id": id, "url": "base64://" + base64.StdEncoding.EncodeToString([]byte(text))}})
}

// SetHooks sets the hooks after a kind of flow, a list in JSON.
func (c *Config) SetHooks(kind, text string) error {
	return map[string]*IdentityFlow{"login": &c.Identity.Login, "registration": &c.Identity.Registration, "settings": &c.Identity.Settings}[kind].Hooks.parse(text)
}
