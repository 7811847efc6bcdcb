package identity

// Registration in two steps: who one is, and then how one will log in. All of it can be
// submitted at once all the same.

// chosenTraits are the traits of the first step, nil while it is not done.
func (s *Service) chosenTraits(st *Step) []byte {
	var traits []byte
	if ok, err := st.Flow.Recall(groupProfile, &traits); !ok || err != nil {
		return nil
	}
	return traits
}

// traitNodes ask for the traits of a registration, or keep them for the second step.
func (s *Service) traitNodes(st *Step) []Node {
	if traits := s.chosenTraits(st); traits != nil {
		return hiddenTraits(st.Schema, traits)
	}
	return st.Schema.nodes(groupDefault)
}

// firstStep reports whether the form asks for traits alone, and for what does not need
// them.
func (s *Service) firstStep(st *Step) bool {
	f := st.Flow
	return f.Kind == Registration && f.State == Choose && s.options.flow(Registration).TwoSteps && s.chosenTraits(st) == nil
}

// asked says which strategies have nodes in the flow's present step.
func (s *Service) asked(st *Step) func(Strategy) bool {
	named := s.named(st)
	switch {
	case s.firstStep(st):
		return func(one Strategy) bool { return one.Method() == groupProfile || one.Method() == string(OIDC) }
	case s.asksName(st):
		return func(one Strategy) bool {
			return one.Method() == methodIdentifier || one.Method() == string(OIDC) || one.Method() == string(Passkey)
		}
	default:
		return func(one Strategy) bool { return named.offers(one.Method()) }
	}
}

// stepNodes lead from one step to the other.
func (p *profileStrategy) stepNodes(st *Step) []Node {
	switch {
	case st.Flow.State != Choose || !p.s.options.flow(Registration).TwoSteps:
		return nil
	case p.s.firstStep(st):
		return []Node{Button(groupProfile, "method", groupProfile, textSignUp)}
	default:
		return []Node{Button(groupProfile, "screen", "previous", textBack)}
	}
}

// Claims implements Claimer: the button that leads back has no method.
func (*profileStrategy) Claims(f Form) bool { return f.Has("screen") }

// turn goes on to the second step, or back. The traits are good, or the form would not
// have come here.
func (p *profileStrategy) turn(st *Step) (Outcome, error) {
	f := st.Flow
	if !p.s.options.flow(Registration).TwoSteps {
		return Done, Wrong(textNoSignUpMethod)
	}
	if st.Form.Text("screen") == "previous" {
		delete(f.Kept, groupProfile)
		return Again, nil
	}
	f.Texts = []Text{textChooseCredential}
	return Again, f.Keep(groupProfile, []byte(st.Identity.Traits))
}
