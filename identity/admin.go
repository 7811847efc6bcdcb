package identity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Sizes of pages.
const (
	defaultPage = 250
	maxPage     = 500
)

// AdminRoutes are what administrators may reach.
func AdminRoutes() []Route {
	return []Route{
		{"GET /admin/identities", (*Service).adminList},
		{"POST /admin/identities", (*Service).adminCreate},
		{"PATCH /admin/identities", (*Service).adminBatch},
		{"POST /admin/identities/reseal", (*Service).adminReseal},
		{"GET /admin/identities/by/external/{id}", (*Service).adminGetExternal},
		{"GET /admin/identities/{id}", (*Service).adminGet},
		{"PUT /admin/identities/{id}", (*Service).adminUpdate},
		{"PATCH /admin/identities/{id}", (*Service).adminPatch},
		{"DELETE /admin/identities/{id}", (*Service).adminDelete},
		{"DELETE /admin/identities/{id}/credentials/{type}", (*Service).adminDeleteCredential},
		{"GET /admin/identities/{id}/sessions", (*Service).adminSessionsOf},
		{"DELETE /admin/identities/{id}/sessions", (*Service).adminDeleteSessionsOf},
		{"GET /admin/sessions", (*Service).adminSessions},
		{"POST /admin/sessions", (*Service).adminManage},
		{"GET /admin/sessions/{id}", (*Service).adminSession},
		{"DELETE /admin/sessions/{id}", (*Service).adminRevoke},
		{"PATCH /admin/sessions/{id}/extend", (*Service).adminExtend},
		{"POST /admin/recovery/code", (*Service).adminRecoveryCode},
		{"POST /admin/recovery/link", (*Service).adminRecoveryLink},
		{"GET /admin/courier/messages", (*Service).adminMessages},
		{"GET /admin/courier/messages/{id}", (*Service).adminMessage},
		{"GET /admin/audit/events", (*Service).adminEvents},
		{"POST /admin/test-login-flows", noTestLogins},
	}
}

// An Importer is a Strategy whose credentials administrators can set.
type Importer interface {
	// Import gives the identity a credential as Kratos's API describes it.
	//
	// Invalid: the config is malformed. Unsupported: it has a form that is not known.
	Import(ctx context.Context, i *Identity, config json.RawMessage, schema *Schema, now time.Time) error
}

// A draft is what an administrator says about an identity.
type draft struct {
	ID             string                                      `json:"id,omitempty"` // of a new one that has been elsewhere
	SchemaID       string                                      `json:"schema_id"`
	State          State                                       `json:"state"`
	Traits         json.RawMessage                             `json:"traits"`
	MetadataPublic json.RawMessage                             `json:"metadata_public"`
	MetadataAdmin  json.RawMessage                             `json:"metadata_admin"`
	ExternalID     string                                      `json:"external_id"`
	OrganizationID string                                      `json:"organization_id"`
	Verifiable     []VerifiableAddress                         `json:"verifiable_addresses,omitempty"`
	Recovery       []RecoveryAddress                           `json:"recovery_addresses,omitempty"`
	Credentials    map[string]struct{ Config json.RawMessage } `json:"credentials,omitempty"`

	// What a new identity is a member of and has to objects: not Kratos's.
	Groups        []string   `json:"groups,omitempty"`
	Organizations []string   `json:"organizations,omitempty"`
	Relations     []Relation `json:"relations,omitempty"`

	Region json.RawMessage `json:"region,omitempty"` // of Ory's network: taken, and not kept
}

const maxExternalID = 64

