package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// The id of a flow is a UUID that says when the flow was opened, what it is for, and to
// whom it belongs, with MACs over that:
//
//	6 bytes   milliseconds since 1970
//	1 byte    the version, and four flags
//	1 byte    the kind, and five random bits
//	3 bytes   the variant, and 22 random bits
//	2 bytes   of a MAC over the bytes before and the network: the id was given out here
//	3 bytes   of a MAC over that and the owner: a hash of the browser's CSRF cookie, or an
//	          identity, or nothing for native apps
//
// The version is 4 as in Kratos's ids, although 8 would say what this is: user interfaces
// send flows away whose ids have a version that they do not know, Ory's own among them.
//
// So opening a flow writes nothing (rule I3). MACs of 40 bits would be little if more
// hung on them: whoever guesses them has opened a flow, as everyone may. What a browser's
// flow was opened with beside flags (return_to and the like) is in a sealed cookie,
// which has room for the last few flows; such a flow of a native app is stored.
const (
	flagAPI = 1 << iota
	flagRefresh
	flagAAL2
	flagCookie // there is more in the cookie
)

// The version, and how many bytes of the id the MACs take.
const (
	flowVersion = 4
	issuedMAC   = 2
	ownerMAC    = 3
)

// newFlowID makes the id of f, which has all but the id.
func (s *Service) newFlowID(f *Flow, cookie bool) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(f.IssuedAt.UnixMilli())<<16)
	rand.Read(b[7:11])
	flags := byte(0)
	for flag, set := range map[byte]bool{flagAPI: f.API, flagRefresh: f.Refresh, flagAAL2: f.AAL == AAL2, flagCookie: cookie} {
		if set {
			flags |= flag
		}
	}
	b[6] = flowVersion<<4 | flags
	b[7] = b[7]&0x1f | byte(slices.Index(kinds[:], f.Kind))<<5
	b[8] = b[8]&0x3f | 0x80
	issued, owner := flowMACs(&b)
	copy(issued, s.keys.MAC(s.purpose("flow id"), b[:16-issuedMAC-ownerMAC]))
	copy(owner, s.keys.MAC(s.purpose("flow"), flowText(b, f.binding())))
	return formatUUID(b)
}

// isNative reports whether a request is a native app's about its flow: it gets JSON
// whatever it sends. That the flow was given out here is not looked at. A browser comes to
// such a flow by the link of a message, and has cookies.
func isNative(r *http.Request) bool {
	if r.Header.Get("Cookie") != "" {
		return false
	}

	b, ok := parseUUID(r.URL.Query().Get("flow"))
	return ok && b[6]>>4 == flowVersion && b[6]&flagAPI != 0
}

// flowMACs are the places of the two in an id.
func flowMACs(b *[16]byte) (issued, owner []byte) {
	return b[16-issuedMAC-ownerMAC : 16-ownerMAC], b[16-ownerMAC:]
}

func flowText(b [16]byte, binding []byte) []byte {
	return append(b[:16-ownerMAC:16-ownerMAC], binding...)
}

// isMAC reports whether a MAC of text, under any secret, begins with mac.
func (s *Service) isMAC(purpose string, text, mac []byte) bool {
	known := false
	for _, whole := range s.keys.MACs(s.purpose(purpose), text) {
		known = known || subtle.ConstantTimeCompare(whole[:len(mac)], mac) == 1
	}
	return known
}

// binding is to whom the flow belongs.
func (f *Flow) binding() []byte {
	switch {
	case f.Kind == Settings:
		return []byte("identity " + f.Owner)
	case f.API:
		return []byte("native")
	default:
		return append([]byte("browser "), f.Browser...)
	}
}

