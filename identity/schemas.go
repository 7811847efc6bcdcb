package identity

import (
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/cardea-iam/cardea/internal/errs"
)

func (s *Service) schemaURL(id string) string {
	return s.options.BaseURL + "/schemas/" + base64.RawURLEncoding.EncodeToString([]byte(id))
}

func (s *Service) listSchemas(w http.ResponseWriter, _ *http.Request) error {
	type body struct {
		ID     string          `json:"id"`
		Schema json.RawMessage `json:"schema"`
	}
	bodies := []body{}
	for _, schema := range s.schemas {
		bodies = append(bodies, body{schema.ID, schema.Text})
	}
	return reply(w, http.StatusOK, bodies)
}

func (s *Service) getSchema(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	schema := s.schema(id)
	if schema == nil {
		if plain, err := base64.RawURLEncoding.DecodeString(id); err == nil {
			schema = s.schema(string(plain))
		}
	}
	if schema == nil {
		return errs.New(errs.NotFound, "there is no identity schema %.80q", id)
	}
	return reply(w, http.StatusOK, schema.Text)
}
