package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/cardea-iam/cardea/internal/errs"
)

// look reads at once what a request needs, in one round trip. The client is nil if there
// is none.
func (p *Provider) look(ctx context.Context, l Look) (*Client, Seen, error) {
	known, ok := p.clients.get(l.Client)
	if ok {
		l.Mark = known.mark
	}
	seen, err := p.store.Look(ctx, l)
	if err != nil || seen.Client == nil {
		return nil, seen, err
	}
	if ok && seen.Mark == known.mark {
		return known.client.copy(), seen, nil
	}
	c, err := clientOf(*seen.Client)
	if err != nil {
		return nil, seen, errs.Wrap(errs.Internal, err, "what is stored of the client %q cannot be read", l.Client)
	}
	p.clients.put(l.Client, knownClient{seen.Mark, c})
	return c.copy(), seen, nil
}

// copy keeps what is done to the fields of a client from others who have it.
func (c *Client) copy() *Client {
	out := *c
	return &out
}

// maxClients bounds how many clients are kept decoded.
const maxClients = 4096

// mayTrust reports whether a request may be answered by what is known of its client, and
// the database asked only with the token that it gets whether that is still so: nothing
// else is read or written for it, and nobody else is asked.
func (p *Provider) mayTrust(r *http.Request) bool {
	return r.PostForm.Get("grant_type") == grantCredentials && r.Header.Get("DPoP") == "" && p.o.Hooks.Token.URL == ""
}

// trust returns a client that is known, with its mark, if the request has its secret.
// Only what costs little is looked at: all else is for authenticate.
func (p *Provider) trust(r *http.Request, form url.Values) (*Client, string) {
	k, err := credentialsOf(r, form)
	if err != nil || k.secret == "" {
		return nil, ""
	}
	known, ok := p.clients.get(k.id)
	if !ok || !slices.Contains(k.methods, known.client.authMethod()) || !known.client.provedBefore(p, k.secret) {
		return nil, ""
	}
	return known.client.copy(), known.mark
}

// knownClients are clients as they were read, by id. Nobody gets anything by one without
// the database saying in the same request that it is still the same, by its mark, so
// that a change counts at once: what is saved is to send and to decode it.
type knownClients struct {
	mu    sync.Mutex
	known map[string]knownClient
}

type knownClient struct {
	mark   string
	client *Client
}

func newKnownClients() *knownClients { return &knownClients{known: map[string]knownClient{}} }

func (k *knownClients) get(id string) (knownClient, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.known[id]
	return c, ok
}

func (k *knownClients) put(id string, c knownClient) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.known[id]; !ok && len(k.known) >= maxClients {
		for old := range k.known { // any
			delete(k.known, old)
			break
		}
	}
	k.known[id] = c
}
