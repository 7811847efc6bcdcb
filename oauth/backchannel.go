package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/cardea-iam/cardea/internal/egress"
	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	sealDelivery  = "oauth delivery"
	deliveryBatch = 16               // messages that are on their way at the same time
	deliveryTime  = 10 * time.Second // that a client may take
	deliveryLease = time.Minute      // after which a message is somebody else's to send
	logoutLife    = 2 * time.Minute  // of a logout token
)

// waits are between the attempts to send a message, 15 hours and a half in all.
var waits = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// announce stores a message for each client that wants to hear of logouts behind the
// browser's back (OpenID Connect Back-Channel Logout 1.0). One that is stored already
// suffices.
func (p *Provider) announce(ctx context.Context, told []participant) error {
	now := p.o.Now()
	var all []Delivery
	for _, t := range told {
		if t.client.BackLogout == "" {
			continue
		}
		sum := sha256.Sum256([]byte(t.Login + " " + t.Client))
		d := Delivery{ID: base64.RawURLEncoding.EncodeToString(sum[:]), Created: now, Due: now}
		var err error
		if d.Data, err = p.seal(sealDelivery, d.ID, t); err != nil {
			return err
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil
	}
	err := p.store.AddDeliveries(ctx, all...)
	if isKind(err, errs.Conflict) {
		for _, d := range all {
			if err = p.store.AddDeliveries(ctx, d); err != nil && !isKind(err, errs.Conflict) {
				return err
			}
		}
		err = nil
	}
	if err != nil {
		return err
	}
	select {
	case p.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}

// Run sends what clients must be told, until ctx ends. Every node runs it.
func (p *Provider) Run(ctx context.Context) {
	tick := time.NewTicker(p.o.Poll)
	defer tick.Stop()
	for {
		more, err := p.deliver(ctx)
		if err != nil && ctx.Err() == nil {
			p.o.Log.ErrorContext(ctx, "messages to clients not read", "err", err)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.wake:
		}
	}
}

// deliver sends a few messages side by side, and reports whether there may be more.
func (p *Provider) deliver(ctx context.Context) (more bool, err error) {
	now := p.o.Now()
	ds, err := p.store.TakeDeliveries(ctx, now, now.Add(deliveryLease), deliveryBatch)
	if err != nil {
		return false, err
	}
	var wait sync.WaitGroup
	for _, d := range ds {
		wait.Go(func() { p.attempt(ctx, d) })
	}
	wait.Wait()
	return len(ds) == deliveryBatch && ctx.Err() == nil, nil
}

// attempt sends a message, and puts it off if it does not arrive.
func (p *Provider) attempt(ctx context.Context, d Delivery) {
	var t participant
	err := p.unseal(sealDelivery, d.ID, d.Data, &t)
	if err == nil {
		err = p.sendLogout(ctx, t)
	}
	if ctx.Err() != nil {
		return // it is sent again when it is somebody else's
	}
	var again time.Time
	switch {
	case err == nil:
	case d.Tries <= len(waits):
		again = p.o.Now().Add(waits[max(d.Tries, 1)-1])
		p.o.Log.WarnContext(ctx, "a client was not told of a logout, and will be", "client", t.Client, "tries", d.Tries, "again", again, "err", err)
	default:
		p.o.Log.ErrorContext(ctx, "a client was not told of a logout", "client", t.Client, "tries", d.Tries, "err", err)
	}
	if err := p.store.EndDelivery(ctx, d.ID, again); err != nil && ctx.Err() == nil {
		p.o.Log.ErrorContext(ctx, "a message to a client was not put off", "client", t.Client, "err", err)
	}
}

// sendLogout tells a client of a logout, by a token that is made for this attempt. A
// client that is not there any more need not be told.
func (p *Provider) sendLogout(ctx context.Context, t participant) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	c, err := p.client(ctx, t.Client)
	if isKind(err, errs.NotFound) || err == nil && c.BackLogout == "" {
		return nil
	}
	if err != nil {
		return err
	}
	token, err := p.logoutToken(ctx, c, t)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.BackLogout, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	straight := *p.o.HTTP
	straight.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := straight.Do(r)
	if err != nil {
		return err
	}
	_, _ = egress.Body(resp) // read, so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answers %d: expected 200", resp.StatusCode)
	}
	return nil
}

// logoutToken makes the token of Back-Channel Logout 1.0, section 2.4.
func (p *Provider) logoutToken(ctx context.Context, c *Client, t participant) (string, error) {
	now := p.o.Now()
	return p.sign(ctx, idTokenSet, c.idTokenAlg(), "logout+jwt", map[string]any{
		"iss": p.issuer(), "aud": c.ID, "iat": now.Unix(), "exp": now.Add(logoutLife).Unix(), "jti": newID(),
		"sub": t.Subject, "sid": t.Login,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	})
}
