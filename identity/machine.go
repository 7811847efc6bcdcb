package identity

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// The machine: open makes a flow, fetch shows it, submit takes it one step on. What is
// particular to a kind is in its end (see ends), in admit, and in the strategies.

// An end makes a submission that is Done into ops and an answer.
type end func(s *Service, ctx context.Context, st *Step) (*answer, error)

// ends has the kinds of flows that there are.
func ends(k Kind) end {
	switch k {
	case Login:
		return endLogin
	case Registration:
		return endRegistration
	case Settings:
		return endSettings
	case Recovery:
		return endRecovery
	case Verification:
		return endVerification
	default:
		return nil
	}
}

// An answer is written after the step is.
type answer struct {
	body       any    // to programs
	status     int    // of body; 0: 200
	location   string // where browsers go; "" for native apps
	cookie     string // the session's new token, for browsers
	life       time.Duration
	newBrowser bool // the CSRF cookie is renewed
}

// open makes a flow and shows it, or sends the browser to it.
func (s *Service) open(w http.ResponseWriter, r *http.Request, k Kind, api bool) error {
	o, err := s.opening(r, k, api)
	if err != nil {
		return err
	}
	st := &Step{Flow: &Flow{Kind: k, API: api, Opening: o}, Request: r, Now: s.now()}
	if err := s.call(r.Context(), st); err != nil {
		return err
	}
	if o.LoginChallenge != "" && st.Session != nil && (k == Login || k == Registration) && !o.Refresh && o.AAL == "" {
		if wantsJSON(r) {
			return errGoto(o.ReturnTo)
		}
		http.Redirect(w, r, o.ReturnTo, http.StatusSeeOther)
		return nil
	}
	if err := s.see(r.Context(), st); err != nil {
		return err
	}
	if err := s.admit(st); err != nil {
		return err
	}
	secret, err := s.begin(w, st)
	if err != nil {
		return err
	}
	if !api && !wantsJSON(r) {
		http.Redirect(w, r, withQuery(s.options.flow(k).UI, "flow", st.Flow.ID), http.StatusSeeOther)
		return nil
	}
	shown, err := s.show(r.Context(), st, secret)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, shown)
}

// opening reads what the client says.
func (s *Service) opening(r *http.Request, k Kind, api bool) (Opening, error) {
	q := r.URL.Query()
	if !s.offers(k) {
		return Opening{}, errDisabled(string(k))
	}
	if api {
		if err := checkNative(r); err != nil {
			return Opening{}, err
		}
	}
	o := Opening{
		Refresh: q.Get("refresh") == "true", LoginChallenge: q.Get("login_challenge"), Organization: q.Get("organization"),
		Schema: q.Get("identity_schema"), Via: q.Get("via"), AfterVerified: q.Get("after_verification_return_to"),
	}
	if s.organization(o.Organization) == nil {
		o.Organization = ""
	}
	if api && q.Get("return_session_token_exchange_code") == "true" && (k == Login || k == Registration) {
		o.Exchange = exchangeSelf
	}
	switch aal := AAL(q.Get("aal")); aal {
	case "", AAL1:
	case AAL2:
		o.AAL = aal
	default:
		return Opening{}, errs.New(errs.Invalid, "aal is %.20q: expected aal1 or aal2", string(aal))
	}
	if schema := s.schema(o.Schema); schema == nil || o.Schema != "" && !schema.Selectable && o.Schema != s.options.DefaultSchema {
		return Opening{}, errs.New(errs.Invalid, "identity_schema %.80q: expected one that users may choose", o.Schema)
	}
	var err error
	if o.ReturnTo, err = s.returnTo(q.Get("return_to")); err != nil {
		return Opening{}, err
	}
	if o.LoginChallenge != "" {
		if o.ReturnTo, err = s.challenged(o.LoginChallenge); err != nil {
			return Opening{}, err
		}
	}
	if o.AfterVerified, err = s.returnTo(o.AfterVerified); err != nil {
		return Opening{}, err
	}
	if k != Settings {
		if o.Invitation, err = s.invitation(r, api); err != nil {
			return Opening{}, err
		}
	}
	o.RequestURL = s.self(r)
	if o.Invitation != "" { // whose link is a secret
		o.RequestURL = s.initURL(k, api, o)
	}
	return o, nil
}

