package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"time"
)

// endLogin gives the identity that has proven itself a session, or more standing to
// the one that it has.
func endLogin(s *Service, ctx context.Context, st *Step) (*answer, error) {
	f := st.Flow
	if st.Identity.State != Active {
		return nil, Wrong(textInactive)
	}
	session, token := s.login(st)
	f.State = Passed
	st.Event("login.succeeded", st.Identity, s.options.Client(st.Request), map[string]any{"method": st.Proof.Method, "aal": session.AAL})
	a := &answer{}
	body := loggedIn{Session: s.sessionBody(session, st.Identity)}
	if err := s.remind(ctx, st); err != nil {
		return nil, err
	}
	if s.stepUp(session, st.Identity) {
		body.Session.Identity = nil
		if !f.API {
			a.location = s.stepUpURL(f.ReturnTo)
		}
	}
	if f.API {
		body.Token, body.Continue = token, f.Continue
		a.body = body
		return a, nil
	}
	if a.location == "" {
		to := cmp.Or(st.Location, s.after(f, st.method()))
		a.location = to
		body.Continue = append(f.Continue, Continue{Action: "redirect_browser_to", RedirectTo: to})
		a.body = body
	} else {
		a.status, a.body = http.StatusUnprocessableEntity, s.errorBody(errGoto(a.location), http.StatusUnprocessableEntity, "")
	}
	a.cookie, a.life, a.newBrowser = token, session.ExpiresAt.Sub(st.Now), true
	return a, nil
}

// loggedIn is what programs get after a login or a registration.
type loggedIn struct {
	Token    string        `json:"session_token,omitempty"`
	Session  *SessionBody  `json:"session,omitempty"`
	Identity *IdentityBody `json:"identity,omitempty"`
	Continue []Continue    `json:"continue_with,omitempty"`
}

// stepUp reports whether a session needs the second factor before it counts.
func (s *Service) stepUp(session *Session, i *Identity) bool {
	return !s.options.WhoamiAAL1 && i.AvailableAAL == AAL2 && session.AAL != AAL2
}

// login makes the session of a login, and returns its token. One that is refreshed or
// stepped up keeps its id, lasts as long as a new one, and gets a new token, so that who
// knew the old one is out.
func (s *Service) login(st *Step) (*Session, string) {
	token, hash := newToken()
	session := &Session{
		ID: NewID(), Identity: st.Identity.ID, Active: true, IssuedAt: st.Now,
	}
	if old := st.Session; old != nil && old.Identity == st.Identity.ID {
		kept := *old
		session = &kept
	} else if old != nil {
		st.Also(RevokeSessions{IDs: []string{old.ID}})
	}
	session.TokenHash, session.SeenAt = hash, st.Now
	session.prove(st.Proof)
	session.usedFrom(s.options.Client(st.Request), cut(st.Request.UserAgent(), 512))
	s.prolong(session, st.Identity, st.Now)
	st.Also(SaveSession{session})
	if session.Version == 0 && s.options.MaxSessions > 0 {
		st.Also(LimitSessions{Identity: session.Identity, New: session.ID, Others: s.options.MaxSessions - 1, Now: st.Now, Idle: s.options.SessionIdle})
	}
	return session, token
}

func cut(text string, n int) string { return text[:min(len(text), n)] }

// endRegistration stores the new identity, and logs it in.
func endRegistration(s *Service, ctx context.Context, st *Step) (*answer, error) {
	f := st.Flow
	i := st.Identity
	s.settle(i, nil, st.Now)
	st.ops = append(append([]Op{SaveIdentity{i}}, s.belongs(i, "")...), st.ops...)
	f.State = Passed
	st.Event("registration.succeeded", i, s.options.Client(st.Request), map[string]any{"method": st.Proof.Method})
	if err := s.introduce(ctx, st); err != nil {
		return nil, err
	}
	body := loggedIn{Identity: s.identityBody(i), Continue: f.Continue}
	a := &answer{location: s.after(f, st.method())}
	if st.Location != "" {
		a.location = st.Location
	}
	if s.logsIn(st) {
		session, token := s.login(st)
		body.Session = s.sessionBody(session, i)
		if f.API {
			body.Token = token
			body.Continue = append(body.Continue, Continue{Action: "set_ory_session_token", Token: token})
		} else {
			a.cookie, a.life, a.newBrowser = token, session.ExpiresAt.Sub(st.Now), true
		}
	}
	if f.API {
		a.location = ""
	} else {
		body.Continue = append(body.Continue, Continue{Action: "redirect_browser_to", RedirectTo: a.location})
	}
	a.body = body
	return a, nil
}

// logsIn reports whether the registration does.
func (s *Service) logsIn(st *Step) bool {
	if st.Identity.State == Inactive { // a hook wants it so
		return false
	}
	return !s.options.flow(Registration).NoLogin || s.does(Registration, st.Proof.Method, StartSession)
}

