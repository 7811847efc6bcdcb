package oauth

import (
	"net/http"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

func (p *Provider) serveCreateClient(w http.ResponseWriter, r *http.Request) error {
	c := &Client{}
	if err := readJSON(r, c); err != nil {
		return err
	}
	if err := p.CreateClient(r, c); err != nil {
		return err
	}
	return reply(w, http.StatusCreated, c)
}

// CreateClient registers c, whose missing fields get their defaults. Unless it is
// public and has no secret, it gets one, which is in c once.
//
// Invalid: a field is wrong. Conflict: the id is taken.
func (p *Provider) CreateClient(r *http.Request, c *Client) error {
	now := p.o.Now()
	if c.ID == "" {
		c.ID = newID()
	}
	if c.AuthMethod == "" {
		c.AuthMethod = authBasic
	}
	c.Created, c.Updated = now.UTC().Truncate(time.Second), now.UTC().Truncate(time.Second)
	if slices.Contains([]string{authBasic, authPost, authSecretJWT}, c.AuthMethod) {
		var stored storedSecret
		c.Secret, stored = p.newSecret(c, c.Secret)
		c.secrets = []storedSecret{stored}
	}
	row, err := c.row()
	if err != nil {
		return errs.Wrap(errs.Invalid, err, "the client cannot be encoded")
	}
	return p.store.CreateClient(r.Context(), row)
}

func (p *Provider) serveClient(w http.ResponseWriter, r *http.Request) error {
	c, err := p.client(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, c)
}

func (p *Provider) serveDeleteClient(w http.ResponseWriter, r *http.Request) error {
	if err := p.store.DeleteClient(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
