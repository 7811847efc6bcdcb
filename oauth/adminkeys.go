package oauth

import (
	"context"
	"crypto"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

// keyRoutes is Hydra's administration of keys. Unlike Hydra's, its answers never have a
// private or symmetric key.
func (p *Provider) keyRoutes() []Route {
	const set, key = "/admin/keys/{set}", "/admin/keys/{set}/{kid}"
	return []Route{
		{"GET /admin/keys", p.serveAllKeys},
		{"GET " + set, p.serveKeySet},
		{"POST " + set, p.serveGenerateKey},
		{"PUT " + set, p.serveReplaceKeySet},
		{"DELETE " + set, p.serveDeleteKeys},
		{"GET " + key, p.serveKey},
		{"PUT " + key, p.servePutKey},
		{"DELETE " + key, p.serveDeleteKeys},
		{"POST /admin/oauth2/reseal", p.serveReseal},
		{"POST /admin/oauth2/purge", p.servePurge},
	}
}

// A keySet is a JSON Web Key set without what is secret.
type keySet struct {
	Keys []any `json:"keys"`
}

// disclosed is what an answer shows of a key.
func disclosed(key jose.JSONWebKey) any {
	if public := key.Public(); public.Key != nil {
		return public
	}
	return struct {
		Type string `json:"kty"`
		ID   string `json:"kid"`
		Alg  string `json:"alg,omitempty"`
		Use  string `json:"use,omitempty"`
	}{"oct", key.KeyID, key.Algorithm, key.Use}
}

// setRows returns the keys of a set; NotFound: there are none. The sets that sign always
// have some.
func (p *Provider) setRows(ctx context.Context, set string) ([]Key, error) {
	if slices.Contains(signingSets, set) {
		if _, err := p.keys.get(ctx, false); err != nil {
			return nil, err
		}
	}
	rows, err := p.store.Keys(ctx, set)
	if err == nil && len(rows) == 0 {
		err = errs.New(errs.NotFound, "there is no key in the set %.100q", set)
	}
	return rows, err
}

func (p *Provider) replyKeys(w http.ResponseWriter, status int, rows []Key) error {
	out := keySet{[]any{}}
	var lost error
	for _, row := range rows {
		key, err := p.openKey(row)
		if isKind(err, errs.NotFound) {
			lost = err // it is in the list of all keys
			continue
		}
		if err != nil {
			return err
		}
		out.Keys = append(out.Keys, disclosed(key))
	}
	if len(out.Keys) == 0 && lost != nil {
		return errs.Wrap(errs.Internal, lost, "no key can be read: %v", lost)
	}
	return reply(w, status, out)
}

// serveAllKeys is none of Hydra's: it lists the keys of all sets, with when they were
// made and when they begin to sign.
func (p *Provider) serveAllKeys(w http.ResponseWriter, r *http.Request) error {
	if _, err := p.keys.get(r.Context(), false); isKind(err, errs.Unavailable) {
		return err // any other is about keys, which the list helps to repair
	}
	rows, err := p.store.Keys(r.Context(), "")
	if err != nil {
		return err
	}
	type item struct {
		Set     string    `json:"set"`
		Created time.Time `json:"created_at"`
		Active  time.Time `json:"active_at"`
		Private bool      `json:"private"`
		Lost    bool      `json:"lost,omitempty"` // with its system secret
		Key     any       `json:"key"`
	}
	items := []item{}
	for _, row := range rows {
		key, err := p.openKey(row)
		if isKind(err, errs.NotFound) {
			items = append(items, item{Set: row.Set, Created: row.Created.UTC(), Active: row.Active.UTC(), Lost: true, Key: map[string]any{"kid": row.ID}})
			continue
		}
		if err != nil {
			return err
		}
		items = append(items, item{row.Set, row.Created.UTC(), row.Active.UTC(), !key.IsPublic(), false, disclosed(key)})
	}
	return reply(w, http.StatusOK, map[string]any{"keys": items})
}

func (p *Provider) serveKeySet(w http.ResponseWriter, r *http.Request) error {
	rows, err := p.setRows(r.Context(), r.PathValue("set"))
	if err != nil {
		return err
	}
	return p.replyKeys(w, http.StatusOK, rows)
}

func (p *Provider) serveKey(w http.ResponseWriter, r *http.Request) error {
	rows, err := p.setRows(r.Context(), r.PathValue("set"))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rows, func(row Key) bool { return row.ID == r.PathValue("kid") })
	if i < 0 {
		return errs.New(errs.NotFound, "there is no key %.100q in the set %.100q", r.PathValue("kid"), r.PathValue("set"))
	}
	return p.replyKeys(w, http.StatusOK, rows[i:i+1])
}

