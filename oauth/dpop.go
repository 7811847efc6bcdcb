package oauth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	// proofLife is how old a proof may be, and nonceLife how old the nonce in it.
	proofLife = time.Minute
	nonceLife = 5 * time.Minute
	// maxProof bounds a proof, in bytes.
	maxProof = 8 << 10

	sealNonce = "oauth dpop nonce"
)

// Errors of RFC 9449, sections 5 and 8.
var (
	errProof = &fosite.RFC6749Error{ErrorField: "invalid_dpop_proof", DescriptionField: "The DPoP proof is missing or refused.", CodeField: http.StatusBadRequest}
	errNonce = &fosite.RFC6749Error{ErrorField: "use_dpop_nonce", DescriptionField: "The DPoP proof needs the nonce that is in the header DPoP-Nonce.", CodeField: http.StatusBadRequest}
)

// A proof says that a client has a key (RFC 9449).
type proof struct {
	key   string // its thumbprint
	alg   jose.SignatureAlgorithm
	id    string
	until time.Time // for how long id must be known
}

// proofClaims are those of a proof.
type proofClaims struct {
	Method   string           `json:"htm"`
	URL      string           `json:"htu"`
	ID       string           `json:"jti"`
	IssuedAt *jwt.NumericDate `json:"iat"`
	Token    string           `json:"ath"`
	Nonce    string           `json:"nonce"`
}

// proofOf reads the proof of a request to an endpoint, nil if it has none. It is for the
// access token, if that is not "". Whether it was used before is not looked at yet.
func (p *Provider) proofOf(w http.ResponseWriter, r *http.Request, endpoint, token string) (*proof, error) {
	if p.o.Grants.DPoPNonce {
		w.Header().Set("DPoP-Nonce", p.newNonce())
	}
	headers := r.Header.Values("DPoP")
	switch {
	case len(headers) == 0:
		return nil, nil
	case len(headers) > 1:
		return nil, errProof.WithHint("The header DPoP is there more than once.")
	case len(headers[0]) > maxProof:
		return nil, errProof.WithHintf("It has more than %d bytes.", maxProof)
	}
	f, claims, err := readProof(headers[0])
	if err != nil {
		return nil, err
	}
	if claims.Method != r.Method || !sameEndpoint(claims.URL, endpoint) && !sameEndpoint(claims.URL, p.alias(endpoint)) {
		return nil, errProof.WithHintf("It must be for this request: htm %q, htu %q.", r.Method, endpoint)
	}
	sum := sha256.Sum256([]byte(token))
	if token != "" && claims.Token != base64.RawURLEncoding.EncodeToString(sum[:]) {
		return nil, errProof.WithHint("The claim ath is not the hash of the access token.")
	}
	f.until, err = p.checkFresh(claims)
	return f, err
}

// readProof checks the form of a proof and its signature, by the key that is in it.
func readProof(text string) (*proof, proofClaims, error) {
	var claims proofClaims
	signed, err := jose.ParseSignedCompact(text, asymmetricAlgs)
	if err != nil {
		return nil, claims, errProof.WithHintf("It is no JWT that is signed by one of the algorithms %s.", join(asymmetricAlgs))
	}
	header := signed.Signatures[0].Header
	key := header.JSONWebKey
	if typOf(header) != "dpop+jwt" || key == nil {
		return nil, claims, errProof.WithHint("Its header must have typ \"dpop+jwt\" and a jwk.")
	}
	if !key.Valid() || !key.IsPublic() || !signedAs(jose.JSONWebKey{Key: key.Key}, header.Algorithm, "") {
		return nil, claims, errProof.WithHint("The jwk in its header is not a public key for its algorithm, or is too weak.")
	}
	payload, err := verifyWith(signed, *key)
	if err != nil {
		return nil, claims, errProof.WithHint("The jwk in its header does not verify it.")
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, claims, errProof.WithHint("Its claims cannot be read.")
	}
	if claims.ID == "" || len(claims.ID) > maxJTI || claims.IssuedAt == nil {
		return nil, claims, errProof.WithHintf("It must have iat, and a jti of at most %d bytes.", maxJTI)
	}
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, claims, errProof.WithHint("The jwk in its header has no thumbprint.")
	}
	return &proof{key: base64.RawURLEncoding.EncodeToString(thumb), alg: jose.SignatureAlgorithm(header.Algorithm), id: claims.ID}, claims, nil
}

// checkFresh reports until when a proof could be used again. A nonce of ours tells better
// than the clock of the client how old it is.
func (p *Provider) checkFresh(claims proofClaims) (time.Time, error) {
	now := p.o.Now()
	if p.o.Grants.DPoPNonce {
		made, ok := p.nonceTime(claims.Nonce)
		if !ok || now.After(made.Add(nonceLife)) {
			return time.Time{}, errNonce
		}
		return made.Add(nonceLife), nil
	}
	at := claims.IssuedAt.Time()
	if at.After(now.Add(skew)) || now.After(at.Add(proofLife+skew)) {
		return time.Time{}, errProof.WithHintf("The claim iat is more than %s in the past, or in the future.", proofLife)
	}
	return at.Add(proofLife + skew), nil
}

