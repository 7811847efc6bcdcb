package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/opl"
)

const (
	// settleTime is how long a changed file is left alone before it is read:
	// editors write in several steps.
	settleTime = 50 * time.Millisecond
	// fetchTime and fetchSize bound what a URL may cost.
	fetchTime = 10 * time.Second
	fetchSize = 4 << 20
)

// errSame says that a URL's content has not changed.
var errSame = errors.New("not modified")

// A modelSource keeps the engine's model equal to what model.location holds. A
// change that does not compile is reported, and the last good model stays.
type modelSource struct {
	location string // as it may be shown
	fetch    func(context.Context) ([]opl.Source, error)
	watched  string // directory to be told about by the file system, "" for none
	poll     time.Duration
	opl      opl.Options
	use      func(m *opl.Model, location string)
	metrics  *metrics
	log      *slog.Logger

	// Only check uses these.
	seen    [sha256.Size]byte // digest of what was read last
	verdict error             // what came of it
	missing bool              // the last look found a file missing

	mu struct {
		sync.Mutex
		text    string // of the model in use
		failure error  // why the newest content is not in use
	}
}

// newModelSource reads the location for the first time and gives its model to
// use, as it does with every later one.
//
// Invalid: the location cannot be read or holds no model.
func newModelSource(ctx context.Context, c Config, use func(*opl.Model, string), m *metrics, log *slog.Logger) (*modelSource, error) {
	s := &modelSource{poll: c.Model.Poll, opl: c.oplOptions(), use: use, metrics: m, log: log}
	s.locate(c.Model.Location)
	sources, err := s.fetch(ctx)
	if err == nil {
		err = s.take(sources)
	}
	if err != nil {
		return nil, errs.New(errs.Invalid, "model.location %s: %v", s.location, err)
	}
	return s, nil
}

// locate chooses how the location is read and watched.
func (s *modelSource) locate(location string) {
	scheme, rest, hasScheme := strings.Cut(location, "://")
	switch {
	case hasScheme && scheme == "base64":
		s.location = "base64://..."
		s.fetch = func(context.Context) ([]opl.Source, error) { return fromBase64(rest) }
	case hasScheme && scheme != "file":
		s.location = redacted(location)
		s.fetch = (&modelURL{url: location, shown: s.location}).fetch
	default:
		path := filepath.Clean(strings.TrimPrefix(location, "file://"))
		s.location = path
		s.fetch = func(context.Context) ([]opl.Source, error) { return fromPath(path) }
		s.watched = path
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			s.watched = filepath.Dir(path)
		}
	}
}

func redacted(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "URL"
	}
	return u.Redacted()
}

// run follows the location until ctx ends.
func (s *modelSource) run(ctx context.Context) {
	var events <-chan fsnotify.Event
	var lost <-chan error
	if watcher := s.watch(); watcher != nil {
		defer watcher.Close()
		events, lost = watcher.Events, watcher.Errors
	}
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	settled := time.After(0) // it may have changed before it was watched
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			settled = time.After(settleTime)
			continue
		case <-lost: // the watcher waits until it is taken, and events may be gone
			settled = time.After(settleTime)
			continue
		case <-settled:
			settled = nil
		case <-tick.C:
		}
		_ = s.check(ctx) // reported there
		if s.missing && settled == nil {
			settled = time.After(settleTime) // there may be no other event
		}
	}
}

// watch returns nil where the file system does not tell of changes; polling is
// left then.
func (s *modelSource) watch() *fsnotify.Watcher {
	if s.watched == "" {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(s.watched); err == nil {
			return watcher
		}
		_ = watcher.Close()
	}
	s.log.Warn("model.location is polled only", "path", s.watched, "err", err)
	return nil
}

// check looks at the location and takes a new content over. It returns and
// reports why the newest content is not in use.
func (s *modelSource) check(ctx context.Context) error {
	sources, err := s.fetch(ctx)
	if err == nil && blank(sources) {
		err = errEmpty // a file that is being written is empty for a moment
	}
	if (errors.Is(err, fs.ErrNotExist) || errors.Is(err, errEmpty)) && !s.missing {
		s.missing = true // perhaps about to be replaced: look again first
		return nil
	}
	s.missing = false
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errSame):
		err = s.verdict
	case err == nil:
		err = s.take(sources)
	}
	s.report(err)
	return err
}

