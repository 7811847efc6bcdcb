package oauth

import (
	"context"
	"net/http"

	"github.com/cardea-iam/cardea/internal/errs"
)

// serveRevoke is the revocation endpoint (RFC 7009). The answer is the same whether
// there was something to revoke, so that nobody learns which tokens there are.
func (p *Provider) serveRevoke(w http.ResponseWriter, r *http.Request) error {
	c, err := p.authenticated(r)
	if err != nil {
		return err
	}
	token := r.PostForm.Get("token")
	if token == "" {
		return errNoToken
	}
	if err := p.revokeToken(r.Context(), c, token); err != nil {
		return err
	}
	noStore(w.Header())
	w.WriteHeader(http.StatusOK)
	return nil
}

// revokeToken ends a token of c with everything that came of the same consent, also if
// it was used or has expired.
func (p *Provider) revokeToken(ctx context.Context, c *Client, token string) error {
	t, err := p.store.Token(ctx, kindOf(token), hashOf(token))
	if isKind(err, errs.NotFound) || err == nil && t.Client != c.ID {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := p.sessionOf(t)
	lost := isKind(err, errs.NotFound)
	if err != nil && !lost {
		return err
	}
	switch {
	case t.Grant == "":
		_, err = p.store.DeleteTokens(ctx, TokenQuery{Kind: t.Kind, Hash: t.Hash})
	case lost || s.Type == grantExchange:
		// The grant is that of the token it was exchanged for, perhaps another
		// client's.
		_, err = p.store.DeleteTokens(ctx, TokenQuery{Client: c.ID, Grant: t.Grant})
	default:
		err = p.revoke(ctx, t.Grant)
	}
	return err
}

// serveDeleteTokens ends all access tokens of a client.
func (p *Provider) serveDeleteTokens(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("client_id")
	if id == "" {
		return errs.New(errs.Invalid, "client_id: expected the client whose access tokens are to end")
	}
	if _, err := p.store.DeleteTokens(r.Context(), TokenQuery{Kind: Access, Client: id}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