// initURL is the request of a flow whose opening is in its id.
func (s *Service) initURL(k Kind, api bool, o Opening) string {
	path, refresh := "/browser", ""
	if api {
		path = "/api"
	}
	if o.Refresh {
		refresh = "true"
	}
	return withQuery(s.options.BaseURL+"/self-service/"+string(k)+path, "aal", string(o.AAL), "refresh", refresh)
}

// call finds out who calls, if anybody.
func (s *Service) call(ctx context.Context, st *Step) (err error) {
	st.Session, st.caller, err = s.sessionOf(ctx, s.token(st.Request), st.Now)
	return err
}

// see fills in who and what the flow is about, after call.
func (s *Service) see(ctx context.Context, st *Step) (err error) {
	f := st.Flow
	st.Schema = s.schema(f.Schema)
	switch {
	case st.Session == nil:
	case f.Kind == Settings:
		st.Identity, err = s.store.Identity(ctx, st.caller.ID, true)
	case f.Kind == Login && (f.Refresh || f.requestedAAL() == AAL2):
		st.Identity, err = s.store.Identity(ctx, st.caller.ID, true)
	}
	if err == nil && st.Identity != nil {
		st.Schema = s.schema(st.Identity.SchemaID)
	}
	if err == nil && st.Schema == nil {
		err = errs.New(errs.Internal, "the identity schema of the flow is no longer configured")
	}
	return err
}

// first is the state that a flow begins with.
func first(k Kind) FlowState {
	if k == Settings {
		return ShowForm
	}
	return Choose
}

// admit says whether the caller may have such a flow now.
func (s *Service) admit(st *Step) error {
	f := st.Flow
	switch {
	case f.Kind == Settings && st.Session == nil:
		return errNoSession()
	case f.Kind == Settings:
		f.Owner = st.Identity.ID
		return s.enough(st, s.self(st.Request))
	case f.Kind == Verification:
		return nil
	case f.Kind == Login && f.requestedAAL() == AAL2 && st.Session == nil:
		return errAAL1()
	case f.Kind == Login && f.requestedAAL() == AAL2 && st.Session.AAL == AAL2 && !f.Refresh:
		return errLoggedIn()
	case f.Kind == Login && (f.requestedAAL() == AAL2 || f.Refresh):
		if st.Session == nil {
			f.Refresh = false
		}
		return nil
	case st.Session != nil:
		return errLoggedIn()
	default:
		return nil
	}
}

// enough asks those who want to see settings for the second factor, if they have one.
func (s *Service) enough(st *Step, back string) error {
	if s.options.SettingsAAL1 || st.Identity.AvailableAAL != AAL2 || st.Session.AAL == AAL2 {
		return nil
	}
	return errAAL2(s.stepUpURL(back))
}

func (s *Service) stepUpURL(back string) string {
	return withQuery(s.options.BaseURL+"/self-service/login/browser", "aal", string(AAL2), "return_to", back)
}

// begin gives st.Flow its id and its time. It returns the browser's CSRF secret, nil
// for native flows.
func (s *Service) begin(w http.ResponseWriter, st *Step) (secret []byte, err error) {
	f := st.Flow
	f.IssuedAt = st.Now.Truncate(time.Millisecond)
	f.ExpiresAt = f.IssuedAt.Add(s.options.flow(f.Kind).Lifespan)
	f.State = first(f.Kind)
	if !f.API {
		secret = s.csrf(w, st.Request)
		f.Browser = hashSecret(secret)
	}
	plain := Opening{Refresh: f.Refresh, AAL: f.AAL, RequestURL: s.initURL(f.Kind, f.API, f.Opening)}
	if f.API { // what else was in its query says nothing that is worth a row
		f.RequestURL = plain.RequestURL
	}
	keep := f.Opening != plain || len(f.Texts) > 0
	f.ID = s.newFlowID(f, keep)
	if err := s.hooksBefore(st.Request.Context(), st); err != nil {
		return nil, err
	}
	if !keep || !f.API && len(f.Texts) == 0 && s.keepOpening(w, st.Request, f) {
		return secret, nil
	}
	op, err := f.save()
	if err != nil {
		return nil, err
	}
	return secret, s.store.Write(st.Request.Context(), op)
}