var errEmpty = errors.New("it is empty")

func blank(sources []opl.Source) bool {
	return !slices.ContainsFunc(sources, func(s opl.Source) bool { return len(bytes.TrimSpace(s.Text)) > 0 })
}

// take compiles sources, if they are not those of the last time, and puts them
// to use.
func (s *modelSource) take(sources []opl.Source) error {
	sum := digest(sources)
	if sum == s.seen {
		return s.verdict
	}
	s.seen = sum
	compiled, err := opl.Compile(sources, s.opl)
	if s.verdict = err; err != nil {
		return err
	}
	s.use(compiled, s.location)
	s.metrics.reloads.Inc()
	s.mu.Lock()
	s.mu.text = joined(sources)
	s.mu.Unlock()
	s.log.Info("model in use", "location", s.location, "namespaces", len(compiled.Namespaces))
	return nil
}

// report keeps err for the readiness check, and tells the log and the metrics
// when it is news.
func (s *modelSource) report(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.mu.failure
	s.mu.failure = err
	switch {
	case err == nil:
		s.metrics.reloadFailing.Set(0)
	case before == nil || before.Error() != err.Error():
		s.metrics.reloadErrors.Inc()
		s.metrics.reloadFailing.Set(1)
		s.log.Error("model not taken over, the last good one stays in use", "location", s.location, "err", err)
	}
}

// ready returns why the newest content is not in use.
func (s *modelSource) ready(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mu.failure; err != nil {
		return errs.New(errs.Unavailable, "the newest model of %s is not in use: %v", s.location, err)
	}
	return nil
}

// source returns the text of the model in use.
func (s *modelSource) source() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.text
}

func digest(sources []opl.Source) [sha256.Size]byte {
	h := sha256.New()
	for _, s := range sources {
		fmt.Fprintf(h, "%d %s %d ", len(s.Name), s.Name, len(s.Text))
		h.Write(s.Text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// joined returns the texts as one, each under its name if there are several.
func joined(sources []opl.Source) string {
	var b strings.Builder
	for _, s := range sources {
		if len(sources) > 1 {
			fmt.Fprintf(&b, "// %s\n", filepath.Base(s.Name))
		}
		b.Write(s.Text)
		if len(sources) > 1 && !bytes.HasSuffix(s.Text, []byte("\n")) {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func fromBase64(text string) ([]opl.Source, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("expected base64 after base64://")
	}
	return []opl.Source{{Name: "model", Text: decoded}}, nil
}

// fromPath reads a file, or all .ts and .opl files of a directory that are not
// hidden.
func fromPath(path string) ([]opl.Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = modelFiles(path); err != nil {
			return nil, err
		}
	}
	sources := make([]opl.Source, len(files))
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		sources[i] = opl.Source{Name: file, Text: text}
	}
	return sources, nil
}

func modelFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); !strings.HasPrefix(name, ".") && slices.Contains([]string{".ts", ".opl"}, ext) {
			files = append(files, filepath.Join(dir, name))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no .ts or .opl file", dir)
	}
	return files, nil
}

// A modelURL is read over HTTP. The server's validators are sent back, so that
// an unchanged content costs it little.
type modelURL struct {
	url, shown     string
	etag, modified string
	client         http.Client
}

func (m *modelURL) fetch(ctx context.Context) ([]opl.Source, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return nil, errors.New("expected a URL")
	}
	if m.etag != "" {
		req.Header.Set("If-None-Match", m.etag)
	}
	if m.modified != "" {
		req.Header.Set("If-Modified-Since", m.modified)
	}
	response, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return nil, errSame
	default:
		return nil, fmt.Errorf("expected status 200, got %s", response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, fetchSize+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > fetchSize:
		return nil, fmt.Errorf("expected at most %s", byteCount(fetchSize))
	}
	m.etag, m.modified = response.Header.Get("ETag"), response.Header.Get("Last-Modified")
	return []opl.Source{{Name: m.shown, Text: text}}, nil
}
