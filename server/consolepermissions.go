package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// reading lets those in who may read permissions: who has the role write may not always.
func reading(h func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if !v.reads {
			return errs.New(errs.Denied, "this key does not have the role read, which is asked for to see permissions")
		}
		return h(v)
	}
}

// namespaces are those of the model.
func (v *visit) namespaces() (names []string, err error) {
	var body struct {
		Namespaces []struct {
			Name string `json:"name"`
		} `json:"namespaces"`
	}
	_, err = v.askReader("GET", "/namespaces", nil, nil, &body)
	for _, n := range body.Namespaces {
		names = append(names, n.Name)
	}
	return names, err
}

// A permissionPage asks a question, and shows the answer with who else has the relation.
type permissionPage struct {
	consolePage
	Namespaces                []string
	Object, Relation, Subject string
	Checked, Allowed          bool
	Tree                      *picture
	NoTree                    string // why there is none
}

// permissions answers a check, if one was asked, and draws who has the relation.
func (v *visit) permissions() error {
	q := v.r.URL.Query()
	page := permissionPage{consolePage: v.page("Permissions")}
	page.Object, page.Relation, page.Subject = strings.TrimSpace(q.Get("object")), strings.TrimSpace(q.Get("relation")), strings.TrimSpace(q.Get("subject"))
	var err error
	if page.Namespaces, err = v.namespaces(); err != nil {
		return err
	}
	if page.Object+page.Relation+page.Subject == "" {
		return v.show("permissions", page)
	}
	if err = v.check(&page); err == nil {
		err = v.draw(&page)
	}
	if page.Wrong = refusedOr(err); err != nil && page.Wrong == "" {
		return err
	}
	return v.show("permissions", page)
}

// check asks whether the subject has the relation, if there is a subject.
func (v *visit) check(page *permissionPage) error {
	o, err := engine.ParseObject(page.Object)
	if err != nil || page.Subject == "" {
		return err
	}
	s, err := engine.ParseSubject(page.Subject)
	if err != nil {
		return err
	}
	subject := map[string]any{"id": s.ID}
	if !s.IsID() {
		subject = map[string]any{"set": map[string]any{"namespace": s.Namespace, "object": s.ID, "relation": s.Relation}}
	}
	var answer struct {
		Allowed bool `json:"allowed"`
	}
	_, err = v.askReader("POST", "/v1/check", nil, map[string]any{
		"tuple":       map[string]any{"namespace": o.Namespace, "object": o.ID, "relation": page.Relation, "subject": subject},
		"consistency": map[string]any{"fully_consistent": true},
	}, &answer)
	page.Checked, page.Allowed = err == nil, answer.Allowed
	return err
}

// maxTreeLevels is how deep a tree is looked into.
const maxTreeLevels = 16

// draw makes the picture of who has the relation. The API shows what permissions follow
// from with a setting only; the engine is asked itself.
func (v *visit) draw(page *permissionPage) error {
	o, err := engine.ParseObject(page.Object)
	if err != nil {
		return err
	}
	e := v.engine()
	if relations := e.Relations(o.Namespace); relations != nil && !slices.Contains(relations, page.Relation) {
		return errs.New(errs.Invalid, "%s has no relation or permission %.80q: it has %s", o.Namespace, page.Relation, strings.Join(relations, ", "))
	}
	tree, _, err := e.ExpandPermissions(v.r.Context(), engine.Subject{Object: o, Relation: page.Relation}, maxTreeLevels, latest)
	if kind := errs.KindOf(err); page.Checked && kind == errs.Exhausted {
		page.NoTree = sentence(text(err))
		return nil
	}
	if err != nil {
		return err
	}
	names, err := v.names(plainIDs(tree, nil))
	if err != nil {
		return err
	}
	var who *engine.Subject
	if page.Checked {
		s, err := engine.ParseSubject(page.Subject)
		if err != nil {
			return err
		}
		who = &s
	}
	page.Tree = draw(tree, who, names, func(s engine.Subject) string {
		return "/permissions?" + url.Values{"object": {s.Object.String()}, "relation": {s.Relation}, "subject": {page.Subject}}.Encode()
	})
	return nil
}

// engine is that of the network that is visited.
func (v *visit) engine() *engine.Engine {
	if n, ok := v.guard.networks[v.network]; ok {
		return n.engine
	}
	return v.guard.usual.engine
}

// refusedOr is the message of what was wrong with a question, and "" if err is something
// else.
func refusedOr(err error) string {
	var answer *apiError
	switch {
	case errors.As(err, &answer) && answer.status < http.StatusInternalServerError:
		return sentence(answer.message)
	case err != nil && answer == nil && slices.Contains([]errs.Kind{errs.Invalid, errs.NotFound, errs.Exhausted}, errs.KindOf(err)):
		return sentence(text(err))
	}
	return ""
}

// A tuplesPage lists tuples.
type tuplesPage struct {
	consolePage
	Namespaces                           []string
	Namespace, Object, Relation, Subject string
	Tuple                                string // that a form wanted to add
	Items                                []consoleTuple
	Next                                 string
}

