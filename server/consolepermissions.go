package server

import (
	"errors"
	"net/http"
	"net/url"
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
	Tree                      *treePicture
	NoTree                    string // why there is none
}

// Set is the subject set that the tree is of.
func (p permissionPage) Set() string { return p.Object + "#" + p.Relation }

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

// draw makes the picture of who has the relation.
func (v *visit) draw(page *permissionPage) error {
	o, err := engine.ParseObject(page.Object)
	if err != nil {
		return err
	}
	var tree *ketoTree
	_, err = v.askReader("GET", "/relation-tuples/expand", url.Values{"namespace": {o.Namespace}, "object": {o.ID}, "relation": {page.Relation}, "latest": {"true"}}, nil, &tree)
	if err != nil {
		if page.NoTree = refusedOr(err); page.NoTree != "" && page.Checked {
			return nil
		}
		return err
	}
	if tree == nil || len(tree.Children) == 0 {
		page.NoTree = "No tuple says that anybody has it."
		if !v.rewrites {
			page.NoTree += " What permissions follow from is drawn with expand.rewrites in the settings."
		}
		return nil
	}
	names, err := v.names(plainIDs(tree, nil))
	if err != nil {
		return err
	}
	page.Tree = drawTree(tree, names, page.Subject)
	return nil
}

// refusedOr is the message of what was wrong with a question, and "" if err is something
// else.
func refusedOr(err error) string {
	var answer *apiError
	switch {
	case errors.As(err, &answer) && answer.status < http.StatusInternalServerError:
		return sentence(answer.message)
	case err != nil && answer == nil && errs.KindOf(err) == errs.Invalid:
		return sentence(text(err))
	}
	return ""
}

// A tuplesPage lists tuples.
type tuplesPage struct {
	consolePage
	Namespaces                           []string
	Namespace, Object, Relation, Subject string
	Items                                []consoleTuple
	Next                                 string
}

// A consoleTuple is a tuple in a list.
type consoleTuple struct {
	Object, Relation, Subject string
	Name                      string // of the person that the subject is
	Set                       string // query of the picture, if the subject is a set
	Ask                       string // query of the picture of this tuple
}

// tuples lists those that fulfil all that is asked for.
func (v *visit) tuples() error {
	q := v.r.URL.Query()
	page := tuplesPage{consolePage: v.page("Tuples"), Namespace: q.Get("namespace")}
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
	if page.Wrong = refusedOr(err); err != nil && page.Wrong == "" {
		return err
	}
	if page.Items, err = v.listed(list.Tuples); err != nil {
		return err
	}
	page.Next = nextQuery(list.Next, "namespace", page.Namespace, "object", page.Object, "relation", page.Relation, "subject", page.Subject)
	return v.show("tuples", page)
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
