package oauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Device authorization (RFC 8628): a device without a browser shows a code, which a
// person enters in a browser elsewhere, where they log in and consent. Meanwhile the
// device asks again and again for its tokens.

// Errors of RFC 8628, section 3.5.
var (
	errPending  = deviceError("authorization_pending", "The person has not decided yet. Ask again after the interval.")
	errSlowDown = deviceError("slow_down", "The device asks too often. From now on it must wait 5 seconds more between two requests.")
	errLapsed   = deviceError("expired_token", "The device code has expired. The device must begin again.")
	errDeclined = deviceError("access_denied", "The person said no.")
)

func deviceError(name, description string) *fosite.RFC6749Error {
	return &fosite.RFC6749Error{ErrorField: name, DescriptionField: description, CodeField: http.StatusBadRequest}
}

const (
	// usualUserCode are letters that form no words and that nobody takes for others.
	usualUserCode = "BCDFGHJKLMNPQRSTVWXZ"
	// userCodeTries is how many codes can be entered in one browser before it must
	// begin again.
	userCodeTries = 5
	// pollPenalty is what slow_down adds to the interval, for good (RFC 8628, section 3.5).
	pollPenalty = 5 * time.Second
)

const sealUserCode = "oauth user code"

// newUserCode returns a code for people to type.
func (p *Provider) newUserCode() string {
	symbols := p.o.Grants.UserCodeSymbols
	fair := 256 - 256%len(symbols) // bytes from here on would favour the first symbols
	code := make([]byte, 0, p.o.Grants.UserCodeLength)
	for b := make([]byte, 1); len(code) < cap(code); {
		if rand.Read(b); int(b[0]) < fair {
			code = append(code, symbols[int(b[0])%len(symbols)])
		}
	}
	return string(code)
}

// typed is a user code without what people add to it.
func typed(code string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -_.\t", r) {
			return -1
		}
		return r
	}, code))
}

// serveDeviceAuth is the device authorization endpoint (RFC 8628, section 3.1).
func (p *Provider) serveDeviceAuth(w http.ResponseWriter, r *http.Request) error {
	c, err := p.authenticated(r)
	if err != nil {
		return err
	}
	if !c.may(grantDevice) {
		return fosite.ErrUnauthorizedClient.WithHintf("The client may not use the grant type %q.", grantDevice)
	}
	scopes, err := p.allowedScopes(c, distinct(strings.Fields(r.PostForm.Get("scope"))))
	if err != nil {
		return err
	}
	audience, err := c.allowedTargets(r.PostForm)
	if err != nil {
		return err
	}
	device, user, err := p.beginDevice(r.Context(), &Session{Client: c.ID, Type: grantDevice, Scopes: scopes, Audience: audience})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{
		"device_code": device, "user_code": user,
		"verification_uri":          p.own.device,
		"verification_uri_complete": p.own.device + "?" + url.Values{"user_code": {user}}.Encode(),
		"expires_in":                int64(p.o.TTL.DeviceCode.Seconds()),
		"interval":                  int64(p.o.Grants.DevicePoll.Seconds()),
	})
}

// beginDevice stores a request, and returns its two codes.
func (p *Provider) beginDevice(ctx context.Context, s *Session) (device, user string, err error) {
	var hash Hash
	device, hash = newToken(devicePrefix)
	t, err := p.newStored(Device, hash, s, p.o.TTL.DeviceCode)
	if err != nil {
		return "", "", err
	}
	// Requests are not always as far apart when they arrive as when they leave.
	t.Pause = p.o.Grants.DevicePoll - p.o.Grants.DevicePoll/10
	for range 5 { // another device may have the same user code
		user = p.newUserCode()
		t.Alias = Hash(p.o.Secrets.MAC(sealUserCode, []byte(user)))
		if err = p.store.PutTokens(ctx, t); errs.KindOf(err) != errs.Conflict {
			return device, user, err
		}
	}
	return "", "", errs.Wrap(errs.Unavailable, err, "too many devices are waiting")
}