// newNonce returns the time, sealed: every node can tell a nonce that another made.
func (p *Provider) newNonce() string {
	text := binary.BigEndian.AppendUint64(nil, uint64(p.o.Now().Unix()))
	return base64.RawURLEncoding.EncodeToString(p.o.Secrets.Seal(sealNonce, "", text))
}

func (p *Provider) nonceTime(nonce string) (time.Time, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil {
		return time.Time{}, false
	}
	text, err := p.o.Secrets.Open(sealNonce, "", sealed)
	if err != nil || len(text) != 8 {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(text)), 0), true
}

// sameEndpoint compares a URL with that of an endpoint, without its query.
func sameEndpoint(given, endpoint string) bool {
	plain := func(text string) string {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return ""
		}
		scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
		host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
		return scheme + "://" + host + u.EscapedPath()
	}
	return plain(given) != "" && plain(given) == plain(endpoint)
}

// useProof notes that a proof of a client was used.
func (p *Provider) useProof(ctx context.Context, c *Client, f *proof) error {
	if !slices.Contains(c.rules().algs, f.alg) {
		return errProof.WithHintf("Its algorithm must be one of %s.", join(c.rules().algs))
	}
	err := p.useID(ctx, c, f.until, "proof", f.key, f.id)
	if isKind(err, errs.Invalid) {
		return errProof.WithHint("It was used before.")
	}
	return err
}

// bind binds what is issued to the key and the certificate that the client shows, and
// refuses it if what it is exchanged for is bound to another.
func (p *Provider) bind(r *http.Request, x *exchange, f *proof) error {
	shown := Confirmation{}
	if f != nil {
		shown.Key = f.key
	} else if x.client.boundToKey() {
		return errProof.WithHint("This client's tokens are bound to a key (RFC 9449), and the request has no header DPoP.")
	}
	if x.client.CertificateBound {
		certs, err := p.shownCertificate(r)
		if err != nil {
			return err
		}
		if certs == nil {
			return fosite.ErrInvalidRequest.WithHint("This client's tokens are bound to its certificate (RFC 8705), and the request shows none.")
		}
		shown.Certificate = thumbprint(certs[0])
	}
	if bound := x.Confirm; bound != nil && (bound.Key != "" && bound.Key != shown.Key || bound.Certificate != "" && bound.Certificate != shown.Certificate) {
		return fosite.ErrInvalidGrant.WithHint("It is bound to another key or certificate than the request shows.")
	}
	x.Confirm = nil
	if shown != (Confirmation{}) {
		x.Confirm = &shown
	}
	if f == nil {
		return nil
	}
	return p.useProof(r.Context(), x.client, f)
}

// keyForm is a SHA-256 in base64url.
var keyForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// checkBinding checks dpop_jkt (RFC 9449, section 10), and that no token which must be
// bound is issued where nobody can show a key.
func (a *authorization) checkBinding() error {
	key := a.form.Get("dpop_jkt")
	switch {
	case key != "" && !keyForm.MatchString(key):
		return fosite.ErrInvalidRequest.WithHint("The parameter \"dpop_jkt\" must be the SHA-256 thumbprint of a JWK in base64url.")
	case a.GetResponseTypes().Has("token") && (key != "" || a.client.boundToKey() || a.client.CertificateBound):
		return fosite.ErrInvalidRequest.WithHint("A token from this endpoint cannot be bound to a key or certificate.")
	}
	return nil
}

// boundTo is what a code is bound to; nil: nothing.
func (a *authorization) boundTo() *Confirmation {
	if key := a.form.Get("dpop_jkt"); key != "" {
		return &Confirmation{Key: key}
	}
	return nil
}

// checkBearer checks that who presents an access token at an endpoint has the key and the
// certificate that it is bound to.
func (p *Provider) checkBearer(w http.ResponseWriter, r *http.Request, endpoint, token string, s *Session) error {
	bound := Confirmation{}
	if s.Confirm != nil {
		bound = *s.Confirm
	}
	if (bound.Key != "") != showsDPoP(r) {
		return errToken.WithHint("A token that is bound to a key is shown by the scheme DPoP, any other by Bearer.")
	}
	if bound.Certificate != "" {
		certs, err := p.shownCertificate(r)
		if err != nil {
			return err
		}
		if certs == nil || thumbprint(certs[0]) != bound.Certificate {
			return errToken.WithHint("It is bound to a certificate that the request does not show.")
		}
	}
	if bound.Key == "" {
		return nil
	}
	f, err := p.proofOf(w, r, endpoint, token)
	if err == nil && f == nil {
		err = errProof.WithHint("The request has no header DPoP.")
	}
	if err != nil {
		return unauthorized(err)
	}
	if f.key != bound.Key {
		return errToken.WithHint("It is bound to another key than that of the DPoP proof.")
	}
	c, err := p.client(r.Context(), s.Client)
	if err != nil {
		return err
	}
	return unauthorized(p.useProof(r.Context(), c, f))
}

// showsDPoP reports whether a request presents a token by the scheme DPoP.
func showsDPoP(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "DPoP")
}

// unauthorized gives the errors of proofs the status that they have where a token is
// presented.
func unauthorized(err error) error {
	e := rfcError(err)
	if e == nil || e.ErrorField != errProof.ErrorField && e.ErrorField != errNonce.ErrorField {
		return err
	}
	out := *e
	out.CodeField = http.StatusUnauthorized
	return &out
}
