package identity

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/cardea-iam/cardea/internal/errs"
)

// totpStrategy is the method totp: codes of an authenticator app (RFC 6238), six digits
// that change every 30 seconds. A code is accepted one step early or late, and once.
type totpStrategy struct{ s *Service }

var (
	_ Strategy     = (*totpStrategy)(nil)
	_ Claimer      = (*totpStrategy)(nil)
	_ SecondFactor = (*totpStrategy)(nil)
	_ Importer     = (*totpStrategy)(nil)
)

// totpConfig is the config of a credential.
type totpConfig struct {
	URL  string `json:"sealed_totp_url"`     // otpauth://
	Step int64  `json:"last_step,omitempty"` // of the last code that was accepted
}

const (
	totpPeriod = 30 // seconds
	totpBytes  = 20 // of a secret, as RFC 4226 recommends
	qrSize     = 256

	maxTOTPName = 100 // characters of an account, of which a QR code does not hold many
)

func (*totpStrategy) Method() string { return string(TOTP) }

// Claims implements Claimer: the button to unlink has no method.
func (*totpStrategy) Claims(f Form) bool { return f.True("totp_unlink") }

// Second implements SecondFactor.
func (*totpStrategy) Second(i *Identity, _ *Session) bool { _, ok := i.Credentials[TOTP]; return ok }

func (t *totpStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	group := t.Method()
	linked := st.Identity != nil && t.Second(st.Identity, nil)
	switch {
	case st.stepsUp() && linked:
		return []Node{Input(group, "totp_code", "text", &textLabelTOTP).Required().Autocomplete("one-time-code"),
			Button(group, "method", group, textUseTOTP)}, nil
	case st.Flow.Kind == Settings && linked:
		return []Node{Button(group, "totp_unlink", "true", textUnlinkTOTP)}, nil
	case st.Flow.Kind == Settings:
		return t.enrolment(st)
	default:
		return nil, nil
	}
}

// enrolment shows a new secret, and asks for a code of it.
func (t *totpStrategy) enrolment(st *Step) ([]Node, error) {
	group := t.Method()
	keys, err := t.offers(st)
	if err != nil {
		return nil, err
	}
	picture, err := qrCode(keys[0])
	if err != nil {
		return nil, err
	}
	secret := info(1050006, keys[0].Secret()).with("secret", keys[0].Secret())
	return []Node{
		{Type: "img", Group: group, Messages: []Text{}, Meta: NodeMeta{Label: &textTOTPPicture},
			Attributes: NodeAttributes{ID: "totp_qr", Src: picture, Width: qrSize, Height: qrSize, NodeType: "img"}},
		{Type: "text", Group: group, Messages: []Text{}, Meta: NodeMeta{Label: &textTOTPSecret},
			Attributes: NodeAttributes{ID: "totp_secret_key", Text: &secret, NodeType: "text"}},
		Input(group, "totp_code", "text", &textLabelVerifyOTP).Required().Autocomplete("one-time-code"),
		Button(group, "method", group, textLabelSave),
	}, nil
}

