package identity

import (
	"context"
	"encoding/json"

	"github.com/cardea-iam/cardea/internal/errs"
)

// profileStrategy is the method profile: traits in the settings.
type profileStrategy struct{ s *Service }

var (
	_ Strategy = (*profileStrategy)(nil)
	_ Claimer  = (*profileStrategy)(nil)
)

func (*profileStrategy) Method() string { return "profile" }

func (p *profileStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	switch st.Flow.Kind {
	case Settings:
	case Registration:
		return p.stepNodes(st), nil
	default:
		return nil, nil
	}
	nodes := st.Schema.nodes(groupProfile)
	values := shown(st.Identity.Traits)
	for i := range nodes {
		if v, ok := values[nodes[i].Attributes.Name]; ok {
			nodes[i].Attributes.Value = v
		}
	}
	return append(nodes, Button(groupProfile, "method", p.Method(), textLabelSave)), nil
}

func (p *profileStrategy) Submit(_ context.Context, st *Step) (Outcome, error) {
	if st.Flow.Kind == Registration {
		return p.turn(st)
	}
	if st.Flow.Kind != Settings {
		return Done, Wrong(noStrategy(st.Flow.Kind))
	}
	traits, err := p.merge(st)
	if err != nil {
		return Done, err
	}
	if err := st.Schema.validate(traits); err != nil {
		return Done, err
	}
	st.Identity.Traits = traits
	return Done, nil
}

// merge returns the traits of the form. An HTML form has no inputs for lists, so it
// leaves them as they are.
func (p *profileStrategy) merge(st *Step) (json.RawMessage, error) {
	traits := st.Form.traits(st.Schema)
	if !st.Form.html {
		return traits, nil
	}
	var now, next map[string]json.RawMessage
	if err := json.Unmarshal(st.Identity.Traits, &now); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the traits of %s are malformed", st.Identity.ID)
	}
	if err := json.Unmarshal(traits, &next); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the traits of a form are malformed")
	}
	for _, f := range st.Schema.fields {
		if _, given := next[f.path[0]]; f.inList() && !given && now[f.path[0]] != nil {
			next[f.path[0]] = now[f.path[0]]
		}
	}
	merged, err := json.Marshal(next)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the traits of a form cannot be encoded")
	}
	return merged, nil
}
