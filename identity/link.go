package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/cardea-iam/cardea/internal/errs"
)

const methodLink = "link"

// longToken is what a link has, of 130 bits.
func longToken() string { return rand.Text() }

// linkStrategy is the method link: a message has a link in it, and whoever follows it
// has read the message.
type linkStrategy struct{ s *Service }

var (
	_ Strategy = (*linkStrategy)(nil)
	_ Claimer  = (*linkStrategy)(nil)
)

func (*linkStrategy) Method() string { return methodLink }

// Claims implements Claimer: Kratos's clients send the token of a link alone.
func (*linkStrategy) Claims(f Form) bool { return f.Has("token") }

func (l *linkStrategy) takesPart(st *Step) bool {
	f := st.Flow
	return (f.Kind == Recovery || f.Kind == Verification) && (l.s.options.flow(f.Kind).Link || f.Kept[methodLink] != nil)
}

func (l *linkStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	if !l.takesPart(st) {
		return nil, nil
	}
	return l.s.addressNodes(st, methodLink, textLabelEmail)
}

func (l *linkStrategy) Submit(ctx context.Context, st *Step) (Outcome, error) {
	if !l.takesPart(st) {
		return Done, Wrong(noStrategy(st.Flow.Kind))
	}
	if st.Flow.Kind == Recovery {
		return l.s.recover(ctx, st, methodLink)
	}
	return l.s.verify(ctx, st, methodLink)
}

// resume is a GET of the place where a form goes. It consumes nothing: a link of a message
// leads to a page, all else back to the form.
func (s *Service) resume(w http.ResponseWriter, r *http.Request, k Kind) error {
	q := r.URL.Query()
	if (k == Recovery || k == Verification) && (q.Has("token") || q.Has("code")) {
		return s.linkPage(w, r, k)
	}
	st := &Step{Request: r, Now: s.now()}
	if err := s.find(w, st, k, q.Get("flow")); err != nil {
		return err
	}
	a, err := s.again(r.Context(), st, Wrong(noStrategy(k)), false)
	if err != nil {
		return err
	}
	return s.write(w, r, a)
}

// linkPage is where a link in a message leads. Programs that look at links before people
// do must not use it up, so it asks for a click, which posts what is in the link.
func (s *Service) linkPage(w http.ResponseWriter, r *http.Request, k Kind) error {
	q := r.URL.Query()
	name, method := "token", methodLink
	if !q.Has(name) {
		name, method = "code", string(CodeAuth)
	}
	if wantsJSON(r) || q.Get("flow") == "" {
		return errs.New(errs.Invalid, "expected the link of a message, with flow and token or code, in a browser")
	}
	flow := &ShownFlow{UI: UI{Action: withQuery(s.options.BaseURL+"/self-service/"+string(k), "flow", q.Get("flow")), Method: "POST", Nodes: []Node{
		Hidden(groupDefault, "csrf_token", maskCSRF(s.csrf(w, r))),
		Hidden(method, name, q.Get(name)),
		Button(method, "method", method, textLabelContinue),
	}}}
	return s.page(w, http.StatusOK, "form", formPage{Title: pageTitles[k], Flow: flow, Forms: pageForms(k, flow.UI.Nodes)})
}

// isWrong reports whether the user can mend it.
func isWrong(err error) bool {
	var wrong *FormError
	return errors.As(err, &wrong)
}
