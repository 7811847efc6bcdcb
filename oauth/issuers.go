package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A TrustedIssuer is one whose assertions about people are believed (RFC 7523), in the
// form of Hydra's API.
type TrustedIssuer struct {
	ID         string    `json:"id"`
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"` // "": any
	AnySubject bool      `json:"allow_any_subject"`
	Scopes     []string  `json:"scope"` // that its assertions can be good for
	PublicKey  keyName   `json:"public_key"`
	Created    time.Time `json:"created_at"`
	Expires    time.Time `json:"expires_at"`

	key jose.JSONWebKey
}

// A keyName names a key.
type keyName struct {
	Set string `json:"set"`
	ID  string `json:"kid"`
}

// A trust is what makes a TrustedIssuer.
type trust struct {
	Issuer     string          `json:"issuer"`
	Subject    string          `json:"subject"`
	AnySubject bool            `json:"allow_any_subject"`
	Scopes     []string        `json:"scope"`
	Key        json.RawMessage `json:"jwk"`
	Expires    time.Time       `json:"expires_at"`
}

// issuerData is what an Issuer's Data holds. Nothing of it is secret, and it must be
// read for years, so it does not depend on a system secret.
type issuerData struct {
	Scopes []string        `json:"scope"`
	Key    jose.JSONWebKey `json:"jwk"`
}

// check returns the key of a trust.
//
// Invalid: a field is wrong.
func (t *trust) check(now time.Time) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	switch {
	case t.Issuer == "" || len(t.Issuer) > maxName:
		return key, errs.New(errs.Invalid, "issuer: expected the iss of assertions, with at most %d bytes", maxName)
	case t.AnySubject == (t.Subject != ""):
		return key, errs.New(errs.Invalid, "subject: expected either it or allow_any_subject")
	case len(t.Subject) > maxName:
		return key, errs.New(errs.Invalid, "subject: expected at most %d bytes", maxName)
	case len(t.Scopes) > maxItems || slices.ContainsFunc(t.Scopes, func(s string) bool { return s == "" || len(s) > maxName }):
		return key, errs.New(errs.Invalid, "scope: expected at most %d scopes with at most %d bytes each, none of them empty", maxItems, maxName)
	case !t.Expires.After(now):
		return key, errs.New(errs.Invalid, "expires_at: expected a time in the future")
	case len(t.Key) == 0:
		return key, errs.New(errs.Invalid, "jwk: expected the public key of the issuer")
	}
	if err := key.UnmarshalJSON(t.Key); err != nil {
		return key, errs.Wrap(errs.Invalid, err, "jwk: expected a JSON Web Key")
	}
	if err := checkPublicKey(key); err != nil {
		return key, errs.Wrap(errs.Invalid, err, "jwk: %v", err)
	}
	if key.KeyID == "" || len(key.KeyID) > maxName {
		return key, errs.New(errs.Invalid, "jwk: expected a kid, with at most %d bytes", maxName)
	}
	return key, nil
}

func (p *Provider) serveTrustIssuer(w http.ResponseWriter, r *http.Request) error {
	var t trust
	if err := readJSON(r, &t); err != nil {
		return err
	}
	key, err := t.check(p.o.Now())
	if err != nil {
		return err
	}
	row := Issuer{ID: newID(), Issuer: t.Issuer, Subject: t.Subject, KeyID: key.KeyID, Created: p.o.Now().Truncate(time.Microsecond), Expires: t.Expires.Truncate(time.Microsecond)}
	if row.Data, err = json.Marshal(issuerData{list(t.Scopes), key}); err != nil {
		return errs.Wrap(errs.Internal, err, "an issuer cannot be encoded")
	}
	err = p.store.PutIssuer(r.Context(), row)
	if isKind(err, errs.Conflict) {
		return errs.Wrap(errs.Conflict, err, "the issuer %.100q is trusted already for this subject with the key %.100q", t.Issuer, key.KeyID)
	}
	if err != nil {
		return err
	}
	out, err := p.trusted(row)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, out)
}

// trusted reads an issuer that is stored.
func (p *Provider) trusted(row Issuer) (*TrustedIssuer, error) {
	var d issuerData
	if err := json.Unmarshal(row.Data, &d); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "what is stored of the issuer %.100q cannot be read", row.Issuer)
	}
	return &TrustedIssuer{
		ID: row.ID, Issuer: row.Issuer, Subject: row.Subject, AnySubject: row.Subject == "", Scopes: d.Scopes,
		PublicKey: keyName{row.Issuer, row.KeyID}, Created: row.Created.UTC(), Expires: row.Expires.UTC(), key: d.Key,
	}, nil
}

func (p *Provider) allTrusted(rows []Issuer) ([]*TrustedIssuer, error) {
	out := make([]*TrustedIssuer, len(rows))
	for i, row := range rows {
		var err error
		if out[i], err = p.trusted(row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *Provider) serveIssuers(w http.ResponseWriter, r *http.Request) error {
	size, after, err := pageOf(r)
	if err != nil {
		return err
	}
	rows, err := p.store.Issuers(r.Context(), r.URL.Query().Get("issuer"), after, size+1)
	if err != nil {
		return err
	}
	last := ""
	if len(rows) > size {
		rows = rows[:size]
		last = rows[size-1].ID
	}
	out, err := p.allTrusted(rows)
	if err != nil {
		return err
	}
	linkPages(w.Header(), r, last)
	return reply(w, http.StatusOK, out)
}

func (p *Provider) serveIssuer(w http.ResponseWriter, r *http.Request) error {
	row, err := p.store.Issuer(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	out, err := p.trusted(row)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func (p *Provider) serveDeleteIssuer(w http.ResponseWriter, r *http.Request) error {
	if err := p.store.DeleteIssuer(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// issuersOf returns those that are trusted now under a name, for a subject, those for
// this subject alone first.
func (p *Provider) issuersOf(ctx context.Context, name, subject string) ([]*TrustedIssuer, error) {
	if name == "" {
		return nil, nil
	}
	rows, err := p.store.Issuers(ctx, name, "", 0)
	if err != nil {
		return nil, err
	}
	now := p.o.Now()
	rows = slices.DeleteFunc(rows, func(i Issuer) bool {
		return i.Subject != "" && i.Subject != subject || !now.Before(i.Expires)
	})
	slices.SortStableFunc(rows, func(a, b Issuer) int { return len(b.Subject) - len(a.Subject) })
	return p.allTrusted(rows)
}

// issuerRoutes are Hydra's for trusted issuers.
func (p *Provider) issuerRoutes() []Route {
	const issuers = "/admin/trust/grants/jwt-bearer/issuers"
	return []Route{
		{"GET " + issuers, p.serveIssuers},
		{"POST " + issuers, p.serveTrustIssuer},
		{"GET " + issuers + "/{id}", p.serveIssuer},
		{"DELETE " + issuers + "/{id}", p.serveDeleteIssuer},
	}
}
