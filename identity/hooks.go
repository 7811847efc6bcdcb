package identity

import (
	"context"
	"encoding/json"
	"net/http"
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

// A WebHook is called when a flow came to its end. Before the flow is written it may
// refuse, or change the identity; what fails there fails the flow.
type WebHook struct {
	Caller       Caller
	CanInterrupt bool // a 4xx with messages refuses
	Parse        bool // a 200 may have an identity, of a registration or a change of settings
	Ignore       bool // it is called when the flow is written, and may fail
}

// FlowHooks are those of one kind of flow.
type FlowHooks struct {
	RevokeSessions bool // end the other sessions
	Web            []WebHook
}

// maxHookWait is how long a hook is waited for that may fail.
const maxHookWait = 5 * time.Second

// addHooks puts the hooks of the options in their order.
func (s *Service) addHooks() {
	for _, k := range kinds {
		o := s.options.Flows[k].Hooks
		for _, web := range o.Web {
			s.hooks[k] = append(s.hooks[k], func(ctx context.Context, st *Step) error { return s.callHook(ctx, k, web, st) })
		}
		if o.RevokeSessions {
			s.hooks[k] = append(s.hooks[k], revokeOthers)
		}
	}
}

func revokeOthers(_ context.Context, st *Step) error {
	if st.Identity == nil {
		return nil
	}
	op := RevokeSessions{Identity: st.Identity.ID}
	if st.Session != nil {
		op.Except = st.Session.ID
	}
	st.Also(op)
	return nil
}

// callHook calls a hook, or sees that it is called later.
func (s *Service) callHook(ctx context.Context, k Kind, web WebHook, st *Step) error {
	values, err := s.hookValues(k, st)
	if err != nil {
		return err
	}
	if web.Ignore {
		st.Then(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxHookWait)
			defer cancel()
			if status, _, err := web.Caller.Call(ctx, values); err != nil || status >= 300 {
				s.options.Log.Warn("a web hook failed", "flow", k, "status", status, "error", err)
			}
		})
		return nil
	}
	status, body, err := web.Caller.Call(ctx, values)
	switch {
	case err != nil:
		return err
	case status >= 400 && status < 500 && web.CanInterrupt:
		if wrong := hookMessages(body); wrong != nil {
			return wrong
		}
	case status >= 200 && status < 300:
		if web.Parse && status == http.StatusOK && (k == Registration || k == Settings) {
			return s.takeIdentity(body, st)
		}
		return nil
	}
	return errs.New(errs.Unavailable, "a web hook after the flow answers %d", status)
}

// hookHeaders are those of the request that a hook may see.
var hookHeaders = []string{"Accept", "Accept-Language", "Content-Type", "Origin", "Referer", "User-Agent"}

// hookValues are what the body of a call can be made of.
func (s *Service) hookValues(k Kind, st *Step) (map[string]any, error) {
	headers := map[string]any{}
	for _, name := range hookHeaders {
		if v := st.Request.Header.Get(name); v != "" {
			headers[name] = v
		}
	}
	kind := "browser"
	if st.Flow.API {
		kind = "api"
	}
	all := map[string]any{
		"flow":            map[string]any{"id": st.Flow.ID, "kind": k, "type": kind, "request_url": st.Flow.RequestURL, "return_to": st.Flow.ReturnTo, "active": st.Flow.Active},
		"request_headers": headers, "request_method": st.Request.Method, "request_url": s.self(st.Request), "client_address": s.options.Client(st.Request),
	}
	if st.Identity != nil {
		body := s.identityBody(st.Identity)
		body.MetadataAdmin = st.Identity.MetadataAdmin
		all["identity"] = body
	}
	if st.Session != nil {
		all["session"] = s.sessionBody(st.Session, nil)
	}
	text, err := json.Marshal(all) // so that paths lead into all of it
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "what a web hook is told cannot be encoded")
	}
	var values map[string]any
	return values, json.Unmarshal(text, &values)
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
	if change.ExternalID != nil && len(*change.ExternalID) <= maxExternalID {
		i.ExternalID = *change.ExternalID
	}
	if change.State == Active || change.State == Inactive {
		i.State = change.State
	}
	s.settle(i, before, st.Now)
	return nil
}
