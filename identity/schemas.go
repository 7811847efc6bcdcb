package identity

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/cardea-iam/cardea/internal/errs"
)

func (s *Service) schemaURL(id string) string {
	return s.options.BaseURL + "/schemas/" + base64.RawURLEncoding.EncodeToString([]byte(id))
}

// listSchemas lists the schemas, which are few: a page_token says how many to leave out,
// and page, as in Kratos, is a number that begins with 1.
func (s *Service) listSchemas(w http.ResponseWriter, r *http.Request) error {
	type body struct {
		ID     string          `json:"id"`
		Schema json.RawMessage `json:"schema"`
	}
	q := r.URL.Query()
	size, after, err := sizeAndToken(q)
	if err != nil {
		return err
	}
	from, bad := 0, error(nil)
	switch number := q.Get("page"); {
	case after != "":
		from, bad = strconv.Atoi(after)
	case number != "":
		from, bad = strconv.Atoi(number)
		from = min(max(from-1, 0), len(s.schemas)) * size
	}
	if bad != nil || from < 0 {
		return errs.New(errs.Invalid, "page or page_token is not one that was given out")
	}
	from = min(from, len(s.schemas))
	to, next := min(from+size, len(s.schemas)), ""
	if to < len(s.schemas) {
		next = strconv.Itoa(to)
	}
	bodies := []body{}
	for _, schema := range s.schemas[from:to] {
		bodies = append(bodies, body{schema.ID, schema.Text})
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(len(s.schemas)))
	links(w, r, size, next)
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