// load finds a flow for who submits or fetches it, and fills in st.
//
// NotFound: there is none. Denied: it is of another browser or identity. Expired, with
// a new flow to use.
func (s *Service) load(w http.ResponseWriter, st *Step, k Kind, id string) error {
	ctx := st.Request.Context()
	if err := s.call(ctx, st); err != nil {
		return err
	}
	f, err := s.stored(ctx, id)
	if errs.KindOf(err) == errs.NotFound {
		owner := ""
		if st.Session != nil {
			owner = st.Session.Identity
		}
		f, err = s.unopened(st.Request, id, owner)
	}
	if err != nil {
		return err
	}
	if f.Kind != k {
		return errs.New(errs.NotFound, "there is no such flow")
	}
	st.Flow = f
	if err := s.see(ctx, st); err != nil {
		return err
	}
	switch {
	case f.Kind == Settings && st.Session == nil:
		return errNoSession()
	case f.Kind == Settings && f.Owner != st.Identity.ID:
		return &Problem{Kind: errs.Denied, ID: idOtherIdentity, Message: "The request was made by another identity and has been blocked for security reasons."}
	case f.Kind != Settings && !f.API && !f.Shared && subtle.ConstantTimeCompare(f.Browser, s.browser(st.Request)) != 1:
		return errCSRF("The flow was opened by another browser, or its cookies are gone.")
	}
	if !st.Now.Before(f.ExpiresAt) {
		return s.replace(w, st)
	}
	if f.Kind == Settings { // a factor may have been added since the flow was opened
		return s.enough(st, withQuery(s.options.flow(Settings).UI, "flow", f.ID))
	}
	return nil
}

// replace opens a flow in the place of one that expired, and says so.
func (s *Service) replace(w http.ResponseWriter, st *Step) error {
	old := st.Flow
	next := *st
	next.Flow = &Flow{Kind: old.Kind, API: old.API, Opening: old.Opening, Owner: old.Owner}
	next.Flow.ExpiredAt = old.ExpiresAt
	if _, err := s.begin(w, &next); err != nil {
		return err
	}
	return &Problem{Kind: errs.Expired, ID: idExpired, Message: "self-service flow expired",
		Reason:  "The self-service flow has expired, use the new one.",
		UseFlow: next.Flow.ID, ExpiredAt: old.ExpiresAt}
}

// restart opens a flow in the place of one that came to an end it cannot go on from, and
// says why.
func (s *Service) restart(w http.ResponseWriter, st *Step, why Text) error {
	old := st.Flow
	next := *st
	next.Flow = &Flow{Kind: old.Kind, API: old.API, Opening: old.Opening, Texts: []Text{why}}
	if _, err := s.begin(w, &next); err != nil {
		return err
	}
	return &Problem{Kind: errs.Expired, ID: idReplaced, Message: "The flow was replaced by another one.", Reason: why.Text, UseFlow: next.Flow.ID}
}

// fetch shows a flow.
func (s *Service) fetch(w http.ResponseWriter, r *http.Request, k Kind) error {
	shown, err := s.Show(w, r, k, r.URL.Query().Get("id"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, shown)
}

// Show returns the form of a flow for the browser or app that opened it. It may set
// cookies.
//
// NotFound, Denied, Expired: as for the API.
func (s *Service) Show(w http.ResponseWriter, r *http.Request, k Kind, id string) (*ShownFlow, error) {
	st := &Step{Request: r, Now: s.now()}
	if err := s.load(w, st, k, id); err != nil {
		return nil, err
	}
	var secret []byte
	if !st.Flow.API {
		secret = s.csrf(w, r)
	}
	return s.show(r.Context(), st, secret)
}

// submit takes a flow one step on.
func (s *Service) submit(w http.ResponseWriter, r *http.Request, k Kind) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		a, err := s.step(w, r, k, form)
		if err == nil {
			return s.write(w, r, a)
		}
		if try == attempts || errs.KindOf(err) != errs.Conflict || isTaken(err) {
			return err
		}
	}
}