// A consoleTuple is a tuple in a list.
type consoleTuple struct {
	Object, Relation, Subject string
	Name                      string // of the person that the subject is
	Set                       string // query of the picture, if the subject is a set
	Ask                       string // query of the picture of this tuple
	JSON                      string
}

// tuples lists those that fulfil all that is asked for.
func (v *visit) tuples() error { return v.showTuples(&tuplesPage{}) }

func (v *visit) showTuples(page *tuplesPage) error {
	q, wrong := v.r.URL.Query(), page.Wrong
	page.consolePage, page.Namespace = v.page("Tuples"), q.Get("namespace")
	page.Object, page.Relation, page.Subject = strings.TrimSpace(q.Get("object")), strings.TrimSpace(q.Get("relation")), strings.TrimSpace(q.Get("subject"))
	var err error
	if page.Namespaces, err = v.namespaces(); err != nil {
		return err
	}
	query := url.Values{"page_size": {consolePageSize}, "latest": {"true"}}
	for name, value := range map[string]string{"namespace": page.Namespace, "object": page.Object, "relation": page.Relation, "page_token": q.Get("page_token")} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var list ketoList
	if err = subjectQuery(query, page.Subject); err == nil {
		_, err = v.askReader("GET", "/relation-tuples", query, nil, &list)
	}
	if page.Wrong = cmp.Or(wrong, refusedOr(err)); err != nil && page.Wrong == "" {
		return err
	}
	if page.Items, err = v.listed(list.Tuples); err != nil {
		return err
	}
	page.Next = nextQuery(list.Next, "namespace", page.Namespace, "object", page.Object, "relation", page.Relation, "subject", page.Subject)
	return v.show("tuples", page)
}

// changeTuples adds the tuple that the form has, or removes the one that the button names.
func (v *visit) changeTuples() error {
	page := &tuplesPage{Tuple: strings.TrimSpace(v.r.PostFormValue("tuple"))}
	delta, said := ketoDelta{Action: "insert"}, "created"
	var err error
	if do := v.r.PostFormValue("do"); do == "add" {
		var t engine.Tuple
		t, err = engine.ParseTuple(page.Tuple)
		named := tupleToJSON(t)
		delta.Tuple = &named
	} else {
		delta.Action, said = "delete", "untupled"
		if json.Unmarshal([]byte(v.r.PostFormValue("remove")), &delta.Tuple) != nil {
			err = errs.New(errs.Invalid, "the form names no tuple")
		}
	}
	if err == nil {
		_, err = v.ask("PATCH", "/admin/relation-tuples", nil, []ketoDelta{delta}, nil)
	}
	if page.Wrong = refusedOr(err); page.Wrong != "" {
		return v.showTuples(page)
	}
	if err != nil {
		return err
	}
	return v.back("/tuples", said)
}

// subjectQuery selects tuples of a subject, unless it is "".
func subjectQuery(query url.Values, subject string) error {
	if subject == "" {
		return nil
	}
	s, err := engine.ParseSubject(subject)
	if err != nil {
		return err
	}
	if s.IsID() {
		query.Set("subject_id", s.ID)
		return nil
	}
	query.Set("subject_set.namespace", s.Namespace)
	query.Set("subject_set.object", s.ID)
	query.Set("subject_set.relation", s.Relation)
	return nil
}

// listed makes tuples ready to be shown.
func (v *visit) listed(list []ketoTuple) (out []consoleTuple, err error) {
	var ids []string
	for _, t := range list {
		if t.SubjectID != nil {
			ids = append(ids, *t.SubjectID)
		}
	}
	names, err := v.names(ids)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		s := t.subject()
		one := consoleTuple{Object: t.Namespace + ":" + t.Object, Relation: t.Relation, Subject: s.String(), Set: setQuery(s)}
		if s.IsID() {
			one.Name = names[s.ID]
		}
		text, err := json.Marshal(t)
		if err != nil {
			return nil, errs.Wrap(errs.Internal, err, "a tuple cannot be encoded")
		}
		one.JSON = string(text)
		one.Ask = "?" + url.Values{"object": {one.Object}, "relation": {one.Relation}, "subject": {one.Subject}}.Encode()
		out = append(out, one)
	}
	return out, nil
}

// subject is that of a tuple which the API has told.
func (t *ketoTuple) subject() engine.Subject {
	switch {
	case t.SubjectID != nil:
		return engine.SubjectID(*t.SubjectID)
	case t.SubjectSet != nil:
		return engine.SubjectSet(t.SubjectSet.Namespace, t.SubjectSet.Object, t.SubjectSet.Relation)
	default:
		return engine.Subject{}
	}
}

// setQuery is the query of the picture of a subject set, "" if s is none.
func setQuery(s engine.Subject) string {
	if s.IsID() || s.Relation == "" {
		return ""
	}
	return "?" + url.Values{"object": {s.Object.String()}, "relation": {s.Relation}}.Encode()
}
