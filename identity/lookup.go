package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// lookupStrategy is the method lookup_secret: codes on paper for who has lost another
// second factor. Each works once. They can be shown again, so they are sealed and not
// hashed.
type lookupStrategy struct{ s *Service }

var (
	_ Strategy     = (*lookupStrategy)(nil)
	_ Claimer      = (*lookupStrategy)(nil)
	_ SecondFactor = (*lookupStrategy)(nil)
	_ Importer     = (*lookupStrategy)(nil)
)

// lookupConfig is the config of a credential.
type lookupConfig struct {
	Codes string `json:"sealed_recovery_codes"` // a list of lookupCode
}

// A lookupCode is one code. Its JSON is Kratos's.
type lookupCode struct {
	Code   string    `json:"code"`
	UsedAt time.Time `json:"used_at,omitzero"`
}

// lookupKept is what a flow keeps between submissions: new codes that are not confirmed.
type lookupKept struct {
	New    string `json:",omitempty"` // sealed as in lookupConfig
	Reveal bool   `json:",omitempty"`
}

const (
	lookupCodes    = 12
	lookupSize     = 8
	lookupAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	maxLookupCodes = 100 // of an import
)

func (*lookupStrategy) Method() string { return string(Lookup) }

var lookupButtons = []string{"lookup_secret_reveal", "lookup_secret_regenerate", "lookup_secret_confirm", "lookup_secret_disable"}

// Claims implements Claimer: buttons of the settings have no method.
func (*lookupStrategy) Claims(f Form) bool { return slices.ContainsFunc(lookupButtons, f.True) }

// Second implements SecondFactor.
func (*lookupStrategy) Second(i *Identity, _ *Session) bool {
	_, ok := i.Credentials[Lookup]
	return ok
}

func (l *lookupStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	group := l.Method()
	has := st.Identity != nil && l.Second(st.Identity, nil)
	switch {
	case st.stepsUp() && has:
		return []Node{Input(group, "lookup_secret", "text", &textLabelLookup).Required(), Button(group, "method", group, textUseLookup)}, nil
	case st.Flow.Kind == Settings:
		return l.settings(st, has)
	default:
		return nil, nil
	}
}

// settings shows codes only to who has logged in a short time ago, and only as the
// answer to the submission that asked for them.
func (l *lookupStrategy) settings(st *Step, has bool) ([]Node, error) {
	group := l.Method()
	regenerate := Button(group, "lookup_secret_regenerate", "true", textNewLookup)
	disable := Button(group, "lookup_secret_disable", "true", textDisableLookup)
	var kept lookupKept
	if st.Flow.Active == group && l.s.recent(st) == nil {
		if _, err := st.Flow.Recall(group, &kept); err != nil {
			return nil, err
		}
	}
	switch {
	case kept.New != "":
		codes, err := l.open(st.Identity.ID, kept.New)
		if err != nil {
			return nil, err
		}
		return []Node{lookupList(codes), Button(group, "lookup_secret_confirm", "true", textConfirmLookup)}, nil
	case kept.Reveal && has:
		codes, err := l.codes(st.Identity)
		if err != nil {
			return nil, err
		}
		return []Node{lookupList(codes), regenerate, disable}, nil
	case has:
		return []Node{Button(group, "lookup_secret_reveal", "true", textRevealLookup), disable}, nil
	default:
		return []Node{regenerate}, nil
	}
}

// lookupList shows codes, each also as a text of its own.
func lookupList(codes []lookupCode) Node {
	var plain []string
	var texts []Text
	for _, c := range codes {
		if c.UsedAt.IsZero() {
			plain = append(plain, c.Code)
			texts = append(texts, info(1050009, c.Code).with("secret", c.Code))
			continue
		}
		plain = append(plain, "used")
		texts = append(texts, info(1050014, "Secret was used at "+c.UsedAt.Format(time.RFC3339)).with("used_at", c.UsedAt).with("used_at_unix", c.UsedAt.Unix()))
	}
	all := info(1050015, strings.Join(plain, ", ")).with("secrets", texts)
	return Node{Type: "text", Group: string(Lookup), Messages: []Text{}, Meta: NodeMeta{Label: &textLookupCodes},
		Attributes: NodeAttributes{ID: "lookup_secret_codes", Text: &all, NodeType: "text"}}
}

func (l *lookupStrategy) Submit(ctx context.Context, st *Step) (Outcome, error) {
	switch {
	case st.stepsUp():
		return Done, l.login(ctx, st)
	case st.Flow.Kind == Settings:
		if err := l.s.recent(st); err != nil {
			return Done, err
		}
		return l.set(st)
	default:
		return Done, Wrong(noStrategy(st.Flow.Kind))
	}
}

