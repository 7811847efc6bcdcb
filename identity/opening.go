package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// How a flow begins: who may have one, what it was opened with, and how it is found again.

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
		return Opening{}, errDisabled(strings.ToUpper(string(k[:1])) + string(k[1:]))
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
		if o.ReturnTo, err = s.challenged(r.Context(), o.LoginChallenge); err != nil {
			return Opening{}, err
		}
	}
	if o.AfterVerified, err = s.returnTo(o.AfterVerified); err != nil {
		return Opening{}, err
	}
	o.SkipSettings = k == Recovery && q.Get("skip_settings") == "true"
	if k != Settings {
		if o.Invitation, err = s.invitation(r, api); err != nil {
			return Opening{}, err
		}
	}
	o.RequestURL = s.self(r)
	if o.Invitation != "" || len(o.RequestURL) > maxURL { // whose link is a secret
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
		return errAALFulfilled()
	case f.Kind == Login && (f.requestedAAL() == AAL2 || f.Refresh):
		if st.Session == nil {
			f.Refresh = false
		} else if f.requestedAAL() == AAL2 && s.seconds(st.Identity, nil) && !s.seconds(st.Identity, st.Session) {
			f.AAL, f.Refresh = "", true // first another first factor, which leads to the second one
		}
		return nil
	case st.Session != nil:
		return errLoggedIn(f.Kind)
	default:
		return nil
	}
}

// enough asks those who want to see settings for the second factor, if they have one. A
// recovery leads here who has no other than the mailbox by which they came.
func (s *Service) enough(st *Step, back string) error {
	if s.options.SettingsAAL1 || st.Identity.AvailableAAL != AAL2 || st.Session.AAL == AAL2 || !s.seconds(st.Identity, st.Session) {
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
	whole := f.RequestURL
	if f.API { // what else was in its query says nothing that is worth a row
		f.RequestURL = plain.RequestURL
	}
	keep := f.Opening != plain || len(f.Texts) > 0
	if keep {
		f.RequestURL = whole
	}
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
	if k == Settings && st.Session == nil {
		return errNoSession()
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
	case f.Kind == Settings && f.Owner != st.Identity.ID:
		return errOtherIdentity()
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

// find is load for who goes on with a flow. Who has logged in meanwhile, as in another window
// of the browser, is told so.
func (s *Service) find(w http.ResponseWriter, st *Step, k Kind, id string) error {
	err := s.load(w, st, k, id)
	var p *Problem
	switch {
	case st.Session == nil || k != Login && k != Registration:
		return err
	case errors.As(err, &p) && p.ID == idCSRF: // it was another browser before
		return errLoggedIn(k)
	case err != nil || k == Login && (st.Flow.Refresh || st.Flow.requestedAAL() > st.Session.AAL):
		return err
	case k == Login && st.Flow.requestedAAL() == AAL2:
		return errAALFulfilled()
	default:
		return errLoggedIn(k)
	}
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
