package oauth

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
)

// subject is how a client knows an account: by its name, by one that the login page
// forces, or by one that other sectors cannot connect with it (OpenID Connect Core,
// section 8.1).
func (p *Provider) subject(c *Client, account, forced string) string {
	if forced != "" {
		return forced
	}
	if c.SubjectType != "pairwise" {
		return account
	}
	sum := sha256.Sum256([]byte(c.sector() + account + p.o.Subjects.Salt))
	return hex.EncodeToString(sum[:])
}

// sector is the host that a client's identifiers are for.
func (c *Client) sector() string {
	from := c.SectorURI
	if from == "" && len(c.RedirectURIs) > 0 {
		from = c.RedirectURIs[0]
	}
	if u, err := url.Parse(from); err == nil {
		return u.Host
	}
	return c.ID
}