// step makes one attempt to submit. It writes to the store, and cookies of flows only.
func (s *Service) step(w http.ResponseWriter, r *http.Request, k Kind, form Form) (*answer, error) {
	ctx := r.Context()
	st := &Step{Request: r, Form: form, Now: s.now()}
	if err := s.load(w, st, k, r.URL.Query().Get("flow")); err != nil {
		return nil, err
	}
	f := st.Flow
	if err := s.genuine(st); err != nil {
		return nil, err
	}
	if f.finished() {
		if done, ok := doneTexts[k]; ok {
			return nil, s.restart(w, st, done)
		}
		return s.again(ctx, st, Wrong(textDone), false)
	}
	f.clear()
	f.Active = form.Method()
	if one := s.strategy(form); one != nil { // its button may say nothing of the method
		f.Active = one.Method()
	}
	f.Values = s.remembered(st)
	return s.advance(w, st, s.decide)
}

// advance takes a flow as far as decide says, and writes it. decide may have put another
// flow in its place.
func (s *Service) advance(w http.ResponseWriter, st *Step, decide func(context.Context, *Step) (*answer, error)) (*answer, error) {
	ctx := st.Request.Context()
	a, err := decide(ctx, st)
	f := st.Flow
	var wrong *FormError
	if errors.As(err, &wrong) {
		s.failure(st, wrong)
		return s.again(ctx, st, err, true)
	}
	var over *restartError
	if errors.As(err, &over) {
		return nil, s.restart(w, st, over.text)
	}
	if err != nil {
		return nil, err
	}
	if a == nil {
		a, err = s.again(ctx, st, nil, false)
		if err != nil {
			return nil, err
		}
	}
	op, err := f.save()
	if err != nil {
		return nil, err
	}
	token := ""
	if err := s.store.Write(ctx, s.shown(&token, append(append(st.ops, st.always...), op)...)...); err != nil {
		if isTaken(err) {
			f.State = first(f.Kind)
			return s.again(ctx, st, Wrong(textTaken), true)
		}
		if errs.KindOf(err) == errs.Refused { // another request has used the code: look again
			err = errs.Wrap(errs.Conflict, err, "another request came first")
		}
		return nil, err
	}
	showToken(w, token)
	for _, do := range st.then {
		do()
	}
	return a, nil
}

// genuine checks that a page of ours, or an app, sent the form.
func (s *Service) genuine(st *Step) error {
	f := st.Flow
	if f.API && f.Shared && s.csrfSecret(st.Request) != nil { // a link of an app was opened in a browser
		f.API = false
	}
	if f.API {
		return checkNative(st.Request)
	}
	return s.checkCSRF(st.Request, st.Form.Text("csrf_token"))
}

// decide asks the strategy, then the hooks, then the end of the kind. It returns nil if
// the form goes on.
func (s *Service) decide(ctx context.Context, st *Step) (*answer, error) {
	k := st.Flow.Kind
	if org := s.claimed(st); org != nil {
		outcome, err := s.route(ctx, st, org)
		if err != nil {
			return nil, err
		}
		return s.conclude(ctx, st, st.Identity, outcome)
	}
	one := s.strategy(st.Form)
	if k == Registration {
		st.Identity = newIdentity(st.Schema.ID, st.Form.traits(st.Schema), st.Now)
		if source, ok := one.(TraitSource); !ok || !source.FindsTraits() {
			if err := st.Schema.validate(st.Identity.Traits); err != nil {
				return nil, err
			}
		}
	}
	if one == nil {
		return nil, Wrong(noStrategy(k))
	}
	before := st.Identity
	if k == Settings {
		st.Identity = before.clone()
	}
	outcome, err := one.Submit(ctx, st)
	if err != nil {
		return nil, err
	}
	return s.conclude(ctx, st, before, outcome)
}