// apply puts the draft into the identity.
//
// Invalid: it is not what an identity may be; the message names the fields.
func (s *Service) apply(ctx context.Context, d draft, i *Identity, now time.Time) error {
	schema := s.schema(d.SchemaID)
	if schema == nil {
		return errs.New(errs.Invalid, "schema_id %.80q: there is no such identity schema", d.SchemaID)
	}
	if d.State != Active && d.State != Inactive {
		return errs.New(errs.Invalid, "state %.20q: expected active or inactive", string(d.State))
	}
	if err := checkKey("external_id", d.ExternalID); err != nil {
		return err
	}
	if err := checkKey("organization_id", d.OrganizationID); err != nil {
		return err
	}
	if len(d.Traits) == 0 {
		d.Traits = json.RawMessage("{}")
	}
	if err := schema.validate(d.Traits); err != nil {
		return invalidTraits(err)
	}
	i.SchemaID, i.State, i.Traits, i.ExternalID, i.OrganizationID = schema.ID, d.State, d.Traits, d.ExternalID, d.OrganizationID
	i.MetadataPublic, i.MetadataAdmin = notNull(d.MetadataPublic), notNull(d.MetadataAdmin)
	for t, c := range d.Credentials {
		if err := s.importCredential(ctx, i, t, c.Config, schema, now); err != nil {
			return err
		}
	}
	return nil
}

// unseen reports whether a text has what cannot be seen, as no id and no address has.
func unseen(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl)
}

// checkKey reports an id of somebody else's that cannot be one here: databases take no
// text with a zero in it, or that is not UTF-8.
func checkKey(name, text string) error {
	switch {
	case len(text) > maxExternalID:
		return errs.New(errs.Invalid, "%s has %d bytes: expected at most %d", name, len(text), maxExternalID)
	case unseen(text):
		return errs.New(errs.Invalid, "%s has characters that cannot be seen", name)
	}
	return nil
}

func notNull(text json.RawMessage) json.RawMessage {
	if string(text) == "null" {
		return nil
	}
	return text
}

// invalidTraits makes one message of what is wrong in a form.
func invalidTraits(err error) error {
	var form *FormError
	if !errors.As(err, &form) {
		return err
	}
	var parts []string
	for _, t := range form.Texts {
		parts = append(parts, t.Text)
	}
	for node, texts := range form.Nodes {
		for _, t := range texts {
			parts = append(parts, node+": "+t.Text)
		}
	}
	slices.Sort(parts)
	return errs.New(errs.Invalid, "the traits do not fit the schema: %s", strings.Join(parts, "; "))
}

// readJSON reads a body that is one JSON value, without members that are not known: one
// that is misspelt would be lost.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return large
	}
	if err != nil {
		return errs.Wrap(errs.Invalid, err, "the body ended early")
	}
	return ReadStrictly(body, into)
}

// adminBody shows an identity to an administrator: with all metadata and credentials,
// but the configs of those only that are asked for.
func (s *Service) adminBody(i *Identity, include []string) *IdentityBody {
	body := s.identityBody(i)
	body.MetadataAdmin = i.MetadataAdmin
	if len(i.Credentials) > 0 {
		body.Credentials = map[string]CredentialBody{}
	}
	for t, c := range i.Credentials {
		shown := CredentialBody{Type: t, Identifiers: c.Identifiers, Version: c.Version, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
		if slices.Contains(include, string(t)) {
			shown.Config = s.configFor(i, c)
		}
		body.Credentials[string(t)] = shown
	}
	return body
}

func (s *Service) adminCreate(w http.ResponseWriter, r *http.Request) error {
	var d draft
	if err := readJSON(r, &d); err != nil {
		return err
	}
	i, err := s.drafted(r.Context(), d)
	if err != nil {
		return err
	}
	ops, err := s.entered(r, d, i)
	if err != nil {
		return err
	}
	token := ""
	if err := s.store.Write(r.Context(), s.shown(&token, ops...)...); err != nil {
		return s.unborn(r.Context(), i.ID, err)
	}
	showToken(w, token)
	w.Header().Set("Location", "/admin/identities/"+i.ID) // at this listener, which is not the public one
	return reply(w, http.StatusCreated, s.adminBody(i, nil))
}

// unborn says why an identity could not be stored, to administrators, who may know what
// others have.
func (s *Service) unborn(ctx context.Context, id string, err error) error {
	if errs.KindOf(err) != errs.Conflict {
		return err
	}
	var taken *TakenError
	if !errors.As(err, &taken) {
		if _, found := s.store.Identity(ctx, id, false); found != nil {
			return err
		}
		taken = &TakenError{takenID, id}
	}
	return &Problem{Kind: errs.Conflict, Message: "The resource could not be created due to a conflict", Reason: taken.Error()}
}

// entered are the ops that store a new identity.
func (s *Service) entered(r *http.Request, d draft, i *Identity) ([]Op, error) {
	ops, err := s.begins(r.Context(), d, i)
	return append([]Op{SaveIdentity{i}, s.adminEvent(r, "admin.identity.created", i.ID)}, ops...), err
}

// complete gives the addresses of a draft what it may leave out.
func complete(i *Identity, now time.Time) {
	for n := range i.Verifiable {
		a := &i.Verifiable[n]
		if a.ID == "" || a.CreatedAt.IsZero() {
			a.ID, a.CreatedAt, a.UpdatedAt = NewID(), now, now
		}
		a.Value, _ = normalize(a.Value)
		switch {
		case a.Verified && a.VerifiedAt.IsZero():
			a.Status, a.VerifiedAt, a.UpdatedAt = "completed", now, now
		case a.Verified:
			a.Status = "completed"
		case a.Status == "" || a.Status == "completed":
			a.Status, a.VerifiedAt = "pending", time.Time{}
		}
	}
	for n := range i.Recovery {
		a := &i.Recovery[n]
		if a.ID == "" || a.CreatedAt.IsZero() {
			a.ID, a.CreatedAt, a.UpdatedAt = NewID(), now, now
		}
		a.Value, _ = normalize(a.Value)
	}
}

// adminID is the identity that a path names.
func adminID(r *http.Request) (string, error) {
	id := strings.ToLower(r.PathValue("id"))
	if _, ok := parseUUID(id); !ok {
		return "", errs.New(errs.NotFound, "there is no identity %.80q", id)
	}
	return id, nil
}

func (s *Service) adminGet(w http.ResponseWriter, r *http.Request) error {
	id, err := adminID(r)
	if err != nil {
		return err
	}
	include, err := included(r)
	if err != nil {
		return err
	}
	i, err := s.store.Identity(r.Context(), id, true)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.adminBody(i, include))
}

