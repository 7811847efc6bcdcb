package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// CreateClient registers c, whose missing fields get their defaults. If it
// authenticates with a secret and has none, it gets one, which is in c this once.
//
// Conflict: the id is taken. Fields that are wrong are an error of RFC 7591.
func (p *Provider) CreateClient(ctx context.Context, c *Client) error {
	if c.Scope == "" && hasPeople(c) {
		c.Scope = strings.Join(p.o.Register.DefaultScope, " ")
	}
	return p.createClient(ctx, c)
}

// createClient does that with a client whose scope is what it is to have.
func (p *Provider) createClient(ctx context.Context, c *Client) error {
	if c.ID == "" {
		c.ID = newID()
	}
	fillIn(c)
	if err := p.validate(ctx, c, nil); err != nil {
		return err
	}
	if err := p.secure(c); err != nil {
		return err
	}
	if p.o.Register.Enabled {
		c.RegistrationToken, c.managed = newToken(registerPrefix)
	}
	c.Created = p.o.Now().UTC().Truncate(time.Second)
	c.Updated = c.Created
	row, err := c.row()
	if err != nil {
		return errs.Wrap(errs.Invalid, err, "the client cannot be encoded")
	}
	return p.store.CreateClient(ctx, row)
}

// maxRaces is how often an update is tried while others update the same client. Each
// time at least one of them succeeds.
const maxRaces = 20

// updateClient applies a change to a client, and returns what it became. change may be
// called several times. Fields that are wrong then are an error of RFC 7591.
func (p *Provider) updateClient(ctx context.Context, id string, change func(*Client) error) (*Client, error) {
	return p.rewriteClient(ctx, id, func(old, c *Client) error {
		if err := change(c); err != nil {
			return err
		}
		c.Updated = p.o.Now().UTC().Truncate(time.Second)
		fillIn(c)
		return p.validate(ctx, c, old)
	})
}

// rewriteClient stores what change makes of a client as it is stored, unless another
// change comes first: then it begins again.
func (p *Provider) rewriteClient(ctx context.Context, id string, change func(old, c *Client) error) (*Client, error) {
	for range maxRaces {
		old, err := p.client(ctx, id)
		if err != nil {
			return nil, err
		}
		c := *old
		if err := change(old, &c); err != nil {
			return nil, err
		}
		row, err := c.row()
		if err != nil {
			return nil, errs.Wrap(errs.Invalid, err, "the client cannot be encoded")
		}
		if err := p.store.UpdateClient(ctx, row); !isKind(err, errs.Conflict) {
			return &c, err
		}
	}
	return nil, errs.New(errs.Conflict, "the client %q is changed by many at the same time: try again", id)
}

// replace gives c the fields of given, but for those that nobody chooses.
func (p *Provider) replace(c *Client, given *Client) error {
	if given.ID != "" && given.ID != c.ID {
		return errMetadata.WithHintf("client_id: it cannot be changed: expected %q.", c.ID)
	}
	n := *given
	n.ID, n.Created, n.version, n.secrets, n.managed = c.ID, c.Created, c.version, c.secrets, c.managed
	*c = n
	return p.secure(c)
}

// usesSecret reports whether a method of authentication shows a secret.
func usesSecret(method string) bool {
	return method == "" || method == authBasic || method == authPost || method == authSecretJWT
}

// secure sees to it that c has a secret if it authenticates with one, and else none.
// The secret that it is to have is in c.Secret, and what the caller learns is
// afterwards.
func (p *Provider) secure(c *Client) error {
	switch {
	case !usesSecret(c.AuthMethod):
		if c.Secret != "" {
			return errMetadata.WithHintf("client_secret: the authentication method %q uses none.", c.AuthMethod)
		}
		c.secrets = nil
	case c.Secret != "":
		if len(c.Secret) > maxSecret {
			return errMetadata.WithHintf("client_secret: it has more than %d bytes.", maxSecret)
		}
		var stored storedSecret
		_, stored = p.newSecret(c, c.Secret)
		c.secrets = []storedSecret{stored}
	case len(c.secrets) == 0, c.AuthMethod == authSecretJWT && c.secrets[0].Sealed == nil:
		p.makeSecret(c)
	}
	return nil
}

// makeSecret gives c a new secret in place of those that it has.
func (p *Provider) makeSecret(c *Client) {
	var stored storedSecret
	c.Secret, stored = p.newSecret(c, "")
	c.secrets = []storedSecret{stored}
}

// readClient reads a client that somebody registers. Fields that are not known are
// ignored, as RFC 7591 has it, and those that nobody chooses, too.
func readClient(body io.Reader) (*Client, error) {
	c := &Client{}
	if err := readMetadata(body, c); err != nil {
		return nil, err
	}
	c.unset()
	return c, nil
}

// unset forgets what nobody chooses, and what is nothing.
func (c *Client) unset() {
	c.Created, c.Updated, c.SecretExpires = time.Time{}, time.Time{}, 0
	c.RegistrationToken, c.RegistrationURI = "", ""
	if m := string(c.Metadata); m == "null" || m == "{}" {
		c.Metadata = nil
	}
}

// readMetadata reads one JSON object.
func readMetadata(body io.Reader, into any) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return errs.Wrap(errs.Invalid, err, "the body cannot be read: %v", err)
	}
	return decodeMetadata(text, into)
}

func decodeMetadata(text []byte, into any) error {
	err := json.Unmarshal(text, into)
	switch {
	case err == nil && string(bytes.TrimSpace(text)) == "null":
		return errMetadata.WithHint("the body is no JSON object.")
	case err != nil:
		return errMetadata.WithHint(misread(err) + ".").WithWrap(err)
	}
	return nil
}
