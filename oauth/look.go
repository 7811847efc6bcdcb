package oauth

import (
	"context"
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

// knownClients are clients as they were read, by id. Nobody uses one without a look into
// the database whether it is still the same, by its mark, so that a change counts at
// once: what is saved is to send and to decode it.
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
