package identity

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Purposes of codes at a login.
const (
	purposeLogin  = "login"
	purposeSecond = "login-second"
)

// A codeAddress is one to which codes go, in the config of a credential as Kratos has
// it.
type codeAddress struct {
	Channel string `json:"channel"`
	Address string `json:"address"`
}

// codeCredential is what an identity has whose schema says that codes are a way in.
func codeCredential(identifiers []string) Credential {
	var config struct {
		Addresses []codeAddress `json:"addresses"`
	}
	for _, id := range identifiers {
		if via, to, ok := addressOf(id); ok {
			config.Addresses = append(config.Addresses, codeAddress{via, to})
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(err) // it is made of texts
	}
	return Credential{Type: CodeAuth, Identifiers: identifiers, Config: text}
}

// First implements FirstFactor.
func (c *codeStrategy) First(i *Identity) int {
	if _, ok := i.Credentials[CodeAuth]; !ok || !c.s.options.Code.Passwordless {
		return 0
	}
	return 1
}

// Second implements SecondFactor.
func (c *codeStrategy) Second(i *Identity, x *Session) bool { return len(c.seconds(i, x)) > 0 }

// seconds are the addresses to which a code may be sent as a second factor: verified
// ones that the schema has for codes, but not the one by which alone the session began.
func (c *codeStrategy) seconds(i *Identity, x *Session) []VerifiableAddress {
	schema := c.s.schema(i.SchemaID)
	if !c.s.options.Code.Second || schema == nil {
		return nil
	}
	ids := schema.read(i.Traits).identifiers[CodeAuth]
	return slices.DeleteFunc(slices.Clone(i.Verifiable), func(a VerifiableAddress) bool {
		return !a.Verified || !slices.Contains(ids, a.Value) || !c.s.reaches(a.Via) || x != nil && x.rests(a.reach())
	})
}

// Claims implements Claimer: the buttons with addresses have no method.
func (*codeStrategy) Claims(f Form) bool { return f.Has("address") || f.Has("resend") }

func (c *codeStrategy) loginNodes(st *Step) ([]Node, error) {
	f, group := st.Flow, c.Method()
	switch {
	case f.State == Choose && f.requestedAAL() == AAL1:
		return append(c.s.identifierNodes(st), Button(group, "method", group, textSendLoginCode)), nil
	case f.State == Choose && st.Identity != nil:
		var nodes []Node
		for _, a := range c.seconds(st.Identity, st.Session) {
			nodes = append(nodes, Button(group, "address", a.ID, textSendTo(a.Via, masked(a.Value))))
		}
		return nodes, nil
	case f.State != Sent || f.Kept[group] == nil:
		return nil, nil
	}
	k, err := c.s.kept(st, group)
	if err != nil {
		return nil, err
	}
	nodes := c.codeNodes(textLabelLoginCode)
	if f.requestedAAL() == AAL1 {
		nodes = append([]Node{Hidden(groupDefault, "identifier", k.Name)}, nodes...)
	}
	return nodes, nil
}

// codeNodes are where a code is entered that a login or a registration has sent.
func (c *codeStrategy) codeNodes(label Text) []Node {
	group := c.Method()
	return []Node{codeNode(label), Hidden(group, "method", group), Button(group, "method", group, textLabelContinue), Button(group, "resend", group, textLabelResend)}
}

// masked leaves as much of an address as its owner needs to know it.
func masked(address string) string {
	name, host, mail := strings.Cut(address, "@")
	if !mail {
		return strings.Repeat("*", max(len(address)-4, 0)) + address[max(len(address)-4, 0):]
	}
	letters := []rune(name)
	return string(letters[:min(2, len(letters)-1)]) + "****@" + host
}

func (c *codeStrategy) login(ctx context.Context, st *Step) (Outcome, error) {
	second := st.Flow.requestedAAL() == AAL2
	k, err := c.s.kept(st, c.Method())
	if err != nil {
		return Done, err
	}
	if code, ok := st.code(); ok {
		return Done, c.loggedIn(ctx, st, k, code, second)
	}
	var e errand
	if second {
		e, err = c.toSecond(st, &k)
	} else {
		e, err = c.toFirst(ctx, st, &k)
	}
	if err == nil {
		err = k.sends()
	}
	if err == nil {
		err = c.s.send(ctx, st, e)
	}
	if err != nil {
		return Done, err
	}
	f := st.Flow
	f.State, f.Texts = Sent, []Text{textLoginCodeSent}
	if st.Identity != nil {
		f.Texts = []Text{textMyCodeSent}
	}
	return Again, f.Keep(c.Method(), k)
}

// toFirst finds whom the form names. Whether there is somebody changes nothing.
func (c *codeStrategy) toFirst(ctx context.Context, st *Step, k *codeState) (errand, error) {
	name := st.Form.Text("identifier")
	if st.Form.Has("resend") && k.Name != "" {
		name = k.Name
	}
	via, to, ok := addressOf(name)
	if !ok {
		via = viaEmail // a name that no credential has
		if to, ok = normalize(name); !ok {
			return errand{}, WrongAt("identifier", textMissing("identifier"))
		}
	}
	k.Via, k.To, k.Name = via, to, name
	// Identities that are older than the setting have no credential for codes.
	who, err := c.s.store.Find(ctx, CodeAuth, to)
	other, second := c.s.store.FindAddress(ctx, ForVerification, via, to)
	for _, err := range []error{err, second} {
		if err != nil && errs.KindOf(err) != errs.NotFound {
			return errand{}, err
		}
	}
	if who == nil {
		who = other
	}
	return errand{purpose: purposeLogin, via: via, to: to, who: who, template: "login_code"}, nil
}

// toSecond finds the address that the form names, among those of the session's identity.
func (c *codeStrategy) toSecond(st *Step, k *codeState) (errand, error) {
	i, err := st.known()
	if err != nil {
		return errand{}, err
	}
	wanted := st.Form.Text("address")
	if st.Form.Has("resend") || wanted == "" {
		wanted = k.To
	}
	_, value, _ := addressOf(wanted)
	all := c.seconds(i, st.Session)
	at := slices.IndexFunc(all, func(a VerifiableAddress) bool { return a.ID == wanted || a.Value == value })
	if at < 0 {
		return errand{}, Wrong(textNotMyAddress)
	}
	k.Via, k.To = all[at].Via, all[at].Value
	return errand{purpose: purposeSecond, via: k.Via, to: k.To, who: i, template: "login_code"}, nil
}

// loggedIn answers a code.
func (c *codeStrategy) loggedIn(ctx context.Context, st *Step, k codeState, text string, second bool) error {
	purpose, level := purposeLogin, AAL1
	if second {
		purpose, level = purposeSecond, AAL2
	}
	found, err := c.s.redeem(ctx, st, purpose, k.Sends, text)
	if err != nil {
		return err
	}
	if found == nil || second && (st.Identity == nil || found.Identity != st.Identity.ID || st.Session.rests(found.reach())) {
		return Wrong(textWrongLoginCode)
	}
	i, err := c.s.store.Identity(ctx, found.Identity, true)
	if err != nil {
		return err
	}
	if c.s.verified(i, found.Via, found.Address, st.Now) {
		st.Also(SaveIdentity{i})
	}
	st.ProveBy(found, i, c.Method(), level)
	return nil
}
