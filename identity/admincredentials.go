package identity

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// adminDeleteCredential takes a credential away, or one of several of a type.
func (s *Service) adminDeleteCredential(w http.ResponseWriter, r *http.Request) error {
	id, err := adminID(r)
	if err != nil {
		return err
	}
	t := CredentialType(r.PathValue("type"))
	_, err = s.change(r.Context(), id, func(i *Identity) ([]Op, error) {
		c, ok := i.Credentials[t]
		if !ok {
			return nil, errs.New(errs.NotFound, "the identity has no credential of the type %.40q", string(t))
		}
		if schema := s.schema(i.SchemaID); t == CodeAuth && s.first(t) && schema != nil && len(schema.read(i.Traits).identifiers[t]) > 0 {
			return nil, errs.New(errs.Invalid, "the credential code follows from the traits, and would come back: change them, or make the identity inactive")
		}
		delete(i.Credentials, t)
		if one := r.URL.Query().Get("identifier"); one != "" {
			left, err := without(c, one)
			if err != nil {
				return nil, err
			}
			if len(left.Identifiers) > 0 {
				i.SetCredential(left, s.now())
			}
		}
		if s.first(t) && !slices.ContainsFunc(firstFactors, func(other CredentialType) bool {
			_, has := i.Credentials[other]
			return has && s.first(other)
		}) {
			return nil, errs.New(errs.Invalid, "this is the last credential of the identity to log in with, which cannot be deleted: give it another one, or make the identity inactive")
		}
		return []Op{s.adminEvent(r, "admin.credential.deleted", id)}, nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// firstFactors are the types of credentials that can suffice to log in.
var firstFactors = []CredentialType{Password, OIDC, Passkey, CodeAuth}

// first reports whether a type suffices to log in.
func (s *Service) first(t CredentialType) bool {
	return slices.Contains(firstFactors, t) && (t != CodeAuth || s.options.Code.Passwordless)
}

// without returns a credential of the type oidc without one of its accounts.
//
// NotFound: it has no such account. Invalid: the type has one credential only.
func without(c Credential, identifier string) (Credential, error) {
	if c.Type != OIDC {
		return c, errs.New(errs.Invalid, "identifier is only for credentials of the type oidc")
	}
	var config map[string]json.RawMessage
	var accounts []json.RawMessage
	if err := json.Unmarshal(c.Config, &config); err != nil {
		return c, errs.Wrap(errs.Internal, err, "the config of a credential is malformed")
	}
	if err := json.Unmarshal(config["providers"], &accounts); err != nil {
		return c, errs.Wrap(errs.Internal, err, "the config of a credential is malformed")
	}
	left := slices.DeleteFunc(accounts, func(raw json.RawMessage) bool {
		var a struct{ Provider, Subject string }
		return json.Unmarshal(raw, &a) == nil && a.Provider+":"+a.Subject == identifier
	})
	n := len(c.Identifiers)
	c.Identifiers = slices.DeleteFunc(slices.Clone(c.Identifiers), func(one string) bool { return one == identifier })
	if len(c.Identifiers) == n {
		return c, errs.New(errs.NotFound, "the identity has no account %.80q", identifier)
	}
	config["providers"], _ = json.Marshal(left) // they were JSON
	c.Config, _ = json.Marshal(config)
	return c, nil
}

// configFor is the config of a credential as an administrator sees it: tokens of other
// providers are opened, and what people have as a secret of theirs is left out.
func (s *Service) configFor(i *Identity, c Credential) json.RawMessage {
	switch c.Type {
	case OIDC:
		return s.openedAccounts(i, c)
	case TOTP:
		return json.RawMessage(`{}`)
	case Lookup:
		return s.codesWithout(i)
	default:
		return c.Config
	}
}

// openedAccounts leaves out tokens that cannot be opened, as after a secret is gone.
func (s *Service) openedAccounts(i *Identity, c Credential) json.RawMessage {
	linked, _, err := config[oidcConfig](i, OIDC)
	if err != nil {
		return c.Config
	}
	for n := range linked.Providers {
		a := &linked.Providers[n]
		for _, token := range []*string{&a.IDToken, &a.AccessToken, &a.RefreshToken} {
			if *token == "" {
				continue
			}
			if *token, err = s.unsealed(OIDC, i.ID, *token); err != nil {
				*token = ""
			}
		}
	}
	text, err := json.Marshal(linked)
	if err != nil {
		return c.Config
	}
	return text
}

// codesWithout says of backup codes how many there are, and when they were used.
func (s *Service) codesWithout(i *Identity) json.RawMessage {
	codes, err := (&lookupStrategy{s: s}).codes(i)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	type used struct {
		UsedAt time.Time `json:"used_at,omitzero"`
	}
	shown := struct {
		Codes []used `json:"recovery_codes"`
	}{[]used{}}
	for _, one := range codes {
		shown.Codes = append(shown.Codes, used{one.UsedAt})
	}
	text, err := json.Marshal(shown)
	if err != nil {
		panic(err) // it is made of times
	}
	return text
}

// noTestLogins refuses the dry run of a provider that Kratos has.
func noTestLogins(*Service, http.ResponseWriter, *http.Request) error {
	return errs.New(errs.Unsupported, "this server has no test logins: open /self-service/login/browser, and see the log for what a provider answers")
}