func (p *Provider) serveDeleteKeys(w http.ResponseWriter, r *http.Request) error {
	if err := p.store.DeleteKeys(r.Context(), r.PathValue("set"), r.PathValue("kid")); err != nil {
		return err
	}
	p.keys.forget()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveGenerateKey adds a new key to a set. In a set that signs it does so only when it
// has been published for a while, and those before it go on verifying.
func (p *Provider) serveGenerateKey(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Alg string `json:"alg"`
		Use string `json:"use"`
		ID  string `json:"kid"`
	}
	if err := readJSON(r, &asked); err != nil {
		return err
	}
	if asked.Use == "" {
		asked.Use = "sig"
	}
	key, err := generateKey(jose.SignatureAlgorithm(asked.Alg), asked.ID, asked.Use)
	if err != nil {
		return err
	}
	set := r.PathValue("set")
	old, err := p.store.Keys(r.Context(), set)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(old, func(row Key) bool { return row.ID == key.KeyID }) {
		return errs.New(errs.Conflict, "kid: the set %s has a key %s", set, key.KeyID)
	}
	rows, err := p.importKeys(r.Context(), set, AddKeys, []jose.JSONWebKey{key})
	if err != nil {
		return err
	}
	return p.replyKeys(w, http.StatusCreated, rows)
}

func (p *Provider) serveReplaceKeySet(w http.ResponseWriter, r *http.Request) error {
	var given jose.JSONWebKeySet
	if err := readJSON(r, &given); err != nil {
		return err
	}
	if len(given.Keys) == 0 || len(given.Keys) > maxItems {
		return errs.New(errs.Invalid, "keys: there are %d: expected from 1 to %d", len(given.Keys), maxItems)
	}
	rows, err := p.importKeys(r.Context(), r.PathValue("set"), ReplaceSet, given.Keys)
	if err != nil {
		return err
	}
	return p.replyKeys(w, http.StatusOK, rows)
}

func (p *Provider) servePutKey(w http.ResponseWriter, r *http.Request) error {
	var given jose.JSONWebKey
	if err := readJSON(r, &given); err != nil {
		return err
	}
	if given.KeyID == "" {
		given.KeyID = r.PathValue("kid")
	}
	if given.KeyID != r.PathValue("kid") {
		return errs.New(errs.Invalid, "kid: %.100q is not that of the address", given.KeyID)
	}
	rows, err := p.importKeys(r.Context(), r.PathValue("set"), AddKeys, []jose.JSONWebKey{given})
	if err != nil {
		return err
	}
	key, err := p.openKey(rows[0])
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, disclosed(key))
}

// importKeys puts keys into a set, and returns them as they are stored.
//
// Invalid: one of them is none that the set can have. Conflict: another key of a
// signing set has the same id.
func (p *Provider) importKeys(ctx context.Context, set string, how PutMode, given []jose.JSONWebKey) ([]Key, error) {
	if !nameForm.MatchString(set) {
		return nil, errs.New(errs.Invalid, "set: expected 1 to 255 characters without spaces")
	}
	old := map[string]Key{}
	for _, s := range append([]string{set}, signingSets...) {
		if s != set && !slices.Contains(signingSets, set) {
			continue
		}
		rows, err := p.store.Keys(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			old[row.ID] = row
		}
	}
	rows := make([]Key, 0, len(given))
	for _, key := range given {
		row, err := p.importedRow(set, key, old)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(rows, func(r Key) bool { return r.ID == row.ID }) {
			return nil, errs.New(errs.Invalid, "kid: %.100q is there twice", row.ID)
		}
		rows = append(rows, row)
	}
	if err := p.store.PutKeys(ctx, set, how, rows...); err != nil {
		return nil, err
	}
	p.keys.forget()
	return rows, nil
}

