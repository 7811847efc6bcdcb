package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Hashes of other systems can be imported. They are checked by their own means, and
// replaced when their owner logs in. What a check may cost is bounded, so that nobody
// can slow the server down with what he imports.
const (
	maxHashText     = 4096      // bytes
	maxBcryptCost   = 14        // 2^14 rounds, a second or so
	maxPBKDF2       = 2_000_000 // iterations, of all blocks of the key
	maxCryptRounds  = 500_000
	maxScryptBlocks = 1 << 22 // N*r*p: at 128 bytes each, 512 MiB
	maxArgonPasses  = 4 << 20 // KiB times passes
)

// An importedHash is one of another system.
type importedHash struct {
	memory  uint32 // KiB that a check takes
	matches func(password []byte) bool
}

// errHash says that a hash is not one that can be checked here.
func errHash(why string) error {
	return errs.New(errs.Unsupported, "the hash of a password %s", why)
}

func errUnknownHash() error { return errHash("has a form that this server does not know") }

func errCostlyHash() error { return errHash("costs more to check than this server allows") }

// checkHash says whether a hash can be imported.
//
// Unsupported: it is of no form that is known, or costs too much.
func checkHash(text string) error {
	if strings.HasPrefix(text, "$argon2id$") {
		_, _, _, err := parseHash(text)
		return err
	}
	_, err := parseImported(text)
	return err
}

// parseImported reads a hash of another system: in the modular form $id$..., or as in
// LDAP (RFC 2307), {ID}...
func parseImported(text string) (*importedHash, error) {
	if len(text) > maxHashText {
		return nil, errUnknownHash()
	}
	if strings.HasPrefix(text, "{") {
		return parseLDAP(text)
	}
	parts := strings.Split(text, "$")
	if len(parts) < 3 || parts[0] != "" {
		return nil, errUnknownHash()
	}
	id, rest := parts[1], parts[2:]
	switch {
	case id == "2a" || id == "2b" || id == "2y":
		return parseBcrypt(text)
	case id == "argon2i":
		return parseArgon2i(text)
	case id == "scrypt":
		return parseScrypt(rest)
	case id == "firescrypt":
		return parseFirescrypt(rest)
	case strings.HasPrefix(id, "pbkdf2-"):
		return parsePBKDF2(digests[strings.TrimPrefix(id, "pbkdf2-")], rest)
	case strings.HasPrefix(id, "hmac-"):
		return parseHMAC(digests[strings.TrimPrefix(id, "hmac-")], rest)
	case isMD5Crypt(id) || id == "5" || id == "6":
		return parsePasswd(id, rest)
	case digests[id] != nil:
		return parseDigest(digests[id], rest)
	default:
		return nil, errUnknownHash()
	}
}

// digests by the names that they have in hashes.
var digests = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// decode64 takes base64 with and without padding.
func decode64(text string) ([]byte, bool) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	return b, err == nil
}

// decodeAll is decode64 of several.
func decodeAll(texts ...string) (out [][]byte, ok bool) {
	for _, text := range texts {
		b, ok := decode64(text)
		if !ok {
			return nil, false
		}
		out = append(out, b)
	}
	return out, true
}

func same(a, b []byte) bool { return len(b) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }

func parseBcrypt(text string) (*importedHash, error) {
	text = "$2a" + text[3:] // the letters tell which mistakes an implementation does not have
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != 60:
		return nil, errUnknownHash()
	case cost > maxBcryptCost:
		return nil, errCostlyHash()
	}
	return &importedHash{matches: func(password []byte) bool {
		return bcrypt.CompareHashAndPassword([]byte(text), password) == nil
	}}, nil
}

func parseArgon2i(text string) (*importedHash, error) {
	p, salt, sum, err := parseHash("$argon2id$" + strings.TrimPrefix(text, "$argon2i$"))
	if err != nil {
		return nil, err
	}
	return &importedHash{p.memory, func(password []byte) bool {
		return same(argon2.Key(password, salt, p.iterations, p.memory, p.threads, uint32(len(sum))), sum)
	}}, nil
}

// scryptCost reads ln=,r=,p=. In Kratos's form ln is N itself, in all others its
// logarithm; N is never so small that one could be taken for the other.
func scryptCost(text string) (n, r, p int, err error) {
	if _, err := fmt.Sscanf(text, "ln=%d,r=%d,p=%d", &n, &r, &p); err != nil || n < 1 || r < 1 || p < 1 {
		return 0, 0, 0, errUnknownHash()
	}
	if n < 32 {
		n = 1 << n
	}
	if n&(n-1) != 0 {
		return 0, 0, 0, errUnknownHash()
	}
	if n > maxScryptBlocks || r > 64 || p > 64 || n*r*p > maxScryptBlocks {
		return 0, 0, 0, errCostlyHash()
	}
	return n, r, p, nil
}

func parseScrypt(parts []string) (*importedHash, error) {
	if len(parts) != 3 {
		return nil, errUnknownHash()
	}
	n, r, p, err := scryptCost(parts[0])
	if err != nil {
		return nil, err
	}
	b, ok := decodeAll(parts[1:]...)
	if !ok || len(b[1]) < 16 || len(b[1]) > 128 {
		return nil, errUnknownHash()
	}
	return &importedHash{uint32(n * r / 8), func(password []byte) bool {
		key, err := scrypt.Key(password, b[0], n, r, p, len(b[1]))
		return err == nil && same(key, b[1])
	}}, nil
}

