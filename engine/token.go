package engine

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Token is a revision as callers hold it: it names the store as well, so that
// it is refused by another store rather than misread. Callers must treat it as
// opaque. The empty Token means "none".
type Token string

// A Mode says how fresh an answer has to be.
type Mode uint8

const (
	// MinimizeLatency answers at the revision that this node has applied.
	MinimizeLatency Mode = iota
	// AtLeastAsFresh answers at a revision that shows everything the token shows.
	AtLeastAsFresh
	// FullyConsistent answers at a revision that shows every write that was
	// acknowledged before the question arrived, by whichever node.
	FullyConsistent
	// Exact answers at the revision of the token.
	Exact
)

// Consistency is a Mode and the token that two of the modes need. The zero
// value is MinimizeLatency.
type Consistency struct {
	Mode  Mode
	Token Token
}

const tokenVersion = 1

// newToken encodes version, store, revision and a checksum.
func newToken(id StoreID, rev Revision) Token {
	b := make([]byte, 0, 1+len(id)+len(rev)+4)
	b = append(b, tokenVersion)
	b = append(b, id[:]...)
	b = append(b, rev...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return Token(base64.RawURLEncoding.EncodeToString(b))
}

// revision decodes t for the store with this id.
//
// Invalid: t is not a token, or one of another store.
func (t Token) revision(id StoreID) (Revision, error) {
	const head = 1 + len(StoreID{})
	b, err := base64.RawURLEncoding.DecodeString(string(t))
	if err != nil || len(b) < head+4 || b[0] != tokenVersion {
		return "", errs.New(errs.Invalid, "snaptoken is malformed: expected one that this server returned")
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return "", errs.New(errs.Invalid, "snaptoken is malformed: expected one that this server returned")
	}
	if StoreID(body[1:head]) != id {
		return "", errs.New(errs.Invalid, "snaptoken is of another store, or from before this store was restored")
	}
	return Revision(body[head:]), nil
}
