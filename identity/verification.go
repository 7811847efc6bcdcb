package identity

import "context"

// verify takes a verification one step on: an address leads to a code or link, and that
// to an address that is verified.
func (s *Service) verify(ctx context.Context, st *Step, method string) (Outcome, error) {
	if text, ok := proofText(st, method); ok {
		return s.verifiedBy(ctx, st, method, text)
	}
	k, err := s.addressed(st, method)
	if err != nil {
		return Done, err
	}
	p := &pending{}
	if waits, err := st.Flow.Recall(keptPending, p); err != nil {
		return Done, err
	} else if waits {
		return s.askAgain(ctx, st, p, method, k)
	}
	return s.sendTo(ctx, st, ForVerification, method, k)
}

// verifiedBy answers a code or a token.
func (s *Service) verifiedBy(ctx context.Context, st *Step, method, text string) (Outcome, error) {
	c, err := s.proven(ctx, st, method, text)
	if c == nil || err != nil {
		return Again, err
	}
	p := &pending{}
	if waits, err := st.Flow.Recall(keptPending, p); err != nil {
		return Done, err
	} else if waits {
		return s.arrived(ctx, st, p, c)
	}
	i, err := s.store.Identity(ctx, c.Identity, true)
	if err != nil {
		return Done, err
	}
	if s.verified(i, c.Via, c.Address, st.Now) {
		st.Also(SaveIdentity{i})
	}
	st.Identity = i
	st.thank(c)
	return Done, nil
}

// thank says in the form that an address was verified.
func (st *Step) thank(c *Code) {
	st.Flow.Texts = []Text{textVerified}
	if c.Via == viaSMS {
		st.Flow.Texts = []Text{textVerifiedPhone}
	}
}

// endVerification shows that it is done, and where to go on.
func endVerification(s *Service, ctx context.Context, st *Step) (*answer, error) {
	f := st.Flow
	f.State = Passed
	a := &answer{}
	st.Event("verification.succeeded", st.Identity, s.options.Client(st.Request), map[string]any{"method": f.Active})
	if st.Identity.Version == 0 {
		if err := s.settleIn(ctx, st, a); err != nil {
			return nil, err
		}
	}
	if st.sensitive { // a change of settings that has waited for this
		if err := s.runHooks(ctx, Settings, groupProfile, st); err != nil {
			return nil, err
		}
	}
	if st.sensitive && st.Session != nil && st.Session.Identity == st.Identity.ID {
		s.rotate(st, a)
	}
	shown, err := s.show(ctx, st, s.csrfSecret(st.Request))
	if err != nil {
		return nil, err
	}
	a.body = shown
	f.Continue = nil // a token is not stored
	if !f.API {
		a.location = withQuery(s.options.flow(Verification).UI, "flow", f.ID)
	}
	return a, nil
}

// continueNode leads on from a verification.
func (s *Service) continueNode(f *Flow) Node {
	n := Node{Type: "a", Group: string(CodeAuth), Messages: []Text{}, Meta: NodeMeta{Label: &textLabelContinue}}
	n.Attributes = NodeAttributes{ID: "continue", Href: s.after(f, f.Active), Title: &textLabelContinue, NodeType: "a"}
	return n
}
