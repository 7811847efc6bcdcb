package identity

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A FirstFactor is a Strategy by whose credentials alone one gets into an account.
type FirstFactor interface {
	// First returns how many such credentials the identity has.
	First(i *Identity) int
}

// firstFactors is how many ways into the account there are.
func (s *Service) firstFactors(i *Identity) (n int) {
	for _, one := range s.strategies {
		if first, ok := one.(FirstFactor); ok {
			n += first.First(i)
		}
	}
	return n
}

// stepsUp reports whether the flow asks for a second factor.
func (st *Step) stepsUp() bool {
	return st.Flow.Kind == Login && st.Flow.requestedAAL() == AAL2 && st.Flow.State == Choose
}

// known returns the identity that is to give another proof.
//
// A *Problem: the session that it belongs to is over.
func (st *Step) known() (*Identity, error) {
	if st.Identity == nil {
		return nil, errAAL1()
	}
	return st.Identity, nil
}

// recent asks for a new login unless the last one was a short time ago.
func (s *Service) recent(st *Step) error {
	if st.Now.Sub(st.Session.AuthenticatedAt) < s.options.PrivilegedAge {
		return nil
	}
	back := withQuery(s.options.flow(Settings).UI, "flow", st.Flow.ID)
	return errRefresh(withQuery(s.options.BaseURL+"/self-service/login/browser", "refresh", "true", "return_to", back))
}

// A round counts what a flow has used up of what follows from its id.
type round struct{ Round int }

func (st *Step) round(method string) (int, error) {
	var r round
	_, err := st.Flow.Recall(method, &r)
	return r.Round, err
}

// nextRound makes what derived returns different from now on.
func (st *Step) nextRound(method string) error {
	n, err := st.round(method)
	if err != nil {
		return err
	}
	return st.Flow.Keep(method, round{n + 1})
}

// derived returns 32 bytes that a strategy needs for this flow and round, the same each
// time it is shown, so that showing it stores nothing (rules I3 and I6). There is one
// value for each system secret, the newest first: a form may have been shown before a
// rotation.
func (s *Service) derived(st *Step, method, what string) ([][]byte, error) {
	n, err := st.round(method)
	if err != nil {
		return nil, err
	}
	f := st.Flow
	return s.keys.MACs(s.purpose(method+" "+what), []byte(f.ID+" "+f.Owner+" "+strconv.Itoa(n))), nil
}

// sealed encrypts a secret that belongs to an identity.
func (s *Service) sealed(t CredentialType, id, text string) string {
	return base64.StdEncoding.EncodeToString(s.keys.Seal(s.purpose("credential"), string(t)+" "+id, []byte(text)))
}

// unsealed returns what sealed encrypted.
func (s *Service) unsealed(t CredentialType, id, text string) (string, error) {
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		bytes, err = s.keys.Open(s.purpose("credential"), string(t)+" "+id, bytes)
	}
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the %s secret of identity %s cannot be decrypted", t, id)
	}
	return string(bytes), nil
}

// config reads the config of a credential, and reports whether there is one.
func config[T any](i *Identity, t CredentialType) (c T, ok bool, err error) {
	if i == nil {
		return c, false, nil
	}
	credential, ok := i.Credentials[t]
	if !ok {
		return c, false, nil
	}
	if err := json.Unmarshal(credential.Config, &c); err != nil {
		return c, false, errs.Wrap(errs.Internal, err, "the config of %s is malformed", t)
	}
	return c, true, nil
}

// setConfig stores the config of a credential, whose identifiers stay unless there are
// new ones.
func (st *Step) setConfig(i *Identity, t CredentialType, c any, identifiers ...string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the config of %s cannot be encoded", t)
	}
	if identifiers == nil {
		identifiers = i.Credentials[t].Identifiers
	}
	i.SetCredential(Credential{Type: t, Identifiers: identifiers, Config: text}, st.Now)
	return nil
}

// own returns the identity as a step may change it, so that another look at the step
// sees the one that is stored.
func (st *Step) own() *Identity { return st.Identity.clone() }