// credentialTypes are all that Kratos's API names.
var credentialTypes = []string{
	"password", "oidc", "totp", "lookup_secret", "webauthn", "code", "passkey", "profile", "saml", "deviceauthn",
	"identifier_first", "link_recovery", "code_recovery",
}

// included are the types of credentials whose configs are asked for.
func included(r *http.Request) ([]string, error) {
	types := split(r.URL.Query()["include_credential"])
	for _, t := range types {
		if !slices.Contains(credentialTypes, t) {
			return nil, errs.New(errs.Invalid, "include_credential %.40q: expected one of %s", t, strings.Join(credentialTypes, ", "))
		}
	}
	return types, nil
}

func (s *Service) adminGetExternal(w http.ResponseWriter, r *http.Request) error {
	include, err := included(r)
	if err != nil {
		return err
	}
	if checkKey("external_id", r.PathValue("id")) != nil {
		return errs.New(errs.NotFound, "there is no identity with the external id %.80q", r.PathValue("id"))
	}
	found, err := s.store.Identities(r.Context(), IdentityQuery{ExternalID: r.PathValue("id"), Credentials: true}, "", 1)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errs.New(errs.NotFound, "there is no identity with the external id %.80q", r.PathValue("id"))
	}
	return reply(w, http.StatusOK, s.adminBody(found[0], include))
}

func (s *Service) adminUpdate(w http.ResponseWriter, r *http.Request) error {
	var d draft
	if err := readJSON(r, &d); err != nil {
		return err
	}
	if err := d.noRelations(); err != nil {
		return err
	}
	return s.adminChange(w, r, func(i *Identity) error {
		now := d // of an identity that may have changed meanwhile
		now.State, now.SchemaID = cmp.Or(d.State, i.State), cmp.Or(d.SchemaID, i.SchemaID)
		return s.apply(r.Context(), now, i, s.now())
	})
}

