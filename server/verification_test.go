package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

func TestVerificationNative(t *testing.T) {
	n, box := startWithMail(t)
	id := n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	flow := v.get("/self-service/verification/api").is(200).has("state", "choose_method")
	action := flow.str("ui.action")
	v.do("POST", action, map[string]any{"method": "code", "email": "ann@example.com"}).is(200).has("state", "sent_email").says(1080003)
	code := box.take("ann@example.com").code
	v.do("POST", action, map[string]any{"method": "code", "code": otherCode(code)}).is(200).has("state", "sent_email").says(4070006)
	n.visitor(t, false).get("/self-service/verification/flows?id=" + flow.str("id")).is(200).says(4070006)
	done := v.do("POST", action, map[string]any{"method": "code", "code": code}).is(200).has("state", "passed_challenge").says(1080002)
	if at, _ := done.at("ui.nodes.1").(map[string]any); at == nil || at["type"] != "a" {
		t.Errorf("nodes: %s", done.text)
	}
	over := v.do("POST", action, map[string]any{"method": "code", "code": code}).is(410).has("error.id", "self_service_flow_replaced")
	v.get("/self-service/verification/flows?id=" + over.str("use_flow_id")).is(200).says(4070002)
	n.admin(t).get("/admin/identities/"+id).is(200).has("verifiable_addresses.0.verified", true).has("verifiable_addresses.0.status", "completed")

	nobody := n.visitor(t, false)
	flow = nobody.get("/self-service/verification/api").is(200)
	nobody.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "nobody@example.com"}).is(200).has("state", "sent_email").says(1080003)
	nobody.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": code}).is(200).says(4070006)
}

// TestVerificationByLink follows the link of a message, in another browser.
func TestVerificationByLink(t *testing.T) {
	for _, use := range []string{"code", "link"} {
		n, box := startWithMail(t, func(c *server.Config) { c.Identity.Verification.Use = use })
		id := n.known(t, "ann@example.com")
		v := n.visitor(t, true)
		flow := v.get("/self-service/verification/browser?return_to=/settings", asProgram...).is(200)
		v.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": use, "email": "ann@example.com"}).is(200).has("state", "sent_email")
		link := box.take("ann@example.com").link
		u, err := url.Parse(link)
		if err != nil || u.Query().Get(map[string]string{"code": "code", "link": "token"}[use]) == "" {
			t.Fatalf("link %q", link)
		}
		phone := n.visitor(t, true)
		phone.get(link, "Accept", "text/html").is(200)
		page := phone.get(link, "Accept", "text/html").is(200)
		form := url.Values{"method": {use}}
		for _, name := range []string{"csrf_token", "code", "token"} {
			if _, rest, ok := strings.Cut(page.text, `name="`+name+`" value="`); ok {
				value, _, _ := strings.Cut(rest, `"`)
				form.Set(name, strings.ReplaceAll(value, "&#43;", "+"))
			}
		}
		forged := url.Values{"method": {use}, "code": form["code"], "token": form["token"]}
		phone.do("POST", "/self-service/verification?flow="+u.Query().Get("flow"), forged, asProgram...).is(403)
		to := phone.do("POST", "/self-service/verification?flow="+u.Query().Get("flow"), form).is(303).header.Get("Location")
		if !strings.HasSuffix(to, "/verification?flow="+flow.str("id")) {
			t.Fatalf("sent to %q", to)
		}
		if page := phone.get(to, "Accept", "text/html").is(200); !strings.Contains(page.text, "You successfully verified your email address.") || !strings.Contains(page.text, `/settings">Continue</a>`) {
			t.Errorf("the page is %s", page.text)
		}
		n.admin(t).get("/admin/identities/"+id).is(200).has("verifiable_addresses.0.verified", true)
	}
}
