package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Caller asks somebody else's server about the end of a flow.
type Caller interface {
	// Call sends values, of which a body is made, and returns the status of the answer
	// and what it said.
	//
	// Unavailable: there is no answer.
	Call(ctx context.Context, values map[string]any) (status int, body []byte, err error)
}

// A WebHook is called when a flow is opened, or came to its end. Before the flow is
// written it may refuse, or change the identity; what fails there fails the flow.
type WebHook struct {
	Name         string // for the log
	Caller       Caller
	CanInterrupt bool // a 4xx with messages refuses
	Parse        bool // a 200 may have an identity, of a registration or a change of settings
	Ignore       bool // it is called when the flow is written, and may fail
}

// A FlowHook is one thing that happens at the end of a flow.
type FlowHook struct {
	Do   HookAction
	Web  *WebHook   // of CallWeb
	Tell Recipients // of NotifyPrevious
}

// Recipients are addresses that an identity had before a change.
type Recipients string

// Which they are. "" is ToRemoved.
const (
	ToRemoved  Recipients = "removed"      // that it has no more, and were verified
	ToVerified Recipients = "all_verified" // that were verified
	ToAll      Recipients = "all"
)

// A HookAction is what a FlowHook does. The names are Kratos's.
type HookAction string

const (
	CallWeb          HookAction = "web_hook"
	RevokeOthers     HookAction = "revoke_active_sessions"   // of the identity
	RequireVerified  HookAction = "require_verified_address" // of a login, see FlowOptions.NeedsVerified
	SendVerification HookAction = "verification"             // of a login; a registration and settings do it anyway
	ShowVerification HookAction = "show_verification_ui"     // of a login, which then does SendVerification; of others see FlowOptions.ShowVerification
	VerifyNew        HookAction = "verify_new_address"       // of settings: an address is changed when it is verified, though Options.TellTaken
	NotifyPrevious   HookAction = "notify_previous_addresses"
	StartSession     HookAction = "session" // of a registration, whatever FlowOptions.NoLogin says
)

// MethodOptions are about the end of a flow by one method.
type MethodOptions struct {
	Hooks    []FlowHook // none: FlowOptions.Hooks
	ReturnTo string     // "": FlowOptions.ReturnTo
}

// maxHookWait is how long a hook is waited for that may fail.
const maxHookWait = 5 * time.Second

// hooksAfter are those at the end of a flow: of the method if it has any, or else of the
// flow.
func (s *Service) hooksAfter(k Kind, method string) []FlowHook {
	o := s.options.Flows[k]
	if hooks := o.Methods[method].Hooks; len(hooks) > 0 {
		return hooks
	}
	return o.Hooks
}

// does reports whether one of them is do.
func (s *Service) does(k Kind, method string, do HookAction) bool {
	_, does := s.hookAfter(k, method, do)
	return does
}

// hookAfter returns the first one that is do.
func (s *Service) hookAfter(k Kind, method string, do HookAction) (FlowHook, bool) {
	all := s.hooksAfter(k, method)
	at := slices.IndexFunc(all, func(h FlowHook) bool { return h.Do == do })
	if at < 0 {
		return FlowHook{}, false
	}
	return all[at], true
}

// method is the one by which the flow came to its end.
func (st *Step) method() string {
	if st.Flow.Kind == Settings {
		return st.Flow.Active
	}
	return st.Proof.Method
}

