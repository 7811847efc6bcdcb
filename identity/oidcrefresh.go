package identity

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Bounds of what is kept of how a provider has seen somebody, in bytes and items.
const (
	maxACR = 255
	maxAMR = 20
)

// prove says that somebody was seen by a provider, and how. One who was asked for two
// factors there is not asked for a second one here.
func (o *oidcStrategy) prove(st *Step, i *Identity, u *upstream, who *account) {
	acr, _ := who.Claims["acr"].(string)
	amr := slices.DeleteFunc(textList(who.Claims["amr"]), func(one string) bool { return one == "" || len(one) > maxACR })
	amr = amr[:min(len(amr), maxAMR)]
	if len(acr) > maxACR {
		acr = ""
	}
	level := AAL1
	if acr != "" && slices.Contains(u.ACR2, acr) || slices.ContainsFunc(amr, func(one string) bool { return slices.Contains(u.AMR2, one) }) {
		level = AAL2
	}
	st.Prove(i, o.Method(), level)
	st.Proof.Provider, st.Proof.Organization, st.Proof.UpstreamACR, st.Proof.UpstreamAMR = u.ID, u.Organization, acr, amr
}

// refresh brings the traits and metadata of who logs in up to date with the claims, if
// the provider is to. Identifiers and addresses stay: those are changed in the settings,
// where they are verified. Claims that the schema refuses change nothing.
func (o *oidcStrategy) refresh(st *Step, i *Identity, u *upstream, who *account) error {
	schema := o.s.schema(i.SchemaID)
	if u.Update != "automatic" || schema == nil {
		return nil
	}
	m := u.Mapping.apply(who.Claims, schema, u.usual)
	for _, f := range schema.fields {
		if f.use != (extension{}) {
			dropAt(m.traits, f.path)
		}
	}
	own, changed := i.clone(), false
	for _, one := range []struct {
		text *json.RawMessage
		more map[string]any
	}{{&own.Traits, m.traits}, {&own.MetadataPublic, m.public}, {&own.MetadataAdmin, m.admin}} {
		text, differs, err := overlaid(*one.text, one.more)
		if err != nil {
			return err
		}
		if differs {
			*one.text, changed = text, true
		}
	}
	if !changed {
		return nil
	}
	if err := schema.validate(own.Traits); err != nil {
		o.s.options.Log.Warn("the claims of a provider do not fit the schema, and the identity stays as it is", "provider", u.ID, "identity", i.ID, "error", err)
		return nil
	}
	st.Identity = own
	o.s.settle(own, i, st.Now)
	st.Also(SaveIdentity{own})
	st.Event("identity.updated", own, o.s.options.Client(st.Request), map[string]any{"provider": u.ID})
	return nil
}

// overlaid puts values over those of an object, and reports whether that made a
// difference. What is no object stays as it is.
func overlaid(text json.RawMessage, more map[string]any) (json.RawMessage, bool, error) {
	object := map[string]any{}
	if len(text) > 0 {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&object) != nil {
			return text, false, nil
		}
	}
	before, err := json.Marshal(object)
	if err != nil {
		return nil, false, errs.Wrap(errs.Internal, err, "an identity cannot be encoded")
	}
	over(object, more)
	after, err := json.Marshal(object)
	if err != nil {
		return nil, false, errs.Wrap(errs.Internal, err, "claims cannot be encoded")
	}
	return after, !bytes.Equal(before, after), nil
}

// over puts the values of more over those of object.
func over(object, more map[string]any) {
	for name, v := range more {
		a, isObject := object[name].(map[string]any)
		b, too := v.(map[string]any)
		if isObject && too {
			over(a, b)
			continue
		}
		object[name] = v
	}
}

// dropAt removes what is at a path, or the whole list if the path is of its elements.
func dropAt(object map[string]any, path []string) {
	if len(path) == 1 || path[1] == "*" {
		delete(object, path[0])
		return
	}
	if next, ok := object[path[0]].(map[string]any); ok {
		dropAt(next, path[1:])
	}
}
