package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/opl"
)

// core is what the handlers of every API need.
type core struct {
	networks    []*network
	guard       *guard
	certificate *certificate    // nil: nothing is encrypted
	secrets     *secret.Keyring // nil: OAuth2 and identity are off
	public      net.Listener    // nil: closed
	pages       *pages
	console     *pages // those of the console; nil with pages
	ownKey      string // for what the process asks itself
	consoleURL  string // "": there is none
	dev         bool   // pages tell developers more
	mailbox     string // where messages are written; "": they are sent
	origin      *origin
	flows       *flowGate // nil: identity is off
	opl         opl.Options
	limits      Limits
	model       *modelSource // nil if the model is the store's
	health      *health
	metrics     *metrics
	log         *slog.Logger
}

// freshness translates Keto's two fields. A token is checked even when latest
// makes it superfluous.
func freshness(latest bool, token string) engine.Consistency {
	at := engine.Consistency{Token: engine.Token(token)}
	switch {
	case latest:
		at.Mode = engine.FullyConsistent
	case token != "":
		at.Mode = engine.AtLeastAsFresh
	}
	return at
}

const (
	defaultPage = 100
	maxPage     = 500
)

// pageSize returns the size of a page for what the caller asked for.
func pageSize(asked int) int {
	if asked <= 0 {
		return defaultPage
	}
	return min(asked, maxPage)
}

// batch reports a batch that is too long.
func (c *core) batch(n int) error {
	if n > c.limits.Batch {
		return said(fmt.Sprintf("batch exceeds max size of %d", c.limits.Batch))
	}
	return nil
}

// parseModel checks an OPL text and returns what is wrong with it.
func (c *core) parseModel(text []byte) (opl.ErrorList, error) {
	_, err := opl.Compile([]opl.Source{{Name: "model", Text: text}}, c.opl)
	if err == nil {
		return nil, nil
	}
	list, ok := err.(opl.ErrorList)
	if !ok {
		return nil, errs.Wrap(errs.Internal, err, "the model cannot be checked")
	}
	return list, nil
}

// useModel gives a model from the configuration to all networks.
func (c *core) useModel(m *opl.Model, location string) {
	for _, n := range c.networks {
		n.engine.UseModel(m, location)
	}
}

// ready reports why a network cannot answer.
func (c *core) ready(ctx context.Context) error {
	for _, n := range c.networks {
		if err := n.engine.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}
