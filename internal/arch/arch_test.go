package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cardea-iam/cardea/"

// A rule says what a package may import. All fields are lists of words.
type rule struct {
	ours   string // our packages, by path under the module
	theirs string // modules from outside, or folders of them; * is any of them
	never  string // of the standard library
	tests  string // our packages that its tests use on top
	tools  string // modules from outside that its tests use on top
}

// What a package may not know because it only computes.
const noDoors = "net net/http net/rpc database/sql os/exec log log/slog"

// mayImport is the house. A package without an entry fails the test.
var mayImport = map[string]rule{
	// The core: it knows neither doors nor databases.
	"opl":          {never: noDoors + " os", tests: "internal/golden examples"},
	"engine/graph": {ours: "internal/errs", never: noDoors + " os"},
	"engine": {ours: "opl engine/graph internal/errs", theirs: "github.com/dgraph-io/ristretto/v2", never: noDoors,
		tests: "store/sqlite examples internal/golden bench"},

	// Who may act for whom. It knows neither databases nor the rest of the house.
	"oauth": {ours: "internal/egress internal/errs internal/secret", theirs: "github.com/ory/fosite github.com/go-jose/go-jose/v4 github.com/evanphx/json-patch/v5 golang.org/x/crypto/argon2", never: "database/sql net/rpc os/exec",
		tests: "internal/testcert store/grants store/sqlite", tools: "github.com/coreos/go-oidc/v3"},

	// Who people are. It speaks HTTP, and knows no SQL.
	"identity": {ours: "internal/egress internal/errs internal/jsonfill internal/limit internal/secret", theirs: "github.com/go-jose/go-jose/v4 github.com/santhosh-tekuri/jsonschema/v6 github.com/evanphx/json-patch/v5 github.com/pquerna/otp github.com/go-webauthn/webauthn golang.org/x/crypto golang.org/x/net/idna golang.org/x/sync golang.org/x/text",
		never: "database/sql net/rpc os/exec", tests: "store"},

	// Databases.
	"store":        {ours: "engine identity oauth store/people store/grants store/script store/sqlite store/pg store/steps internal/errs", never: "net/http", tests: "internal/testdb"},
	"store/script": {never: noDoors + " os"},
	"store/steps":  {ours: "internal/errs", theirs: "github.com/pressly/goose/v3", never: "net net/http net/rpc os/exec log log/slog os"},
	"store/grants": {ours: "oauth store/script internal/errs", never: noDoors + " os"},
	"store/people": {ours: "identity store/script internal/errs", never: noDoors + " os"},
	"store/sqlite": {ours: "engine store/script store/steps internal/errs", theirs: "modernc.org/sqlite github.com/pressly/goose/v3 github.com/gofrs/flock golang.org/x/sync", never: "net/http", tests: "store/storetest store/grants store/people oauth identity"},
	"store/pg": {ours: "engine store/script store/steps internal/errs", theirs: "github.com/jackc/pgx/v5 github.com/pressly/goose/v3 github.com/cockroachdb/cockroach-go/v2/crdb",
		never: "net/http", tests: "store/storetest store/grants oauth internal/testdb"},
	"store/storetest": {ours: "engine identity oauth store/grants store/people store/script internal/errs", never: "net/http database/sql"},

	"web": {ours: "internal/errs", theirs: "golang.org/x/text", never: "net/http database/sql net/rpc os/exec os"},

	// Doors.
	"server": {ours: "web engine identity oauth opl store internal/errs internal/jsonfill internal/limit internal/secret proto/cardea/v1 proto/ory/keto/opl/v1alpha1 proto/ory/keto/relation_tuples/v1alpha2", theirs: "*",
		tests: "store/sqlite examples internal/golden internal/testcert internal/testdb"},
	"cmd/cardea": {ours: "server engine identity opl store store/sqlite bench examples internal/errs internal/localdb proto/cardea/v1",
		theirs: "github.com/spf13/cobra github.com/spf13/pflag github.com/go-jose/go-jose/v4 google.golang.org/grpc google.golang.org/protobuf golang.org/x/term golang.org/x/sync", tests: "internal/golden"},
	"proto/cardea/v1":                         {theirs: "google.golang.org"},
	"proto/ory/keto/opl/v1alpha1":             {theirs: "google.golang.org"},
	"proto/ory/keto/relation_tuples/v1alpha2": {theirs: "google.golang.org"},

	// Load, examples, and the tests of the whole. e2e runs the binary and sees
	// no package of ours but the questions to ask it.
	"bench":          {ours: "engine opl store examples internal/errs proto/cardea/v1 proto/ory/keto/relation_tuples/v1alpha2", theirs: "*", tests: "identity oauth internal/testdb internal/golden internal/secret"},
	"examples":       {never: noDoors},
	"examples/drive": {never: noDoors},
	"e2e": {tests: "examples internal/testapt internal/testdb",
		tools: "github.com/chromedp google.golang.org github.com/ory/keto/proto github.com/coreos/go-oidc/v3 github.com/zitadel/oidc/v3 golang.org/x/oauth2 github.com/go-jose/go-jose/v4"},
	"e2e/cluster": {tests: "engine store internal/testdb", tools: "github.com/anishathalye/porcupine github.com/jackc/pgx/v5"},

	"internal/arch":       {},
	"internal/egress":     {},
	"internal/errs":       {never: noDoors},
	"internal/golden":     {never: noDoors},
	"internal/secret":     {ours: "internal/errs", theirs: "golang.org/x/crypto/chacha20poly1305", never: noDoors + " os"},
	"internal/jsonfill":   {ours: "internal/errs", never: noDoors + " os"},
	"internal/limit":      {never: noDoors + " os"},
	"internal/localdb":    {ours: "internal/errs", theirs: "github.com/jackc/pgx/v5"},
	"internal/testapt":    {ours: "internal/errs", theirs: "github.com/gofrs/flock"},
	"internal/testcert":   {never: noDoors + " os"},
	"internal/testdb":     {ours: "internal/errs internal/localdb internal/testapt", theirs: "github.com/jackc/pgx/v5 github.com/cockroachdb/cockroach-go/v2/testserver"},
	"internal/testreport": {},
}

