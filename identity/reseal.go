package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/cardea-iam/cardea/internal/errs"
)

// resealed says what became of secrets in credentials.
type resealed struct {
	Credentials int `json:"credentials"` // encrypted anew
	Lost        int `json:"lost"`        // their system secret is not known any more
}

func (s *Service) adminReseal(w http.ResponseWriter, r *http.Request) error {
	done, err := s.Reseal(r.Context())
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, done)
}

// Reseal encrypts what credentials keep for ever (keys of authenticator apps, backup
// codes, tokens of providers) with the newest system secret where it was an older one.
// Every node must know that secret by then.
func (s *Service) Reseal(ctx context.Context) (done resealed, err error) {
	for after := ""; ; {
		found, err := s.store.Identities(ctx, IdentityQuery{Credentials: true}, after, maxPage)
		if err != nil || len(found) == 0 {
			return done, err
		}
		for _, i := range found {
			after = i.ID
			one, err := s.resealIdentity(ctx, i)
			if err != nil && errs.KindOf(err) != errs.NotFound { // deleted meanwhile
				return done, err
			}
			done.Credentials += one.Credentials
			done.Lost += one.Lost
		}
	}
}

// resealIdentity leaves alone what nobody can tell apart: it is the same identity
// afterwards, so neither its times nor its addresses change.
func (s *Service) resealIdentity(ctx context.Context, i *Identity) (done resealed, err error) {
	for try := 1; ; try++ {
		done, err = s.resealAll(i)
		if err != nil || done.Credentials == 0 {
			return done, err
		}
		err = s.store.Write(ctx, SaveIdentity{i})
		if err == nil || try == attempts || errs.KindOf(err) != errs.Conflict {
			return done, err
		}
		if i, err = s.store.Identity(ctx, i.ID, true); err != nil {
			return resealed{}, err
		}
	}
}

func (s *Service) resealAll(i *Identity) (done resealed, err error) {
	for _, t := range []CredentialType{TOTP, Lookup, OIDC} {
		c, ok := i.Credentials[t]
		if !ok {
			continue
		}
		lost := false
		config, err := s.resealConfig(t, c.Config, func(sealed *string) {
			text, err := s.unsealed(t, i.ID, *sealed)
			if err != nil {
				lost = true
				return
			}
			if !s.newest(*sealed) {
				*sealed = s.sealed(t, i.ID, text)
			}
		})
		if err != nil {
			return done, errs.Wrap(errs.Internal, err, "the config of %s of identity %s is malformed", t, i.ID)
		}
		if lost {
			done.Lost++
		}
		if !bytes.Equal(config, c.Config) {
			c.Config = config
			i.Credentials[t] = c
			done.Credentials++
		}
	}
	return done, nil
}

// resealConfig has each take what is sealed in the config of a credential. The config
// stays as it is if none of that changes.
func (s *Service) resealConfig(t CredentialType, text json.RawMessage, each func(*string)) (json.RawMessage, error) {
	changed := false
	visit := func(sealed *string) {
		before := *sealed
		if before != "" {
			each(sealed)
		}
		changed = changed || *sealed != before
	}
	var config any
	var err error
	switch t {
	case TOTP:
		var c totpConfig
		err = json.Unmarshal(text, &c)
		visit(&c.URL)
		config = c
	case Lookup:
		var c lookupConfig
		err = json.Unmarshal(text, &c)
		visit(&c.Codes)
		config = c
	default:
		var c oidcConfig
		err = json.Unmarshal(text, &c)
		for n := range c.Providers {
			a := &c.Providers[n]
			for _, token := range []*string{&a.IDToken, &a.AccessToken, &a.RefreshToken} {
				visit(token)
			}
		}
		config = c
	}
	if err != nil || !changed {
		return text, err
	}
	return json.Marshal(config)
}

// newest reports whether a secret of an identity is sealed with the newest system secret.
func (s *Service) newest(sealed string) bool {
	bytes, err := base64.StdEncoding.DecodeString(sealed)
	return err == nil && s.keys.Newest(s.purpose("credential"), bytes)
}
