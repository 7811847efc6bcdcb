package identity

import (
	"bytes"
	"context"
)

const purposeRegistration = "registration"

func (c *codeStrategy) registrationNodes(st *Step) ([]Node, error) {
	f, group := st.Flow, c.Method()
	switch {
	case f.State == Choose:
		return []Node{Button(group, "method", group, textSendSignUpCode)}, nil
	case f.State != Sent || f.Kept[group] == nil:
		return nil, nil
	}
	k, err := c.s.kept(st, group)
	if err != nil {
		return nil, err
	}
	return append(hiddenTraits(st.Schema, []byte(k.Traits)), c.codeNodes(textLabelSignUpCode)...), nil
}

// hiddenTraits are the traits of a form that were given at an earlier step, in the order
// of the schema.
func hiddenTraits(schema *Schema, traits []byte) (nodes []Node) {
	values := shown(traits)
	for _, n := range schema.nodes(groupDefault) {
		if v, ok := values[n.Attributes.Name]; ok {
			nodes = append(nodes, Hidden(groupDefault, n.Attributes.Name, v))
		}
	}
	return nodes
}

// register makes an account that is used by codes alone. A code goes to each of its
// addresses, and one of them, entered, proves the address that it was sent to.
func (c *codeStrategy) register(ctx context.Context, st *Step) (Outcome, error) {
	k, err := c.s.kept(st, c.Method())
	if err != nil {
		return Done, err
	}
	i := st.Identity
	c.s.settle(i, nil, st.Now)
	if code, ok := st.code(); ok {
		return Done, c.registered(ctx, st, k, code)
	}
	var to []VerifiableAddress
	for _, id := range i.Credentials[CodeAuth].Identifiers {
		if via, value, ok := addressOf(id); ok {
			to = append(to, VerifiableAddress{Via: via, Value: value})
		}
	}
	if len(to) == 0 {
		return Done, Wrong(textNoIdentifier)
	}
	if err := k.sends(); err != nil {
		return Done, err
	}
	k.Via, k.To, k.Traits = to[0].Via, to[0].Value, string(i.Traits)
	e := errand{purpose: purposeRegistration, template: "registration_code"}
	if err := c.s.sendEach(ctx, st, e, i, to, true); err != nil {
		return Done, err
	}
	f := st.Flow
	f.State, f.Texts = Sent, []Text{textSignUpCodeSent}
	return Again, f.Keep(c.Method(), k)
}

func (c *codeStrategy) registered(ctx context.Context, st *Step, k codeState, text string) error {
	if !bytes.Equal([]byte(k.Traits), st.Identity.Traits) {
		return Wrong(textOtherTraits)
	}
	found, err := c.s.redeem(ctx, st, purposeRegistration, k.Sends, text)
	if err != nil {
		return err
	}
	if found == nil {
		return Wrong(textWrongSignUpCode)
	}
	st.Identity.ID = found.Identity
	c.s.verified(st.Identity, found.Via, found.Address, st.Now)
	st.ProveBy(found, st.Identity, c.Method(), AAL1)
	return nil
}
