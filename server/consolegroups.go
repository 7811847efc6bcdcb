package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// pages are those of the console about groups of a kind, by pattern.
func (g groupsAPI) pages() map[string]func(*visit) error {
	at := g.at()
	return map[string]func(*visit) error{
		"GET " + at: g.listPage, "GET " + at + "/new": g.newPage, "POST " + at: g.createByForm,
		"GET " + at + "/{id}": g.groupPage, "POST " + at + "/{id}": g.changeByForm,
	}
}

// at is where the console has them.
func (g groupsAPI) at() string { return strings.TrimPrefix(g.path, "/admin") }

// A groupsPage is what pages about groups of a kind know.
type groupsPage struct {
	consolePage
	Kind identity.GroupKind
	At   string // path of all of the kind
}

func (g groupsAPI) page(v *visit, title string) groupsPage {
	return groupsPage{v.page(title), g.kind, g.at()}
}

// Heading is what the console calls groups of the kind.
func (g groupsAPI) heading() string {
	name := strings.TrimPrefix(g.at(), "/")
	return strings.ToUpper(name[:1]) + name[1:]
}

// Title is what people call a group.
func (g groupBody) Title() string {
	if title := (&identity.Group{Name: g.Name, Label: g.Label}).Title(); title != "" {
		return title
	}
	return g.ID
}

type groupList struct {
	groupsPage
	Search, Next string
	Items        []groupBody
}

// listPage lists groups, or the one that has the name that is searched for.
func (g groupsAPI) listPage(v *visit) error {
	q := v.r.URL.Query()
	page := groupList{groupsPage: g.page(v, g.heading()), Search: strings.TrimSpace(q.Get("search"))}
	query := url.Values{"page_size": {consolePageSize}, "page_token": {q.Get("page_token")}}
	if page.Search != "" {
		query.Set("name", page.Search)
	}
	var err error
	if page.Next, err = v.ask("GET", g.path, query, nil, &page.Items); err != nil {
		return err
	}
	page.Next = nextQuery(page.Next, "search", page.Search)
	return v.show("groups", page)
}

type newGroupPage struct {
	groupsPage
	ID, Name, Label, Parent string
}

func (g groupsAPI) newPage(v *visit) error {
	return v.show("new-group", newGroupPage{groupsPage: g.page(v, g.addTitle()), Parent: v.r.URL.Query().Get("parent")})
}

func (g groupsAPI) addTitle() string {
	if g.kind == identity.OfOrganization {
		return "Add an organization"
	}
	return "Add a group"
}

func (g groupsAPI) createByForm(v *visit) error {
	form := v.r.PostForm
	page := newGroupPage{groupsPage: g.page(v, g.addTitle()), ID: strings.TrimSpace(form.Get("id")), Name: form.Get("name"), Label: form.Get("label"), Parent: strings.TrimSpace(form.Get("parent"))}
	draft := map[string]any{"name": page.Name, "label": page.Label}
	if page.ID != "" {
		draft["id"] = page.ID
	}
	if page.Parent != "" {
		draft["parent"] = page.Parent
	}
	var made groupBody
	_, err := v.ask("POST", g.path, nil, draft, &made)
	if page.Wrong = mistake(err); page.Wrong != "" {
		return v.show("new-group", page)
	}
	if err != nil {
		return err
	}
	return v.back(g.at()+"/"+made.ID, "created")
}

// A groupPage shows one group.
type groupPage struct {
	groupsPage
	groupBody
	Above       []consoleMember // the groups that it is a member of
	Members     []consoleMember
	NoMembers   string // why it cannot have any
	Effective   bool   // Members are all people, also those by way of groups
	Next        string
	Invitations []invitationBody
	NextInvites string
	Made        invitationBody // with the link, of one that was just made

	Someone, SomeoneIs string // that a form wanted to add
	Email              string // that a form wanted to invite
}

// A consoleMember is a member of a group, or a group of which something is one.
type consoleMember struct {
	Label, Kind, At string
	Value           string // in forms: the kind and the id
	ID              string
}

