package identity

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// A ShownFlow is a flow in Kratos's JSON.
type ShownFlow struct {
	ID             string        `json:"id"`
	Type           string        `json:"type"` // browser or api
	ExpiresAt      time.Time     `json:"expires_at"`
	IssuedAt       time.Time     `json:"issued_at"`
	RequestURL     string        `json:"request_url"`
	ReturnTo       string        `json:"return_to,omitempty"`
	Active         string        `json:"active,omitempty"`
	UI             UI            `json:"ui"`
	State          FlowState     `json:"state"`
	Organization   *nullable     `json:"organization_id,omitempty"` // of logins, registrations and settings
	Continue       []Continue    `json:"continue_with,omitempty"`
	Identity       *IdentityBody `json:"identity,omitempty"` // of settings
	Refresh        *bool         `json:"refresh,omitempty"`  // of logins
	RequestedAAL   AAL           `json:"requested_aal,omitempty"`
	LoginChallenge string        `json:"oauth2_login_challenge,omitempty"`
	LoginRequest   any           `json:"oauth2_login_request,omitempty"`
	ExchangeCode   string        `json:"session_token_exchange_code,omitempty"`
	Schema         string        `json:"identity_schema,omitempty"`
	CreatedAt      time.Time     `json:"created_at,omitzero"`
	UpdatedAt      time.Time     `json:"updated_at,omitzero"`

	// Transient is in the answer to the submission that came with it.
	Transient json.RawMessage `json:"transient_payload,omitempty"`
}

// A nullable is a text that is null if it is empty, but there.
type nullable string

// MarshalJSON implements json.Marshaler.
func (n nullable) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(n))
}

// A UI is a form.
type UI struct {
	Action   string `json:"action"`
	Method   string `json:"method"`
	Nodes    []Node `json:"nodes"`
	Messages []Text `json:"messages,omitempty"`
}

// show builds the form of the flow in its present state. secret is what the browser is
// known by, nil for native apps.
func (s *Service) show(ctx context.Context, st *Step, secret []byte) (*ShownFlow, error) {
	f := st.Flow
	out := &ShownFlow{
		ID: f.ID, Type: "browser", ExpiresAt: f.ExpiresAt, IssuedAt: f.IssuedAt, RequestURL: f.RequestURL, ReturnTo: f.ReturnTo,
		Active: f.Active, State: s.shownState(f), Continue: f.Continue, Transient: st.transient(),
	}
	if f.API {
		out.Type = "api"
	}
	switch f.Kind {
	case Login:
		refresh := f.Refresh
		out.Refresh, out.RequestedAAL, out.CreatedAt, out.UpdatedAt = &refresh, f.requestedAAL(), f.IssuedAt, f.IssuedAt
	case Settings:
		out.Identity = s.identityBody(st.Identity)
	}
	if f.Kind == Login || f.Kind == Registration || f.Kind == Settings {
		org := nullable(f.Organization)
		out.Organization = &org
	}
	if f.Kind == Login || f.Kind == Registration {
		out.LoginRequest = s.loginRequest(ctx, f)
		out.LoginChallenge, out.ExchangeCode, out.Schema = f.LoginChallenge, s.initCode(f), f.Schema
	}
	nodes, err := s.nodes(ctx, st, secret)
	if err != nil {
		return nil, err
	}
	action := withQuery(s.options.BaseURL+"/self-service/"+string(f.Kind), "flow", f.ID)
	out.UI = UI{Action: action, Method: "POST", Nodes: nodes, Messages: append(append(s.notices(st), f.Texts...), f.unplaced(nodes)...)}
	if f.Kind == Login && f.State == Choose && len(nodes) == 1 { // which tells where the form came from
		out.UI.Messages = append(out.UI.Messages, textNoMethods)
	}
	return out, nil
}

// unplaced are the texts about what the form has no node for, such as a trait that the
// schema does not know: the whole form has them.
func (f *Flow) unplaced(nodes []Node) (texts []Text) {
	for _, name := range slices.Sorted(maps.Keys(f.Nodes)) {
		if !slices.ContainsFunc(nodes, func(n Node) bool { return n.Attributes.Name == name }) {
			for _, t := range f.Nodes[name] {
				texts = append(texts, t.with("property", name))
			}
		}
	}
	return texts
}

// notices are texts that follow from what the flow is.
func (s *Service) notices(st *Step) (texts []Text) {
	f := st.Flow
	if !f.ExpiredAt.IsZero() && f.version == 0 {
		texts = append(texts, textExpired(f.Kind, f.ExpiredAt, st.Now))
	}
	switch {
	case f.Kind != Login || f.State != Choose:
	case f.Refresh:
		texts = append(texts, textConfirmItIsYou)
	case f.requestedAAL() == AAL2:
		texts = append(texts, textSecondFactor)
	}
	return texts
}

// nodes asks the strategies, and puts back what the user wrote and what is wrong with
// it.
func (s *Service) nodes(ctx context.Context, st *Step, secret []byte) ([]Node, error) {
	f := st.Flow
	token := ""
	if secret != nil && !f.API {
		token = maskCSRF(secret)
	}
	nodes := []Node{Hidden(groupDefault, "csrf_token", token).Required()}
	if f.Kind == Registration && f.State == Choose {
		nodes = append(nodes, s.traitNodes(st)...)
	}
	asked := s.asked(st)
	for _, one := range s.strategies {
		if f.Organization != "" && (f.Kind == Login || f.Kind == Registration) && f.requestedAAL() == AAL1 && one.Method() != string(OIDC) {
			continue
		}
		if !asked(one) {
			continue
		}
		more, err := one.Nodes(ctx, st)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, more...)
	}
	nodes = unique(nodes)
	for i := range nodes {
		n := &nodes[i]
		if v, ok := f.Values[n.Attributes.Name]; ok && n.keeps() {
			n.Attributes.Value = v
		}
		n.Messages = append(n.Messages, f.Nodes[n.Attributes.Name]...)
	}
	return nodes, nil
}

// unique leaves out inputs that an earlier strategy has asked for, such as the
// identifier. Buttons of one name differ in their values.
func unique(nodes []Node) []Node {
	type key struct {
		name  string
		value any
	}
	seen := map[key]bool{}
	out := nodes[:0]
	for _, n := range nodes {
		k := key{name: n.Attributes.Name}
		if n.Attributes.Type == "submit" || n.Attributes.Type == "button" || n.Type != "input" {
			k.name += " " + n.Attributes.ID
			k.value = n.Attributes.Value
		}
		if seen[k] && (n.Type == "input" || n.Type == "script") {
			continue
		}
		seen[k] = true
		out = append(out, n)
	}
	return out
}