// adminChange changes the identity that the path names.
func (s *Service) adminChange(w http.ResponseWriter, r *http.Request, do func(*Identity) error) error {
	id, err := adminID(r)
	if err != nil {
		return err
	}
	token := ""
	i, err := s.change(r.Context(), id, func(i *Identity) ([]Op, error) {
		before, password := i.OrganizationID, i.Credentials[Password].Config
		if err := do(i); err != nil {
			return nil, err
		}
		ops := s.shown(&token, append(s.belongs(i, before), s.adminEvent(r, "admin.identity.changed", id))...)
		// Who is locked out is out at once, and so is who knew the password before.
		if i.State == Inactive || password != nil && !bytes.Equal(password, i.Credentials[Password].Config) {
			ops = append(ops, RevokeSessions{Identity: id})
		}
		return ops, nil
	})
	if isTaken(err) {
		return s.unborn(r.Context(), id, err)
	}
	if err != nil {
		return err
	}
	showToken(w, token)
	return reply(w, http.StatusOK, s.adminBody(i, nil))
}

// unpatchable are the parts of an identity that a patch may not touch.
var unpatchable = []string{"/id", "/credentials", "/state_changed_at", "/statechangedat", "/created_at", "/updated_at", "/schema_url"}

// adminPatch applies a JSON patch (RFC 6902).
func (s *Service) adminPatch(w http.ResponseWriter, r *http.Request) error {
	var ops json.RawMessage
	if err := readJSON(r, &ops); err != nil {
		return err
	}
	patch, err := jsonpatch.DecodePatch(ops)
	if err != nil {
		return errs.New(errs.Invalid, "the body is no JSON patch")
	}
	for n, op := range patch {
		path, err := op.Path()
		if err != nil {
			return errs.New(errs.Invalid, "operation %d has no path", n)
		}
		from, _ := op.From()
		for _, denied := range unpatchable {
			for _, p := range []string{strings.ToLower(path), strings.ToLower(from)} {
				if p == "" && path == "" || p == denied || strings.HasPrefix(p, denied+"/") {
					return errs.New(errs.Invalid, "operation %d: the path %.80q cannot be patched", n, path)
				}
			}
		}
	}
	return s.adminChange(w, r, func(i *Identity) error { return s.patched(r.Context(), patch, i) })
}

func (s *Service) patched(ctx context.Context, patch jsonpatch.Patch, i *Identity) error {
	before, err := json.Marshal(draft{
		SchemaID: i.SchemaID, State: i.State, Traits: i.Traits, MetadataPublic: i.MetadataPublic, MetadataAdmin: i.MetadataAdmin,
		ExternalID: i.ExternalID, OrganizationID: i.OrganizationID, Verifiable: i.Verifiable, Recovery: i.Recovery,
	})
	if err != nil {
		return errs.Wrap(errs.Internal, err, "an identity cannot be encoded")
	}
	o := jsonpatch.NewApplyOptions()
	o.AccumulatedCopySizeLimit, o.SupportNegativeIndices = 1<<20, false // RFC 6901 has none
	after, err := patch.ApplyWithOptions(before, o)
	if err != nil {
		return errs.New(errs.Invalid, "the patch cannot be applied: %v", err)
	}
	if err := onlyPatchable(after); err != nil {
		return err
	}
	var d draft
	if err := ReadStrictly(after, &d); err != nil {
		return errs.Wrap(errs.Invalid, err, "the patched identity is malformed")
	}
	if err := d.noRelations(); err != nil {
		return err
	}
	i.Verifiable, i.Recovery = d.Verifiable, d.Recovery
	complete(i, s.now())
	return s.apply(ctx, d, i, s.now())
}

// patchable are the members of an identity as patches see it.
var patchable = []string{
	"schema_id", "state", "traits", "metadata_public", "metadata_admin", "external_id", "organization_id",
	"verifiable_addresses", "recovery_addresses",
	"groups", "organizations", "relations", // which noRelations has a word for
}

// onlyPatchable refuses what a patch has added. Package json takes names in other cases
// for the same, also in ways that the list of what cannot be patched does not know.
func onlyPatchable(after []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(after, &members); err != nil {
		return errs.New(errs.Invalid, "the patched identity is malformed: %s", WhatIsWrong(err))
	}
	for name := range members {
		if !slices.Contains(patchable, name) {
			return errs.New(errs.Invalid, "the path %.80q cannot be patched", "/"+name)
		}
	}
	return nil
}

