package oauth

import (
	"context"
	"net/http"
	"slices"

	"github.com/cardea-iam/cardea/internal/errs"
)

func (p *Provider) serveReseal(w http.ResponseWriter, r *http.Request) error {
	keys, secrets, err := p.Reseal(r.Context())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"keys": keys, "client_secrets": secrets})
}

// Reseal encrypts what stays for ever, keys and the secrets of clients that sign with
// them, with the newest system secret where it was an older one, and returns how many.
// Every node must know that secret by then. Tokens, grants and logins keep the one that
// they were made with until they end.
func (p *Provider) Reseal(ctx context.Context) (keys, secrets int, err error) {
	rows, err := p.store.Keys(ctx, "")
	if err != nil {
		return 0, 0, err
	}
	for _, row := range rows {
		if p.o.Secrets.Newest(sealKey, row.Data) {
			continue
		}
		key, err := p.openKey(row)
		if err != nil {
			return keys, 0, err
		}
		sealed, err := p.keyRow(row.Set, key, row.Active)
		if err != nil {
			return keys, 0, err
		}
		row.Data = sealed.Data
		if err := p.store.PutKeys(ctx, row.Set, AddKeys, row); err != nil {
			return keys, 0, err
		}
		keys++
	}
	secrets, err = p.resealSecrets(ctx)
	return keys, secrets, err
}

func (p *Provider) resealSecrets(ctx context.Context) (done int, err error) {
	for after := ""; ; {
		rows, err := p.store.Clients(ctx, ClientQuery{After: after, Limit: maxPage})
		if err != nil || len(rows) == 0 {
			return done, err
		}
		for _, row := range rows {
			after = row.ID
			c, err := clientOf(row)
			if err != nil {
				return done, errs.Wrap(errs.Internal, err, "what is stored of the client %q cannot be read", row.ID)
			}
			if !slices.ContainsFunc(c.secrets, p.isOld) {
				continue
			}
			n := 0
			_, err = p.rewriteClient(ctx, row.ID, func(_, c *Client) (err error) {
				n, err = p.resealClient(c)
				return err
			})
			if err != nil && !isKind(err, errs.NotFound) {
				return done, err
			}
			done += n
		}
	}
}

// isOld reports whether a secret is encrypted with another system secret than the
// newest.
func (p *Provider) isOld(s storedSecret) bool {
	return s.Sealed != nil && !p.o.Secrets.Newest(sealSecret, s.Sealed)
}

func (p *Provider) resealClient(c *Client) (n int, err error) {
	c.secrets = slices.Clone(c.secrets)
	for i, s := range c.secrets {
		if !p.isOld(s) {
			continue
		}
		text, err := p.o.Secrets.Open(sealSecret, c.ID, s.Sealed)
		if err != nil {
			return n, errs.Wrap(errs.Internal, err, "a secret of the client %q cannot be read: is its system secret still among secrets.system?", c.ID)
		}
		c.secrets[i].Sealed = p.o.Secrets.Seal(sealSecret, c.ID, text)
		n++
	}
	return n, nil
}
