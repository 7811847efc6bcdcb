package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// consolePageSize is how much of a list a page shows.
const consolePageSize = "50"

// A consoleList is a page of a list that can be searched.
type consoleList[T any] struct {
	consolePage
	Search, Status, Next string
	Items                []T
}

// A consolePerson is a person in a list.
type consolePerson struct {
	identity.IdentityBody
}

// Label is what a person is recognised by.
func (p consolePerson) Label() string {
	if names := p.names(); len(names) > 0 {
		return names[0]
	}
	return p.ID
}

// names are the addresses and identifiers of a person.
func (p consolePerson) names() (names []string) {
	for _, c := range p.Credentials {
		names = append(names, c.Identifiers...)
	}
	slices.Sort(names)
	var addresses []string
	for _, a := range p.Verifiable {
		addresses = append(addresses, a.Value)
	}
	return append(addresses, names...)
}

// people lists people, or those whose identifier begins with what is searched for.
func (v *visit) people() error {
	q := v.r.URL.Query()
	page := consoleList[consolePerson]{consolePage: v.page("People"), Search: strings.TrimSpace(q.Get("search"))}
	query := url.Values{"page_size": {consolePageSize}, "page_token": {q.Get("page_token")}}
	switch {
	case isID(page.Search):
		return v.to("/people/" + url.PathEscape(page.Search))
	case page.Search != "":
		query.Set("preview_credentials_identifier_similar", page.Search)
	}
	var err error
	if page.Next, err = v.ask("GET", "/admin/identities", query, nil, &page.Items); err != nil {
		return err
	}
	page.Next = nextQuery(page.Next, "search", page.Search)
	return v.show("people", page)
}