func (s *Service) adminDelete(w http.ResponseWriter, r *http.Request) error {
	id, err := adminID(r)
	if err != nil {
		return err
	}
	token := ""
	if err := s.store.Write(r.Context(), s.shown(&token, DeleteIdentity{id}, s.adminEvent(r, "admin.identity.deleted", id))...); err != nil {
		return err
	}
	showToken(w, token)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// adminList lists identities. One filter is enough for Kratos's clients; ours combine.
func (s *Service) adminList(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	size, after, err := page(r)
	if err != nil {
		return err
	}
	if _, ok := parseUUID(after); after != "" && !ok {
		return errs.New(errs.Invalid, "page_token is not one that was given out")
	}
	include, err := included(r)
	if err != nil {
		return err
	}
	if err := checkKey("organization_id", q.Get("organization_id")); err != nil {
		return err
	}
	query := IdentityQuery{OrganizationID: q.Get("organization_id"), Credentials: true}
	for name, into := range map[string]*string{"credentials_identifier": &query.Identifier, "preview_credentials_identifier_similar": &query.Prefix} {
		if text := q.Get(name); text != "" {
			if *into, _ = normalize(text); *into == "" {
				return errs.New(errs.Invalid, "%s %.80q: no identity can have that", name, text)
			}
		}
	}
	if ids, given := q["ids"]; given {
		query.IDs = split(ids)
		for _, id := range query.IDs {
			if _, ok := parseUUID(id); !ok {
				return errs.New(errs.Invalid, "ids has %.80q: expected UUIDs", id)
			}
		}
		if len(query.IDs) > maxPage {
			return errs.New(errs.Invalid, "ids has %d entries: expected at most %d", len(query.IDs), maxPage)
		}
		size = max(size, len(query.IDs))
	}
	found, err := s.store.Identities(r.Context(), query, after, size+1)
	if err != nil {
		return err
	}
	next := ""
	if len(found) > size {
		found = found[:size]
		next = found[size-1].ID
	}
	links(w, r, size, next)
	bodies := []*IdentityBody{}
	for _, i := range found {
		bodies = append(bodies, s.adminBody(i, include))
	}
	return reply(w, http.StatusOK, bodies)
}

// split takes lists with commas too.
func split(values []string) []string {
	out := []string{}
	for _, v := range values {
		for one := range strings.SplitSeq(v, ",") {
			if one != "" {
				out = append(out, one)
			}
		}
	}
	return out
}

// page reads page_size and page_token, of a list that pages have no numbers in.
func page(r *http.Request) (size int, after string, err error) {
	q := r.URL.Query()
	if n := q.Get("page"); n != "" && n != "0" && n != "1" && q.Get("page_token") == "" { // the first one again would never end
		return 0, "", errs.New(errs.Invalid, "page %.20q: pages have no numbers here, go on at the page_token of the header Link", n)
	}
	return sizeAndToken(q)
}

func sizeAndToken(q url.Values) (size int, after string, err error) {
	size = defaultPage
	for _, name := range []string{"per_page", "page_size"} {
		if text := q.Get(name); text != "" {
			if size, err = strconv.Atoi(text); err != nil || size < 1 {
				return 0, "", errs.New(errs.Invalid, "%s %.20q: expected a number above 0", name, text)
			}
		}
	}
	token, err := base64.RawURLEncoding.DecodeString(q.Get("page_token"))
	if err != nil || unseen(string(token)) {
		return 0, "", errs.New(errs.Invalid, "page_token is not one that was given out")
	}
	return min(size, maxPage), string(token), nil
}

// links tells where the next page is, in a header (RFC 8288).
func links(w http.ResponseWriter, r *http.Request, size int, next string) {
	to := func(token, rel string) string {
		u := *r.URL
		q := u.Query()
		q.Set("page_size", strconv.Itoa(size))
		q.Del("page_token")
		q.Del("page")
		if token != "" {
			q.Set("page_token", base64.RawURLEncoding.EncodeToString([]byte(token)))
		}
		u.RawQuery = q.Encode()
		return "<" + u.RequestURI() + `>; rel="` + rel + `"`
	}
	all := []string{to("", "first")}
	if next != "" {
		all = append(all, to(next, "next"))
	}
	w.Header().Set("Link", strings.Join(all, ","))
}
