package server_test

import (
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/server"
)

// withMail turns identities on, with messages that go into a folder.
func withMail(t *testing.T) func(*server.Config) {
	folder := t.TempDir()
	return func(c *server.Config) {
		withIdentity(c)
		c.Identity.Courier.Folder = folder
		c.Identity.Courier.PullWait = 10 * time.Millisecond
	}
}

// atOnce lets accounts be made before their addresses are verified.
func atOnce(c *server.Config) { c.Identity.Mitigate = false }

// A postbox is the folder of messages, from which each is taken once.
type postbox struct {
	*testing.T
	folder string
	taken  map[string]bool
}

// A letter is a message as a mail program shows it.
type letter struct{ to, subject, text, code, link string }

func newPostbox(t *testing.T, c server.Config) *postbox {
	return &postbox{t, c.Identity.Courier.Folder, map[string]bool{}}
}

// startWithMail starts a server whose messages can be read.
func startWithMail(t *testing.T, edit ...func(*server.Config)) (*node, *postbox) {
	var box *postbox
	all := append([]func(*server.Config){withMail(t)}, edit...)
	n := start(t, append(all, func(c *server.Config) { box = newPostbox(t, *c) })...)
	return n, box
}

// take waits for the next message to somebody.
func (p *postbox) take(to string) letter {
	p.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		for _, l := range p.find(to) {
			return l
		}
		if time.Now().After(deadline) {
			p.Fatalf("no message to %s comes", to)
		}
	}
}

// find returns the messages to somebody that nobody has taken; the first counts as
// taken then.
func (p *postbox) find(to string) (found []letter) {
	files, err := filepath.Glob(filepath.Join(p.folder, "*.???"))
	if err != nil {
		p.Fatal(err)
	}
	for _, file := range files {
		if p.taken[file] {
			continue
		}
		l := p.read(file)
		if l.to != to {
			continue
		}
		if len(found) == 0 {
			p.taken[file] = true
		}
		found = append(found, l)
	}
	return found
}

var (
	codeInText = regexp.MustCompile(`\b\d{6}\b`)
	linkInText = regexp.MustCompile(`https?://\S+`)
)

func (p *postbox) read(file string) letter {
	f, err := os.Open(file)
	if err != nil {
		p.Fatal(err)
	}
	defer f.Close()
	m, err := mail.ReadMessage(f)
	if err != nil {
		p.Fatalf("%s: %v", file, err)
	}
	var body io.Reader = m.Body
	if kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type")); err == nil && kind == "multipart/alternative" {
		part, err := multipart.NewReader(m.Body, params["boundary"]).NextPart()
		if err != nil {
			p.Fatal(err)
		}
		body = part
	}
	text, err := io.ReadAll(body)
	if err != nil {
		p.Fatal(err)
	}
	l := letter{to: strings.Trim(m.Header.Get("To"), "<>"), text: string(text)}
	l.subject, _ = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	l.code, l.link = codeInText.FindString(l.text), linkInText.FindString(l.text)
	return l
}

// otherCode is a code that is wrong.
func otherCode(code string) string {
	last := code[5]
	return code[:5] + string('0'+(last-'0'+1)%10)
}

// known makes an account by an administrator, whose address is not verified.
func (n *node) known(t *testing.T, email string) string {
	t.Helper()
	return n.admin(t).do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": email},
		"credentials": map[string]any{"password": map[string]any{"config": map[string]any{"password": goodPassword}}}}).is(201).str("id")
}