// unopened returns the flow of an id that was given out and never submitted. owner is
// the identity that asks, if any.
//
// NotFound: the id was not given out by us. Denied: it was given to another browser. If what
// it was opened with is no longer in the cookie, the flow has expired.
func (s *Service) unopened(r *http.Request, id, owner string) (*Flow, error) {
	missing := errs.New(errs.NotFound, "there is no such flow: it was never opened, or not by this browser")
	b, ok := parseUUID(id)
	issued, own := flowMACs(&b)
	if !ok || b[6]>>4 != flowVersion || int(b[7]>>5) >= len(kinds) || !s.isMAC("flow id", b[:16-issuedMAC-ownerMAC], issued) {
		return nil, missing
	}
	flags := b[6] & 0x0f
	f := &Flow{ID: id, Kind: kinds[b[7]>>5], API: flags&flagAPI != 0, State: Choose}
	f.IssuedAt = time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8]) >> 16)).UTC()
	f.Refresh = flags&flagRefresh != 0
	if flags&flagAAL2 != 0 {
		f.AAL = AAL2
	}
	if f.Kind == Settings {
		f.Owner, f.State = owner, ShowForm
	} else if !f.API {
		f.Browser = s.browser(r)
	}
	known := s.isMAC("flow", flowText(b, f.binding()), own)
	switch {
	case !known && !f.API && f.Kind != Settings:
		return nil, errCSRF("The flow was opened by another browser, or its cookies are gone.")
	case !known && f.Kind == Settings:
		return nil, errOtherIdentity()
	case !known:
		return nil, missing
	}
	f.ExpiresAt = f.IssuedAt.Add(s.options.flow(f.Kind).Lifespan)
	if flags&flagCookie == 0 {
		f.RequestURL = s.initURL(f.Kind, f.API, f.Opening)
		return f, nil
	}
	for _, kept := range s.openings(r) {
		if kept.ID == id {
			f.Opening = kept.Opening
			return f, nil
		}
	}
	if at := s.now().Add(-time.Second); at.Before(f.ExpiresAt) { // it has nothing left to go on with
		f.ExpiresAt = at
	}
	f.RequestURL = s.initURL(f.Kind, f.API, f.Opening)
	return f, nil
}

// A keptOpening is one flow in the cookie.
type keptOpening struct {
	ID string
	Opening
}

// The cookie of openings is bounded: browsers keep 4096 bytes of one.
const (
	openingsCookie = "cardea_flows"
	maxOpenings    = 4
	maxSealed      = 3800
	lateLife       = 24 * time.Hour // after the flows have expired, so that their successors lead to where they did
)

// openingsLife is how long the cookie lasts.
func (s *Service) openingsLife() (life time.Duration) {
	for _, k := range kinds {
		life = max(life, s.options.flow(k).Lifespan)
	}
	return life + lateLife
}

// openings reads the cookie; one that cannot be read counts as none.
func (s *Service) openings(r *http.Request) (kept []keptOpening) {
	text, ok := s.unsealCookie(r, openingsCookie)
	if !ok || json.Unmarshal(text, &kept) != nil {
		return nil
	}
	return kept
}

// keepOpening puts the flow's opening into the cookie, before those that are there. It
// reports false if it is too long for that.
func (s *Service) keepOpening(w http.ResponseWriter, r *http.Request, f *Flow) bool {
	kept := append([]keptOpening{{f.ID, f.Opening}}, s.openings(r)...)
	for n := min(len(kept), maxOpenings); n > 0; n-- {
		text, err := json.Marshal(kept[:n])
		if err != nil {
			return false
		}
		if sealed := s.seal(openingsCookie, text); len(sealed) <= maxSealed {
			s.setCookie(w, s.cookiePrefix()+openingsCookie, sealed, s.openingsLife())
			return true
		}
	}
	return false
}

// seal encrypts a cookie's value.
func (s *Service) seal(name string, text []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.keys.Seal(s.purpose("cookie"), name, text))
}

// unsealCookie returns what seal encrypted.
func (s *Service) unsealCookie(r *http.Request, name string) ([]byte, bool) {
	c, err := r.Cookie(s.cookiePrefix() + name)
	if err != nil {
		return nil, false
	}
	return s.unseal(name, c.Value)
}

func (s *Service) unseal(name, value string) ([]byte, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil, false
	}
	text, err := s.keys.Open(s.purpose("cookie"), name, sealed)
	return text, err == nil
}