// A deviceGrant exchanges a device code (RFC 8628, section 3.4).
type deviceGrant struct{ grantHandler }

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (g *deviceGrant) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	x, err := g.begin(r)
	if err != nil {
		return err
	}
	code := r.GetRequestForm().Get("device_code")
	if code == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter \"device_code\" is missing.")
	}
	t, err := g.poll(ctx, hashOf(code), x.client)
	if err != nil {
		return err
	}
	s, err := g.sessionOf(t)
	if isKind(err, errs.NotFound) {
		return errGrant
	}
	if err != nil {
		return err
	}
	x.Session = *s
	x.refresh = true
	x.redeem = &Redemption{Kind: Device, Hash: t.Hash, Now: g.o.Now()}
	return x.narrow(r.GetRequestForm())
}

// poll returns a device code that was accepted.
func (p *Provider) poll(ctx context.Context, hash Hash, c *Client) (Token, error) {
	now := p.o.Now()
	t, err := p.store.Poll(ctx, Device, hash, now, pollPenalty)
	if isKind(err, errs.NotFound) || err == nil && t.Client != c.ID {
		return Token{}, errGrant
	}
	if err != nil {
		return Token{}, err
	}
	switch {
	case t.Revoked:
		return Token{}, errGrant
	case !t.Used.IsZero():
		if err := p.revoke(ctx, t.Grant); err != nil {
			return Token{}, err
		}
		return Token{}, errUsed
	case !now.Before(t.Expires):
		return Token{}, errLapsed
	case t.State == Rejected:
		return Token{}, errDeclined
	case t.State == Accepted:
		return t, nil
	}
	// With the pause that is longer now, an early request is all the earlier.
	if !t.Polled.IsZero() && now.Before(t.Polled.Add(t.Pause)) {
		return Token{}, errSlowDown
	}
	return Token{}, errPending
}

// Purposes of a flow between the device page and the login page.
const (
	deviceChallenge = "oauth device challenge"
	deviceVerifier  = "oauth device verifier"
)

// serveDeviceVerify is where people come with a user code: the verification URI of
// RFC 8628. Like the authorization endpoint it is visited after each page, too.
func (p *Provider) serveDeviceVerify(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return p.errorPage(w, r, err)
	}
	var err error
	switch {
	case r.Form.Get("device_verifier") != "":
		err = p.afterDevice(w, r)
	case r.Form.Get("login_verifier") != "":
		err = p.afterDeviceLogin(w, r)
	case r.Form.Get("consent_verifier") != "":
		err = p.afterDeviceConsent(w, r)
	default:
		err = p.askUserCode(w, r)
	}
	if err != nil {
		return p.errorPage(w, r, err)
	}
	return nil
}

// askUserCode sends the browser to the page where a code is entered.
func (p *Provider) askUserCode(w http.ResponseWriter, r *http.Request) error {
	params := url.Values{}
	if code := r.Form.Get("user_code"); code != "" && len(code) <= 4*p.o.Grants.UserCodeLength {
		params.Set("user_code", code)
	}
	f := &flow{ID: newID(), Session: newID(), Query: params.Encode(), Begun: p.o.Now()}
	p.guardFlow(w, f)
	challenge, err := p.sealFlow(deviceChallenge, f)
	if err != nil {
		return err
	}
	params.Set("device_challenge", challenge)
	return redirect(w, r, p.page(p.o.URLs.DeviceVerification, "device.verification"), params)
}

// A DeviceRequest asks which device somebody has in front of them.
type DeviceRequest struct {
	Challenge string `json:"challenge"`
	UserCode  string `json:"user_code"` // as the link had it; to be confirmed by the person
}

// DeviceRequest returns what a device challenge asks.
//
// NotFound: it is no challenge. Unauthenticated: it has expired.
func (p *Provider) DeviceRequest(_ context.Context, challenge string) (*DeviceRequest, error) {
	f, err := p.open(deviceChallenge, challenge)
	if err != nil {
		return nil, err
	}
	return &DeviceRequest{challenge, f.form().Get("user_code")}, nil
}