// nextQuery is the query of the next page, "" if there is none.
func nextQuery(token string, pairs ...string) string {
	if token == "" {
		return ""
	}
	q := url.Values{"page_token": {token}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return "?" + q.Encode()
}

type newPersonPage struct {
	consolePage
	Schemas        []string
	Schema, Traits string
}

func (v *visit) newPerson() error {
	page := newPersonPage{consolePage: v.page("Add a person"), Schema: v.r.URL.Query().Get("schema")}
	return v.showNewPerson(page)
}

// showNewPerson fills in what the schema asks for.
func (v *visit) showNewPerson(page newPersonPage) error {
	var all []struct {
		ID     string          `json:"id"`
		Schema json.RawMessage `json:"schema"`
	}
	if _, err := v.ask("GET", "/schemas", nil, nil, &all); err != nil {
		return err
	}
	for _, one := range all {
		page.Schemas = append(page.Schemas, one.ID)
		if page.Schema == "" {
			page.Schema = one.ID
		}
		if page.Traits == "" && one.ID == page.Schema {
			page.Traits = traitsOf(one.Schema)
		}
	}
	return v.show("new-person", page)
}

// traitsOf is JSON that has the traits of a schema, to be filled in.
func traitsOf(schema json.RawMessage) string {
	type node struct {
		Type       any              `json:"type"`
		Properties map[string]*node `json:"properties"`
	}
	var root node
	if json.Unmarshal(schema, &root) != nil || root.Properties["traits"] == nil {
		return "{}"
	}
	var fill func(n *node) any
	fill = func(n *node) any {
		if n.Properties == nil {
			return map[any]any{"boolean": false, "number": 0, "integer": 0, "array": []any{}}[n.Type]
		}
		out := map[string]any{}
		for name, child := range n.Properties {
			out[name] = ""
			if value := fill(child); value != nil {
				out[name] = value
			}
		}
		return out
	}
	return pretty(fill(root.Properties["traits"]))
}

// pretty is JSON as people read it.
func pretty(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil || b.String() == "null\n" {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// traits reads those of the form. Texts that were left empty are left out.
func (v *visit) traits() (any, error) {
	var traits map[string]any
	d := json.NewDecoder(bytes.NewReader([]byte(v.r.PostFormValue("traits"))))
	d.UseNumber()
	if err := d.Decode(&traits); err != nil || d.More() {
		return nil, &apiError{http.StatusBadRequest, "the traits are no JSON object: check commas, quotes and braces"}
	}
	return withoutEmpty(traits), nil
}

func withoutEmpty(value map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range value {
		if child, ok := v.(map[string]any); ok {
			child = withoutEmpty(child)
			if len(child) == 0 {
				continue
			}
			v = child
		}
		if v != "" {
			out[name] = v
		}
	}
	return out
}

func (v *visit) createPerson() error {
	page := newPersonPage{consolePage: v.page("Add a person"), Schema: v.r.PostFormValue("schema"), Traits: v.r.PostFormValue("traits")}
	traits, err := v.traits()
	var made identity.IdentityBody
	if err == nil {
		_, err = v.ask("POST", "/admin/identities", nil, map[string]any{"schema_id": page.Schema, "traits": traits}, &made)
	}
	if page.Wrong = mistake(err); page.Wrong != "" {
		return v.showNewPerson(page)
	}
	if err != nil {
		return err
	}
	return v.back("/people/"+made.ID, "created")
}

// A personPage shows one person.
type personPage struct {
	consolePage
	consolePerson
	TraitsText, Metadata string
	Ways                 []identity.CredentialBody
	Sessions             []consoleSession
	Events               []consoleEvent
	Memberships          []consoleMember
	Link                 string // of a recovery that was just made
	Until                time.Time
	Tuples               string // query of the tuples that name the person; "": they may not be seen
}

// Linked are the accounts of a credential at other providers, each of which can be removed
// by itself.
func (personPage) Linked(c identity.CredentialBody) []string {
	if c.Type != identity.OIDC {
		return nil
	}
	return c.Identifiers
}

type consoleSession struct{ identity.SessionBody }

// Device is what the session was used from.
func (s consoleSession) Device() string {
	if len(s.Devices) == 0 {
		return "An app"
	}
	last := s.Devices[len(s.Devices)-1]
	return identity.DeviceName(last.UserAgent) + ", " + last.Address
}

// How are the ways by which it was opened.
func (s consoleSession) How() string {
	var names []string
	for _, m := range s.Methods {
		names = append(names, m.Method)
	}
	return strings.Join(names, ", ")
}

type consoleEvent struct {
	At     time.Time       `json:"at"`
	Type   string          `json:"type"`
	Client string          `json:"client_address"`
	Detail json.RawMessage `json:"detail"`
}

func (v *visit) person() error { return v.showPerson(&personPage{}) }

// showPerson shows who the path names, and what page has beside.
func (v *visit) showPerson(page *personPage) error {
	id := v.r.PathValue("id")
	at := "/admin/identities/" + url.PathEscape(id)
	if _, err := v.ask("GET", at, nil, nil, &page.consolePerson); err != nil {
		return err
	}
	if _, err := v.ask("GET", at+"/sessions", url.Values{"active": {"true"}, "page_size": {consolePageSize}}, nil, &page.Sessions); err != nil {
		return err
	}
	if _, err := v.ask("GET", "/admin/audit/events", url.Values{"identity_id": {id}, "page_size": {"20"}}, nil, &page.Events); err != nil {
		return err
	}
	var err error
	if page.Memberships, err = v.memberships(id); err != nil {
		return err
	}
	if v.reads {
		page.Tuples = "?" + url.Values{"subject": {page.ID}}.Encode()
	}
	wrong := page.Wrong
	page.consolePage = v.page(page.Label())
	page.Wrong = wrong
	if page.TraitsText == "" {
		page.TraitsText = pretty(page.Traits)
	}
	page.Metadata = pretty(map[string]any{"public": page.MetadataPublic, "admin": page.MetadataAdmin})
	if len(page.MetadataPublic) == 0 && len(page.MetadataAdmin) == 0 || string(page.MetadataPublic) == "null" && len(page.MetadataAdmin) == 0 {
		page.Metadata = ""
	}
	for _, c := range page.Credentials {
		page.Ways = append(page.Ways, c)
	}
	slices.SortFunc(page.Ways, func(a, b identity.CredentialBody) int { return strings.Compare(string(a.Type), string(b.Type)) })
	return v.show("person", page)
}

// changePerson does what the button says.
func (v *visit) changePerson() error {
	id := url.PathEscape(v.r.PathValue("id"))
	at, here, page := "/admin/identities/"+id, "/people/"+id, &personPage{}
	var err error
	said := "saved"
	switch do := v.r.PostFormValue("do"); do {
	case "traits":
		page.TraitsText = v.r.PostFormValue("traits")
		var traits any
		if traits, err = v.traits(); err == nil {
			_, err = v.ask("PATCH", at, nil, replace("/traits", traits), nil)
		}
	case "activate", "deactivate":
		said = do + "d"
		_, err = v.ask("PATCH", at, nil, replace("/state", map[string]identity.State{"activate": identity.Active, "deactivate": identity.Inactive}[do]), nil)
	case "session":
		said = "sessions"
		_, err = v.ask("DELETE", "/admin/sessions/"+url.PathEscape(v.r.PostFormValue("session")), nil, nil, nil)
	case "sessions":
		said = do
		_, err = v.ask("POST", "/admin/sessions", nil, map[string]any{"action": "disable", "identities": []string{v.r.PathValue("id")}}, nil)
	case "credential":
		said = do
		kind, account, _ := strings.Cut(v.r.PostFormValue("credential"), " ")
		query := url.Values{}
		if account != "" {
			query.Set("identifier", account)
		}
		_, err = v.ask("DELETE", at+"/credentials/"+url.PathEscape(kind), query, nil, nil)
	case "recovery":
		if err = v.recovery(page); err == nil {
			return v.showPerson(page)
		}
	case "delete":
		if v.r.PostFormValue("sure") != "yes" {
			page.Wrong = "To delete somebody, tick the box that says so."
			return v.showPerson(page)
		}
		said, here = "deleted", "/people"
		_, err = v.ask("DELETE", at, nil, nil, nil)
	default:
		err = errs.New(errs.Invalid, "the form says to do %.40q, which is not known", do)
	}
	if page.Wrong = mistake(err); page.Wrong != "" {
		return v.showPerson(page)
	}
	if err != nil {
		return err
	}
	return v.back(here, said)
}

// recovery makes a link, which is shown once.
func (v *visit) recovery(page *personPage) error {
	var made struct {
		Link  string    `json:"recovery_link"`
		Until time.Time `json:"expires_at"`
	}
	_, err := v.ask("POST", "/admin/recovery/link", nil, map[string]any{"identity_id": v.r.PathValue("id")}, &made)
	page.Link, page.Until = made.Link, made.Until
	return err
}

// replace is a JSON patch (RFC 6902).
func replace(path string, value any) any {
	return []any{map[string]any{"op": "replace", "path": path, "value": value}}
}
