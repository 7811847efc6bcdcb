package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Accounts and addresses that wait for a message to be answered. So nobody can find out
// by a registration who has an account: the answer is the same, and who has one is told
// in a message. Nor does anybody hold an address that is not theirs.

// keptPending is where a verification keeps what it is for, in Flow.Kept.
const keptPending = "pending"

// A pending is what is done when addresses are verified: an identity is made, or the
// traits of one are changed.
type pending struct {
	Todo []VerifiableAddress // which are not yet verified

	Identity *Identity `json:",omitempty"` // the new one, with credentials
	Proof    Method    // by which it was registered

	Payload json.RawMessage `json:",omitempty"` // as of Step.transient

	Of            string // the identity that is changed
	Before, After []byte // its traits, as JSON
}

// waits reports whether accounts and addresses wait.
func (s *Service) waits() bool { return !s.options.TellTaken && s.offers(Verification) }

// unverified are the addresses of an identity to which a message can be sent for
// verification.
func (s *Service) unverified(i *Identity) (todo []VerifiableAddress) {
	for _, a := range i.Verifiable {
		if !a.Verified && s.reaches(a.Via) {
			todo = append(todo, a)
		}
	}
	return todo
}

// moved are the addresses that an identity did not have before.
func (s *Service) moved(i, before *Identity) (todo []VerifiableAddress) {
	return slices.DeleteFunc(s.unverified(i), func(a VerifiableAddress) bool { return hasAddress(before, a) })
}

func hasAddress(i *Identity, a VerifiableAddress) bool {
	return slices.ContainsFunc(i.Verifiable, func(b VerifiableAddress) bool { return a.Via == b.Via && a.Value == b.Value })
}

// confirm ends a registration whose account is made when its addresses are verified.
func (s *Service) confirm(ctx context.Context, st *Step) (*answer, error) {
	f, i, todo := st.Flow, st.Identity, st.unproven
	next, err := s.ask(ctx, st, &pending{Identity: i, Proof: st.Proof}, i, todo)
	if err != nil {
		return nil, err
	}
	f.State, f.Values = Passed, nil
	st.Event("registration.begun", nil, s.options.Client(st.Request), map[string]any{"method": st.Proof.Method})
	url := withQuery(s.options.flow(Verification).UI, "flow", next.ID)
	a := &answer{}
	f.Continue = []Continue{showVerification(next, url, todo[0])}
	body := loggedIn{Identity: s.identityBody(i), Continue: f.Continue}
	if !f.API {
		a.location = url
		body.Continue = append(slices.Clone(f.Continue), Continue{Action: "redirect_browser_to", RedirectTo: url})
	}
	a.body = body
	return a, nil
}

func showVerification(f *Flow, url string, a VerifiableAddress) Continue {
	return Continue{Action: "show_verification_ui", Flow: &ContinueFlow{ID: f.ID, URL: url, Address: a.Value}}
}

// move ends a change of settings that has a new address: all of it is done when that is
// verified.
func (s *Service) move(ctx context.Context, st *Step, before *Identity) (*answer, error) {
	todo := st.unproven
	if len(todo) > 1 {
		return nil, Wrong(textManyAddresses)
	}
	f := st.Flow
	next, err := s.ask(ctx, st, &pending{Of: before.ID, Before: before.Traits, After: st.Identity.Traits}, st.Identity, todo)
	if err != nil {
		return nil, err
	}
	st.Event("address.change.begun", before, s.options.Client(st.Request), nil)
	url := withQuery(s.options.flow(Verification).UI, "flow", next.ID)
	st.Identity = before
	f.Values, f.Continue = nil, []Continue{showVerification(next, url, todo[0])}
	f.Texts = []Text{sentText(Verification, next.Active, todo[0].Via)}
	shown, err := s.show(ctx, st, s.csrfSecret(st.Request))
	if err != nil {
		return nil, err
	}
	a := &answer{body: shown}
	if !f.API {
		a.location = url
	}
	f.Continue = nil
	return a, nil
}

// ask opens a verification of addresses of i. p, if there is one, is done when they are
// verified.
//
// A *FormError: something else that i would have is taken, which everybody may know.
func (s *Service) ask(ctx context.Context, st *Step, p *pending, i *Identity, todo []VerifiableAddress) (*Flow, error) {
	f := s.verification(st, todo[0])
	if p != nil {
		p.Todo, p.Payload = todo, st.transient()
		if err := f.Keep(keptPending, p); err != nil {
			return nil, err
		}
	}
	if err := f.Keep(f.Active, codeState{Via: todo[0].Via, To: todo[0].Value, Name: todo[0].Value, Sends: 1}); err != nil {
		return nil, err
	}
	of := &Step{Flow: f, Form: st.Form, Request: st.Request, Now: st.Now}
	if err := s.askEach(ctx, of, p, i, todo); err != nil {
		return nil, err
	}
	op, err := f.save()
	if err != nil {
		return nil, err
	}
	st.Also(append(of.ops, op)...)
	st.then = append(st.then, of.then...)
	return f, nil
}

