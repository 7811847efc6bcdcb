package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func serveIdentity(t *testing.T) {
	t.Helper()
	t.Setenv("CARDEA_IDENTITY_ENABLED", "true")
	t.Setenv("CARDEA_IDENTITY_HASHERS_ARGON2_MEMORY", "64")
	t.Setenv("CARDEA_IDENTITY_HASHERS_ARGON2_ITERATIONS", "1")
	t.Setenv("CARDEA_IDENTITY_COURIER_FOLDER", t.TempDir())
	serveHere(t)
}

func TestIdentityCommands(t *testing.T) {
	serveIdentity(t)
	var made, got map[string]any
	code, out, errs := try(t, "a stone wall of 7 colours\n", "identity", "create", "--trait", "email=ann@example.com", "--trait", "name.first=Ann", "--external-id", "crm-1", "--password-stdin")
	if code != exitYes || !strings.Contains(out, "password ann@example.com") || !strings.Contains(out, "not verified") {
		t.Fatalf("created: %d, %q, %q", code, out, errs)
	}
	okJSON(t, &made, "identity", "get", "crm-1", "--external", "--include-credential", "password")
	id := made["id"].(string)
	if fmt.Sprint(made["traits"]) != "map[email:ann@example.com name:map[first:Ann]]" || !strings.Contains(fmt.Sprint(made["credentials"]), "$argon2id$") {
		t.Errorf("got %v", made)
	}
	okJSON(t, &got, "identity", "patch", id, "--trait", "email=new@example.com", "--remove-trait", "name", "--state", "inactive")
	if fmt.Sprint(got["traits"], got["state"]) != "map[email:new@example.com]inactive" {
		t.Errorf("patched: %v", got)
	}
	file := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(file, []byte(`{"schema_id":"default","traits":{"email":"bob@example.com"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, "identity", "create", "--file", file)
	if out := ok(t, "identity", "list"); strings.Count(out, "\n") != 3 || !strings.Contains(out, id) {
		t.Errorf("listed: %q", out)
	}
	if out := ok(t, "identity", "list", "--identifier", "NEW@example.com"); strings.Count(out, "\n") != 2 {
		t.Errorf("listed by identifier: %q", out)
	}
	code, out, errs = try(t, "", "identity", "list", "--page-size", "1")
	next := regexp.MustCompile(`--page-token (\S+)`).FindStringSubmatch(errs)
	if code != exitYes || next == nil {
		t.Fatalf("a page: %d, %q, %q", code, out, errs)
	}
	if second := ok(t, "identity", "list", "--page-token", next[1]); strings.Count(second, "\n") != 2 || second == out {
		t.Errorf("the next page: %q", second)
	}

	if out := ok(t, "recovery", "link", id, "--expires-in", "30m"); !regexp.MustCompile(`link +http://\S+/self-service/recovery\?flow=\S+token=`).MatchString(out) {
		t.Errorf("recovery link: %q", out)
	}
	okJSON(t, &got, "recovery", "code", id)
	if got["recovery_code"] == "" {
		t.Errorf("recovery code: %v", got)
	}
	if out := ok(t, "audit", "list", "--identity", id); !strings.Contains(out, "admin.identity.changed") || !strings.Contains(out, "admin.recovery.link") {
		t.Errorf("events: %q", out)
	}
	if out := ok(t, "identity", "delete", id); out != "deleted "+id+"\n" {
		t.Errorf("deleted: %q", out)
	}
}

func TestIdentityImport(t *testing.T) {
	serveIdentity(t)
	var lines strings.Builder
	for n := range 40 {
		fmt.Fprintf(&lines, `{"schema_id":"default","traits":{"email":"p%d@example.com"},"credentials":{"password":{"config":{"password":"a stone wall of 7 colours"}}}}`+"\n", n)
	}
	code, out, errs := try(t, lines.String()+`[{"schema_id":"default","traits":{"email":"p0@example.com"}}]{"schema_id":"default","traits":{}}`, "identity", "import", "-v")
	if code != exitNo || out != "created 40, refused 2\n" || !strings.Contains(errs, "-: identity 41: ") || !strings.Contains(errs, "-: identity 42: ") {
		t.Fatalf("imported: %d, %q, %q", code, out, errs)
	}
	all := ok(t, "identity", "export", "--credential", "password")
	if strings.Count(all, "\n") != 40 || strings.Count(all, "$argon2id$") != 40 {
		t.Fatalf("exported: %q", all)
	}
	var ids []string
	for line := range strings.Lines(all) {
		var one struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, one.ID)
	}
	ok(t, append([]string{"identity", "delete"}, ids...)...)
	if out := ok(t, "identity", "export"); out != "" {
		t.Fatalf("after all were deleted: %q", out)
	}
	file := filepath.Join(t.TempDir(), "people.jsonl")
	if err := os.WriteFile(file, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := ok(t, "identity", "import", file); out != "created 40, refused 0\n" {
		t.Errorf("imported again: %q", out)
	}
	if again := ok(t, "identity", "export", "--credential", "password"); strings.Count(again, "\n") != 40 || !strings.Contains(again, ids[0]) {
		t.Errorf("exported again: %q", again)
	}
}

// TestImportOfMistakes: what is no identity is refused by itself.
func TestImportOfMistakes(t *testing.T) {
	serveIdentity(t)
	good := func(name string) string { return `{"traits":{"email":"` + name + `@example.com"}}` }
	code, out, errs := try(t, "\ufeff"+good("a")+`[7, null]{"traits":{"email":"x@example.com"},"credentials":5}{"traits":{"email":"y@example.com"},"state":[]}`+good("b")+`"x"`, "identity", "import")
	if code != exitNo || out != "created 2, refused 5\n" {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
	for n, want := range map[int]string{2: "no JSON object", 3: "no JSON object", 4: "credentials", 5: "state", 7: "no JSON object"} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^-: identity %d: .*%s`, n, want)).MatchString(errs) {
			t.Errorf("identity %d: %q: expected %s", n, errs, want)
		}
	}
	if strings.Contains(errs, "Go ") || strings.Contains(errs, "struct") {
		t.Errorf("types of Go: %q", errs)
	}
	for _, args := range [][]string{{"identity", "get", ""}, {"identity", "delete", ""}, {"group", "members", ""}, {"client", "get", ""}, {"recovery", "link", ""}} {
		if code, _, errs := try(t, "", args...); code != exitError || !strings.Contains(errs, "an argument is empty") {
			t.Errorf("%q: %d, %q", args, code, errs)
		}
	}
}

func TestIdentityErrors(t *testing.T) {
	serveIdentity(t)
	none := "00000000-0000-4000-8000-000000000000"
	for _, tt := range []struct{ args, stdin, want string }{
		{"identity get " + none, "", "no such identity"},
		{"identity get nobody --external", "", "no identity with the external id"},
		{"identity create --trait email", "", "expected name=value"},
		{"identity create --trait email=x", "", "traits do not fit"},
		{"identity create --schema other --trait email=a@b.cd", "", "no such identity schema"},
		{"identity create --file -", "[]", "no JSON object"},
		{"identity patch " + none, "", "nothing to change"},
		{"identity patch " + none + " --file -", "{}", "no JSON patch"},
		{"identity patch " + none + " --state active", "", "no such identity"},
		{"identity delete " + none, "", none + ": there is no identity"},
		{"group delete nobody", "", "nobody: there is no group"},
		{"session revoke " + none, "", none + ": there is no session"},
		{"session revoke ann", "", "expected a UUID"},
		{"session revoke --identity " + none, "", none + ": there is no such identity"},
		{"identity import -", "{}{", "identity 2"},
		{"identity import nowhere.jsonl", "", "nowhere.jsonl"},
		{"identity export --credential totp", "", "expected password or oidc"},
		{"session get " + none, "", "no session"},
		{"session list --identity " + none, "", "no such identity"},
		{"session revoke", "", "expected ids of sessions"},
		{"session revoke " + none + " --all", "", "expected ids of sessions"},
		{"recovery link " + none, "", "no such identity"},
		{"recovery code " + none + " --expires-in 1000h", "", "at most 720h"},
		{"audit list --page-size 0", "", "page_size"},
		{"identity list -o xml", "", "expected one of text, json"},
	} {
		code, out, errs := try(t, tt.stdin, strings.Fields(tt.args)...)
		if code != exitError || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d, %q, %q; want 2 and %q", tt.args, code, out, errs, tt.want)
		}
	}
	if out := ok(t, "session", "list"); strings.Count(out, "\n") != 1 {
		t.Errorf("sessions: %q", out)
	}
	if out := ok(t, "session", "revoke", "--all"); out != "revoked 0\n" {
		t.Errorf("revoked: %q", out)
	}
}

// TestRevokeEach: of each session that is to end the command says what became of it.
func TestRevokeEach(t *testing.T) {
	serveIdentity(t)
	none := "00000000-0000-4000-8000-000000000000"
	var made map[string]any
	okJSON(t, &made, "identity", "create", "--trait", "email=ann@example.com")
	ann := made["id"].(string)
	for _, tt := range []struct{ args, key, done, code string }{
		{"session revoke " + none, "sessions", "", "NOT_FOUND"},
		{"session revoke ann", "sessions", "", "INVALID_ARGUMENT"},
		{"session revoke --identity " + none + " --identity " + ann, "identities", ann, "NOT_FOUND"},
		{"identity delete " + none + " " + ann, "deleted", ann, "NOT_FOUND"},
		{"identity delete " + none + " " + ann + " --write-remote 127.0.0.1:1", "deleted", "", "UNAVAILABLE"},
	} {
		code, out, errs := try(t, "", append(strings.Fields(tt.args), "-o", "json")...)
		var got map[string]json.RawMessage
		var done []string
		var failed []notDone
		for _, err := range []error{json.Unmarshal([]byte(out), &got), json.Unmarshal(got[tt.key], &done), json.Unmarshal(got["failed"], &failed)} {
			if err != nil {
				t.Fatalf("%s: %v in %q", tt.args, err, out)
			}
		}
		if code != exitError || strings.Join(done, " ") != tt.done || len(failed) != 1 || failed[0].Error.Code != tt.code || !strings.Contains(errs, tt.code) {
			t.Errorf("%s: %d, %q, %q", tt.args, code, out, errs)
		}
	}
	if code, out, errs := try(t, "", "identity", "delete", none, ann, "--write-remote", "127.0.0.1:1"); code != exitError || out != "" || !strings.HasSuffix(errs, "1 more were not tried\n") {
		t.Errorf("nobody to ask: %d, %q, %q", code, out, errs)
	}
}