// TestArrows reads the files itself, so that the test cache sees every change.
func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") && name != ".." || otherModule(file)) {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ".go") {
			rel, err := filepath.Rel("../..", file)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			seen[path.Dir(rel)] = true
			checkFile(t, file, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !seen["engine"] || !seen["internal/arch"] {
		t.Error("the walk did not see the house: is this test still two folders below its root?")
	}
}

// otherModule reports whether a folder below the root is a module of its own, whose
// imports are nobody's business here.
func otherModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil && filepath.Clean(folder) != filepath.Clean("../..")
}

func checkFile(t *testing.T, file, rel string) {
	pkg := path.Dir(rel)
	r, ok := mayImport[pkg]
	if !ok {
		t.Errorf("%s: new package %s: say in mayImport what it may use", rel, pkg)
		return
	}
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), rel, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if !r.allows(imp, pkg, strings.HasSuffix(rel, "_test.go")) {
			t.Errorf("%s: %s must not import %s", rel, pkg, imp)
		}
	}
}

// allows reports whether a file of pkg may import imp.
func (r rule) allows(imp, pkg string, test bool) bool {
	ours, theirs, never := strings.Fields(r.ours), strings.Fields(r.theirs), strings.Fields(r.never)
	if test {
		ours = append(append(ours, pkg, "internal/errs"), strings.Fields(r.tests)...)
		theirs = append(theirs, strings.Fields(r.tools)...)
		never = nil // a test may start servers and programs
	}
	if imp, ok := strings.CutPrefix(imp, module); ok {
		return slices.Contains(ours, imp)
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return !slices.Contains(never, imp)
	}
	return slices.ContainsFunc(theirs, func(m string) bool {
		return m == "*" || imp == m || strings.HasPrefix(imp, m+"/")
	})
}

// TestRules tries the rules on imports that nobody should write.
func TestRules(t *testing.T) {
	tests := []struct {
		pkg, imp string
		test     bool
		want     bool
	}{
		{"engine", module + "opl", false, true},
		{"engine", module + "server", false, false},
		{"engine", module + "store/sqlite", false, false},
		{"engine", module + "store/sqlite", true, true},
		{"engine", "net/http", false, false},
		{"engine", "database/sql", false, false},
		{"engine", "google.golang.org/grpc", false, false},
		{"engine", "github.com/jackc/pgx/v5", false, false},
		{"engine", "github.com/prometheus/client_golang/prometheus", false, false},
		{"engine", "github.com/dgraph-io/ristretto/v2", false, true},
		{"opl", "golang.org/x/sync/errgroup", false, false},
		{"opl", module + "internal/errs", false, false},
		{"opl", "strings", false, true},
		{"store/sqlite", module + "server", false, false},
		{"store/sqlite", module + "proto/cardea/v1", false, false},
		{"e2e", module + "engine", true, false},
		{"e2e", module + "proto/cardea/v1", true, false},
	}
	for _, tt := range tests {
		if got := mayImport[tt.pkg].allows(tt.imp, tt.pkg, tt.test); got != tt.want {
			t.Errorf("%s imports %s (test: %t): %t, want %t", tt.pkg, tt.imp, tt.test, got, tt.want)
		}
	}
}
