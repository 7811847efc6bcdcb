package identity

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// arrive does what the flow is for, now that it is known who somebody is at a provider.
// Who has no account here registers, and who has one logs in, whatever they began with.
func (o *oidcStrategy) arrive(ctx context.Context, st *Step, u *upstream, who *account) (Outcome, error) {
	f := st.Flow
	if err := o.member(u, who); err != nil {
		return Done, err
	}
	if f.Kind == Settings {
		own := st.own()
		if err := o.connect(st, own, u, who); err != nil {
			return Done, err
		}
		st.Identity = own
		return Done, nil
	}
	i, err := o.s.store.Find(ctx, OIDC, who.identifier())
	if errs.KindOf(err) == errs.NotFound {
		return o.newcomer(ctx, st, u, who)
	}
	if err != nil {
		return Done, err
	}
	if f.Refresh && st.Identity != nil && st.Identity.ID != i.ID {
		return Done, Wrong(textNoAccountThere)
	}
	if f.Kind == Registration {
		if err := o.turn(ctx, st, Login); err != nil {
			return Done, err
		}
	}
	o.prove(st, i, u, who)
	return Done, o.refresh(st, i, u, who)
}

// newcomer is somebody whose account at the provider is not linked to any identity.
func (o *oidcStrategy) newcomer(ctx context.Context, st *Step, u *upstream, who *account) (Outcome, error) {
	f := st.Flow
	var kept oidcState
	if _, err := f.Recall(o.Method(), &kept); err != nil {
		return Done, err
	}
	if kept.Link != "" || f.Refresh && st.Identity != nil {
		return Done, Wrong(textNoAccountThere)
	}
	if org := o.s.organizationOf(o.provenEmail(who)); org != nil && org.ID != u.Organization {
		f.Organization = org.ID
		return Done, Wrong(textOnlySSO)
	}
	if done, err := o.autoLink(ctx, st, u, who); done || err != nil {
		return Done, err
	}
	if f.Kind == Login {
		if !o.s.offers(Registration) {
			return Done, Wrong(textNoAccountThere)
		}
		if err := o.turn(ctx, st, Registration); err != nil {
			return Done, err
		}
	}
	return o.register(ctx, st, u, who, false)
}

// turn puts a flow of another kind in the place of the one that somebody began with.
func (o *oidcStrategy) turn(ctx context.Context, st *Step, k Kind) error {
	old := st.Flow
	f := &Flow{Kind: k, API: old.API, State: first(k), Active: o.Method(), Browser: old.Browser, Opening: old.Opening,
		IssuedAt: st.Now.Truncate(time.Millisecond), Values: old.Values}
	f.Refresh, f.AAL, f.ExpiredAt = false, "", time.Time{}
	if f.Exchange == exchangeSelf {
		f.Exchange = old.ID
	}
	f.ExpiresAt = f.IssuedAt.Add(o.s.options.flow(k).Lifespan)
	f.ID = o.s.newFlowID(f, true)
	op, err := old.save()
	if err != nil {
		return err
	}
	st.always = append(st.always, op)
	st.Flow = f
	return o.s.hooksBefore(ctx, st)
}

// register makes an identity of the claims. typed: the form has traits, too, which come
// first, since it was shown because some were missing or wrong.
func (o *oidcStrategy) register(ctx context.Context, st *Step, u *upstream, who *account, typed bool) (Outcome, error) {
	f := st.Flow
	i, err := o.newIdentity(st, u, who, typed)
	if err != nil {
		return Done, err
	}
	if err := st.Schema.validate(i.Traits); err != nil {
		if err := o.keepAccount(f, who, ""); err != nil {
			return Done, err
		}
		f.Values = shown(i.Traits)
		return Done, err
	}
	if err := o.connect(st, i, u, who); err != nil {
		return Done, err
	}
	o.s.settle(i, nil, st.Now)
	proven := o.provenEmail(who)
	if proven != "" {
		o.s.verified(i, viaEmail, proven, st.Now)
	}
	holders, err := o.s.store.Holders(ctx, i)
	if err != nil {
		return Done, err
	}
	for _, h := range holders {
		// Of an address that is not known to be theirs they are told nothing.
		if h.Value == proven || !o.s.waits() {
			return Again, o.askToLink(ctx, st, u, who, h.Value)
		}
	}
	delete(f.Kept, o.Method())
	st.Identity = i
	o.prove(st, i, u, who)
	return Done, nil
}