// importedRow returns a key for Store. One that is known already stays as it is, also
// if only its public half is given: that is all that can be read here.
func (p *Provider) importedRow(set string, key jose.JSONWebKey, old map[string]Key) (Key, error) {
	if err := checkKey(set, key); err != nil {
		return Key{}, err
	}
	active := p.o.Now()
	signs := slices.Contains(signingSets, set)
	if signs {
		active = active.Add(keyDelay)
	}
	if row, ok := old[key.KeyID]; ok {
		known, err := p.openKey(row)
		if err != nil {
			return Key{}, err
		}
		switch same := samePublic(known, key); {
		case same && row.Set == set && (key.IsPublic() || !known.IsPublic()):
			return row, nil
		case signs && (!same || row.Set != set):
			return Key{}, errs.New(errs.Conflict, "kid: %.100q names another key of the set %s, which tokens that it signed refer to: choose another id", key.KeyID, row.Set)
		}
	}
	return p.keyRow(set, key, active)
}

func samePublic(a, b jose.JSONWebKey) bool {
	x, err := a.Thumbprint(crypto.SHA256)
	y, err2 := b.Thumbprint(crypto.SHA256)
	return err == nil && err2 == nil && string(x) == string(y) && a.Algorithm == b.Algorithm && a.Use == b.Use
}

// nameForm is that of sets and ids of keys.
var nameForm = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)

// checkKey reports why a key cannot be in a set.
func checkKey(set string, key jose.JSONWebKey) error {
	if !nameForm.MatchString(key.KeyID) {
		return errs.New(errs.Invalid, "kid: expected 1 to 255 characters of ASCII without spaces")
	}
	if symmetric, ok := key.Key.([]byte); !key.Valid() && (!ok || len(symmetric) == 0) {
		return errs.New(errs.Invalid, "the key %s is none", key.KeyID)
	}
	if err := checkStrength(key); err != nil {
		return errs.Wrap(errs.Invalid, err, "the key %s: %s", key.KeyID, said(err))
	}
	if key.Use != "" && key.Use != "sig" && key.Use != "enc" {
		return errs.New(errs.Invalid, "use: %.50q: expected sig or enc", key.Use)
	}
	if !slices.Contains(signingSets, set) {
		return nil
	}
	if key.Use != "sig" {
		return errs.New(errs.Invalid, "use: the set %s signs: expected sig", set)
	}
	if !slices.Contains(signingAlgs, jose.SignatureAlgorithm(key.Algorithm)) {
		return errs.New(errs.Invalid, "alg: %.50q: expected one that the set %s signs with, %s", key.Algorithm, set, join(signingAlgs))
	}
	return tryKey(key)
}

// tryKey reports whether the algorithm of a signing key is one for its kind.
func tryKey(key jose.JSONWebKey) error {
	if key.Public().Key == nil {
		return errs.New(errs.Invalid, "the key %s is symmetric: expected one with a public half", key.KeyID)
	}
	if key.IsPublic() {
		return nil
	}
	signed, err := signWith(key, "JWT", struct{}{})
	if err == nil {
		var parsed *jose.JSONWebSignature
		if parsed, err = jose.ParseSignedCompact(signed, signingAlgs); err == nil {
			_, err = parsed.Verify(key.Public())
		}
	}
	if err != nil {
		return errs.Wrap(errs.Invalid, err, "the key %s cannot sign with %s", key.KeyID, key.Algorithm)
	}
	return nil
}
