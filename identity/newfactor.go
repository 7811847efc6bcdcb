package identity

import "encoding/json"

// tellNewFactor tells the owner of an account, at addresses that are known to be theirs, that
// there is one more way into it: it need not have been the owner who added it.
func (s *Service) tellNewFactor(st *Step) error {
	if st.before == nil || authenticators(st.Identity) <= authenticators(st.before) {
		return nil
	}
	for _, a := range st.before.Verifiable {
		if !a.Verified || a.Via != viaEmail || !s.reaches(a.Via) {
			continue
		}
		if err := s.post(st, note{Template: "authenticator_key_added", Via: a.Via, To: a.Value}, st.Identity); err != nil {
			return err
		}
	}
	return nil
}

// authenticators are how many passkeys, security keys and apps an identity has.
func authenticators(i *Identity) (n int) {
	if _, has := i.Credentials[TOTP]; has {
		n++
	}
	for _, t := range []CredentialType{WebAuthn, Passkey} {
		var ring keyring
		if c, has := i.Credentials[t]; has && json.Unmarshal(c.Config, &ring) == nil {
			n += len(ring.Keys)
		}
	}
	return n
}