// AcceptDevice answers a device challenge with the code that a person has entered, in
// upper or lower case and however they parted it, and returns where to send the
// browser.
//
// NotFound, Unauthenticated: as for DeviceRequest. Invalid: the code is wrong or has
// expired. Exhausted: too many codes were tried, the browser must begin again.
func (p *Provider) AcceptDevice(ctx context.Context, challenge, userCode string) (string, error) {
	f, err := p.open(deviceChallenge, challenge)
	if err != nil {
		return "", err
	}
	code := typed(userCode)
	if len(code) != p.o.Grants.UserCodeLength {
		return "", errs.New(errs.Invalid, "user_code: expected %d characters", p.o.Grants.UserCodeLength)
	}
	if err := p.tryUserCode(ctx, f); err != nil {
		return "", err
	}
	t, err := p.byUserCode(ctx, code)
	if err != nil {
		return "", err
	}
	s, err := p.sessionOf(t)
	if isKind(err, errs.NotFound) {
		return "", errUserCode
	}
	if err != nil {
		return "", err
	}
	f.Client, f.Device = s.Client, base64.RawURLEncoding.EncodeToString(t.Hash[:])
	f.Query = url.Values{"client_id": {s.Client}, "scope": {strings.Join(s.Scopes, " ")}, "audience": s.Audience}.Encode()
	return p.back(f, deviceVerifier, "device_verifier")
}

// tryUserCode notes that a code was entered in a flow, before it is looked at.
func (p *Provider) tryUserCode(ctx context.Context, f *flow) error {
	for n := range userCodeTries {
		err := p.store.PutTokens(ctx, Token{
			Kind: UsedID, Hash: hashOf(fmt.Sprintf("user code %d %s", n, f.ID)),
			Created: p.o.Now(), Expires: f.Begun.Add(p.o.TTL.Challenge),
		})
		if errs.KindOf(err) != errs.Conflict {
			return err
		}
	}
	return errs.New(errs.Exhausted, "%d codes were tried: begin again", userCodeTries)
}

// byUserCode returns the device code that waits for an answer to a user code.
func (p *Provider) byUserCode(ctx context.Context, code string) (Token, error) {
	for _, alias := range p.o.Secrets.MACs(sealUserCode, []byte(code)) {
		t, err := p.store.TokenByAlias(ctx, Device, Hash(alias))
		if err != nil && !isKind(err, errs.NotFound) {
			return Token{}, err
		}
		if err == nil && t.State == Pending && t.Live(p.o.Now()) {
			return t, nil
		}
	}
	return Token{}, errUserCode
}

var errUserCode = errs.New(errs.Invalid, "user_code: the code is wrong, or has expired")