func (l *lookupStrategy) set(st *Step) (Outcome, error) {
	method := l.Method()
	switch f := st.Form; {
	case f.True("lookup_secret_confirm"):
		return Done, l.confirm(st)
	case f.True("lookup_secret_regenerate"):
		sealed, err := l.seal(st.Identity.ID, newLookupCodes())
		if err != nil {
			return Done, err
		}
		return Again, st.Flow.Keep(method, lookupKept{New: sealed})
	case f.True("lookup_secret_reveal"):
		if !l.Second(st.Identity, nil) {
			return Done, Wrong(textNoLookup)
		}
		return Again, st.Flow.Keep(method, lookupKept{Reveal: true})
	case f.True("lookup_secret_disable"):
		if !l.Second(st.Identity, nil) {
			return Done, Wrong(textNoLookup)
		}
		delete(st.Identity.Credentials, Lookup)
		return Done, st.Flow.Keep(method, lookupKept{})
	default:
		return Done, Wrong(textNoSettingsMethod)
	}
}

// confirm takes the codes that the user has seen.
func (l *lookupStrategy) confirm(st *Step) error {
	var kept lookupKept
	if _, err := st.Flow.Recall(l.Method(), &kept); err != nil {
		return err
	}
	if kept.New == "" {
		return Wrong(textGeneric("there are no new backup recovery codes to confirm"))
	}
	if err := st.setConfig(st.Identity, Lookup, lookupConfig{kept.New}, st.Identity.ID); err != nil {
		return err
	}
	st.Prove(st.Identity, l.Method(), AAL2)
	return st.Flow.Keep(l.Method(), lookupKept{})
}

// login uses a code up. That it is used is stored with the identity, whose version is
// compared, so that each works once (rule I5).
func (l *lookupStrategy) login(ctx context.Context, st *Step) error {
	i, err := st.known()
	if err != nil {
		return err
	}
	given := strings.ToLower(strings.TrimSpace(st.Form.Text("lookup_secret")))
	if given == "" {
		return WrongAt("lookup_secret", textMissing("lookup_secret"))
	}
	if !l.Second(i, nil) {
		return Wrong(textNoLookup)
	}
	attempt := "login lookup_secret " + i.ID
	if err := l.s.attempt(ctx, st, attempt); err != nil {
		return err
	}
	codes, err := l.codes(i)
	if err != nil {
		return err
	}
	at := -1
	for n, c := range codes { // all are compared, so that time tells nothing
		if subtle.ConstantTimeCompare([]byte(strings.ToLower(c.Code)), []byte(given)) == 1 {
			at = n
		}
	}
	switch {
	case at < 0:
		return Wrong(textWrongLookup)
	case !codes[at].UsedAt.IsZero():
		return Wrong(textUsedLookup)
	}
	codes[at].UsedAt = st.Now
	sealed, err := l.seal(i.ID, codes)
	if err != nil {
		return err
	}
	changed := st.own()
	if err := st.setConfig(changed, Lookup, lookupConfig{sealed}); err != nil {
		return err
	}
	st.Also(SaveIdentity{changed}, Forgive{[]string{attempt}})
	st.Prove(changed, l.Method(), AAL2)
	return nil
}

func newLookupCodes() []lookupCode {
	codes := make([]lookupCode, lookupCodes)
	for n := range codes {
		codes[n].Code = randomText(lookupSize, lookupAlphabet)
	}
	return codes
}

// randomText returns characters of an alphabet, each as likely as the others.
func randomText(n int, alphabet string) string {
	out := make([]byte, 0, n)
	limit := byte(256 - 256%len(alphabet))
	var b [64]byte
	for {
		rand.Read(b[:])
		for _, x := range b {
			if x < limit || limit == 0 {
				out = append(out, alphabet[int(x)%len(alphabet)])
			}
			if len(out) == n {
				return string(out)
			}
		}
	}
}

func (l *lookupStrategy) codes(i *Identity) ([]lookupCode, error) {
	c, _, err := config[lookupConfig](i, Lookup)
	if err != nil {
		return nil, err
	}
	return l.open(i.ID, c.Codes)
}

func (l *lookupStrategy) open(id, sealed string) (codes []lookupCode, err error) {
	text, err := l.s.unsealed(Lookup, id, sealed)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &codes); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the backup recovery codes of %s are malformed", id)
	}
	return codes, nil
}

func (l *lookupStrategy) seal(id string, codes []lookupCode) (string, error) {
	text, err := json.Marshal(codes)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the backup recovery codes of %s cannot be encoded", id)
	}
	return l.s.sealed(Lookup, id, string(text)), nil
}

// Import implements Importer: a list of codes.
func (l *lookupStrategy) Import(_ context.Context, i *Identity, text json.RawMessage, _ *Schema, now time.Time) error {
	var given struct {
		Codes  []lookupCode `json:"codes"`
		Stored []lookupCode `json:"recovery_codes"` // as they are shown
	}
	invalid := errs.New(errs.Invalid, "credentials.lookup_secret.config: expected codes, 1 to %d codes of %d to 64 characters", maxLookupCodes, lookupSize)
	if json.Unmarshal(text, &given) != nil {
		return invalid
	}
	codes := append(given.Codes, given.Stored...)
	if len(codes) == 0 || len(codes) > maxLookupCodes {
		return invalid
	}
	for _, c := range codes {
		if len(c.Code) < lookupSize || len(c.Code) > 64 {
			return invalid
		}
	}
	sealed, err := l.seal(i.ID, codes)
	if err != nil {
		return err
	}
	st := &Step{Now: now}
	return st.setConfig(i, Lookup, lookupConfig{sealed}, i.ID)
}
