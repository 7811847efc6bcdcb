package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A hookConfig is one hook of a flow, as Kratos has it.
type hookConfig struct {
	Hook   string        `json:"hook"`
	Config webHookConfig `json:"config"`
}

type webHookConfig struct {
	ID string `json:"id"`
	requestConfig
	CanInterrupt bool `json:"can_interrupt"`
	Response     struct {
		Ignore bool `json:"ignore"`
		Parse  bool `json:"parse"`
	} `json:"response"`
}

type hookConfigs []hookConfig

func (h *hookConfigs) parse(raw any) error {
	if err := decodeSection(raw, (*[]hookConfig)(h), "a list of hook and config"); err != nil {
		return err
	}
	for n, one := range *h {
		switch one.Hook {
		case "session", "show_verification_ui", "revoke_active_sessions", "require_verified_address":
		case "web_hook":
			if one.Config.Response.Ignore && (one.Config.Response.Parse || one.Config.CanInterrupt) {
				return fmt.Errorf("hook %d: an answer that is ignored can neither be parsed nor interrupt", n)
			}
		default:
			return fmt.Errorf("hook %d is %q: expected web_hook, session, show_verification_ui, revoke_active_sessions or require_verified_address", n, one.Hook)
		}
	}
	return nil
}

// asks reports whether one of the hooks that have a setting of their own is there.
func (h hookConfigs) asks(hook string) bool {
	return slices.ContainsFunc(h, func(one hookConfig) bool { return one.Hook == hook })
}

// hooks makes the hooks of a flow; setting names them in errors.
//
// Invalid: there are mistakes.
func (c Config) hooks(setting string, all hookConfigs) (identity.FlowHooks, error) {
	var out identity.FlowHooks
	for n, one := range all {
		switch one.Hook {
		case "revoke_active_sessions":
			out.RevokeSessions = true
		case "web_hook":
			caller, err := c.webCaller(fmt.Sprintf("%s.%d.config", setting, n), one.Config)
			if err != nil {
				return out, err
			}
			out.Web = append(out.Web, identity.WebHook{Caller: caller, CanInterrupt: one.Config.CanInterrupt, Parse: one.Config.Response.Parse, Ignore: one.Config.Response.Ignore})
		}
	}
	return out, nil
}

const maxHookAnswer = 1 << 20 // bytes

// A webCaller is identity.Caller over HTTP.
type webCaller struct{ httpCarrier }

func (c Config) webCaller(setting string, w webHookConfig) (*webCaller, error) {
	if w.Body == "" {
		w.Body = `{"flow":"${flow}","identity":"${identity}","session":"${session}"}`
	}
	carrier, err := newHTTPCarrier(setting, w.requestConfig)
	if err != nil {
		return nil, err
	}
	private := c.Dev || !c.Identity.OIDC.DisallowPrivate || slices.Contains(c.Identity.PrivateURLs, w.URL)
	carrier.client.Transport = &http.Transport{DialContext: publicDialer(private).DialContext, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true}
	carrier.client.Timeout = 10 * time.Second
	return &webCaller{*carrier}, nil
}

// publicDialer connects to no private, local or link-local address unless that is
// allowed, wherever a name leads.
func publicDialer(private bool) *net.Dialer {
	return &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if ip := at.Addr().Unmap(); !private && (!ip.IsGlobalUnicast() || ip.IsPrivate()) {
			return fmt.Errorf("%s is not a public address", ip)
		}
		return nil
	}}
}

// Call implements identity.Caller.
func (c *webCaller) Call(ctx context.Context, values map[string]any) (int, []byte, error) {
	body, err := c.body.Fill(values)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, c.request.Method, c.request.URL, bytes.NewReader(body))
	if err != nil {
		return 0, nil, errs.Wrap(errs.Internal, err, "the request of a web hook cannot be made")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Ory-Webhook-Trigger-Id", identity.NewID())
	for name, value := range c.request.Headers {
		r.Header.Set(name, value)
	}
	c.authenticate(r)
	res, err := c.client.Do(r)
	if err != nil {
		return 0, nil, errs.Wrap(errs.Unavailable, err, "the server of a web hook cannot be reached")
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxHookAnswer+1))
	if err == nil && len(text) > maxHookAnswer {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return 0, nil, errs.Wrap(errs.Unavailable, err, "the answer of a web hook cannot be read")
	}
	return res.StatusCode, text, nil
}
