package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// The machine: open makes a flow (see opening.go), fetch shows it, submit takes it one step
// on. What is particular to a kind is in its end (see ends), in admit, and in the
// strategies.

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

// submitAttempts is how often a submission starts again when others are in the way. Each
// writes once, so who is right wins in the end; see again for who is wrong.
const submitAttempts = 25

// submit takes a flow one step on.
func (s *Service) submit(w http.ResponseWriter, r *http.Request, k Kind) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	counted := counts{}
	for try := 1; ; try++ {
		a, err := s.step(w, r, k, form, counted)
		if err == nil {
			return s.write(w, r, a)
		}
		if try == submitAttempts || errs.KindOf(err) != errs.Conflict || isTaken(err) {
			return err
		}
	}
}

// step makes one attempt to submit. It writes to the store, and cookies of flows only.
func (s *Service) step(w http.ResponseWriter, r *http.Request, k Kind, form Form, counted counts) (*answer, error) {
	st := &Step{Request: r, Form: form, Now: s.now(), counted: counted}
	if err := s.find(w, st, k, r.URL.Query().Get("flow")); err != nil {
		return nil, err
	}
	f := st.Flow
	if err := s.genuine(st); err != nil {
		return nil, err
	}
	if f.finished() {
		return s.repeated(w, st)
	}
	if n := len(form.JSON("transient_payload")); n > maxTransient {
		return nil, errs.New(errs.Invalid, "transient_payload has %d bytes: expected at most %d", n, maxTransient)
	}
	f.clear()
	f.State = f.resumed()
	f.Active = ""
	if one := s.strategy(form); one != nil { // its button may say nothing of the method
		f.Active = one.Method()
	}
	f.Values = s.remembered(st)
	return s.advance(w, st, s.decide)
}

// repeated answers who submits a flow that came to its end. In a browser a second click leads to
// where the first one did.
func (s *Service) repeated(w http.ResponseWriter, st *Step) (*answer, error) {
	ctx, f := st.Request.Context(), st.Flow
	switch page := !f.API && !wantsJSON(st.Request); {
	case f.Kind == Verification && page:
		return s.again(ctx, st, nil, false)
	case f.Kind == Verification, f.Kind == Recovery:
		return nil, s.restart(w, st, doneTexts[f.Kind])
	}
	a, err := s.again(ctx, st, Wrong(doneTexts[f.Kind]), false)
	if err == nil && !f.API {
		a.location = cmp.Or(f.next(), s.after(f, f.Active))
	}
	return a, err
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
	var busy *busyError
	if errors.As(err, &busy) && !f.API && !wantsJSON(st.Request) { // programs know when to come again
		return s.again(ctx, st, Wrong(textBusy), true)
	}
	var over *restartError
	if errors.As(err, &over) {
		return nil, s.restart(w, st, over.text)
	}
	var problem *Problem
	if errors.As(err, &problem) && problem.ID == idRefresh && !f.API { // what was written waits in the form
		if _, err := s.again(ctx, st, nil, true); err != nil {
			return nil, err
		}
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
			f.clear() // it was not done after all
			f.State = first(f.Kind)
			text, err := s.takenText(ctx, st, st.Identity)
			if err != nil {
				return nil, err
			}
			return s.again(ctx, st, Wrong(text), true)
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
	if one == nil {
		return nil, Wrong(noStrategy(k))
	}
	if k == Registration {
		st.Identity = newIdentity(st.Schema.ID, st.Form.traits(st.Schema), st.Now)
		if source, ok := one.(TraitSource); !ok || !source.FindsTraits() {
			if err := st.Schema.validate(st.Identity.Traits); err != nil {
				return nil, err
			}
		}
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
		st.before, st.unproven = before, s.moved(st.Identity, before)
		if len(st.unproven) > 0 && (s.waits() || s.does(Settings, st.method(), VerifyNew) && s.offers(Verification)) {
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
		err = s.store.Write(ctx, append(st.always, op)...)
		if errs.KindOf(err) == errs.Conflict { // another request was answered meanwhile: what the flow says is about that
			err = s.store.Write(ctx, st.always...)
		}
		if err != nil {
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

// maxRemembered bounds what of a form is stored with its flow: everybody may send one.
const maxRemembered = 32 << 10

// maxTransient bounds transient_payload, in bytes: messages and what waits for an address keep
// it.
const maxTransient = 64 << 10

// remembered are the values that are shown again, none if they are too long.
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
	if text, err := json.Marshal(values); err != nil || len(text) > maxRemembered {
		return nil
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
