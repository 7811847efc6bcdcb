package oauth

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// maxTargets bounds how many audiences and resources a request asks for.
const maxTargets = 50

// errNoTarget is RFC 8693's and RFC 8707's.
var errNoTarget = &fosite.RFC6749Error{
	ErrorField: "invalid_target", CodeField: http.StatusBadRequest,
	DescriptionField: "The token cannot be made for one of the parameters \"resource\" or \"audience\".",
}

// targets returns what a form asks for as audience, and as resource (RFC 8707).
//
// invalid_target: a resource is no absolute URI without fragment, or there are too many.
func targets(form url.Values) ([]string, error) {
	asked := distinct(fosite.GetAudiences(form))
	for _, resource := range form["resource"] {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || u.Fragment != "" || len(resource) > maxURL {
			return nil, errNoTarget.WithHintf("The resource %.100q is no absolute URI without fragment.", resource)
		}
		if !slices.Contains(asked, resource) {
			asked = append(asked, resource)
		}
	}
	if len(asked) > maxTargets {
		return nil, errNoTarget.WithHintf("There are more than %d.", maxTargets)
	}
	return asked, nil
}

// allowedTargets returns what a form asks for, if the client may have it.
func (c *Client) allowedTargets(form url.Values) ([]string, error) {
	asked, err := targets(form)
	if err != nil {
		return nil, err
	}
	if r := uncovered(c.Audience, form["resource"]); r != "" {
		return nil, errNoTarget.WithHintf("The client may not ask for the resource %.100q.", r)
	}
	return asked, checkAudience(c.Audience, asked)
}

// mergeTargets returns a form whose audience has its resources, too, so that who asks
// people for their consent sees them. Those that are malformed are left to the check.
func mergeTargets(form url.Values) url.Values {
	asked, err := targets(form)
	if err != nil || len(form["resource"]) == 0 {
		return form
	}
	out := url.Values{}
	for name, values := range form {
		out[name] = values
	}
	out["audience"] = asked
	return out
}

// withoutRepeats returns a form in which no scope and no audience is there twice.
func withoutRepeats(form url.Values) url.Values {
	out := maps.Clone(form)
	if form.Has("scope") {
		out.Set("scope", strings.Join(distinct(strings.Fields(form.Get("scope"))), " "))
	}
	if form.Has("audience") {
		out["audience"] = distinct(fosite.GetAudiences(form))
	}
	return out
}

// distinct returns texts without those that were there before.
func distinct(texts []string) (out []string) {
	for _, text := range texts {
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// narrow lets an access token be for some of the resources only that were granted; a
// refresh token keeps all (RFC 8707, section 2.2).
func (x *exchange) narrow(form url.Values) error {
	if _, err := targets(form); err != nil {
		return err
	}
	if r := uncovered(x.Audience, form["resource"]); r != "" {
		return errNoTarget.WithHintf("The resource %.100q was not granted.", r)
	}
	x.audience = form["resource"]
	return nil
}