// conclude makes an outcome into an answer. before is the identity of the settings as it
// was.
func (s *Service) conclude(ctx context.Context, st *Step, before *Identity, outcome Outcome) (*answer, error) {
	k := st.Flow.Kind
	switch outcome {
	case Again:
		return nil, nil
	case Leave:
		return &answer{location: st.Location, body: s.errorBody(errGoto(st.Location), http.StatusUnprocessableEntity, ""), status: http.StatusUnprocessableEntity}, nil
	}
	if k == Settings {
		s.settle(st.Identity, before, st.Now)
		if err := s.privileged(st, before); err != nil {
			return nil, err
		}
		st.unproven = s.moved(st.Identity, before)
		if len(st.unproven) > 0 && s.waits() {
			return s.move(ctx, st, before)
		}
	}
	if k == Registration {
		s.settle(st.Identity, nil, st.Now)
		st.unproven = s.unverified(st.Identity)
		if len(st.unproven) > 0 && s.waits() {
			return s.confirm(ctx, st)
		}
	}
	if err := s.runHooks(ctx, k, st.method(), st); err != nil {
		return nil, err
	}
	a, err := ends(k)(s, ctx, st)
	if err != nil {
		return nil, err
	}
	return a, s.accept(ctx, st)
}

// strategy is the one that answers to a form.
func (s *Service) strategy(form Form) Strategy {
	for _, one := range s.strategies {
		if one.Method() == form.Method() {
			return one
		}
		if claimer, ok := one.(Claimer); ok && form.Method() == "" && claimer.Claims(form) {
			return one
		}
	}
	return nil
}

func noStrategy(k Kind) Text {
	switch k {
	case Registration:
		return textNoSignUpMethod
	case Settings:
		return textNoSettingsMethod
	case Recovery:
		return textNoRecoveryMethod
	case Verification:
		return textNoVerifyMethod
	default:
		return textNoLoginMethod
	}
}

// again answers with the form, after a mistake if wrong is one. The flow is stored if
// store says so.
func (s *Service) again(ctx context.Context, st *Step, wrong error, store bool) (*answer, error) {
	f := st.Flow
	var form *FormError
	if errors.As(wrong, &form) {
		f.blame(form)
	}
	if store {
		op, err := f.save()
		if err != nil {
			return nil, err
		}
		if err := s.store.Write(ctx, append(st.always, op)...); err != nil {
			return nil, err
		}
	}
	shown, err := s.show(ctx, s.fresh(st), s.csrfSecret(st.Request))
	if err != nil {
		return nil, err
	}
	a := &answer{body: shown, status: http.StatusBadRequest}
	if !f.API {
		a.location = withQuery(s.options.flow(f.Kind).UI, "flow", f.ID)
	}
	if wrong == nil && f.Kind != Login && f.Kind != Registration {
		a.status = http.StatusOK
	}
	return a, nil
}

// fresh is the step as it is shown: an identity that could not be registered, or
// changed, is not there.
func (s *Service) fresh(st *Step) *Step {
	shown := *st
	if st.Flow.Kind == Registration {
		shown.Identity = nil
	}
	return &shown
}

// write writes what became of a submission.
func (s *Service) write(w http.ResponseWriter, r *http.Request, a *answer) error {
	if a.cookie != "" {
		s.giveSession(w, a.cookie, a.life)
	}
	if a.newBrowser {
		s.newCSRF(w)
	}
	if !wantsJSON(r) && a.location != "" {
		http.Redirect(w, r, a.location, http.StatusSeeOther)
		return nil
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	return reply(w, status, a.body)
}

// remembered are the values that are shown again.
func (s *Service) remembered(st *Step) map[string]any {
	values := map[string]any{}
	if st.Form.Has("identifier") {
		values["identifier"] = st.Form.Text("identifier")
	}
	if st.Form.Has("email") {
		values["email"] = st.Form.Text("email")
	}
	for name, v := range shown(st.Form.traits(st.Schema)) {
		values[name] = v
	}
	return values
}

func isTaken(err error) bool {
	var taken *TakenError
	return errors.As(err, &taken)
}

// after is where a browser goes after a flow that came to its end by a method.
func (s *Service) after(f *Flow, method string) string {
	o := s.options.flow(f.Kind)
	return cmp.Or(f.ReturnTo, o.Methods[method].ReturnTo, o.ReturnTo)
}
