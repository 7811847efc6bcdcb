package identity

import (
	"encoding/json"
	"strconv"
	"time"
)

// Whoami is asked with every request of every application, so its answer is written
// without reflection, as package json would write it.

// sessionSize has room for most sessions.
const sessionSize = 2 << 10

// appendSession adds a session as its owner sees it: without what is for administrators.
func appendSession(out []byte, b *SessionBody) []byte {
	out = appendText(append(out, `{"id":`...), b.ID)
	out = strconv.AppendBool(append(out, `,"active":`...), b.Active)
	out = appendTime(append(out, `,"expires_at":`...), b.ExpiresAt)
	out = appendTime(append(out, `,"authenticated_at":`...), b.AuthenticatedAt)
	out = appendText(append(out, `,"authenticator_assurance_level":`...), string(b.AAL))
	out = appendList(append(out, `,"authentication_methods":`...), b.Methods, appendMethod)
	out = appendTime(append(out, `,"issued_at":`...), b.IssuedAt)
	if b.Identity != nil {
		out = appendIdentity(append(out, `,"identity":`...), b.Identity)
	}
	out = appendList(append(out, `,"devices":`...), b.Devices, appendDevice)
	if b.Tokenized != "" {
		out = appendText(append(out, `,"tokenized":`...), b.Tokenized)
	}
	return append(out, '}')
}

func appendIdentity(out []byte, b *IdentityBody) []byte {
	out = appendText(append(out, `{"id":`...), b.ID)
	out = appendText(append(out, `,"schema_id":`...), b.SchemaID)
	out = appendText(append(out, `,"schema_url":`...), b.SchemaURL)
	out = appendText(append(out, `,"state":`...), string(b.State))
	if !b.StateChangedAt.IsZero() {
		out = appendTime(append(out, `,"state_changed_at":`...), b.StateChangedAt)
	}
	out = appendRaw(append(out, `,"traits":`...), b.Traits)
	if len(b.Verifiable) > 0 {
		out = appendList(append(out, `,"verifiable_addresses":`...), b.Verifiable, appendVerifiable)
	}
	if len(b.Recovery) > 0 {
		out = appendList(append(out, `,"recovery_addresses":`...), b.Recovery, appendRecovery)
	}
	out = appendRaw(append(out, `,"metadata_public":`...), b.MetadataPublic)
	out = appendTime(append(out, `,"created_at":`...), b.CreatedAt)
	out = appendTime(append(out, `,"updated_at":`...), b.UpdatedAt)
	if b.ExternalID != "" {
		out = appendText(append(out, `,"external_id":`...), b.ExternalID)
	}
	out = append(out, `,"organization_id":`...)
	if b.OrganizationID == nil {
		return append(out, "null}"...)
	}
	return append(appendText(out, *b.OrganizationID), '}')
}

func appendMethod(out []byte, m *Method) []byte {
	out = appendText(append(out, `{"method":`...), m.Method)
	out = appendText(append(out, `,"aal":`...), string(m.AAL))
	out = appendTime(append(out, `,"completed_at":`...), m.CompletedAt)
	if m.Provider != "" {
		out = appendText(append(out, `,"provider":`...), m.Provider)
	}
	if m.Organization != "" {
		out = appendText(append(out, `,"organization":`...), m.Organization)
	}
	if m.UpstreamACR != "" {
		out = appendText(append(out, `,"upstream_acr":`...), m.UpstreamACR)
	}
	if len(m.UpstreamAMR) > 0 {
		one := func(out []byte, text *string) []byte { return appendText(out, *text) }
		out = appendList(append(out, `,"upstream_amr":`...), m.UpstreamAMR, one)
	}
	return append(out, '}')
}

func appendDevice(out []byte, d *Device) []byte {
	out = appendText(append(out, `{"id":`...), d.ID)
	out = appendText(append(out, `,"ip_address":`...), d.Address)
	out = appendText(append(out, `,"user_agent":`...), d.UserAgent)
	out = appendText(append(out, `,"location":`...), d.Location)
	return append(out, '}')
}

func appendVerifiable(out []byte, a *VerifiableAddress) []byte {
	out = appendText(append(out, `{"id":`...), a.ID)
	out = appendText(append(out, `,"value":`...), a.Value)
	out = appendText(append(out, `,"via":`...), a.Via)
	out = strconv.AppendBool(append(out, `,"verified":`...), a.Verified)
	out = appendText(append(out, `,"status":`...), a.Status)
	if !a.VerifiedAt.IsZero() {
		out = appendTime(append(out, `,"verified_at":`...), a.VerifiedAt)
	}
	return append(appendAge(out, a.CreatedAt, a.UpdatedAt), '}')
}

func appendRecovery(out []byte, a *RecoveryAddress) []byte {
	out = appendText(append(out, `{"id":`...), a.ID)
	out = appendText(append(out, `,"value":`...), a.Value)
	out = appendText(append(out, `,"via":`...), a.Via)
	return append(appendAge(out, a.CreatedAt, a.UpdatedAt), '}')
}

func appendAge(out []byte, created, updated time.Time) []byte {
	if !created.IsZero() {
		out = appendTime(append(out, `,"created_at":`...), created)
	}
	if !updated.IsZero() {
		out = appendTime(append(out, `,"updated_at":`...), updated)
	}
	return out
}

func appendList[T any](out []byte, list []T, one func([]byte, *T) []byte) []byte {
	if list == nil {
		return append(out, "null"...)
	}
	out = append(out, '[')
	for i := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = one(out, &list[i])
	}
	return append(out, ']')
}

func appendTime(out []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(out, '"'), time.RFC3339Nano), '"')
}

// appendRaw adds what is JSON already.
func appendRaw(out []byte, text json.RawMessage) []byte {
	if text == nil {
		return append(out, "null"...)
	}
	return append(out, text...)
}

func appendText(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(text)
			if err != nil { // a text can be written
				panic(err)
			}
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), text...), '"')
}
