package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// npmClient copies a folder with a client, gets what it needs, as its
// package-lock.json pins it, and returns where it is. It skips the test where there is
// no node, or no registry.
func npmClient(t *testing.T, folder string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s on this machine", program)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "client.mjs"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := in(t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		if os.Getenv("CARDEA_TEST_NPM") != "" {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("npm cannot get the client (CARDEA_TEST_NPM=1 makes this a failure): %v: %s", err, lastLine(out))
	}
	return dir
}

// runNPM runs a client and counts what it did.
func runNPM(t *testing.T, dir string, operations int, args ...string) {
	t.Helper()
	out, err := in(t, dir, "node", append([]string{"client.mjs"}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(out, "ok "); n != operations {
		t.Errorf("%d operations, want %d:\n%s", n, operations, out)
	}
}

// TestKetoNPM runs Keto's npm client, unchanged.
func TestKetoNPM(t *testing.T) {
	dir := npmClient(t, "keto-client")
	s := load(t, "drive")
	runNPM(t, dir, 13, s.Read, s.Write)
}

// TestOpenIDClient runs a relying party with the npm package openid-client.
func TestOpenIDClient(t *testing.T) {
	dir := npmClient(t, "openid-client")
	p := startProvider(t)
	runNPM(t, dir, 17, p.issuer, "http://"+p.Write)
}

// TestHydraNPM runs Hydra's npm client, unchanged.
func TestHydraNPM(t *testing.T) {
	dir := npmClient(t, "hydra-client")
	data := t.TempDir()
	config := filepath.Join(data, "cardea.yaml")
	text := strings.ReplaceAll(`oauth:
  urls: {login: PAGES/login, consent: PAGES/consent, logout: PAGES/logout, error: PAGES/error, device: {verification: PAGES/device, success: PAGES/done}}
  oidc: {dynamic_client_registration: {enabled: true}}
`, "PAGES", "http://app.test")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, data, "--config", config)
	runNPM(t, dir, 18, s.address("public"), s.Write)
}

// in runs a program in a folder and returns what it printed.
func in(t *testing.T, dir, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestKratosNPM runs Kratos's npm client, unchanged.
func TestKratosNPM(t *testing.T) {
	dir := npmClient(t, "kratos-client")
	data := t.TempDir()
	config := filepath.Join(data, "cardea.yaml")
	if err := os.WriteFile(config, []byte("identity: {security: {account_enumeration: {mitigate: false}}}\n"), 0o600); err != nil { // as in Kratos
		t.Fatal(err)
	}
	s := start(t, data, "--dev", "--config", config)
	runNPM(t, dir, 37, s.address("public"), s.Write)
}