func (g groupsAPI) groupPage(v *visit) error { return g.show(v, &groupPage{}) }

// show shows the group that the path names, and what page has beside.
func (g groupsAPI) show(v *visit, page *groupPage) error {
	q := v.r.URL.Query()
	api := g.path + "/" + url.PathEscape(v.r.PathValue("id"))
	if _, err := v.ask("GET", api, nil, nil, &page.groupBody); err != nil {
		return err
	}
	wrong := page.Wrong
	page.groupsPage = g.page(v, page.groupBody.Title())
	page.Wrong = wrong
	for _, id := range page.Parents {
		page.Above = append(page.Above, g.member(v, id))
	}
	query := url.Values{"page_size": {consolePageSize}, "page_token": {q.Get("page_token")}}
	var members []memberBody
	if page.Effective = q.Get("effective") == "true"; page.Effective {
		query.Set("effective", "true")
	}
	next, err := v.ask("GET", api+"/members", query, nil, &members)
	if page.NoMembers = mistake(err); err != nil && page.NoMembers == "" {
		return err
	}
	page.Next = nextQuery(next, "effective", query.Get("effective"))
	if page.Members, err = v.members(members); err != nil {
		return err
	}
	query = url.Values{"page_size": {consolePageSize}, "page_token": {q.Get("invitations")}}
	if next, err = v.ask("GET", api+"/invitations", query, nil, &page.Invitations); err != nil {
		return err
	}
	if next != "" {
		page.NextInvites = "?" + url.Values{"invitations": {next}}.Encode()
	}
	return v.show("group", page)
}

// member is a group as a member.
func (g groupsAPI) member(v *visit, id string) consoleMember {
	found := groupBody{ID: id}
	at := g.at() + "/" + url.PathEscape(id)
	if _, err := v.ask("GET", g.path+"/"+url.PathEscape(id), nil, nil, &found); err != nil {
		at = "" // a tuple names it, and there is no row
	}
	return consoleMember{found.Title(), string(g.kind), at, string(g.kind) + " " + id, id}
}

// members finds out how people call those of a list.
func (v *visit) members(list []memberBody) (out []consoleMember, err error) {
	var ids []string
	for _, m := range list {
		ids = append(ids, m.Identity)
	}
	names, err := v.names(ids)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		switch name, known := names[m.Identity]; {
		case known:
			out = append(out, consoleMember{name, "person", "/people/" + m.Identity, "identity " + m.Identity, m.Identity})
		case m.Identity != "":
			out = append(out, consoleMember{m.Identity, "no identity", "", "", m.Identity})
		case m.Group != "":
			out = append(out, groupKinds[0].member(v, m.Group))
		case m.Organization != "":
			out = append(out, groupKinds[1].member(v, m.Organization))
		default:
			out = append(out, consoleMember{m.Subject, "subject of a tuple", "", "", m.Subject})
		}
	}
	return out, nil
}

// maxNames bounds how many identities are asked for at once.
const maxNames = 200

// names says how people recognise identities, by id. Ids of nobody are not in it.
func (v *visit) names(ids []string) (map[string]string, error) {
	query := url.Values{}
	for _, id := range ids {
		if isID(id) && len(query["ids"]) < maxNames {
			query.Add("ids", id)
		}
	}
	if len(query) == 0 || v.guard.usual.people == nil {
		return nil, nil
	}
	var found []consolePerson
	if _, err := v.ask("GET", "/admin/identities", query, nil, &found); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, p := range found {
		names[p.ID] = p.Label()
	}
	return names, nil
}

// memberships are the groups of an identity. A model without groups has none.
func (v *visit) memberships(id string) (out []consoleMember, err error) {
	for _, g := range groupKinds {
		var found []groupBody
		_, err := v.ask("GET", "/admin/identities/"+url.PathEscape(id)+g.at(), url.Values{"page_size": {consolePageSize}}, nil, &found)
		if err != nil && mistake(err) == "" {
			return nil, err
		}
		for _, one := range found {
			out = append(out, consoleMember{Label: one.Title(), Kind: string(g.kind), At: g.at() + "/" + url.PathEscape(one.ID)})
		}
	}
	return out, nil
}

