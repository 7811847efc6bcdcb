package web

import "testing"

// Cardea's own templates are parsed when they are needed, which is too late to find a
// mistake in one.
func TestTemplatesParse(t *testing.T) {
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.pages) < 10 {
		t.Fatalf("there are %d pages: expected all", len(p.pages))
	}
	for name, parse := range p.pages {
		if _, err := parse(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, parse := range mailText {
		parse()
	}
	mailLayout()
	mailLayoutHTML()
}
