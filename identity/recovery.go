package identity

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// recover takes a recovery one step on: an address leads to a code or link, and that to
// a session.
func (s *Service) recover(ctx context.Context, st *Step, method string) (Outcome, error) {
	if s.chooses(st.Flow) && method == string(CodeAuth) {
		return s.recoverChosen(ctx, st)
	}
	if text, ok := proofText(st, method); ok {
		return s.recovered(ctx, st, method, text)
	}
	k, err := s.addressed(st, method)
	if err != nil {
		return Done, err
	}
	return s.sendTo(ctx, st, ForRecovery, method, k)
}

// proofText is the code, or the token of a link, that the form has.
func proofText(st *Step, method string) (string, bool) {
	if method != methodLink {
		return st.code()
	}
	text := st.Form.Text("token")
	if text == "" {
		text = st.Request.URL.Query().Get("token")
	}
	return text, text != ""
}

// address reads the address of the form.
//
// A *FormError: there is none.
func (st *Step) address() (via, value string, err error) {
	text := st.Form.Text("email")
	if text == "" {
		return "", "", WrongAt("email", textMissing("email"))
	}
	via, value, ok := addressOf(text)
	if !ok {
		return "", "", WrongAt("email", textFormat("email"))
	}
	return via, value, nil
}

// addressed counts a message of the flow to the address of the form.
//
// A *FormError: there is none, or there were too many.
func (s *Service) addressed(st *Step, method string) (codeState, error) {
	via, to, err := st.address()
	if err != nil {
		return codeState{}, err
	}
	k, err := s.kept(st, method)
	if err == nil {
		err = k.sends()
	}
	k.Via, k.To, k.Name = via, to, st.Form.Text("email")
	return k, err
}

// sendTo sends what the flow sends to an address, whoever has it, and shows the form that goes
// on from there.
func (s *Service) sendTo(ctx context.Context, st *Step, use AddressUse, method string, k codeState) (Outcome, error) {
	who, err := s.store.FindAddress(ctx, use, k.Via, k.To)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return Done, err
	}
	f := st.Flow
	e := s.errand(f.Kind, method)
	e.via, e.to, e.who = k.Via, k.To, who
	if err := s.send(ctx, st, e); err != nil {
		return Done, err
	}
	f.State = Sent
	f.Shared = f.Shared || e.url != "" // the link in the message
	f.Texts = []Text{sentText(f.Kind, method, e.via)}
	return Again, f.Keep(method, k)
}

// errand is what a flow of a kind sends by a method.
func (s *Service) errand(k Kind, method string) errand {
	e := errand{purpose: string(k), template: string(k) + "_code", notify: s.options.flow(k).NotifyUnknown}
	if method == methodLink {
		e.purpose, e.template = string(k)+linkSuffix, string(k)
	}
	if method == methodLink || k == Verification {
		e.url = s.options.BaseURL + "/self-service/" + string(k)
	}
	return e
}

func sentText(k Kind, method, via string) Text {
	switch {
	case k == Recovery && method == methodLink:
		return textRecoveryLinkSent
	case k == Recovery:
		return textRecoveryCodeSent
	case via == viaSMS:
		return textVerifyPhoneSent
	case method == methodLink:
		return textVerifyLinkSent
	default:
		return textVerifyCodeSent
	}
}

// recovered answers a code or a token.
func (s *Service) recovered(ctx context.Context, st *Step, method, text string) (Outcome, error) {
	c, err := s.proven(ctx, st, method, text)
	if c == nil || err != nil {
		return Again, err
	}
	i, err := s.store.Identity(ctx, c.Identity, true)
	if err != nil {
		return Done, err
	}
	if s.verified(i, c.Via, c.Address, st.Now) {
		st.Also(SaveIdentity{i})
	}
	st.ProveBy(c, i, method+"_recovery", AAL1)
	return Done, nil
}

