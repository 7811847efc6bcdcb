package identity

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cardea-iam/cardea/internal/errs"
)

// PolicyOptions say which passwords are good enough.
type PolicyOptions struct {
	Similar bool // passwords may be like an identifier

	// Service is the URL of a service that knows passwords of breaches, and is asked by the
	// first five digits of a hash, as https://api.pwnedpasswords.com; "": none is.
	Service string

	// Breaches is how often the service may have seen a password.
	Breaches int

	// Needed says that a password is not taken while the service does not answer.
	Needed bool

	// Filter is a file of known passwords, see Filter; "": there is none.
	Filter string
}

// serviceWait is how long a service of breaches may take.
const serviceWait = 3 * time.Second

// maxRange bounds an answer of it: about a thousand hashes, with as many made up.
const maxRange = 1 << 20

// Validate reports all that is wrong.
func (o PolicyOptions) Validate() error {
	var bad []error
	if u, err := url.Parse(o.Service); o.Service != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		bad = append(bad, fmt.Errorf("service of breached passwords %q: expected https:// and a host", o.Service))
	}
	if o.Breaches < 0 {
		bad = append(bad, fmt.Errorf("passwords may be known %d times: expected 0 or more", o.Breaches))
	}
	if o.Filter != "" {
		if _, err := (Filter{o.Filter}).Has([sha1.Size]byte{}); err != nil {
			bad = append(bad, err)
		}
	}
	return errors.Join(bad...)
}

// policy says whether a password is good enough.
//
// A *FormError: it is not. Unavailable: that cannot be found out, and must be.
func (p *passwordStrategy) policy(ctx context.Context, password string, identifiers []string) error {
	o := p.s.options
	n := utf8.RuneCountInString(password)
	switch {
	case password == "":
		return WrongAt("password", textMissing("password"))
	case n < o.PasswordMinLength:
		return WrongAt("password", textShortPassword(o.PasswordMinLength, n))
	case len(password) > maxPassword:
		return WrongAt("password", textLongPassword(maxPassword, len(password)))
	}
	for _, id := range identifiers {
		if !o.PasswordPolicy.Similar && similar(strings.ToLower(password), id) {
			return WrongAt("password", textTooSimilar)
		}
	}
	return p.s.breached(ctx, password)
}

// breached looks for a password among those that are known. SHA-1 is how they are kept.
func (s *Service) breached(ctx context.Context, password string) error {
	o := s.options.PasswordPolicy
	sum := sha1.Sum([]byte(password))
	if o.Filter != "" {
		known, err := (Filter{o.Filter}).Has(sum)
		if err != nil {
			return err
		}
		if known {
			return WrongAt("password", textBreached)
		}
	}
	if o.Service == "" {
		return nil
	}
	count, err := s.askBreaches(ctx, sum)
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil && o.Needed:
		return err
	case err != nil:
		s.options.Log.Warn("whether a password is known from breaches cannot be found out", "error", err)
		return nil
	case count > o.Breaches:
		return WrongAt("password", textBreached)
	default:
		return nil
	}
}

// askBreaches returns how often the service has seen a password. It learns 20 bits of the
// hash, and by the size of its answer nobody else learns them.
//
// Unavailable: there is no answer.
func (s *Service) askBreaches(ctx context.Context, sum [sha1.Size]byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceWait)
	defer cancel()
	unavailable := func(err error) error {
		return errs.Wrap(errs.Unavailable, err, "the service that knows passwords of breaches does not answer: try again later")
	}
	hash := strings.ToUpper(hex.EncodeToString(sum[:]))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.options.PasswordPolicy.Service+"/range/"+hash[:5], nil)
	if err != nil {
		return 0, unavailable(err)
	}
	r.Header.Set("Add-Padding", "true")
	r.Header.Set("User-Agent", "cardea")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, unavailable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, unavailable(fmt.Errorf("status %s", res.Status))
	}
	lines := bufio.NewScanner(io.LimitReader(res.Body, maxRange))
	for lines.Scan() {
		rest, count, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if strings.EqualFold(rest, hash[5:]) {
			n, err := strconv.Atoi(count)
			if err != nil {
				return 0, unavailable(err)
			}
			return n, nil
		}
	}
	if err := lines.Err(); err != nil {
		return 0, unavailable(err)
	}
	return 0, nil
}

// maxCompared bounds the work of similar, in bytes.
const maxCompared = 256

// similar reports whether a password is an identifier with few changes, or mostly a
// part of it.
func similar(password, identifier string) bool {
	a, b := password[:min(len(password), maxCompared)], identifier[:min(len(identifier), maxCompared)]
	distance := make([]int, len(b)+1)
	common := make([]int, len(b)+1)
	longest := 0
	for j := range distance {
		distance[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal, run := distance[0], common[0]
		distance[0] = i
		for j := 1; j <= len(b); j++ {
			cost, length := 1, 0
			if a[i-1] == b[j-1] {
				cost, length = 0, run+1
			}
			diagonal, distance[j] = distance[j], min(distance[j]+1, distance[j-1]+1, diagonal+cost)
			run, common[j] = common[j], length
			longest = max(longest, length)
		}
	}
	return distance[len(b)] < 5 || 2*longest > len(a)
}
