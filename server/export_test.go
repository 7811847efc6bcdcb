package server

import "encoding/base64"

// Add adds a schema whose text is given.
func (s *identitySchemas) Add(id, text string) error {
	return s.parse([]any{map[string]any{"id": id, "url": "base64://" + base64.StdEncoding.EncodeToString([]byte(text))}})
}
