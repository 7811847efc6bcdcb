package identity

// A Node is an element of a form. Its JSON is Kratos's.
type Node struct {
	Type       string         `json:"type"` // input, text, img, a, script or div
	Group      string         `json:"group"`
	Attributes NodeAttributes `json:"attributes"`
	Messages   []Text         `json:"messages"`
	Meta       NodeMeta       `json:"meta"`
}

// NodeMeta has what is beside a node.
type NodeMeta struct {
	Label *Text `json:"label,omitempty"`
}

// NodeAttributes are those of all types of nodes; each uses its own.
type NodeAttributes struct {
	Name         string       `json:"name,omitempty"`
	Type         string       `json:"type,omitempty"`
	Value        any          `json:"value,omitempty"`
	Required     bool         `json:"required,omitempty"`
	Disabled     *bool        `json:"disabled,omitempty"` // of inputs, always present
	Autocomplete string       `json:"autocomplete,omitempty"`
	Pattern      string       `json:"pattern,omitempty"`
	MaxLength    int          `json:"maxlength,omitempty"`
	Options      []NodeOption `json:"options,omitempty"`
	Label        *Text        `json:"label,omitempty"`

	OnClick        string `json:"onclick,omitempty"`
	OnClickTrigger string `json:"onclickTrigger,omitempty"`
	OnLoad         string `json:"onload,omitempty"`
	OnLoadTrigger  string `json:"onloadTrigger,omitempty"`

	ID     string         `json:"id,omitempty"`
	Text   *Text          `json:"text,omitempty"`
	Src    string         `json:"src,omitempty"`
	Width  int            `json:"width,omitempty"`
	Height int            `json:"height,omitempty"`
	Href   string         `json:"href,omitempty"`
	Title  *Text          `json:"title,omitempty"`
	Class  string         `json:"class,omitempty"`
	Data   map[string]any `json:"data,omitempty"`

	Async          *bool  `json:"async,omitempty"` // of scripts, always present
	CrossOrigin    string `json:"crossorigin,omitempty"`
	Integrity      string `json:"integrity,omitempty"`
	Nonce          string `json:"nonce,omitempty"`
	ReferrerPolicy string `json:"referrerpolicy,omitempty"`

	NodeType string `json:"node_type"`
}

// A NodeOption is one value of an input that has a few.
type NodeOption struct {
	Value any    `json:"value"`
	Label string `json:"label,omitempty"`
}

// Groups of nodes that are not named like a method.
const (
	groupDefault = "default"
	groupProfile = "profile"
)

// Input returns an input node; kind is the type of the input.
func Input(group, name, kind string, label *Text) Node {
	return Node{Type: "input", Group: group, Messages: []Text{}, Meta: NodeMeta{Label: label},
		Attributes: NodeAttributes{Name: name, Type: kind, Disabled: new(bool), NodeType: "input"}}
}

// Button returns the button that submits the form with a value for a name.
func Button(group, name, value string, label Text) Node {
	n := Input(group, name, "submit", &label)
	n.Attributes.Value = value
	return n
}

// Hidden returns an input that the user does not see.
func Hidden(group, name string, value any) Node {
	n := Input(group, name, "hidden", nil)
	n.Attributes.Value = value
	return n
}

// Required makes an input one that must be filled in.
func (n Node) Required() Node {
	n.Attributes.Required = true
	return n
}

// Autocomplete says what a browser may fill in.
func (n Node) Autocomplete(what string) Node {
	n.Attributes.Autocomplete = what
	return n
}

// keeps reports whether what was written into the node is shown again.
func (n *Node) keeps() bool {
	switch n.Attributes.Type {
	case "password", "hidden", "submit", "button":
		return false
	default:
		return n.Type == "input"
	}
}