// parseFirescrypt reads the hashes of Firebase: salt, sum, the separator and the
// signer's key of the project.
func parseFirescrypt(parts []string) (*importedHash, error) {
	if len(parts) != 5 {
		return nil, errUnknownHash()
	}
	n, r, p, err := scryptCost(parts[0])
	if err != nil {
		return nil, err
	}
	b, ok := decodeAll(parts[1:]...)
	if !ok || len(b[3]) == 0 {
		return nil, errUnknownHash()
	}
	salt, sum, signer := append(b[0], b[2]...), b[1], b[3]
	return &importedHash{uint32(n * r / 8), func(password []byte) bool {
		key, err := scrypt.Key(password, salt, n, r, p, 32)
		if err != nil {
			return false
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return false
		}
		got := make([]byte, len(signer))
		cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(got, signer)
		return same(got, sum)
	}}, nil
}

func parsePBKDF2(h func() hash.Hash, parts []string) (*importedHash, error) {
	var iterations, size int
	if h == nil || len(parts) != 3 {
		return nil, errUnknownHash()
	}
	if _, err := fmt.Sscanf(parts[0], "i=%d,l=%d", &iterations, &size); err != nil || iterations < 1 {
		return nil, errUnknownHash()
	}
	b, ok := decodeAll(parts[1:]...)
	if !ok || len(b[1]) < 16 || len(b[1]) > 512 || size != len(b[1]) {
		return nil, errUnknownHash()
	}
	if blocks := size/h().Size() + 1; iterations > maxPBKDF2/blocks {
		return nil, errCostlyHash()
	}
	return &importedHash{matches: func(password []byte) bool {
		key, err := pbkdf2.Key(h, string(password), b[0], iterations, size)
		return err == nil && same(key, b[1])
	}}, nil
}

// parseHMAC reads sum and key; the sum is often written in hex before it is encoded.
func parseHMAC(h func() hash.Hash, parts []string) (*importedHash, error) {
	if h == nil || len(parts) != 2 {
		return nil, errUnknownHash()
	}
	b, ok := decodeAll(parts...)
	if !ok {
		return nil, errUnknownHash()
	}
	sum := b[0]
	if plain, err := hex.DecodeString(string(sum)); err == nil {
		sum = plain
	}
	if len(sum) != h().Size() {
		return nil, errUnknownHash()
	}
	return &importedHash{matches: func(password []byte) bool {
		mac := hmac.New(h, b[1])
		mac.Write(password)
		return same(mac.Sum(nil), sum)
	}}, nil
}

// parseDigest reads a plain digest, or one of a format with {SALT} and {PASSWORD}.
func parseDigest(h func() hash.Hash, parts []string) (*importedHash, error) {
	format, salt := "{PASSWORD}", ""
	if len(parts) == 3 {
		pf, ok := strings.CutPrefix(parts[0], "pf=")
		b, decoded := decodeAll(pf, parts[1])
		if !ok || !decoded {
			return nil, errUnknownHash()
		}
		format, salt, parts = string(b[0]), string(b[1]), parts[2:]
	}
	if len(parts) != 1 || strings.Count(format, "{PASSWORD}") != 1 {
		return nil, errUnknownHash()
	}
	sum, ok := decode64(parts[0])
	if !ok || len(sum) != h().Size() {
		return nil, errUnknownHash()
	}
	return &importedHash{matches: func(password []byte) bool {
		text := strings.NewReplacer("{SALT}", salt, "{PASSWORD}", string(password)).Replace(format)
		return same(sumOf(h, []byte(text)), sum)
	}}, nil
}

// ldapDigests by the names that they have in directories.
var ldapDigests = map[string]func() hash.Hash{
	"MD5": md5.New, "SHA": sha1.New, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New,
}

// parseLDAP reads {ID} and the digest of the password and the salt, which follows it.
func parseLDAP(text string) (*importedHash, error) {
	id, rest, ok := strings.Cut(text[1:], "}")
	if !ok {
		return nil, errUnknownHash()
	}
	if id = strings.ToUpper(id); id == "CRYPT" {
		if strings.HasPrefix(rest, "{") {
			return nil, errUnknownHash()
		}
		return parseImported(rest)
	}
	h, salted := ldapDigests[id], false
	if h == nil {
		h, salted = ldapDigests[strings.TrimPrefix(id, "S")], true
	}
	b, ok := decode64(rest)
	if h == nil || !ok || len(b) < h().Size() || (len(b) > h().Size()) != salted {
		return nil, errUnknownHash()
	}
	sum, salt := b[:h().Size()], b[h().Size():]
	return &importedHash{matches: func(password []byte) bool { return same(sumOf(h, password, salt), sum) }}, nil
}

func isMD5Crypt(id string) bool { return id == "1" || id == "apr1" }

func parsePasswd(id string, parts []string) (*importedHash, error) {
	rounds, salt, sum, ok := parseCrypt(parts)
	if !ok || isMD5Crypt(id) && (len(parts) != 2 || len(salt) > 8) {
		return nil, errUnknownHash()
	}
	if rounds > maxCryptRounds {
		return nil, errCostlyHash()
	}
	return &importedHash{matches: func(password []byte) bool {
		got := ""
		if isMD5Crypt(id) {
			got = md5Crypt(id, password, salt)
		} else {
			got = shaCrypt(id == "6", password, salt, rounds)
		}
		return same([]byte(got), []byte(sum))
	}}, nil
}