// endSettings stores the changed identity. Whoever changes a credential gets a new
// token: the old one may be in the hands of who made the change necessary.
func endSettings(s *Service, ctx context.Context, st *Step) (*answer, error) {
	f := st.Flow
	st.ops = append([]Op{SaveIdentity{st.Identity}}, st.ops...)
	f.State = Success
	f.Texts = []Text{textSaved}
	f.Values = nil
	client := s.options.Client(st.Request)
	st.Event("settings.changed", st.Identity, client, map[string]any{"method": f.Active})
	a := &answer{}
	f.Continue = nil
	if err := s.introduce(ctx, st); err != nil {
		return nil, err
	}
	if hook, tells := s.hookAfter(Settings, st.method(), NotifyPrevious); tells {
		if err := s.farewell(st, st.Identity, st.before, hook.Tell); err != nil {
			return nil, err
		}
	}
	if err := s.tellNewFactor(st); err != nil {
		return nil, err
	}
	if st.sensitive {
		s.rotate(st, a)
	}
	shown, err := s.show(ctx, st, s.csrfSecret(st.Request))
	if err != nil {
		return nil, err
	}
	a.body = shown
	if !f.API {
		a.location = withQuery(s.options.flow(Settings).UI, "flow", f.ID)
		o := s.options.Flows[Settings]
		if to := cmp.Or(f.ReturnTo, o.Methods[st.method()].ReturnTo, o.ReturnTo); to != "" {
			a.location = to
			shown.Continue = append(shown.Continue, Continue{Action: "redirect_browser_to", RedirectTo: to})
		}
		if st.Location != "" {
			a.location = st.Location
		}
	}
	f.Continue = nil // a token is not stored
	return a, nil
}

// rotate gives the caller's session a new token.
func (s *Service) rotate(st *Step, a *answer) {
	session := *st.Session
	token, hash := newToken()
	session.TokenHash = hash
	if st.Proof.Method != "" { // to enrol a factor is to show it
		session.prove(st.Proof)
	}
	st.Also(SaveSession{&session})
	if st.Flow.API {
		st.Flow.Continue = append(st.Flow.Continue, Continue{Action: "set_ory_session_token", Token: token})
	} else {
		a.cookie, a.life = token, session.ExpiresAt.Sub(st.Now)
	}
}

// privileged asks for a new login before a change by which one gets into an account:
// of credentials, identifiers and addresses.
func (s *Service) privileged(st *Step, before *Identity) error {
	st.sensitive = !reflect.DeepEqual(st.Identity.Credentials, before.Credentials) ||
		!reflect.DeepEqual(st.Identity.Recovery, before.Recovery) || !reflect.DeepEqual(st.Identity.Verifiable, before.Verifiable)
	if !st.sensitive {
		return nil
	}
	return s.recent(st)
}

// A SessionBody is a session in Kratos's JSON.
type SessionBody struct {
	ID              string        `json:"id"`
	Active          bool          `json:"active"`
	ExpiresAt       time.Time     `json:"expires_at"`
	AuthenticatedAt time.Time     `json:"authenticated_at"`
	AAL             AAL           `json:"authenticator_assurance_level"`
	Methods         []Method      `json:"authentication_methods"`
	IssuedAt        time.Time     `json:"issued_at"`
	Identity        *IdentityBody `json:"identity,omitempty"`
	Devices         []Device      `json:"devices"`
	Tokenized       string        `json:"tokenized,omitempty"`
}

// sessionBody shows a session to its owner; i may be nil.
func (s *Service) sessionBody(x *Session, i *Identity) *SessionBody {
	body := &SessionBody{ID: x.ID, Active: s.counts(x, s.now()), ExpiresAt: x.ExpiresAt, AuthenticatedAt: x.AuthenticatedAt, AAL: x.AAL,
		Methods: shownMethods(x.Methods), IssuedAt: x.IssuedAt, Devices: x.Devices}
	if i != nil {
		body.Identity = s.identityBody(i)
	}
	return body
}

// shownMethods leaves out what is not for clients.
func shownMethods(all []Method) []Method {
	if !slices.ContainsFunc(all, func(m Method) bool { return m.Mailbox != "" }) {
		return all
	}
	all = slices.Clone(all)
	for n := range all {
		all[n].Mailbox = ""
	}
	return all
}

// An IdentityBody is an identity in Kratos's JSON.
type IdentityBody struct {
	ID             string                    `json:"id"`
	Credentials    map[string]CredentialBody `json:"credentials,omitempty"`
	SchemaID       string                    `json:"schema_id"`
	SchemaURL      string                    `json:"schema_url"`
	State          State                     `json:"state"`
	StateChangedAt time.Time                 `json:"state_changed_at,omitzero"`
	Traits         json.RawMessage           `json:"traits"`
	Verifiable     []VerifiableAddress       `json:"verifiable_addresses,omitempty"`
	Recovery       []RecoveryAddress         `json:"recovery_addresses,omitempty"`
	MetadataPublic json.RawMessage           `json:"metadata_public"`
	MetadataAdmin  json.RawMessage           `json:"metadata_admin,omitempty"`
	CreatedAt      time.Time                 `json:"created_at"`
	UpdatedAt      time.Time                 `json:"updated_at"`
	ExternalID     string                    `json:"external_id,omitempty"`
	OrganizationID *string                   `json:"organization_id"`
}

// A CredentialBody is a credential in Kratos's JSON.
type CredentialBody struct {
	Type        CredentialType  `json:"type"`
	Identifiers []string        `json:"identifiers"`
	Config      json.RawMessage `json:"config,omitempty"`
	Version     int             `json:"version"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}

// identityBody shows an identity to itself: without metadata of administrators, and
// without credentials.
func (s *Service) identityBody(i *Identity) *IdentityBody {
	body := &IdentityBody{
		ID: i.ID, SchemaID: i.SchemaID, SchemaURL: s.schemaURL(i.SchemaID), State: i.State, StateChangedAt: i.StateChangedAt,
		Traits: i.Traits, Verifiable: i.Verifiable, Recovery: i.Recovery, MetadataPublic: i.MetadataPublic,
		CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, ExternalID: i.ExternalID,
	}
	if i.OrganizationID != "" {
		body.OrganizationID = &i.OrganizationID
	}
	return body
}
