package identity

import (
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// A pageForm is a form of the page; all go to the same flow.
type pageForm struct {
	ID    string // of its heading
	Title string
	Nodes []pageNode
}

// A pageNode is a node with what a template cannot work out.
type pageNode struct {
	Node
	ID    string // of the element
	Skips bool   // a button that does not need the fields of other methods
	First bool   // the button that most people want
	Other bool   // the first node of another method than the button above
	Focus bool
}

// IsButton reports whether the node is one.
func (n pageNode) IsButton() bool {
	return n.Type == "input" && (n.Attributes.Type == "submit" || n.Attributes.Type == "button")
}

// Off reports whether the node takes nothing.
func (n pageNode) Off() bool { return n.Attributes.Disabled != nil && *n.Attributes.Disabled }

// Value is that of an input. What is no text is JSON, for scripts.
func (n pageNode) Value() string {
	switch v := n.Attributes.Value.(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any, []any, json.RawMessage:
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(text)
	default:
		return fmt.Sprint(v)
	}
}

// removes reports whether the node is a button that takes something away.
func (n pageNode) removes() bool {
	name := n.Attributes.Name
	return strings.HasSuffix(name, "unlink") || strings.HasSuffix(name, "_remove") || strings.HasSuffix(name, "_disable")
}

// Look is the class of a button.
func (n pageNode) Look() string {
	switch {
	case n.removes():
		return "second danger"
	case n.First:
		return "first"
	default:
		return "second"
	}
}

// InputMode makes phones show digits for codes.
func (n pageNode) InputMode() string {
	if n.Attributes.Name == "totp_code" || n.Attributes.Name == "code" {
		return "numeric"
	}
	return ""
}

// Secrets are those of a text that is a list of them.
func (n pageNode) Secrets() (out []string) {
	if n.Attributes.Text == nil {
		return nil
	}
	switch list := n.Attributes.Text.Context["secrets"].(type) {
	case []Text:
		for _, t := range list {
			out = append(out, t.Text)
		}
	case []any:
		for _, one := range list {
			if t, ok := one.(map[string]any); ok {
				out = append(out, fmt.Sprint(t["text"]))
			}
		}
	}
	return out
}

// Image lets a picture that is in the page itself through; templates take no URLs with
// data in them, since those may have scripts.
func (n pageNode) Image() template.URL {
	if !strings.HasPrefix(n.Attributes.Src, "data:image/png;base64,") {
		return ""
	}
	return template.URL(n.Attributes.Src)
}

// groups are the sections of the settings, in their order.
var groups = []struct{ name, title string }{
	{"profile", "Profile"}, {"password", "Password"}, {"passkey", "Passkeys"}, {"oidc", "Linked accounts"}, {"totp", "Authenticator app"},
	{"webauthn", "Security keys"}, {"lookup_secret", "Backup codes"}, {"code", "One-time codes"}, {"link", "Links"},
}

// pageForms makes a form for each group in the settings, where each is submitted by
// itself, and else one.
func pageForms(k Kind, nodes []Node) []pageForm {
	var common []pageNode
	var forms []pageForm
	at := map[string]int{}
	for _, node := range nodes {
		one := pageNode{Node: node, ID: "field-" + strings.NewReplacer(".", "-", "/", "-").Replace(node.Attributes.Name)}
		group := node.Group
		if k != Settings {
			group = ""
		} else if group == groupDefault {
			common = append(common, one)
			continue
		} else if last := len(forms) - 1; node.Type == "script" && last >= 0 { // it makes no section
			forms[last].Nodes = append(forms[last].Nodes, one)
			continue
		}
		i, ok := at[group]
		if !ok {
			i = len(forms)
			at[group] = i
			forms = append(forms, pageForm{ID: "group-" + group})
		}
		forms[i].Nodes = append(forms[i].Nodes, one)
	}
	for i := range forms {
		forms[i].Nodes = append(slices.Clone(common), forms[i].Nodes...)
		arrange(forms[i].Nodes)
	}
	if k != Settings {
		for i := range forms {
			focus(forms[i].Nodes, true)
		}
		return forms
	}
	slices.SortStableFunc(forms, func(a, b pageForm) int { return rank(a.ID) - rank(b.ID) })
	for i := range forms {
		focus(forms[i].Nodes, false)
		if r := rank(forms[i].ID); r < len(groups) {
			forms[i].Title = groups[r].title
		}
	}
	return forms
}

// rank is where a section belongs; those of methods that are not known here are the last.
func rank(id string) int {
	for i, g := range groups {
		if id == "group-"+g.name {
			return i
		}
	}
	return len(groups)
}

// arrange says how buttons look, and which of them need the fields.
func arrange(nodes []pageNode) {
	methods := map[string]bool{} // that have a button
	for i := range nodes {
		n := &nodes[i]
		if n.IsButton() {
			n.First = len(methods) == 0 && !n.removes()
			n.Skips = n.Attributes.Type == "submit" && !n.First && n.Group != string(Password) && (n.Group != groupProfile || n.Attributes.Name == "screen")
		}
		if n.IsButton() && !n.removes() {
			methods[n.Group] = true
		}
	}
	last := "" // method whose button was passed
	for i := range nodes {
		n := &nodes[i]
		if n.Attributes.Type == "hidden" || n.Type == "script" {
			continue
		}
		n.Other = last != "" && n.Group != last && n.Group != groupDefault
		// Whoever takes one method leaves the fields of the others empty.
		n.Attributes.Required = n.Attributes.Required && (n.Group == groupDefault || len(methods) < 2)
		if n.Other {
			last = ""
		}
		if n.IsButton() {
			last = n.Group
		}
	}
}

// focus chooses the field to begin with: the first that is wrong, or else empty if the
// form is all that the page is for.
func focus(nodes []pageNode, alone bool) {
	empty := -1
	for i, n := range nodes {
		if n.Type != "input" || n.IsButton() || n.Attributes.Type == "hidden" || n.Attributes.Type == "checkbox" {
			continue
		}
		if slices.ContainsFunc(n.Messages, isMistake) {
			nodes[i].Focus = true
			return
		}
		if empty < 0 && n.Value() == "" {
			empty = i
		}
	}
	if alone && empty >= 0 {
		nodes[empty].Focus = true
	}
}
