// Package web has the templates and assets of the pages for people. It has no logic:
// what a page shows is decided by who renders it.
//
// A page is a template of its own name (templates/form.html is "form"), which puts its
// parts into layout.html. All of it can be replaced, file by file; what is not replaced
// stays as it is here. Colours and sizes are variables at the top of static/page.css, for
// which static/own.css, if there is one, may have other values.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/cardea-iam/cardea/internal/errs"
)

//go:embed templates static mail
var files embed.FS

// Options tune the pages. Zero means the default, which is in the comment.
type Options struct {
	// Own has files that take the place of those with the same name below templates and
	// static, and may have more. nil: none.
	Own fs.FS

	Name string // of the service, as people know it. Cardea
	Base string // the path at which browsers find this server, such as /auth. None
}

// Pages are the templates. Methods may be called from many goroutines at once.
//
// Cardea's own are parsed when they are first shown: parsed, those of pages and messages
// are tens of thousands of little objects, most of what a server with few tuples has in
// memory, and the garbage collector looks at each of them in every cycle.
type Pages struct {
	options Options
	pages   map[string]func() (*template.Template, error)
	static  fs.FS
}

// What pages are made of: the layout is around all of them, and those of the console, whose
// names begin with consolePrefix, share consoleParts.
const (
	layout        = "templates/layout.html"
	consoleParts  = "templates/console.html"
	consolePrefix = "templates/console-"
)

// New reads the assets, and parses the templates if some are the operator's.
//
// Invalid: a template cannot be parsed, or an asset cannot be read.
func New(o Options) (*Pages, error) {
	if o.Name == "" {
		o.Name = "Cardea"
	}
	all := layers{files}
	if o.Own != nil {
		all = layers{o.Own, files}
	}
	static, err := fs.Sub(all, "static")
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the assets are missing")
	}
	versions, err := all.versions("static")
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the assets of the pages cannot be read: %v", err)
	}
	helpers := template.FuncMap{
		"site":  func() string { return o.Name },
		"path":  func(to string) string { return o.Base + to },
		"has":   func(name string) bool { return versions[name] != "" }, // an asset
		"asset": func(name string) string { return o.Base + "/assets/" + name + "?v=" + versions[name] },
	}
	p := &Pages{options: o, pages: map[string]func() (*template.Template, error){}, static: static}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the templates are missing")
	}
	for _, name := range names {
		parts := []string{layout, name}
		switch {
		case name == layout || name == consoleParts:
			continue
		case strings.HasPrefix(name, consolePrefix):
			parts = []string{layout, consoleParts, name}
		}
		parse := sync.OnceValues(func() (*template.Template, error) {
			return template.New("layout.html").Funcs(helpers).ParseFS(all, parts...)
		})
		if o.Own != nil {
			if _, err := parse(); err != nil {
				return nil, errs.Wrap(errs.Invalid, err, "the template %s cannot be parsed: %v", name, err)
			}
		}
		p.pages[strings.TrimSuffix(path.Base(name), ".html")] = parse
	}
	return p, nil
}

// Under returns the same pages for browsers that find them at another path, as those of a
// part of the service.
//
// Invalid: as for New.
func (p *Pages) Under(base, part string) (*Pages, error) {
	o := p.options
	o.Base, o.Name = base, o.Name+" "+part
	return New(o)
}

// Render writes a page, or nothing if it cannot be made.
func (p *Pages) Render(w io.Writer, page string, data any) error {
	parse, ok := p.pages[page]
	if !ok {
		return errs.New(errs.Internal, "there is no page %q", page)
	}
	t, err := parse()
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the template of the page %s cannot be parsed", page)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return errs.Wrap(errs.Internal, err, "the page %s cannot be rendered", page)
	}
	_, err = b.WriteTo(w)
	return err
}

// Static are the assets.
func (p *Pages) Static() fs.FS { return p.static }

// layers are file systems of which an upper one hides files of those below.
type layers []fs.FS

// Open implements fs.FS.
func (l layers) Open(name string) (fs.File, error) {
	for _, one := range l {
		f, err := one.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// versions returns a hash of each file below a folder, which is part of its URL, so that
// browsers can keep it.
func (l layers) versions(folder string) (map[string]string, error) {
	out := map[string]string{}
	for _, one := range l {
		err := fs.WalkDir(one, folder, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == folder { // own files need not have it
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			text, err := fs.ReadFile(l, name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(text)
			out[strings.TrimPrefix(name, folder+"/")] = base64.RawURLEncoding.EncodeToString(sum[:9])
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