// runHooks does what is to be done at the end of a flow of a kind, which may have come in
// another flow.
func (s *Service) runHooks(ctx context.Context, k Kind, method string, st *Step) error {
	for _, hook := range s.hooks[k] {
		if err := hook(ctx, st); err != nil {
			return err
		}
	}
	for _, hook := range s.hooksAfter(k, method) {
		var err error
		switch hook.Do {
		case CallWeb:
			err = s.callHook(ctx, k, *hook.Web, st)
		case RevokeOthers:
			revokeOthers(st)
		case RequireVerified:
			err = s.needsVerified(ctx, st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hooksBefore calls those that want to know of st.Flow before it is opened.
//
// A *Problem: one of them refuses.
func (s *Service) hooksBefore(ctx context.Context, st *Step) error {
	k := st.Flow.Kind
	for _, web := range s.options.Flows[k].Before {
		values := s.hookValues(k, st)
		if web.Ignore {
			s.callIgnored(ctx, k, web, values)
			continue
		}
		_, err := call(ctx, web, values)
		var no *FormError
		if errors.As(err, &no) {
			return errRefused(no)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func revokeOthers(st *Step) {
	if st.Identity == nil {
		return
	}
	op := RevokeSessions{Identity: st.Identity.ID}
	if st.Session != nil {
		op.Except = st.Session.ID
	}
	st.Also(op)
}

// callHook calls a hook, or sees that it is called later.
func (s *Service) callHook(ctx context.Context, k Kind, web WebHook, st *Step) error {
	values := s.hookValues(k, st)
	if web.Ignore {
		st.Then(func() { s.callIgnored(ctx, k, web, values) })
		return nil
	}
	body, err := call(ctx, web, values)
	if err == nil && body != nil && web.Parse && (k == Registration || k == Settings) {
		return s.takeIdentity(body, st)
	}
	return err
}

// callIgnored calls a hook that may fail.
func (s *Service) callIgnored(ctx context.Context, k Kind, web WebHook, values map[string]any) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxHookWait)
	defer cancel()
	if status, _, err := web.Caller.Call(ctx, values); err != nil || status >= 300 {
		s.options.Log.Warn("a web hook failed", "flow", k, "hook", web.Name, "status", status, "error", err)
	}
}

// call returns what a hook says with a 200, nil if it agrees in another way.
//
// A *FormError: it refuses. Unavailable: it failed.
func call(ctx context.Context, web WebHook, values map[string]any) ([]byte, error) {
	status, body, err := web.Caller.Call(ctx, values)
	switch {
	case err != nil:
		return nil, errs.Wrap(errs.KindOf(err), fmt.Errorf("%s: %w", web.Name, err), "a web hook of the flow cannot be asked")
	case status == http.StatusOK:
		return body, nil
	case status > 200 && status < 300:
		return nil, nil
	case status >= 400 && status < 500 && web.CanInterrupt:
		if no := hookMessages(body); no != nil {
			return nil, no
		}
	}
	return nil, errs.Wrap(errs.Unavailable, errors.New(web.Name), "a web hook of the flow answers %d", status)
}

// HookHeaders are those of the request that a hook may see, unless told otherwise.
var HookHeaders = []string{"Accept", "Accept-Encoding", "Accept-Language", "Content-Length", "Content-Type", "Origin", "Priority", "Referer",
	"Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "True-Client-Ip", "User-Agent"}

// hookValues are what the body of a call can be made of.
func (s *Service) hookValues(k Kind, st *Step) map[string]any {
	headers := map[string]any{}
	for _, name := range s.options.HookHeaders {
		if v := st.Request.Header.Get(name); v != "" {
			headers[name] = v
		}
	}
	kind, payload := "browser", st.transient()
	if st.Flow.API {
		kind = "api"
	}
	all := map[string]any{
		"flow":              map[string]any{"id": st.Flow.ID, "kind": k, "type": kind, "request_url": st.Flow.RequestURL, "return_to": st.Flow.ReturnTo, "active": st.Flow.Active, "transient_payload": payload},
		"transient_payload": payload,
		"request_headers":   headers, "request_method": st.Request.Method, "request_url": s.self(st.Request), "client_address": s.options.Client(st.Request),
	}
	if st.Identity != nil {
		body := s.identityBody(st.Identity)
		body.MetadataAdmin = st.Identity.MetadataAdmin
		all["identity"] = body
	}
	if st.Session != nil {
		all["session"] = s.sessionBody(st.Session, nil)
	}
	return all
}

// hookMessages reads why a hook refuses, nil if it does not say.
func hookMessages(body []byte) error {
	var said struct {
		Messages []struct {
			Pointer  string `json:"instance_ptr"`
			Messages []struct {
				ID      int            `json:"id"`
				Text    string         `json:"text"`
				Type    string         `json:"type"`
				Context map[string]any `json:"context"`
			} `json:"messages"`
		} `json:"messages"`
	}
	if json.Unmarshal(body, &said) != nil {
		return nil
	}
	wrong := &FormError{Nodes: map[string][]Text{}}
	for _, at := range said.Messages {
		node := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(at.Pointer, "#"), "/"), "/", ".")
		for _, m := range at.Messages {
			if m.Type == "" {
				m.Type = "error"
			}
			text := Text{ID: m.ID, Text: m.Text, Type: m.Type, Context: m.Context}
			if node == "" {
				wrong.Texts = append(wrong.Texts, text)
			} else {
				wrong.Nodes[node] = append(wrong.Nodes[node], text)
			}
		}
	}
	if len(wrong.Texts)+len(wrong.Nodes) == 0 {
		return nil
	}
	return wrong
}

// takeIdentity changes the identity as a hook says.
func (s *Service) takeIdentity(body []byte, st *Step) error {
	var said struct {
		Identity *struct {
			Traits         json.RawMessage `json:"traits"`
			MetadataPublic json.RawMessage `json:"metadata_public"`
			MetadataAdmin  json.RawMessage `json:"metadata_admin"`
			ExternalID     *string         `json:"external_id"`
			State          State           `json:"state"`
			Verifiable     []hookAddress   `json:"verifiable_addresses"`
		} `json:"identity"`
	}
	if len(body) > 0 && json.Unmarshal(body, &said) != nil {
		return errs.New(errs.Unavailable, "a web hook answers with what is no identity")
	}
	change := said.Identity
	if change == nil {
		return nil
	}
	i := st.Identity
	before := i.clone()
	if len(change.Traits) > 0 {
		if err := st.Schema.validate(change.Traits); err != nil {
			s.options.Log.Warn("a web hook gives an identity traits that its schema does not allow", "error", invalidTraits(err))
			return errs.New(errs.Unavailable, "a web hook answers with an identity that the schema does not allow")
		}
		i.Traits = change.Traits
	}
	if change.MetadataPublic != nil {
		i.MetadataPublic = notNull(change.MetadataPublic)
	}
	if change.MetadataAdmin != nil {
		i.MetadataAdmin = notNull(change.MetadataAdmin)
	}
	if change.ExternalID != nil {
		if i.ExternalID = *change.ExternalID; len(i.ExternalID) > maxExternalID || strings.Contains(i.ExternalID, "\x00") {
			return errs.New(errs.Unavailable, "a web hook answers with an external_id that is too long, or has NUL")
		}
	}
	switch change.State {
	case "":
	case Active, Inactive:
		i.State = change.State
	default:
		return errs.New(errs.Unavailable, "a web hook answers with the state %.20q: expected active or inactive", change.State)
	}
	s.settle(i, before, st.Now)
	for _, a := range change.Verifiable {
		if err := a.apply(i, st.Now); err != nil {
			return err
		}
	}
	return nil
}

// A hookAddress says whether an address of an identity is verified.
type hookAddress struct {
	Via      string `json:"via"`
	Value    string `json:"value"`
	Verified *bool  `json:"verified"`
}

// apply notes what a hook says of an address.
//
// Unavailable: the identity has no such address.
func (a hookAddress) apply(i *Identity, now time.Time) error {
	value, _ := normalize(a.Value)
	at := slices.IndexFunc(i.Verifiable, func(b VerifiableAddress) bool { return b.Value == value && (a.Via == "" || a.Via == b.Via) })
	if at < 0 {
		return errs.New(errs.Unavailable, "a web hook answers with the address %.80q, which the traits do not have", a.Value)
	}
	b := &i.Verifiable[at]
	if a.Verified == nil || *a.Verified == b.Verified {
		return nil
	}
	b.Verified, b.Status, b.VerifiedAt, b.UpdatedAt = *a.Verified, "pending", time.Time{}, now
	if b.Verified {
		b.Status, b.VerifiedAt = "completed", now
	}
	return nil
}