func (p *Provider) serveAcceptDevice(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		UserCode string `json:"user_code"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	to, err := p.AcceptDevice(r.Context(), challengeOf(r, "device_challenge"), body.UserCode)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, redirectTo{to})
}

// afterDevice goes on from the device page to the login page.
func (p *Provider) afterDevice(w http.ResponseWriter, r *http.Request) error {
	f, err := p.resumeDevice(w, r, deviceVerifier, r.Form.Get("device_verifier"))
	if err != nil {
		return err
	}
	if f.Previous, err = p.lastingLogin(r); err != nil {
		return err
	}
	p.forgetEnded(w, r, f.Previous)
	return p.ask(w, r, f, loginChallenge, p.page(p.o.URLs.Login, "login"), "login_challenge")
}

// afterDeviceLogin goes on to the consent page, which is never skipped: the person
// must see which device they let in, as somebody else may have sent them the code.
func (p *Provider) afterDeviceLogin(w http.ResponseWriter, r *http.Request) error {
	f, err := p.resumeDevice(w, r, loginVerifier, r.Form.Get("login_verifier"))
	if err != nil {
		return err
	}
	return p.ask(w, r, f, consentChallenge, p.page(p.o.URLs.Consent, "consent"), "consent_challenge")
}

// ask sends the browser to a page with a challenge.
func (p *Provider) ask(w http.ResponseWriter, r *http.Request, f *flow, purpose, page, parameter string) error {
	challenge, err := p.sealFlow(purpose, f)
	if err != nil {
		return err
	}
	return redirect(w, r, page, url.Values{parameter: {challenge}})
}

// afterDeviceConsent ends the flow: the device gets its tokens when it asks next.
func (p *Provider) afterDeviceConsent(w http.ResponseWriter, r *http.Request) error {
	f, err := p.resumeDevice(w, r, consentVerifier, r.Form.Get("consent_verifier"))
	if err != nil {
		return err
	}
	if err := p.concludeDevice(r.Context(), f); err != nil {
		return err
	}
	p.forgetFlow(w, f)
	if l := f.Login; l.Remember {
		p.rememberLogin(w, p.loginRow(l))
	}
	return redirect(w, r, p.page(p.o.URLs.DeviceSuccess, "device.success"), nil)
}

// resumeDevice reads a verifier. A page that said no ends the flow, and the device
// learns of it.
func (p *Provider) resumeDevice(w http.ResponseWriter, r *http.Request, purpose, verifier string) (*flow, error) {
	f, err := p.open(purpose, verifier)
	if err != nil {
		return nil, err
	}
	if f.Device == "" {
		return nil, errs.New(errs.NotFound, "the verifier is not that of a device")
	}
	if err := p.guarded(r, f); err != nil {
		return nil, err
	}
	if f.Refusal == nil {
		return f, nil
	}
	p.forgetFlow(w, f)
	t, err := p.deviceOf(r.Context(), f)
	if err == nil {
		t.State = Rejected
		err = p.store.Decide(r.Context(), t, p.o.Now())
	}
	if err != nil && errs.KindOf(err) != errs.Conflict {
		return nil, err
	}
	return nil, f.Refusal.err()
}

// deviceOf returns the device code that a flow answers.
func (p *Provider) deviceOf(ctx context.Context, f *flow) (Token, error) {
	raw, err := base64.RawURLEncoding.DecodeString(f.Device)
	if err != nil || len(raw) != len(Hash{}) {
		return Token{}, errs.Wrap(errs.Internal, err, "the device code of a flow cannot be read")
	}
	return p.store.Token(ctx, Device, Hash(raw))
}

// concludeDevice stores the grant, and gives it to the device.
func (p *Provider) concludeDevice(ctx context.Context, f *flow) error {
	t, err := p.deviceOf(ctx, f)
	if err != nil && !isKind(err, errs.NotFound) {
		return err
	}
	if err != nil || t.State != Pending || !t.Live(p.o.Now()) {
		return errDeviceGone
	}
	if err := p.present(ctx, f); err != nil {
		return err
	}
	c, err := p.client(ctx, f.Client)
	if err != nil {
		return err
	}
	s := p.consented(c, f, grantDevice)
	g, err := p.grantRow(f, s)
	if err != nil {
		return err
	}
	if t.Data, err = p.seal(sealToken, string(t.Hash[:]), s); err != nil {
		return err
	}
	err = p.store.PutGrant(ctx, g, p.loginRow(f.Login))
	if isKind(err, errs.Conflict) {
		return fosite.ErrAccessDenied.WithHint("The consent was used before.")
	}
	if err != nil {
		return err
	}
	t.State, t.Grant, t.Subject = Accepted, f.ID, s.Account
	err = p.store.Decide(ctx, t, p.o.Now())
	if errs.KindOf(err) != errs.Conflict {
		return err
	}
	if err := p.revoke(ctx, f.ID); err != nil {
		return err
	}
	return errDeviceGone
}

var errDeviceGone = fosite.ErrAccessDenied.WithHint("The code of the device has expired, or was answered before.")

var userCodeSymbols = regexp.MustCompile(`^[A-Z0-9]+$`)

// checkUserCode sets what is missing, and refuses codes that can be guessed.
func (o *GrantOptions) checkUserCode() error {
	if o.UserCodeLength == 0 {
		o.UserCodeLength = 8
	}
	if o.UserCodeSymbols == "" {
		o.UserCodeSymbols = usualUserCode
	}
	if !userCodeSymbols.MatchString(o.UserCodeSymbols) {
		return errs.New(errs.Invalid, "oauth2.device_authorization.user_code.character_set: expected capital letters and digits")
	}
	different := map[rune]bool{}
	for _, r := range o.UserCodeSymbols {
		different[r] = true
	}
	if bits := float64(o.UserCodeLength) * math.Log2(float64(len(different))); bits < 26 || o.UserCodeLength > 32 {
		return errs.New(errs.Invalid, "oauth2.device_authorization.user_code: expected at most 32 characters that are as hard to guess as 8 digits, or harder")
	}
	return nil
}
