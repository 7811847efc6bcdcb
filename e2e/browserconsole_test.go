package e2e

import "testing"

// console does with people what administrators do.
func (j journeys) console(t *testing.T) {
	const email = "kim@example.com"
	kim := j.registered(t, email)
	v := j.tab(t, "http://"+j.Write)
	v.open("/console/").sees("People", email).look("console-people")
	v.fill("search", "kim@").press("Search").sees(email).press(email).sees("Credentials", "password", "Chrome on Linux", "registration.succeeded").look("console-person")
	v.press("Lock or delete: Lock").sees("The account is locked, and all of its sessions have ended", "Unlock").look("console-person-locked")
	kim.open("/").sees("Create an account")
	v.press("Unlock").sees("can be used again").press("Make a recovery link").sees("It works once").look("console-recovery")
	kim.open(v.reads("section:has(#link) code")).press("Continue").sees("You successfully recovered your account")

	v.press("People").press("Add a person").look("console-new-person")
	v.fill("traits", `{"email": "no address"}`).press("Add").sees("Error: Add a person", "do not fit the schema").look("console-new-person-error")
	v.fill("traits", `{"email": "lou@example.com"}`).press("Add").sees("It was created.", "lou@example.com", "There are none: a recovery link lets the person set some.")
	v.tick("Delete lou@example.com with all that belongs to them, for good.").press("Lock or delete: Delete").sees("It was deleted.")

	v.press("Messages").sees("to "+email, "sent").look("console-messages")
	v.press("Please verify your e-mail address").sees("What became of each try", "success").look("console-message")
	v.press("Applications").press("Add an application").look("console-new-application")
	v.fill("name", "Kiosk").fill("redirects", "http://127.0.0.1/callback").press("Add").sees("It is not shown again").look("console-application-new")
	v.press("Applications").sees("Kiosk").look("console-applications")
	v.press("Kiosk").sees("http://127.0.0.1/callback").look("console-application")
}
