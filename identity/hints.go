package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// takenText says that somebody has what a registration wants, and by Options.LoginHints how
// they log in.
func (s *Service) takenText(ctx context.Context, st *Step, i *Identity) (Text, error) {
	if st.Flow.Kind != Registration || !s.options.LoginHints || !s.options.TellTaken {
		return textTaken, nil
	}
	holders, err := s.store.Holders(ctx, i)
	if err != nil || len(holders) == 0 {
		return textTaken, err
	}
	who, err := s.store.Identity(ctx, holders[0].Identity, true)
	if errs.KindOf(err) == errs.NotFound { // meanwhile
		return textTaken, nil
	}
	if err != nil {
		return Text{}, err
	}
	var methods []string
	for _, one := range s.strategies {
		if first, ok := one.(FirstFactor); ok && first.First(who) > 0 {
			methods = append(methods, one.Method())
		}
	}
	linked, _, err := config[oidcConfig](who, OIDC)
	if err != nil {
		return Text{}, err
	}
	providers := []string{}
	for _, p := range linked.Providers {
		providers = append(providers, p.Provider)
	}
	slices.Sort(methods)
	return textTakenBy(holders[0].Value, methods, providers), nil
}

// waysIn are methods as people call them.
var waysIn = map[string]string{
	string(Password): "your password", string(OIDC): "social sign in", string(Passkey): "your passkey", string(CodeAuth): "a one-time code",
}

// textTakenBy is textTaken with what helps who has forgotten their account.
func textTakenBy(identifier string, methods, providers []string) Text {
	reason := "You tried signing in with " + identifier + " which is already in use by another account."
	var ways []string
	for _, m := range methods {
		if way, ok := waysIn[m]; ok {
			ways = append(ways, way)
		}
	}
	if len(ways) > 0 {
		reason += " You can sign in using " + strings.Join(ways, ", ") + "."
	}
	if len(providers) > 0 {
		reason += " You can sign in using one of the following social sign in providers: " + strings.Join(providers, ", ") + "."
	}
	return mistake(4000028, reason).with("available_credential_types", methods).with("available_oidc_providers", providers).with("credential_identifier_hint", identifier)
}