// changeByForm does what the button says.
func (g groupsAPI) changeByForm(v *visit) error {
	form, page := v.r.PostForm, &groupPage{}
	api, here := g.path+"/"+url.PathEscape(v.r.PathValue("id")), g.at()+"/"+url.PathEscape(v.r.PathValue("id"))
	var err error
	said := "saved"
	switch do := form.Get("do"); do {
	case "rename":
		_, err = v.ask("PATCH", api, nil, map[string]any{"name": form.Get("name"), "label": form.Get("label")}, nil)
	case "add":
		said = "member"
		page.Someone, page.SomeoneIs = strings.TrimSpace(form.Get("someone")), form.Get("is")
		var list memberList
		if list, err = v.someone(page.Someone, page.SomeoneIs); err == nil {
			_, err = v.ask("POST", api+"/members", nil, list, nil)
		}
	case "remove":
		said = "removed"
		kind, id, _ := strings.Cut(form.Get("member"), " ")
		_, err = v.ask("DELETE", api+"/members", url.Values{kind: {id}}, nil, nil)
	case "invite":
		page.Email = strings.TrimSpace(form.Get("email"))
		if _, err = v.ask("POST", api+"/invitations", nil, map[string]any{"email": page.Email}, &page.Made); err == nil {
			page.Email = ""
			return g.show(v, page)
		}
	case "withdraw":
		said = "withdrawn"
		_, err = v.ask("DELETE", api+"/invitations/"+url.PathEscape(form.Get("invitation")), nil, nil, nil)
	case "delete":
		if form.Get("sure") != "yes" {
			page.Wrong = "To delete it, tick the box that says so."
			return g.show(v, page)
		}
		said, here = "deleted", g.at()
		_, err = v.ask("DELETE", api, nil, nil, nil)
	default:
		err = errs.New(errs.Invalid, "the form says to do %.40q, which is not known", do)
	}
	if page.Wrong = mistake(err); page.Wrong != "" {
		return g.show(v, page)
	}
	if err != nil {
		return err
	}
	return v.back(here, said)
}

// someone finds who an administrator means: a person by identifier or id, a group by name
// or id.
func (v *visit) someone(text, is string) (memberList, error) {
	for _, g := range groupKinds {
		if is != string(g.kind) {
			continue
		}
		var found []groupBody
		if _, err := v.ask("GET", g.path, url.Values{"name": {text}}, nil, &found); err != nil {
			return memberList{}, err
		}
		if len(found) == 1 && text != "" {
			text = found[0].ID
		}
		if g.kind == identity.OfOrganization {
			return memberList{Organizations: []string{text}}, nil
		}
		return memberList{Groups: []string{text}}, nil
	}
	if isID(text) {
		return memberList{Identities: []string{strings.ToLower(text)}}, nil
	}
	id, err := v.identified(text)
	return memberList{Identities: []string{id}}, err
}

// identified finds the person who has an identifier or an address. Who was added by an
// administrator may have no credential, and so no identifier, yet.
func (v *visit) identified(text string) (string, error) {
	var found []consolePerson
	query := url.Values{"preview_credentials_identifier_similar": {text}, "page_size": {consolePageSize}}
	if _, err := v.ask("GET", "/admin/identities", query, nil, &found); err != nil {
		return "", err
	}
	for _, p := range found {
		if text != "" && slices.ContainsFunc(p.names(), func(name string) bool { return strings.EqualFold(name, text) }) {
			return p.ID, nil
		}
	}
	return "", &apiError{http.StatusBadRequest, "nobody has the identifier or address " + text}
}

// isID reports whether a text looks like the id of an identity.
func isID(text string) bool { return len(text) == 36 && strings.Count(text, "-") == 4 }

// Over reports whether an invitation cannot be used any more without having been.
func (i invitationBody) Over() bool { return i.UsedAt.IsZero() && time.Now().After(i.ExpiresAt) }
