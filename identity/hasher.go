package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// HashOptions bound what the hashing of passwords (argon2id, RFC 9106) costs.
type HashOptions struct {
	// Memory of one hash in KiB, and how often it is passed over. 0: as much as Budget
	// allows, found out when the first password is hashed.
	Memory     uint32
	Iterations uint32

	Budget    time.Duration // for one hash; 0: 150 ms
	MaxMemory int64         // bytes of all hashes at the same time; 0: 256 MiB
	MaxWait   time.Duration // for its turn; 0: 2 s
}

// Bounds of argon2id: less is not safe, more is refused in stored hashes.
const (
	minHashMemory = 19 << 10 // KiB, with two passes
	maxHashMemory = 1 << 20  // KiB
	maxIterations = 10
	saltSize      = 16
	hashSize      = 32
)

// A hasher hashes passwords, as many at the same time as its memory allows.
type hasher struct {
	options HashOptions
	memory  *hashMemory
	total   int64 // KiB

	tune   sync.Once
	params hashParams
	dummy  string // a hash of nobody's password
}

type hashParams struct {
	memory, iterations uint32
	threads            uint8
}

func newHasher(o HashOptions) *hasher {
	if o.Budget <= 0 {
		o.Budget = 150 * time.Millisecond
	}
	if o.MaxMemory <= 0 {
		o.MaxMemory = 256 << 20
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 2 * time.Second
	}
	total := max(o.MaxMemory>>10, minHashMemory)
	return &hasher{options: o, memory: newHashMemory(total), total: total}
}

// hash returns the PHC string of a password.
//
// Unavailable: too many are being hashed.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	h.tune.Do(h.measure)
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return h.with(ctx, h.params, password, salt)
}

func (h *hasher) with(ctx context.Context, p hashParams, password string, salt []byte) (string, error) {
	var sum []byte
	err := h.turn(ctx, p.memory, func() { sum = p.key(password, salt, hashSize) })
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.iterations, p.threads,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

func (p hashParams) key(password string, salt []byte, size int) []byte {
	return argon2.IDKey([]byte(password), salt, p.iterations, p.memory, p.threads, uint32(size))
}

// verify reports whether hash is of the password, and whether it should be replaced
// by a newer one.
//
// Unsupported: the hash has a form that is not known. Unavailable: as for hash.
func (h *hasher) verify(ctx context.Context, hash, password string) (ok, old bool, err error) {
	h.tune.Do(h.measure)
	if len(password) > maxPassword { // no password is that long, and some imported hashes cost the square of its length
		_, _, err := h.verify(ctx, hash, password[:maxPassword])
		return false, false, err
	}
	if !strings.HasPrefix(hash, "$argon2id$") {
		ok, err = h.verifyImported(ctx, hash, password)
		return ok, true, err
	}
	p, salt, sum, err := parseHash(hash)
	if err != nil {
		return false, false, err
	}
	err = h.turn(ctx, p.memory, func() { ok = same(p.key(password, salt, len(sum)), sum) })
	old = p.weaker(h.params)
	if err == nil && !ok && old { // the time would tell that there is an account, and an old one
		rest := p.upTo(h.params)
		err = h.turn(ctx, rest.memory, func() { rest.key(password, salt, len(sum)) })
	}
	return ok, old, err
}

// upTo is what p, which is weaker, lacks to the cost of q.
func (p hashParams) upTo(q hashParams) hashParams {
	rest := uint64(q.memory)*uint64(q.iterations) - uint64(p.memory)*uint64(p.iterations)
	iterations := (rest + uint64(q.memory) - 1) / uint64(q.memory)
	return hashParams{memory: uint32(rest / iterations), iterations: uint32(iterations), threads: 1}
}

// weaker reports whether guessing costs clearly less than with q. Nodes that found out
// their parameters at different hours differ a little, and none may undo what another
// has made stronger.
func (p hashParams) weaker(q hashParams) bool {
	mine, other := uint64(p.memory)*uint64(p.iterations), uint64(q.memory)*uint64(q.iterations)
	return mine*10 < other*9
}

// verifyImported checks a hash of another system. Most cost less than ours, so a wrong
// password costs one of ours as well: else the time would tell that there is an account.
func (h *hasher) verifyImported(ctx context.Context, hash, password string) (ok bool, err error) {
	imported, err := parseImported(hash)
	if err != nil {
		return false, err
	}
	err = h.turn(ctx, max(imported.memory, minHashMemory), func() { ok = imported.matches([]byte(password)) })
	if err == nil && !ok {
		err = h.waste(ctx, password)
	}
	return ok, err
}

// waste takes as long as verify, for an account that does not exist.
func (h *hasher) waste(ctx context.Context, password string) error {
	h.tune.Do(h.measure)
	_, _, err := h.verify(ctx, h.dummy, password)
	return err
}

// measure chooses the parameters.
func (h *hasher) measure() {
	h.params = hashParams{memory: h.options.Memory, iterations: h.options.Iterations, threads: 1}
	if h.params.memory == 0 {
		h.params.memory = 64 << 10
		for h.params.memory > minHashMemory && h.cost(h.params.memory) > h.options.Budget {
			h.params.memory = max(h.params.memory/2, minHashMemory)
		}
	}
	h.params.memory = min(h.params.memory, maxHashMemory, uint32(min(h.total, maxHashMemory)))
	if h.params.iterations == 0 {
		least := uint32(1)
		if h.params.memory < 46<<10 {
			least = 2
		}
		fits := uint32(h.options.Budget / max(h.cost(h.params.memory), time.Millisecond))
		h.params.iterations = min(max(fits, least), maxIterations)
	}
	b64 := base64.RawStdEncoding
	salt, sum := make([]byte, saltSize), make([]byte, hashSize)
	rand.Read(salt)
	rand.Read(sum)
	runtime.GC() // the tries are no longer needed, and count nowhere
	h.dummy = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.params.memory, h.params.iterations, h.params.threads,
		b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// cost is the time of one pass: the shortest of some, since a machine that is busy while
// the server starts would get weak hashes for as long as it runs.
func (h *hasher) cost(memory uint32) time.Duration {
	least := time.Duration(math.MaxInt64)
	for range 4 {
		start := time.Now()
		argon2.IDKey([]byte("password"), make([]byte, saltSize), 1, memory, 1, hashSize)
		least = min(least, time.Since(start))
	}
	return least
}

// parseHash reads a PHC string of argon2id.
func parseHash(text string) (p hashParams, salt, sum []byte, err error) {
	unknown := errUnknownHash()
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return p, nil, nil, unknown
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.iterations, &p.threads); err != nil {
		return p, nil, nil, unknown
	}
	if p.memory > maxHashMemory || p.iterations > maxIterations || p.iterations < 1 || p.threads < 1 || p.threads > 16 ||
		p.memory*p.iterations > maxArgonPasses {
		return p, nil, nil, errCostlyHash()
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(salt) < 8 {
		return p, nil, nil, unknown
	}
	if sum, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(sum) < 16 || len(sum) > 128 {
		return p, nil, nil, unknown
	}
	return p, salt, sum, nil
}