// offers are the keys that the flow shows, one for each system secret.
func (t *totpStrategy) offers(st *Step) (keys []*otp.Key, err error) {
	secrets, err := t.s.derived(st, t.Method(), "secret")
	if err != nil {
		return nil, err
	}
	account := st.Identity.ID
	if name := []rune(strings.TrimSpace(st.Schema.read(st.Identity.Traits).totpName)); len(name) > 0 {
		account = string(name[:min(len(name), maxTOTPName)])
	}
	for _, secret := range secrets {
		text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret[:totpBytes])
		key, err := otp.NewKeyFromURL(totpURL(t.s.options.TOTPIssuer, account, text))
		if err != nil {
			return nil, errs.Wrap(errs.Internal, err, "the key of an authenticator app cannot be made")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func totpURL(issuer, account, secret string) string {
	// Apps take a plus sign as it is, so spaces are %20.
	q := "algorithm=SHA1&digits=6&issuer=" + url.PathEscape(issuer) + "&period=30&secret=" + secret
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account, RawQuery: q}
	return u.String()
}

// qrCode draws a key with two colours, which takes a fraction of the time and the space
// that a picture of many colours does.
func qrCode(key *otp.Key) (string, error) {
	drawn, err := key.Image(qrSize, qrSize)
	if err != nil { // the text of which has the secret
		return "", errs.New(errs.Internal, "the key of an authenticator app cannot be drawn: its URL has %d bytes", len(key.URL()))
	}
	picture := image.NewPaletted(drawn.Bounds(), color.Palette{color.White, color.Black})
	for y := range qrSize {
		for x := range qrSize {
			if r, _, _, _ := drawn.At(x, y).RGBA(); r < 0x8000 {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, picture); err != nil {
		return "", errs.Wrap(errs.Internal, err, "the key of an authenticator app cannot be drawn")
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

func (t *totpStrategy) Submit(ctx context.Context, st *Step) (Outcome, error) {
	switch {
	case st.stepsUp():
		return Done, t.login(ctx, st)
	case st.Flow.Kind != Settings:
		return Done, Wrong(noStrategy(st.Flow.Kind))
	case st.Form.True("totp_unlink"):
		if !t.Second(st.Identity, nil) {
			return Done, Wrong(textNoTOTP)
		}
		delete(st.Identity.Credentials, TOTP)
		return Done, st.nextRound(t.Method())
	default:
		return Done, t.link(st)
	}
}

// link takes the secret that the flow showed, if the code is of it.
func (t *totpStrategy) link(st *Step) error {
	code := st.Form.Text("totp_code")
	if code == "" {
		return WrongAt("totp_code", textMissing("totp_code"))
	}
	if t.Second(st.Identity, nil) {
		return Wrong(textGeneric("an authenticator app is linked already: unlink it first"))
	}
	keys, err := t.offers(st)
	if err != nil {
		return err
	}
	for _, key := range keys {
		step, ok := matches(key, code, 0, st.Now)
		if !ok {
			continue
		}
		c := totpConfig{URL: t.s.sealed(TOTP, st.Identity.ID, key.URL()), Step: step}
		if err := st.setConfig(st.Identity, TOTP, c, st.Identity.ID); err != nil {
			return err
		}
		st.Prove(st.Identity, t.Method(), AAL2)
		return st.nextRound(t.Method())
	}
	return WrongAt("totp_code", textWrongTOTP)
}

// login accepts a code that is newer than the last one. That the step is stored with the
// identity, whose version is compared, makes each code work once (rule I5).
func (t *totpStrategy) login(ctx context.Context, st *Step) error {
	i, err := st.known()
	if err != nil {
		return err
	}
	code := st.Form.Text("totp_code")
	if code == "" {
		return WrongAt("totp_code", textMissing("totp_code"))
	}
	c, ok, err := config[totpConfig](i, TOTP)
	if err != nil {
		return err
	}
	if !ok {
		return Wrong(textNoTOTP)
	}
	attempt := "login totp " + i.ID
	if err := t.s.attempt(ctx, st, attempt); err != nil {
		return err
	}
	key, err := t.key(i, c)
	if err != nil {
		return err
	}
	step, ok := matches(key, code, c.Step, st.Now)
	if !ok {
		return Wrong(textWrongTOTP)
	}
	changed := st.own()
	c.Step = step
	if err := st.setConfig(changed, TOTP, c); err != nil {
		return err
	}
	st.Also(SaveIdentity{changed}, Forgive{[]string{attempt}})
	st.Prove(changed, t.Method(), AAL2)
	return nil
}

func (t *totpStrategy) key(i *Identity, c totpConfig) (*otp.Key, error) {
	text, err := t.s.unsealed(TOTP, i.ID, c.URL)
	if err != nil {
		return nil, err
	}
	key, err := otp.NewKeyFromURL(text)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the key of the authenticator app of %s is malformed", i.ID)
	}
	return key, nil
}

// matches returns the step that a code is of, if it is later than the last one.
func matches(key *otp.Key, code string, last int64, now time.Time) (int64, bool) {
	period := int64(key.Period())
	if period <= 0 {
		period = totpPeriod
	}
	o := hotp.ValidateOpts{Digits: key.Digits(), Algorithm: key.Algorithm()}
	for _, skew := range []int64{-1, 0, 1} {
		step := now.Unix()/period + skew
		if step <= last {
			continue
		}
		if ok, err := hotp.ValidateCustom(code, uint64(step), key.Secret(), o); err == nil && ok {
			return step, true
		}
	}
	return 0, false
}

// Import implements Importer: the URL of a key.
func (t *totpStrategy) Import(_ context.Context, i *Identity, text json.RawMessage, _ *Schema, now time.Time) error {
	var given struct {
		URL string `json:"totp_url"`
	}
	invalid := errs.New(errs.Invalid, "credentials.totp.config: expected totp_url, of the form otpauth://totp/NAME?secret=BASE32")
	if json.Unmarshal(text, &given) != nil {
		return invalid
	}
	key, err := otp.NewKeyFromURL(given.URL)
	if err != nil || key.Type() != "totp" {
		return invalid
	}
	if _, err := hotp.GenerateCodeCustom(key.Secret(), 1, hotp.ValidateOpts{Digits: key.Digits(), Algorithm: key.Algorithm()}); err != nil || key.Secret() == "" {
		return invalid
	}
	st := &Step{Now: now}
	return st.setConfig(i, TOTP, totpConfig{URL: t.s.sealed(TOTP, i.ID, key.URL())}, i.ID)
}
