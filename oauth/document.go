package oauth

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A document is public JSON that is encoded once and served many times, with headers that
// are known, too.
type document struct {
	plain, packed form
	cache         []string
}

// A form is one of those that a document is sent in.
type form struct {
	text         []byte
	etag, length []string
}

// newDocument encodes a document that others may keep for a while.
func newDocument(value any, life time.Duration) (document, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return document{}, errs.Wrap(errs.Internal, err, "a public document cannot be encoded")
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return document{}, errs.Wrap(errs.Internal, err, "a public document cannot be compressed")
	}
	return document{newForm(text), newForm(packed.Bytes()), []string{"public, max-age=" + strconv.Itoa(int(life.Seconds()))}}, nil
}

func newForm(text []byte) form {
	sum := sha256.Sum256(text)
	return form{text, []string{`"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}, []string{strconv.Itoa(len(text))}}
}

// serve lets everybody read the document, also scripts of other sites, and keep it for a
// while. It goes out compressed to who asks for that: the metadata are more than net/http
// sends at once, and packed a quarter of it.
func (d document) serve(w http.ResponseWriter, r *http.Request) {
	h, of := w.Header(), d.plain
	ranged := r.Header.Get("Range") != ""
	if !ranged && takesGzip(r.Header["Accept-Encoding"]) {
		of, h["Content-Encoding"] = d.packed, gzipped
	}
	h["Content-Type"], h["Cache-Control"], h["Access-Control-Allow-Origin"] = jsonContent, d.cache, anyOrigin
	h["Etag"], h["Vary"] = of.etag, byEncoding
	if ranged || r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Match") != "" {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(of.text))
		return
	}
	h["Content-Length"] = of.length
	_, _ = w.Write(of.text) // a HEAD gets the headers only
}

var (
	gzipped    = []string{"gzip"}
	byEncoding = []string{"Accept-Encoding"}
)

// takesGzip reads the header Accept-Encoding (RFC 9110, section 12.5.3). Whoever takes
// anything gets what it is.
func takesGzip(accepted []string) bool {
	for _, line := range accepted {
		for one := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(strings.TrimSpace(one), ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			q, ok := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			if !ok {
				return true
			}
			n, err := strconv.ParseFloat(q, 64)
			return err == nil && n > 0
		}
	}
	return false
}
