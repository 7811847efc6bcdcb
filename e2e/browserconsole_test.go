package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

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

// permissions makes groups, adds members, and looks at what follows from that.
func (j journeys) permissions(t *testing.T) {
	const email = "mia@example.com"
	j.registered(t, email)
	model := filepath.Join(t.TempDir(), "model.ts")
	err := os.WriteFile(model, []byte(`
class User implements Namespace {}
class Group implements Namespace { related: { members: (User | SubjectSet<Group, "members">)[] } }
class Organization implements Namespace { related: { members: (User | SubjectSet<Group, "members">)[] } }
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	j.cardea(t, "model", "apply", model).must(t)
	v := j.tab(t, "http://"+j.Write)
	v.open("/console/groups").sees("There are none yet.").press("Add a group").look("console-new-group")
	v.fill("name", "Everybody").fill("id", "everybody").press("Add").sees("It was created.", "There are none.")
	v.press("Groups").press("Add a group").fill("name", "eng").fill("label", "Engineers").fill("id", "eng").fill("parent", "everybody").press("Add").
		sees("Is in", "Everybody")
	v.fill("someone", "nobody@example.com").press("Add a member: Add").sees("Error: Engineers", "Nobody has the identifier or address nobody@example.com").look("console-group-error")
	v.fill("someone", email).press("Add a member: Add").sees("The member was added.", email)
	v.fill("email", "noa@example.com").press("Invitations: Invite").sees("It is on its way to noa@example.com", "is not shown again").look("console-invitation")
	v.press("Groups").look("console-groups")
	v.press("Everybody").sees("Engineers", "group").press("Show all people in it").sees("All people in it", email).look("console-group")

	v.press("Permissions").fill("object", "Group:everybody").fill("relation", "members").press("Check").
		sees("Who has members on Group:everybody", "Group:everybody#members", "Group:eng#members", email).look("console-permissions")
	v.fill("subject", "somebody").press("Check").sees("No. somebody does not have members on Group:everybody")
	v.press("Tuples").sees("Group:eng#members", email).look("console-tuples")
	v.fill("object", "everybody").press("Search").sees("Group:everybody#members").press("Group:everybody#members").
		sees("Yes. Group:eng#members has members on Group:everybody").look("console-permissions-yes")
	v.press("Tuples").fill("tuple", "Group:everybody").press("Add a tuple: Add").sees("Error: Tuples", "expected ns:object#relation@subject").look("console-tuples-error")
	v.fill("tuple", "Group:everybody#members@somebody").press("Add a tuple: Add").sees("It was created.").press("List: Remove: Group:everybody#members@somebody").sees("The tuple was removed.")
	v.press("People").press(email).sees("Groups", "Engineers").look("console-person-groups")
	v.press("Organizations").sees("There are none yet.")
}
