package identity

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// A State says whether an identity may log in.
type State string

// The states of an identity.
const (
	Active   State = "active"
	Inactive State = "inactive"
)

// An AAL says how sure it is who somebody is: aal1 after one factor, aal2 after two
// different ones.
type AAL string

// The levels that there are.
const (
	AAL0 AAL = "aal0"
	AAL1 AAL = "aal1"
	AAL2 AAL = "aal2"
)

// A CredentialType names a kind of credential, as in Kratos's API.
type CredentialType string

// Kratos's names.
const (
	Password CredentialType = "password"
	OIDC     CredentialType = "oidc"
	TOTP     CredentialType = "totp"
	Lookup   CredentialType = "lookup_secret"
	WebAuthn CredentialType = "webauthn"
	CodeAuth CredentialType = "code"
	Passkey  CredentialType = "passkey"
)

// An Identity is somebody.
type Identity struct {
	ID             string // a UUID
	Version        int64  // grows with each change; 0: not stored yet
	SchemaID       string
	State          State
	StateChangedAt time.Time
	Traits         json.RawMessage // an object that the schema allows
	MetadataPublic json.RawMessage // shown to the identity itself; nil: none
	MetadataAdmin  json.RawMessage
	ExternalID     string // unique, or ""
	OrganizationID string
	AvailableAAL   AAL // what the credentials suffice for

	Verifiable []VerifiableAddress
	Recovery   []RecoveryAddress

	// Credentials are nil if they were not read; saving leaves them alone then.
	Credentials map[CredentialType]Credential

	CreatedAt, UpdatedAt time.Time
}

// A VerifiableAddress is one that the identity can show to be its own.
type VerifiableAddress struct {
	ID         string    `json:"id"`
	Value      string    `json:"value"`
	Via        string    `json:"via"` // email or sms
	Verified   bool      `json:"verified"`
	Status     string    `json:"status"` // pending, sent or completed
	VerifiedAt time.Time `json:"verified_at,omitzero"`
	CreatedAt  time.Time `json:"created_at,omitzero"`
	UpdatedAt  time.Time `json:"updated_at,omitzero"`
}

// A RecoveryAddress is one through which an account is recovered.
type RecoveryAddress struct {
	ID        string    `json:"id"`
	Value     string    `json:"value"`
	Via       string    `json:"via"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// A Credential is something by which an identity proves itself.
type Credential struct {
	Type        CredentialType
	Identifiers []string        // normalized; one identifier of a type is of one identity
	Config      json.RawMessage // the strategy's own; secrets in it are hashed or sealed
	Version     int             // of the form of Config

	CreatedAt, UpdatedAt time.Time
}

// clone copies what a step may change, so that before and after can be compared.
func (i *Identity) clone() *Identity {
	c := *i
	c.Verifiable = slices.Clone(i.Verifiable)
	c.Recovery = slices.Clone(i.Recovery)
	c.Credentials = maps.Clone(i.Credentials)
	return &c
}

// SetCredential adds the credential, or replaces the one of its type.
func (i *Identity) SetCredential(c Credential, now time.Time) {
	if i.Credentials == nil {
		i.Credentials = map[CredentialType]Credential{}
	}
	c.UpdatedAt, c.CreatedAt = now, now
	if old, ok := i.Credentials[c.Type]; ok {
		c.CreatedAt = old.CreatedAt
	}
	i.Credentials[c.Type] = c
}

// NewID returns a random UUID (version 4, RFC 9562).
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return formatUUID(b)
}

func formatUUID(b [16]byte) string {
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// parseUUID reads the form that formatUUID writes, and reports whether it is one.
func parseUUID(text string) (b [16]byte, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return b, false
	}
	plain := text[0:8] + text[9:13] + text[14:18] + text[19:23] + text[24:36]
	_, err := hex.Decode(b[:], []byte(plain))
	return b, err == nil && formatUUID(b) == text
}
