// Package web has the templates and assets of the pages for people. It has no logic:
// what a page shows is decided by who renders it.
//
// A page is a template of its own name (templates/form.html is "form"), which puts its
// parts into layout.html. All of it can be replaced, file by file; what is not replaced
// stays as it is here. Colours and sizes are variables at the top of static/page.css.
package web

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

//go:embed templates static mail
var files embed.FS

// Pages are the templates, parsed.
type Pages struct {
	pages  map[string]*template.Template
	static fs.FS
}

// New parses the templates. Files of own, which may be nil, take the place of those
// with the same name below templates and static, and own may have more.
//
// Invalid: a template cannot be parsed.
func New(own fs.FS) (*Pages, error) {
	all := layers{files}
	if own != nil {
		all = layers{own, files}
	}
	static, err := fs.Sub(all, "static")
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the assets are missing")
	}
	p := &Pages{pages: map[string]*template.Template{}, static: static}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the templates are missing")
	}
	const layout = "templates/layout.html"
	for _, name := range names {
		if name == layout {
			continue
		}
		t, err := template.New("layout.html").ParseFS(all, layout, name)
		if err != nil {
			return nil, errs.Wrap(errs.Invalid, err, "the template %s cannot be parsed: %v", name, err)
		}
		p.pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return p, nil
}

// Render writes a page, or nothing if it cannot be made.
func (p *Pages) Render(w io.Writer, page string, data any) error {
	t, ok := p.pages[page]
	if !ok {
		return errs.New(errs.Internal, "there is no page %q", page)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return errs.Wrap(errs.Internal, err, "the page %s cannot be rendered", page)
	}
	_, err := b.WriteTo(w)
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
