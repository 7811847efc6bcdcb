package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
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
	ID         string              `json:"id"`
	Recipients identity.Recipients `json:"recipients"` // of notify_previous_addresses
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
		if _, known := hookKinds[identity.HookAction(one.Hook)]; !known {
			return fmt.Errorf("hook %d is %q: expected %s", n, one.Hook, hookNames(""))
		}
		if one.Config.Response.Ignore && (one.Config.Response.Parse || one.Config.CanInterrupt) {
			return fmt.Errorf("hook %d: an answer that is ignored can neither be parsed nor interrupt", n)
		}
	}
	return nil
}

// hookKinds are the flows that have a hook at their end.
var hookKinds = map[identity.HookAction][]identity.Kind{
	identity.CallWeb:          {identity.Login, identity.Registration, identity.Settings, identity.Recovery, identity.Verification},
	identity.RevokeOthers:     {identity.Login, identity.Settings, identity.Recovery},
	identity.RequireVerified:  {identity.Login},
	identity.SendVerification: {identity.Login, identity.Registration, identity.Settings},
	identity.ShowVerification: {identity.Login, identity.Registration, identity.Settings},
	identity.VerifyNew:        {identity.Settings},
	identity.NotifyPrevious:   {identity.Settings},
	identity.StartSession:     {identity.Registration},
}

var recipients = []identity.Recipients{"", identity.ToRemoved, identity.ToVerified, identity.ToAll}

// hookNames are the hooks of a kind of flow, or of all of them.
func hookNames(k identity.Kind) string {
	var names []string
	for do, kinds := range hookKinds {
		if k == "" || slices.Contains(kinds, k) {
			names = append(names, string(do))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " or ")
}

// hooksAfter makes the hooks at the end of a flow; setting names them in errors.
//
// Invalid: there are mistakes.
func (c Config) hooksAfter(k identity.Kind, setting string, all hookConfigs) (out []identity.FlowHook, err error) {
	for n, one := range all {
		hook := identity.FlowHook{Do: identity.HookAction(one.Hook), Tell: one.Config.Recipients}
		if !slices.Contains(hookKinds[hook.Do], k) {
			return nil, errs.New(errs.Invalid, "%s.%d: hook is %q: expected %s", setting, n, one.Hook, hookNames(k))
		}
		if !slices.Contains(recipients, hook.Tell) {
			return nil, errs.New(errs.Invalid, "%s.%d.config: recipients is %q: expected removed, all_verified or all", setting, n, hook.Tell)
		}
		if hook.Do == identity.CallWeb {
			if hook.Web, err = c.webHook(fmt.Sprintf("%s.%d.config", setting, n), one.Config); err != nil {
				return nil, err
			}
		}
		out = append(out, hook)
	}
	return out, nil
}

// hooksBefore makes those at its beginning, where there is nothing to change yet.
//
// Invalid: there are mistakes.
func (c Config) hooksBefore(setting string, all hookConfigs) (out []identity.WebHook, err error) {
	for n, one := range all {
		if identity.HookAction(one.Hook) != identity.CallWeb || one.Config.Response.Parse {
			return nil, errs.New(errs.Invalid, "%s.%d: expected hook web_hook, without response.parse", setting, n)
		}
		web, err := c.webHook(fmt.Sprintf("%s.%d.config", setting, n), one.Config)
		if err != nil {
			return nil, err
		}
		out = append(out, *web)
	}
	return out, nil
}

func (c Config) webHook(setting string, w webHookConfig) (*identity.WebHook, error) {
	caller, err := c.webCaller(setting, w)
	if err != nil {
		return nil, err
	}
	return &identity.WebHook{Name: cmp.Or(w.ID, setting), Caller: caller, CanInterrupt: w.CanInterrupt, Parse: w.Response.Parse, Ignore: w.Response.Ignore}, nil
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