// proven redeems a code or token of the flow. It returns no code if it is none, after
// saying so in the form; a wrong token begins the flow anew, for it may come from a
// browser that the flow was not opened in.
func (s *Service) proven(ctx context.Context, st *Step, method, text string) (*Code, error) {
	f := st.Flow
	k, err := s.kept(st, method)
	if err != nil {
		return nil, err
	}
	c, err := s.redeem(ctx, st, s.errand(f.Kind, method).purpose, k.Sends, text)
	wrong := map[Kind]Text{Recovery: textWrongRecovery, Verification: textWrongVerifyCode}[f.Kind]
	if method == methodLink {
		wrong = map[Kind]Text{Recovery: textWrongLink, Verification: textWrongVerifyLink}[f.Kind]
	}
	if c == nil && (err == nil || isWrong(err)) {
		s.options.Guessed(st.Request, f.Kind)
	}
	switch {
	case isWrong(err) && f.Kind == Recovery:
		return nil, &restartError{textTooOften}
	case isWrong(err): // the flow may be all there is of a registration, and can send another one
		f.Texts = []Text{textTooOften}
		return nil, nil
	case err != nil:
		return nil, err
	case c == nil && method == methodLink:
		return nil, &restartError{wrong}
	case c == nil:
		f.Texts = []Text{wrong}
	}
	return c, nil
}

// verified notes that an address was shown to be the identity's, and reports whether
// that is new.
func (s *Service) verified(i *Identity, via, value string, now time.Time) bool {
	at := slices.IndexFunc(i.Verifiable, func(a VerifiableAddress) bool { return a.Via == via && a.Value == value })
	if at < 0 || i.Verifiable[at].Verified {
		return false
	}
	i.Verifiable = slices.Clone(i.Verifiable)
	a := &i.Verifiable[at]
	a.Verified, a.Status, a.VerifiedAt, a.UpdatedAt = true, "completed", now, now
	i.UpdatedAt = now
	if i.Credentials != nil {
		i.AvailableAAL = s.available(i)
	}
	return true
}

// endRecovery logs in who has recovered an account, and leads to the settings. Whoever
// else was in there is out, and attempts that were counted do not count any more.
func endRecovery(s *Service, ctx context.Context, st *Step) (*answer, error) {
	f, i := st.Flow, st.Identity
	if i.State != Active {
		return nil, Wrong(textInactive)
	}
	session, token := s.login(st)
	if !s.options.flow(Recovery).KeepSessions {
		st.Also(RevokeSessions{Identity: i.ID, Except: session.ID})
	}
	st.Also(Forgive{loginKeys(i)})
	st.Event("recovery.succeeded", i, s.options.Client(st.Request), map[string]any{"method": st.Proof.Method})
	f.State, f.Texts = Passed, nil
	url := s.after(f, st.method())
	f.Continue = []Continue{{Action: "redirect_browser_to", RedirectTo: url}}
	if !f.SkipSettings {
		next, err := s.settingsAfter(ctx, st)
		if err != nil {
			return nil, err
		}
		url = withQuery(s.options.flow(Settings).UI, "flow", next.ID)
		f.Continue = []Continue{{Action: "show_settings_ui", Flow: &ContinueFlow{ID: next.ID, URL: url}}}
	}
	a := &answer{}
	if f.API {
		f.Continue = append([]Continue{{Action: "set_ory_session_token", Token: token}}, f.Continue...)
	} else {
		a.location, a.cookie, a.life, a.newBrowser = url, token, session.ExpiresAt.Sub(st.Now), true
	}
	shown, err := s.show(ctx, st, s.csrfSecret(st.Request))
	if err != nil {
		return nil, err
	}
	a.body = shown
	f.Continue = nil // a token is not stored
	return a, nil
}

// settingsAfter makes the settings flow in which a new password is set.
func (s *Service) settingsAfter(ctx context.Context, st *Step) (*Flow, error) {
	f := &Flow{
		Kind: Settings, API: st.Flow.API, Owner: st.Identity.ID, State: ShowForm, IssuedAt: st.Now.Truncate(time.Millisecond),
		Opening: Opening{ReturnTo: cmp.Or(st.Flow.ReturnTo, s.options.Flows[Recovery].ReturnTo), RequestURL: s.initURL(Settings, st.Flow.API, Opening{})},
		Texts:   []Text{textRecoveredUntil(st.Now.Add(s.options.PrivilegedAge), st.Now)},
	}
	f.ExpiresAt = f.IssuedAt.Add(s.options.flow(Settings).Lifespan)
	f.ID = s.newFlowID(f, true)
	next := *st
	next.Flow = f
	if err := s.hooksBefore(ctx, &next); err != nil {
		return nil, err
	}
	op, err := f.save()
	if err == nil {
		st.Also(op)
	}
	return f, err
}

