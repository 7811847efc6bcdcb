package oauth

import (
	"net/http"
	"net/url"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// clientRoutes is Hydra's administration of clients.
func (p *Provider) clientRoutes() []Route {
	const client = "/admin/clients/{id}"
	return []Route{
		{"GET /admin/clients", p.serveClients},
		{"POST /admin/clients", p.serveCreateClient},
		{"GET " + client, p.serveClient},
		{"PUT " + client, p.serveReplaceClient},
		{"PATCH " + client, p.servePatchClient},
		{"DELETE " + client, p.serveDeleteClient},
		{"PUT " + client + "/lifespans", p.serveLifespans},
		{"POST " + client + "/secrets/rotate", p.serveRotateSecret},
		{"DELETE " + client + "/secrets/rotate", p.serveForgetSecrets},
	}
}

func (p *Provider) serveClients(w http.ResponseWriter, r *http.Request) error {
	size, after, err := pageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	rows, err := p.store.Clients(r.Context(), ClientQuery{Owner: q.Get("owner"), Name: q.Get("client_name"), After: after, Limit: size + 1})
	if err != nil {
		return err
	}
	next := ""
	if len(rows) > size {
		rows = rows[:size]
		next = rows[size-1].ID
	}
	clients := []*Client{}
	for _, row := range rows {
		c, err := clientOf(row)
		if err != nil {
			return errs.Wrap(errs.Internal, err, "what is stored of the client %q cannot be read", row.ID)
		}
		clients = append(clients, p.shown(c))
	}
	linkPages(w.Header(), r, next)
	return reply(w, http.StatusOK, clients)
}

func (p *Provider) serveCreateClient(w http.ResponseWriter, r *http.Request) error {
	c, err := readClient(r.Body)
	if err != nil {
		return err
	}
	if err := p.CreateClient(r.Context(), c); err != nil {
		return err
	}
	w.Header().Set("Location", "/admin/clients/"+url.PathEscape(c.ID))
	return reply(w, http.StatusCreated, p.shown(c))
}

func (p *Provider) serveClient(w http.ResponseWriter, r *http.Request) error {
	c, err := p.client(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, p.shown(c))
}

func (p *Provider) serveReplaceClient(w http.ResponseWriter, r *http.Request) error {
	given, err := readClient(r.Body)
	if err != nil {
		return err
	}
	return p.replyUpdated(w, r, func(c *Client) error { return p.replace(c, given) })
}

func (p *Provider) servePatchClient(w http.ResponseWriter, r *http.Request) error {
	patch, err := readPatch(r.Body)
	if err != nil {
		return err
	}
	return p.replyUpdated(w, r, func(c *Client) error {
		given, err := patched(c, patch)
		if err != nil {
			return err
		}
		return p.replace(c, given)
	})
}

func (p *Provider) serveDeleteClient(w http.ResponseWriter, r *http.Request) error {
	if err := p.store.DeleteClient(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (p *Provider) serveLifespans(w http.ResponseWriter, r *http.Request) error {
	var given Lifespans
	if err := readMetadata(r.Body, &given); err != nil {
		return err
	}
	return p.replyUpdated(w, r, func(c *Client) error {
		c.Lifespans = given
		return nil
	})
}

// maxSecrets is how many secrets of a client are good at the same time.
const maxSecrets = 5

func (p *Provider) serveRotateSecret(w http.ResponseWriter, r *http.Request) error {
	return p.replySecrets(w, r, func(c *Client) error {
		if !usesSecret(c.AuthMethod) {
			return errMetadata.WithHintf("token_endpoint_auth_method: %q uses no secret.", c.AuthMethod)
		}
		older := c.secrets
		p.makeSecret(c)
		c.secrets = append(c.secrets, older[:min(len(older), maxSecrets-1)]...)
		return nil
	})
}

func (p *Provider) serveForgetSecrets(w http.ResponseWriter, r *http.Request) error {
	return p.replySecrets(w, r, func(c *Client) error {
		c.secrets = c.secrets[:min(len(c.secrets), 1)]
		return nil
	})
}

// replySecrets changes the secrets of the client of the request and shows it. What else
// is registered is not checked: also where it would no longer be taken, a secret that
// leaked must go.
func (p *Provider) replySecrets(w http.ResponseWriter, r *http.Request, change func(*Client) error) error {
	c, err := p.rewriteClient(r.Context(), r.PathValue("id"), func(_, c *Client) error {
		c.Updated = p.o.Now().UTC().Truncate(time.Second)
		return change(c)
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, p.shown(c))
}

// replyUpdated changes the client of the request and shows it.
func (p *Provider) replyUpdated(w http.ResponseWriter, r *http.Request, change func(*Client) error) error {
	c, err := p.updateClient(r.Context(), r.PathValue("id"), change)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, p.shown(c))
}

// shown adds to c what is not stored.
func (p *Provider) shown(c *Client) *Client {
	if p.o.Register.Enabled && c.managed != (Hash{}) {
		c.RegistrationURI = p.own.register + "/" + url.PathEscape(c.ID)
	}
	return c
}
