package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Recovery that begins with any address, by mail or telephone, and names it only in part from
// then on (Options.ChooseAddress). Who has several is asked for one of them, if it may be told
// that there is an account: whoever does not know the whole of it is sent nothing. Otherwise
// the message goes to the address that was given.

// The states that such a recovery has; clients see those beside the usual ones, too.
const (
	awaitsAddress FlowState = "recovery_awaiting_address" // Choose
	awaitsChoice  FlowState = "recovery_awaiting_address_choice"
	confirming    FlowState = "recovery_confirming_address"
	awaitsCode    FlowState = "recovery_awaiting_code" // Sent
)

// keptChoice is where a recovery keeps the addresses to choose from, in Flow.Kept.
const keptChoice = "recovery_choice"

type addressChoice struct {
	Addresses []RecoveryAddress
	Chosen    RecoveryAddress
}

// chooses reports whether a flow is such a recovery. Codes of administrators go nowhere.
func (s *Service) chooses(f *Flow) bool {
	return f.Kind == Recovery && s.options.ChooseAddress && !s.options.flow(Recovery).Link && f.Granted == ""
}

// shownState is the state as clients see it.
func (s *Service) shownState(f *Flow) FlowState {
	switch {
	case !s.chooses(f):
		return f.State
	case f.State == Choose:
		return awaitsAddress
	case f.State == Sent:
		return awaitsCode
	default:
		return f.State
	}
}

func (s *Service) choiceNodes(st *Step) ([]Node, error) {
	f, group := st.Flow, string(CodeAuth)
	next, back := Button(group, "method", group, textLabelContinue), Button(group, "screen", "recovery_address", textRecoveryBack)
	switch f.State {
	case Choose:
		return []Node{Input(group, "recovery_address", "text", &textLabelRecoveryAddress).Required().Autocomplete("username"), next}, nil
	case awaitsChoice:
		var c addressChoice
		if _, err := f.Recall(keptChoice, &c); err != nil {
			return nil, err
		}
		nodes := []Node{Hidden(group, "method", group)}
		for _, a := range c.Addresses {
			nodes = append(nodes, Button(group, "recovery_select_address", a.ID, textSendTo(a.Via, masked(a.Value))))
		}
		return append(nodes, back), nil
	case confirming:
		return []Node{Input(group, "recovery_confirm_address", "text", &textLabelRecoveryAddress).Required(), Hidden(group, "method", group), next, back}, nil
	case Sent:
		k, err := s.kept(st, group)
		if err != nil {
			return nil, err
		}
		return []Node{codeNode(textLabelRecoveryCode), Hidden(group, "recovery_address", k.Name), Hidden(group, "method", group), next,
			Button(group, "recovery_confirm_address", k.Name, textLabelResend), back}, nil
	default:
		return nil, nil
	}
}

// recoverChosen takes such a recovery one step on.
func (s *Service) recoverChosen(ctx context.Context, st *Step) (Outcome, error) {
	f, form := st.Flow, st.Form
	switch {
	case form.Has("screen"):
		return Again, s.beginAgain(st)
	case f.State == Sent && form.Has("code") && !form.Has("recovery_confirm_address"):
		return s.recovered(ctx, st, string(CodeAuth), form.Text("code"))
	case f.State == Sent:
		k, err := s.kept(st, string(CodeAuth))
		if err != nil {
			return Done, err
		}
		return s.sendChosen(ctx, st, k.Name)
	case f.State == awaitsChoice:
		return s.selectAddress(st)
	case f.State == confirming:
		return s.confirmAddress(ctx, st)
	default:
		return s.beginChosen(ctx, st)
	}
}

// beginAgain goes back to the first address. What was sent stays counted.
func (s *Service) beginAgain(st *Step) error {
	k, err := s.kept(st, string(CodeAuth))
	if err != nil {
		return err
	}
	st.Flow.State, st.Flow.Kept = Choose, nil
	return st.Flow.Keep(string(CodeAuth), codeState{Sends: k.Sends})
}

// beginChosen reads the first address.
func (s *Service) beginChosen(ctx context.Context, st *Step) (Outcome, error) {
	name := st.Form.Text("recovery_address")
	if strings.TrimSpace(name) == "" {
		return Done, WrongAt("recovery_address", textMissing("recovery_address"))
	}
	via, to, ok := addressOf(name)
	if !ok {
		return Done, WrongAt("recovery_address", textFormat(via))
	}
	if !s.options.TellTaken {
		return s.sendChosen(ctx, st, name)
	}
	who, err := s.store.FindAddress(ctx, ForRecovery, via, to)
	if errs.KindOf(err) == errs.NotFound {
		return s.sendChosen(ctx, st, name)
	}
	if err != nil {
		return Done, err
	}
	all := slices.DeleteFunc(slices.Clone(who.Recovery), func(a RecoveryAddress) bool { return !s.reaches(a.Via) })
	if len(all) < 2 {
		return s.sendChosen(ctx, st, name)
	}
	st.Flow.State, st.Flow.Texts = awaitsChoice, []Text{textChooseAddress}
	return Again, st.Flow.Keep(keptChoice, addressChoice{Addresses: all})
}

func (s *Service) selectAddress(st *Step) (Outcome, error) {
	var c addressChoice
	if _, err := st.Flow.Recall(keptChoice, &c); err != nil {
		return Done, err
	}
	at := slices.IndexFunc(c.Addresses, func(a RecoveryAddress) bool { return a.ID == st.Form.Text("recovery_select_address") })
	if at < 0 {
		return Done, Wrong(textNotMyAddress)
	}
	c.Chosen = c.Addresses[at]
	st.Flow.State, st.Flow.Texts = confirming, []Text{textWholeAddress}
	return Again, st.Flow.Keep(keptChoice, c)
}

// confirmAddress asks for the whole of the address. How often that is tried is counted by the
// flow, so that nobody keeps the owner from it.
func (s *Service) confirmAddress(ctx context.Context, st *Step) (Outcome, error) {
	var c addressChoice
	if _, err := st.Flow.Recall(keptChoice, &c); err != nil {
		return Done, err
	}
	name := st.Form.Text("recovery_confirm_address")
	if name == "" {
		return Done, WrongAt("recovery_confirm_address", textMissing("recovery_confirm_address"))
	}
	if err := s.attempt(ctx, st, "recovery address "+st.Flow.ID); err != nil {
		return Done, err
	}
	via, to, ok := addressOf(name)
	if !ok || via != c.Chosen.Via || to != c.Chosen.Value {
		s.options.Guessed(st.Request, Recovery)
		return Done, WrongAt("recovery_confirm_address", textNotMyAddress)
	}
	return s.sendChosen(ctx, st, name)
}

// sendChosen sends a code to an address, whoever has it.
func (s *Service) sendChosen(ctx context.Context, st *Step, name string) (Outcome, error) {
	k, err := s.kept(st, string(CodeAuth))
	if err == nil {
		err = k.sends()
	}
	if err != nil {
		return Done, err
	}
	via, to, ok := addressOf(name)
	if !ok {
		return Done, Wrong(textNotMyAddress)
	}
	k.Via, k.To, k.Name = via, to, name
	outcome, err := s.sendTo(ctx, st, ForRecovery, string(CodeAuth), k)
	st.Flow.Texts = []Text{textMaskedSent(masked(to))}
	return outcome, err
}