// loginKeys are those of the attempts to log in to an identity.
func loginKeys(i *Identity) (keys []string) {
	for _, c := range i.Credentials {
		for _, id := range c.Identifiers {
			keys = append(keys, loginKey(c.Type, id))
		}
	}
	return keys
}

func loginKey(t CredentialType, identifier string) string {
	return "login " + string(t) + " " + identifier
}

// maxAdminLife bounds what an administrator gives out, in time.
const maxAdminLife = 30 * 24 * time.Hour

// adminRecovery makes a recovery flow that any browser may go on with, for the identity
// that the body names.
func (s *Service) adminRecovery(r *http.Request, method string) (*Step, *Identity, error) {
	var body struct {
		Identity  string `json:"identity_id"`
		ExpiresIn string `json:"expires_in"`
		Type      string `json:"flow_type"`
	}
	if err := readJSON(r, &body); err != nil {
		return nil, nil, err
	}
	life := s.options.Code.Lifespan
	if method == methodLink {
		life = s.options.Code.LinkLifespan
	}
	if body.ExpiresIn != "" {
		var err error
		if life, err = time.ParseDuration(body.ExpiresIn); err != nil || life <= 0 || life > maxAdminLife {
			return nil, nil, errs.New(errs.Invalid, "expires_in is %.40q: expected a duration such as 1h, of at most 720h", body.ExpiresIn)
		}
	}
	switch body.Type {
	case "", "browser", "api":
	default:
		return nil, nil, errs.New(errs.Invalid, "flow_type is %.20q: expected browser or api", body.Type)
	}
	if s.options.flow(Recovery).Disabled {
		return nil, nil, errDisabled("Recovery")
	}
	to, err := s.returnTo(r.URL.Query().Get("return_to"))
	if err != nil {
		return nil, nil, err
	}
	if _, ok := parseUUID(body.Identity); !ok {
		return nil, nil, errs.New(errs.Invalid, "identity_id is %.80q: expected a UUID", body.Identity)
	}
	who, err := s.store.Identity(r.Context(), body.Identity, false)
	if err != nil {
		return nil, nil, err
	}
	now := s.now()
	api := body.Type == "api"
	f := &Flow{
		Kind: Recovery, API: api, State: Sent, Active: method, Shared: true, Granted: who.ID, IssuedAt: now.Truncate(time.Millisecond), ExpiresAt: now.Add(life),
		Opening: Opening{ReturnTo: to, RequestURL: s.initURL(Recovery, api, Opening{})},
	}
	f.ID = s.newFlowID(f, true)
	return &Step{Flow: f, Request: r, Now: now}, who, f.Keep(method, codeState{Sends: 1})
}

// handOut stores the flow with its code.
func (s *Service) handOut(st *Step, who *Identity, method, text string) error {
	e := s.errand(Recovery, method)
	e.who = who
	s.put(st, e, text, st.Flow.ExpiresAt)
	op, err := st.Flow.save()
	if err != nil {
		return err
	}
	st.Also(op, s.adminEvent(st.Request, "admin.recovery."+method, who.ID))
	return s.store.Write(st.Request.Context(), st.ops...)
}

func (s *Service) adminRecoveryCode(w http.ResponseWriter, r *http.Request) error {
	st, who, err := s.adminRecovery(r, string(CodeAuth))
	if err != nil {
		return err
	}
	code := digits()
	if err := s.handOut(st, who, string(CodeAuth), code); err != nil {
		return err
	}
	return reply(w, http.StatusCreated, map[string]any{
		"recovery_code": code, "recovery_link": withQuery(s.options.flow(Recovery).UI, "flow", st.Flow.ID), "expires_at": st.Flow.ExpiresAt,
	})
}

func (s *Service) adminRecoveryLink(w http.ResponseWriter, r *http.Request) error {
	st, who, err := s.adminRecovery(r, methodLink)
	if err != nil {
		return err
	}
	token := longToken()
	if err := s.handOut(st, who, methodLink, token); err != nil {
		return err
	}
	link := withQuery(s.options.BaseURL+"/self-service/recovery", "flow", st.Flow.ID, "token", token)
	return reply(w, http.StatusOK, map[string]any{"recovery_link": link, "expires_at": st.Flow.ExpiresAt})
}
