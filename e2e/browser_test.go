package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/cardea-iam/cardea/internal/testapt"
)

// The environment of the journeys. browserEnv names a browser, or is required, which
// turns a skip into a failure; shotsEnv names a folder for pictures of the pages.
const (
	browserEnv = "CARDEA_TEST_BROWSER"
	shotsEnv   = "CARDEA_TEST_SHOTS"
)

// findBrowser returns the path of a Chromium or Chrome.
var findBrowser = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(browserEnv); path != "" && path != "required" {
		return path, nil
	}
	look := func() string {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell"} {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
		return ""
	}
	if path := look(); path != "" {
		return path, nil
	}
	err := testapt.Install("there is no Chromium on this machine; install it, or set "+browserEnv, func() bool { return look() != "" }, "chromium")
	return look(), err
})

// A browser runs headless until the test ends.
type browser struct {
	ctx context.Context
	axe string // the script of axe-core; "" where it cannot be had
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := findBrowser()
	if err != nil {
		if os.Getenv(browserEnv) == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	return &browser{ctx, axeCore(t)}
}

// axeCore returns the script that looks for what keeps people out of a page.
func axeCore(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Log("there is no npm on this machine: pages are not looked at with axe-core")
		return ""
	}
	dir := t.TempDir()
	copyFiles(t, "browser", dir, "package.json", "package-lock.json")
	if out, err := in(t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		if os.Getenv("CARDEA_TEST_NPM") != "" {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Logf("npm cannot get axe-core, pages are not looked at with it: %v: %s", err, lastLine(out))
		return ""
	}
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A tab is one person's window. Cookies are its own.
type tab struct {
	*testing.T
	*browser
	ctx  context.Context
	base string // of the server
	key  webauthn.AuthenticatorID

	mu       sync.Mutex
	problems []string // from the console: scripts that fail, and what the policy forbids
}

// tab opens one. All that happens there has to happen within patience.
func (b *browser) tab(t *testing.T, base string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*patience)
	t.Cleanup(cancel)
	v := &tab{T: t, browser: b, ctx: ctx, base: base}
	v.must(chromedp.Listen(ctx, v.hear))
	v.must(chromedp.Do(ctx, chromedp.EmulateViewport(1024, 768)))
	return v
}

// hear collects what the browser complains about. That an answer has a status of 400 is
// no complaint.
func (v *tab) hear(event any) {
	text := ""
	switch event := event.(type) {
	case *log.EventEntryAdded:
		if event.Entry.Level == log.EntryLevelError && event.Entry.Source != log.EntrySourceNetwork {
			text = event.Entry.Text
		}
	case *runtime.EventExceptionThrown:
		text = event.ExceptionDetails.Text
	case *page.EventJavascriptDialogOpening:
		text = "a dialog opens: " + event.Message
	}
	if text != "" {
		v.mu.Lock()
		v.problems = append(v.problems, text)
		v.mu.Unlock()
	}
}

func (v *tab) must(err error) {
	v.Helper()
	if err != nil {
		v.Fatalf("%v\nthe page is\n%s", err, v.text())
	}
}

// text is what a person reads, with the address above it.
func (v *tab) text() string {
	text, err := chromedp.Run(v.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.title + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// open goes to an address, or to a path of the server.
func (v *tab) open(at string) *tab {
	v.Helper()
	if strings.HasPrefix(at, "/") {
		at = v.base + at
	}
	v.must(chromedp.Do(v.ctx, chromedp.Navigate(at)))
	return v
}

// fill types into a field, in the place of what is there.
func (v *tab) fill(name, value string) *tab {
	v.Helper()
	found, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
		const field = document.querySelector('input[name=%[1]q]:not([type=hidden]), textarea[name=%[1]q]');
		if (field) { field.focus(); field.select(); }
		return !!field && document.activeElement === field;
	})()`, name)))
	v.must(err)
	if !found {
		v.Fatalf("there is no field %s:\n%s", name, v.text())
	}
	_, err = chromedp.Call(v.ctx, input.InsertText, input.InsertTextParams{Text: value})
	v.must(err)
	return v
}

// mark finds a link, a button or the label of a box by what it says, so that it can be
// clicked.
const mark = `(() => {
	document.querySelectorAll("[data-marked]").forEach(e => e.removeAttribute("data-marked"));
	const says = e => (e.getAttribute("aria-label") || e.innerText).trim().replace(/\s+/g, " ");
	const within = [...document.querySelectorAll("section")].find(e => e.querySelector("h2")?.innerText === %q) || document;
	const all = [...within.querySelectorAll("a, button, label, summary")].filter(e => e.offsetParent !== null && !e.disabled);
	const one = all.find(e => says(e) === %q);
	if (one) one.setAttribute("data-marked", "");
	return !!one;
})()`

// marked is a click on what says text, in a section if text begins with its heading and
// a colon.
func (v *tab) marked(text string) chromedp.Action[chromedp.Void] {
	v.Helper()
	section, rest, ok := strings.Cut(text, ": ")
	if !ok {
		section, rest = "", text
	}
	found, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](fmt.Sprintf(mark, section, rest)))
	v.must(err)
	if !found {
		v.Fatalf("there is nothing to click that says %q:\n%s", text, v.text())
	}
	return chromedp.Click(chromedp.CSS("[data-marked]"))
}

// press clicks a link or a button that leads to another page.
func (v *tab) press(text string) *tab {
	v.Helper()
	click := v.marked(text)
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, click); err != nil {
		v.Fatalf("%q leads nowhere: %v\n%s", text, err, v.text())
	}
	return v
}

// tick clicks what stays on the page.
func (v *tab) tick(text string) *tab {
	v.Helper()
	v.must(chromedp.Do(v.ctx, v.marked(text)))
	return v
}

// sees waits until the page, with its address and title, has all the texts.
func (v *tab) sees(texts ...string) *tab {
	v.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		page, missing := v.text(), ""
		for _, text := range texts {
			if !strings.Contains(page, text) {
				missing = text
			}
		}
		if missing == "" {
			return v
		}
		if time.Now().After(deadline) || v.ctx.Err() != nil {
			v.Fatalf("%q is missing on\n%s", missing, page)
		}
	}
}

// focused asserts which field a person types into. A browser goes there some time after
// the page is shown.
func (v *tab) focused(name string) *tab {
	v.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		got, err := chromedp.Run(v.ctx, chromedp.Evaluate[string](`document.activeElement ? document.activeElement.name || document.activeElement.tagName : ""`))
		v.must(err)
		if got == name {
			return v
		}
		if time.Now().After(deadline) {
			v.Errorf("the field to type into is %q, want %q", got, name)
			return v
		}
	}
}

// look checks a page as it is on a small phone and on a desk, in light and in dark, and
// takes its picture if somebody wants to see it.
func (v *tab) look(name string) *tab {
	v.Helper()
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"phone", 320, 640}, {"desk", 1024, 768}} {
		v.must(chromedp.Do(v.ctx, chromedp.EmulateViewport(size.width, size.height)))
		wide, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`))
		v.must(err)
		if wide {
			v.Errorf("%s: people have to scroll sideways on a %s", name, size.name)
		}
		for _, scheme := range []string{"light", "dark"} {
			_, err := chromedp.Call(v.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			v.must(err)
			v.shoot(fmt.Sprintf("%s-%s-%s.png", name, size.name, scheme))
			if size.name == "desk" {
				v.accessible(name + " in " + scheme)
			}
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, problem := range v.problems {
		v.Errorf("%s: the browser says: %s", name, problem)
	}
	v.problems = nil
	return v
}

func (v *tab) shoot(file string) {
	v.Helper()
	folder := os.Getenv(shotsEnv)
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	v.must(err)
	v.must(os.MkdirAll(folder, 0o755))
	v.must(os.WriteFile(filepath.Join(folder, file), picture, 0o644))
}

// accessible asserts that axe-core finds nothing.
func (v *tab) accessible(name string) {
	v.Helper()
	if v.axe == "" {
		return
	}
	v.must(chromedp.Do(v.ctx, chromedp.Evaluate[chromedp.Void](v.axe)))
	found, err := chromedp.Run(v.ctx, chromedp.Evaluate[[]string](`axe.run(document).then(r => r.violations.map(
		x => x.id + ": " + x.help + ": " + x.nodes.map(n => n.html).join(" ")))`, chromedp.EvalAwaitPromise))
	v.must(err)
	for _, one := range found {
		v.Errorf("%s: %s", name, one)
	}
}

// A postbox is the folder in which --dev leaves mail.
type postbox struct {
	*testing.T
	folder string
	read   map[string]bool // by file
}

// code waits for mail to an address that has not been read, and returns the code in it.
func (p *postbox) code(address string) string {
	p.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		files, err := filepath.Glob(filepath.Join(p.folder, "*.eml"))
		if err != nil {
			p.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				p.Fatal(err)
			}
			if p.read[file] || !strings.Contains(string(text), "<"+address+">") {
				continue
			}
			p.read[file] = true
			if found := codeInMail.FindSubmatch(text); found != nil {
				return string(found[1])
			}
			p.Logf("no code is in %s", text)
		}
	}
	p.Fatalf("no mail with a code came to %s", address)
	return ""
}

var codeInMail = regexp.MustCompile(`(?m)^\s+(\d{6})\s*$`)

// copyFiles copies files from one folder to another.
func copyFiles(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
