package oauth

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A flow is an authorization request on its way through login and consent (rule O5).
type flow struct {
	ID       string    `json:"i"` // of the grant that it ends with
	Client   string    `json:"c"`
	Query    string    `json:"q"` // the parameters, those of a pushed or signed request among them
	Begun    time.Time `json:"t"`
	CSRF     []byte    `json:"x"`           // the SHA-256 of the cookie
	Device   string    `json:"d,omitempty"` // the device code that it answers, by its hash
	Session  string    `json:"n"`           // of the login, if it is a new one
	Asked    string    `json:"h,omitempty"` // the login challenge, from its answer to that of the consent
	Previous *session  `json:"p,omitempty"` // the login that the browser remembers
	Earlier  *session  `json:"o,omitempty"` // the same, where the person is asked anew
	Skip     bool      `json:"s,omitempty"` // the consent is known from before
	Login    *login    `json:"l,omitempty"`
	Consent  *consent  `json:"k,omitempty"`
	Refusal  *refusal  `json:"e,omitempty"`
}

// A session is a login that is known from before.
type session struct {
	ID       string    `json:"i"`
	Subject  string    `json:"s"`
	AuthTime time.Time `json:"t"`
	ACR      string    `json:"a,omitempty"`
	AMR      []string  `json:"m,omitempty"`
	Provider string    `json:"v,omitempty"` // its session at the identity provider
	Ends     time.Time `json:"e,omitzero"`  // when that one ends unless it was used since; zero: nobody knows
	Expires  time.Time `json:"u,omitzero"`  // until when it is remembered; zero: that is still to be said

	// Forced is how clients know the subject, by their ids, where the login page says so.
	Forced map[string]string `json:"f,omitempty"`
}

// A login is what the login page found out.
type login struct {
	session
	AcceptLogin
}

// A consent is what the consent page found out.
type consent struct {
	AcceptConsent
	At     time.Time `json:"at"`
	Follow bool      `json:"f,omitempty"` // AcceptConsent.Follow
}

// Purposes of sealed flows: each step of the way has its own, so that none can be
// skipped or taken twice.
const (
	loginChallenge   = "oauth login challenge"
	loginVerifier    = "oauth login verifier"
	consentChallenge = "oauth consent challenge"
	consentVerifier  = "oauth consent verifier"
)

// sealFlow returns a text that a browser can carry.
func (p *Provider) sealFlow(purpose string, f any) (string, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the request cannot be encoded")
	}
	if len(text) > shortFlow {
		if text, err = deflate(text); err != nil {
			return "", errs.Wrap(errs.Internal, err, "the request cannot be compressed")
		}
	}
	return base64.RawURLEncoding.EncodeToString(p.o.Secrets.Seal(purpose, "", text)), nil
}

// shortFlow is how long a flow is sealed as it is, in bytes: what compression would take
// of it is not worth its time in each of eight requests, and any URL can be as long.
const shortFlow = 3 << 9

// deflate marks what it returns: JSON does not begin with a zero.
func deflate(text []byte) ([]byte, error) {
	var small bytes.Buffer
	small.WriteByte(0)
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&small)
	_, err := w.Write(text)
	if err == nil {
		err = w.Close()
	}
	return small.Bytes(), err
}

// deflaters and inflaters are kept, since each takes far longer to make than to use.
var (
	deflaters = sync.Pool{New: func() any {
		w, err := flate.NewWriter(io.Discard, flate.BestSpeed) // others clear large tables each time
		if err != nil {                                        // the level is known
			panic(err)
		}
		return w
	}}
	inflaters = sync.Pool{New: func() any { return flate.NewReader(http.NoBody) }}
)

// inflate returns what deflate was given, and what it was not given as it is.
func inflate(small []byte) ([]byte, error) {
	if len(small) == 0 || small[0] != 0 {
		return small, nil
	}
	small = small[1:]
	r := inflaters.Get().(io.Reader)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(bytes.NewReader(small), nil); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxFlow))
}

// maxFlow bounds what a flow unpacks to, in bytes.
const maxFlow = 1 << 20

// openFlow reads what sealFlow returned.
//
// NotFound: it is none of this purpose.
func (p *Provider) openFlow(purpose, sealed string, f any) error {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err == nil {
		raw, err = p.o.Secrets.Open(purpose, "", raw)
	}
	if err == nil {
		raw, err = inflate(raw)
	}
	if err == nil {
		err = json.Unmarshal(raw, f)
	}
	if err != nil {
		return errs.Wrap(errs.NotFound, err, "the challenge or verifier is not known here")
	}
	return nil
}

// open reads a flow, and refuses it if it is too old.
//
// NotFound: as for openFlow. Unauthenticated: the request has expired.
func (p *Provider) open(purpose, sealed string) (*flow, error) {
	f := &flow{}
	if err := p.openFlow(purpose, sealed, f); err != nil {
		return nil, err
	}
	if p.o.Now().After(f.Begun.Add(p.o.TTL.Challenge)) {
		return nil, errs.New(errs.Unauthenticated, "the login or consent request has expired, please begin again")
	}
	return f, nil
}

// form returns the parameters of the request.
func (f *flow) form() url.Values {
	form, err := url.ParseQuery(f.Query)
	if err != nil { // it was made by Encode
		return url.Values{}
	}
	return form
}

// back returns the URL of this server at which a flow goes on.
func (p *Provider) back(f *flow, purpose, parameter string) (string, error) {
	sealed, err := p.sealFlow(purpose, f)
	if err != nil {
		return "", err
	}
	at := p.own.authorize
	if f.Device != "" {
		at = p.own.device
	}
	return at + "?" + url.Values{"client_id": {f.Client}, parameter: {sealed}}.Encode(), nil
}