// askEach sends a code or a link for something pending to each address.
func (s *Service) askEach(ctx context.Context, st *Step, p *pending, i *Identity, todo []VerifiableAddress) error {
	e := s.errand(Verification, st.Flow.Active)
	if p != nil && st.Flow.Active == string(CodeAuth) {
		e.url = "" // what a stranger has begun shall not be completed by a click
	}
	return s.sendEach(ctx, st, e, i, todo, p != nil)
}

// sendEach sends to each address what e says, in the place of what the flow has sent
// before. If i is new, who has an account with an address already is told so, and no
// code for it is good for anything.
//
// A *FormError: something else that i would have is taken, which everybody may know, or
// an address is, and that may be told.
func (s *Service) sendEach(ctx context.Context, st *Step, e errand, i *Identity, to []VerifiableAddress, isNew bool) error {
	taken := map[string]bool{}
	if isNew {
		holders, err := s.store.Holders(ctx, i)
		if err != nil {
			return err
		}
		for _, h := range holders {
			if s.options.TellTaken || !slices.ContainsFunc(to, func(a VerifiableAddress) bool { return a.Value == h.Value }) {
				text, err := s.takenText(ctx, st, i)
				if err != nil {
					return err
				}
				return Wrong(text)
			}
			taken[h.Value] = true
		}
	}
	st.Also(DropCodes{Flow: st.Flow.ID, Purpose: e.purpose})
	for _, a := range to {
		e.via, e.to, e.who, e.taken = a.Via, a.Value, i, taken[a.Value]
		ok, err := s.maySend(ctx, st, a.Via, a.Value)
		if err == nil && ok {
			err = s.sendMore(st, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// askAgain sends once more what something pending waits for.
func (s *Service) askAgain(ctx context.Context, st *Step, p *pending, method string, k codeState) (Outcome, error) {
	if !slices.ContainsFunc(p.Todo, func(a VerifiableAddress) bool { return a.Via == k.Via && a.Value == k.To }) {
		return Done, WrongAt("email", textNotMyAddress)
	}
	i := p.Identity
	if i == nil {
		var err error
		if i, err = s.store.Identity(ctx, p.Of, true); err != nil {
			return Done, err
		}
		before := i.clone()
		i.Traits = p.After
		s.settle(i, before, st.Now)
	}
	if err := s.askEach(ctx, st, p, i, p.Todo); err != nil {
		return Done, err
	}
	st.Flow.Texts = []Text{sentText(Verification, method, k.Via)}
	return Again, st.Flow.Keep(method, k)
}

// introduce opens a verification of the addresses that are new with the step, which did
// not wait for it, and tells the client.
func (s *Service) introduce(ctx context.Context, st *Step) error {
	if len(st.unproven) == 0 || !s.offers(Verification) {
		return nil
	}
	next, err := s.ask(ctx, st, nil, st.Identity, st.unproven)
	if err != nil {
		return err
	}
	addresses := slices.Clone(st.Identity.Verifiable)
	for n, a := range addresses {
		if !a.Verified && slices.ContainsFunc(st.unproven, func(b VerifiableAddress) bool { return a.ID == b.ID }) {
			addresses[n].Status = sent
		}
	}
	st.Identity.Verifiable = addresses
	url := withQuery(s.options.flow(Verification).UI, "flow", next.ID)
	st.Flow.Continue = append(st.Flow.Continue, showVerification(next, url, st.unproven[0]))
	k := st.Flow.Kind
	if (s.options.flow(k).ShowVerification || s.does(k, st.method(), ShowVerification)) && !st.Flow.API {
		st.Location = url
	}
	return nil
}

// remind is for logins with a hook: whoever logs in with addresses that are not verified is
// led to where that is done, and is sent what it takes.
func (s *Service) remind(ctx context.Context, st *Step) error {
	k, method := st.Flow.Kind, st.method()
	if st.Flow.requestedAAL() != AAL1 || !s.does(k, method, ShowVerification) && !s.does(k, method, SendVerification) {
		return nil
	}
	st.Flow.Continue, st.unproven = nil, s.unverified(st.Identity)
	return s.introduce(ctx, st)
}

// needsVerified is a hook of logins: who has addresses must have verified one. A message
// to those that are not goes out, and the client is led to where the code is entered.
func (s *Service) needsVerified(ctx context.Context, st *Step) error {
	i := st.Identity
	if len(i.Verifiable) == 0 || slices.ContainsFunc(i.Verifiable, func(a VerifiableAddress) bool { return a.Verified }) {
		return nil
	}
	todo := s.unverified(i)
	if len(todo) == 0 || !s.offers(Verification) {
		return Wrong(textNotVerified)
	}
	of := &Step{Flow: st.Flow, Form: st.Form, Request: st.Request, Now: st.Now}
	next, err := s.ask(ctx, of, nil, i, todo)
	if err != nil {
		return err
	}
	if err := s.store.Write(ctx, of.ops...); err != nil {
		return err
	}
	s.wake()
	url := withQuery(s.options.flow(Verification).UI, "flow", next.ID)
	return errNotVerified(url, showVerification(next, url, todo[0]))
}

// verification is a flow of the client of st in which a message was sent to a.
func (s *Service) verification(st *Step, a VerifiableAddress) *Flow {
	old := st.Flow
	f := &Flow{
		Kind: Verification, API: old.API, State: Sent, Active: string(CodeAuth), Browser: s.browser(st.Request), Shared: true,
		IssuedAt: st.Now.Truncate(time.Millisecond), Opening: Opening{ReturnTo: old.ReturnTo, RequestURL: old.RequestURL, Invitation: old.Invitation},
	}
	if old.AfterVerified != "" {
		f.ReturnTo = old.AfterVerified
	}
	if s.options.flow(Verification).Link {
		f.Active = methodLink
	}
	f.ExpiresAt = f.IssuedAt.Add(s.options.flow(Verification).Lifespan)
	f.Texts = []Text{sentText(Verification, f.Active, a.Via)}
	f.ID = s.newFlowID(f, true)
	return f
}

// arrived notes that an address of something pending was verified, and does it when it
// was the last one.
func (s *Service) arrived(ctx context.Context, st *Step, p *pending, c *Code) (Outcome, error) {
	f := st.Flow
	p.Todo = slices.DeleteFunc(p.Todo, func(a VerifiableAddress) bool { return a.Via == c.Via && a.Value == c.Address })
	if p.Identity != nil {
		s.verified(p.Identity, c.Via, c.Address, st.Now)
	}
	if len(p.Todo) > 0 {
		f.Texts = []Text{sentText(Verification, f.Active, p.Todo[0].Via)}
		return Again, f.Keep(keptPending, p)
	}
	delete(f.Kept, keptPending)
	st.payload = p.Payload
	st.thank(c)
	if i := p.Identity; i != nil {
		i.MetadataPublic, i.MetadataAdmin = notNull(i.MetadataPublic), notNull(i.MetadataAdmin)
		st.Identity, st.Proof = i, p.Proof
		return Done, nil
	}
	i, err := s.store.Identity(ctx, p.Of, true)
	if err != nil {
		return Done, err
	}
	if !bytes.Equal(i.Traits, p.Before) { // by somebody, in another way
		return Done, &restartError{textVerifyFailed}
	}
	before := i.clone()
	i.Traits = p.After
	s.settle(i, before, st.Now)
	s.verified(i, c.Via, c.Address, st.Now)
	st.Identity, st.sensitive = i, true
	st.Also(SaveIdentity{i})
	st.Event("address.changed", i, s.options.Client(st.Request), nil)
	hook, _ := s.hookAfter(Settings, groupProfile, NotifyPrevious)
	return Done, s.farewell(st, i, before, hook.Tell)
}

// farewell tells addresses that an identity had before that they have changed, at least
// those that do not belong to it any more.
func (s *Service) farewell(st *Step, i, before *Identity, to Recipients) error {
	if slices.EqualFunc(i.Verifiable, before.Verifiable, func(a, b VerifiableAddress) bool { return a.reach() == b.reach() }) {
		return nil
	}
	for _, a := range before.Verifiable {
		if !a.Verified && to != ToAll || hasAddress(i, a) && to != ToAll && to != ToVerified || !s.reaches(a.Via) {
			continue
		}
		if err := s.post(st, note{Template: "verifiable_address_changed", Via: a.Via, To: a.Value}, i); err != nil {
			return err
		}
	}
	return nil
}

// settleIn makes the account whose addresses are verified, and logs it in where it was
// registered.
func (s *Service) settleIn(ctx context.Context, st *Step, a *answer) error {
	f, i := st.Flow, st.Identity
	if err := s.runHooks(ctx, Registration, st.Proof.Method, st); err != nil {
		return err
	}
	s.settle(i, nil, st.Now)
	i.CreatedAt = st.Now
	st.ops = append(append([]Op{SaveIdentity{i}}, s.belongs(i, "")...), st.ops...)
	client := s.options.Client(st.Request)
	st.Event("registration.succeeded", i, client, map[string]any{"method": st.Proof.Method})
	here := f.API || bytes.Equal(f.Browser, s.browser(st.Request)) && f.Browser != nil
	if !s.logsIn(st) || !here || st.Session != nil {
		return nil
	}
	st.Proof.CompletedAt = st.Now
	session, token := s.login(st)
	if f.API {
		f.Continue = []Continue{{Action: "set_ory_session_token", Token: token}}
	} else {
		a.cookie, a.life, a.newBrowser = token, session.ExpiresAt.Sub(st.Now), true
	}
	return nil
}
