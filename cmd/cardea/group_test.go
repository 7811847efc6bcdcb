package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGroupCommands(t *testing.T) {
	serveIdentity(t)
	model := filepath.Join(t.TempDir(), "model.ts")
	text := `class User implements Namespace {}
class Group implements Namespace { related: { members: (User | SubjectSet<Group, "members">)[] } }`
	if code, _, errs := try(t, "", "group", "create", "--name", "eng"); code != exitError || !strings.Contains(errs, "the model has no place for the members of a group") {
		t.Fatalf("without a model: %d, %q", code, errs)
	}
	if err := os.WriteFile(model, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, "model", "apply", model)
	ok(t, "group", "create", "--name", "eng", "--id", "eng", "--label", "Engineering")
	var made, got map[string]any
	okJSON(t, &made, "identity", "create", "--trait", "email=ann@example.com", "--group", "eng")
	ann := made["id"].(string)
	okJSON(t, &made, "group", "create", "--name", "all")
	if out := ok(t, "group", "add", "all", "--group", "eng"); out != "added 1\n" {
		t.Errorf("added: %q", out)
	}
	if out := ok(t, "group", "create", "--name", "backend", "--parent", "eng"); !strings.Contains(out, "parents  eng") {
		t.Errorf("created: %q", out)
	}
	if out := ok(t, "group", "list"); strings.Count(out, "\n") != 4 || !strings.Contains(out, "Engineering") {
		t.Errorf("listed: %q", out)
	}
	if out := ok(t, "group", "members", "eng"); !strings.Contains(out, "identity  "+ann) || !strings.Contains(out, "group ") {
		t.Errorf("members: %q", out)
	}
	okJSON(t, &got, "group", "members", "all", "--effective")
	if members := got["members"].([]any); len(members) != 1 || members[0].(map[string]any)["identity"] != ann {
		t.Errorf("members of all in effect: %v", got)
	}
	if out := ok(t, "group", "of", ann); strings.Count(out, "\n") != 2 {
		t.Errorf("groups of ann: %q", out)
	}
	if out := ok(t, "group", "of", ann, "--effective"); strings.Count(out, "\n") != 3 {
		t.Errorf("groups of ann in effect: %q", out)
	}
	if out := ok(t, "group", "invite", "eng", "bob@example.com"); !strings.Contains(out, "/self-service/invitation?invitation=") || !strings.Contains(out, "mailed      true") {
		t.Errorf("invited: %q", out)
	}
	okJSON(t, &got, "group", "invitations", "eng")
	invitation := got["invitations"].([]any)[0].(map[string]any)["id"].(string)
	if out := ok(t, "group", "invitations", "eng"); !strings.Contains(out, invitation+"  bob@example.com") {
		t.Errorf("invitations: %q", out)
	}
	if code, out, errs := try(t, "", "group", "uninvite", "eng", "none", invitation); code != exitError || out != "withdrew "+invitation+"\n" || !strings.Contains(errs, "there is no invitation none") {
		t.Errorf("withdrawn: %d, %q, %q", code, out, errs)
	}
	if out := ok(t, "group", "get", "backend"); !strings.Contains(out, "parents  eng") {
		t.Errorf("got: %q", out)
	}
	okJSON(t, &got, "group", "rename", "backend", "--name", "platform")
	if got["name"] != "platform" {
		t.Errorf("renamed: %v", got)
	}
	okJSON(t, &got, "group", "remove", "eng", ann)
	if token, _ := got["snaptoken"].(string); got["removed"] != 1.0 || token == "" {
		t.Errorf("removed: %v", got)
	}
	if code, _, _ := try(t, "", "check", ann, "members", "Group:all"); code != exitNo {
		t.Errorf("who left all groups is in one: %d", code)
	}
	for _, wrong := range [][]string{{"group", "create"}, {"group", "rename", "eng"}, {"group", "add", "eng"}, {"group", "delete", "none"}, {"group", "members"}, {"group", "list", "-o", "yaml"}, {"group", "nope"}} {
		if code, _, errs := try(t, "", wrong...); code != exitError || errs == "" {
			t.Errorf("%v: %d, %q", wrong, code, errs)
		}
	}
	okJSON(t, &made, "group", "create", "--name", "eng2", "--id", "platform")
	if code, _, errs := try(t, "", "group", "members", "platform"); code != exitError || !strings.Contains(errs, "is the id of one group and the name of another") {
		t.Errorf("what is a name and an id: %d, %q", code, errs)
	}
	if out := ok(t, "group", "delete", "all", "eng"); out != "deleted all\ndeleted eng\n" {
		t.Errorf("deleted: %q", out)
	}
	if out := ok(t, "group", "--help"); !strings.Contains(out, "members of a group") {
		t.Errorf("help: %q", out)
	}
	if code, _, errs := try(t, "", "organization", "create", "--name", "acme"); code != exitError || !strings.Contains(errs, "Organization") {
		t.Errorf("an organization: %d, %q", code, errs)
	}
}
