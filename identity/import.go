package identity

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// importCredential gives an identity a credential that an administrator describes.
//
// Unsupported: no strategy knows the type.
func (s *Service) importCredential(ctx context.Context, i *Identity, t string, config json.RawMessage, schema *Schema, now time.Time) error {
	for _, one := range s.strategies {
		if importer, ok := one.(Importer); ok && one.Method() == t {
			return importer.Import(ctx, i, config, schema, now)
		}
	}
	if t == string(OIDC) {
		return importAccounts(i, config, now)
	}
	return errs.New(errs.Unsupported, "credentials of the type %.40q cannot be imported", t)
}

// maxAccounts bounds the accounts of an identity at other providers.
const maxAccounts = 100

// importAccounts links an identity to accounts at other providers, which need not be
// configured yet.
func importAccounts(i *Identity, config json.RawMessage, now time.Time) error {
	var given struct {
		Providers []struct {
			Subject      string `json:"subject"`
			Provider     string `json:"provider"`
			Organization string `json:"organization,omitempty"`
			AutoLink     bool   `json:"use_auto_link,omitempty"`
		} `json:"providers"`
	}
	if err := json.Unmarshal(config, &given); err != nil || len(given.Providers) == 0 || len(given.Providers) > maxAccounts {
		return errs.New(errs.Invalid, "credentials.oidc.config: expected providers, a list of 1 to %d subjects and providers", maxAccounts)
	}
	c := Credential{Type: OIDC}
	for n, one := range given.Providers {
		if one.Subject == "" || one.Provider == "" {
			return errs.New(errs.Invalid, "credentials.oidc.config.providers.%d: expected subject and provider", n)
		}
		c.Identifiers = append(c.Identifiers, one.Provider+":"+one.Subject)
	}
	var err error
	if c.Config, err = json.Marshal(given); err != nil {
		return errs.Wrap(errs.Internal, err, "the config of a credential cannot be encoded")
	}
	i.SetCredential(c, now)
	return nil
}