// newIdentity makes an identity of claims.
func (o *oidcStrategy) newIdentity(st *Step, u *upstream, who *account, typed bool) (*Identity, error) {
	m := u.Mapping.apply(who.Claims, st.Schema, u.usual)
	traits := m.traits
	if typed {
		written := map[string]any{}
		if err := json.Unmarshal(st.Form.traits(st.Schema), &written); err != nil {
			return nil, errs.Wrap(errs.Internal, err, "the traits of a form are malformed")
		}
		under(written, traits)
		traits = written
	}
	text, err := json.Marshal(traits)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "traits cannot be encoded")
	}
	i := newIdentity(st.Schema.ID, text, st.Now)
	i.OrganizationID = u.Organization
	if i.MetadataPublic, err = encoded(m.public); err == nil {
		i.MetadataAdmin, err = encoded(m.admin)
	}
	return i, err
}

// provenEmail is the address that the provider vouches for, "" if none.
func (o *oidcStrategy) provenEmail(who *account) string {
	text, _ := who.Claims["email"].(string)
	via, value, ok := addressOf(text)
	if !who.Verified || !ok || via != viaEmail {
		return ""
	}
	return value
}

// askToLink opens a login for who has an account already: after it the new one is linked.
func (o *oidcStrategy) askToLink(ctx context.Context, st *Step, u *upstream, who *account, have string) error {
	if err := o.turn(ctx, st, Login); err != nil {
		return err
	}
	f := st.Flow
	f.Values = map[string]any{"identifier": have}
	f.Texts = []Text{textLogInToLink(have, u.Label)}
	return o.keepAccount(f, who, have)
}

// link is a hook of logins: it links the account that waits for one.
func (o *oidcStrategy) link(_ context.Context, st *Step) error {
	var kept oidcState
	if _, err := st.Flow.Recall(o.Method(), &kept); err != nil || kept.Link == "" {
		return err
	}
	who, err := o.keptAccount(st.Flow, kept)
	if err != nil {
		return err
	}
	u := o.upstream(who.Provider)
	if u == nil || !st.holds(kept.Link) {
		return Wrong(textOtherAccount)
	}
	delete(st.Flow.Kept, o.Method())
	if err := o.connect(st, st.Identity, u, who); err != nil {
		return err
	}
	o.save(st, who)
	return nil
}

// holds reports whether st.Identity has an identifier or address.
func (st *Step) holds(value string) bool {
	i := st.Identity
	for _, c := range i.Credentials {
		if slices.Contains(c.Identifiers, value) {
			return true
		}
	}
	return slices.ContainsFunc(i.Verifiable, func(a VerifiableAddress) bool { return a.Value == value }) ||
		slices.ContainsFunc(i.Recovery, func(a RecoveryAddress) bool { return a.Value == value })
}

// save stores the identity with its new account, unless the step does so already.
func (o *oidcStrategy) save(st *Step, who *account) {
	o.s.settle(st.Identity, st.Identity, st.Now)
	if !slices.ContainsFunc(st.ops, func(op Op) bool { saved, ok := op.(SaveIdentity); return ok && saved.Identity.ID == st.Identity.ID }) {
		st.Also(SaveIdentity{st.Identity})
	}
	st.Event("credential.linked", st.Identity, o.s.options.Client(st.Request), map[string]any{"provider": who.Provider})
}

// autoLink logs in, and links, who has an identity with an address that both it and the
// provider have verified, if the provider is trusted that far.
func (o *oidcStrategy) autoLink(ctx context.Context, st *Step, u *upstream, who *account) (bool, error) {
	email := o.provenEmail(who)
	if u.Linking != "automatic" || email == "" {
		return false, nil
	}
	i, err := o.s.store.FindAddress(ctx, ForVerification, viaEmail, email)
	if errs.KindOf(err) == errs.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(i.Verifiable, func(a VerifiableAddress) bool { return a.Via == viaEmail && a.Value == email && a.Verified }) {
		return false, nil
	}
	if st.Flow.Kind == Registration {
		if err := o.turn(ctx, st, Login); err != nil {
			return false, err
		}
	}
	if err := o.connect(st, i, u, who); err != nil {
		return false, err
	}
	o.prove(st, i, u, who)
	o.save(st, who)
	return true, nil
}
