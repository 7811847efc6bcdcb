package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// An HTTPOp is something that is asked of a server. New prepares a caller, who then
// does it again and again.
type HTTPOp struct {
	Name string
	New  func(ctx context.Context) (func(context.Context) error, error)
}

// errNoMore is what a caller returns when it has used up what it was prepared with. It
// ends a run before its time.
var errNoMore = errors.New("what the caller was prepared with is used up")

// always is New of what needs no preparation.
func always(do func(context.Context) error) func(context.Context) (func(context.Context) error, error) {
	return func(context.Context) (func(context.Context) error, error) { return do, nil }
}

// HTTPCallers do one operation, each waiting for its answer before it asks again.
type HTTPCallers struct {
	op  HTTPOp
	all []func(context.Context) error
}

// Prepare makes n callers of an operation.
func (op HTTPOp) Prepare(ctx context.Context, n int) (HTTPCallers, error) {
	c := HTTPCallers{op: op}
	for range n {
		do, err := op.New(ctx)
		if err != nil {
			return c, fmt.Errorf("%s: %w", op.Name, err)
		}
		c.all = append(c.all, do)
	}
	return c, nil
}

// An HTTPReport is what one round measured, in microseconds.
type HTTPReport struct{ CPU, P50, P99 float64 }

// Run lets all callers ask p for some time. A wrong answer or an error ends the run.
func (c HTTPCallers) Run(ctx context.Context, p *Process, d time.Duration) (HTTPReport, error) {
	before, err := p.CPU()
	if err != nil {
		return HTTPReport{}, err
	}
	latencies := make([]*hdrhistogram.Histogram, len(c.all))
	end := time.Now().Add(d)
	g, gctx := errgroup.WithContext(ctx)
	for i, do := range c.all {
		latencies[i] = hdrhistogram.New(1, 60_000_000, 3)
		g.Go(func() error { return repeat(gctx, do, end, latencies[i]) })
	}
	if err := g.Wait(); err != nil {
		return HTTPReport{}, fmt.Errorf("%s: %w", c.op.Name, err)
	}
	after, err := p.CPU()
	if err != nil {
		return HTTPReport{}, err
	}
	all := hdrhistogram.New(1, 60_000_000, 3)
	for _, l := range latencies {
		all.Merge(l)
	}
	return HTTPReport{
		CPU: float64((after - before).Microseconds()) / float64(all.TotalCount()),
		P50: float64(all.ValueAtQuantile(50)), P99: float64(all.ValueAtQuantile(99)),
	}, nil
}

// addHTTP adds the rounds of an operation, of whose processor time most is promised, and
// which is compared with that of a floor, if that is not "". It returns the processor times.
func (r *Result) addHTTP(name string, rounds map[string][]HTTPReport, most *Bar, floor string) []float64 {
	of := func(name string, value func(HTTPReport) float64) (out []float64) {
		for _, x := range rounds[name] {
			out = append(out, value(x))
		}
		return out
	}
	used := func(x HTTPReport) float64 { return x.CPU }
	cpu := of(name, used)
	r.Add(name+": CPU", "µs", most, cpu...)
	r.Add(name+": p50", "µs", nil, of(name, func(x HTTPReport) float64 { return x.P50 })...)
	r.Add(name+": p99", "µs", nil, of(name, func(x HTTPReport) float64 { return x.P99 })...)
	if floor != "" {
		r.Add(name+": CPU by that of the "+floor, "times", AtMost(1.5), each(cpu, of(floor, used), func(a, b float64) float64 { return a / b })...)
	}
	return cpu
}

func each(a, b []float64, f func(a, b float64) float64) (out []float64) {
	for i := range a {
		out = append(out, f(a[i], b[i]))
	}
	return out
}

// repeat does something at least once.
func repeat(ctx context.Context, do func(context.Context) error, end time.Time, latency *hdrhistogram.Histogram) error {
	for began := time.Now(); ; {
		if err := do(ctx); err == errNoMore {
			return nil
		} else if err != nil {
			return err
		}
		now := time.Now()
		if err := latency.RecordValue(max(now.Sub(began).Microseconds(), 1)); err != nil {
			return err
		}
		if now.After(end) {
			return nil
		}
		began = now
	}
}

// Trips lets one caller ask n times, and returns the round trips of each time by what t
// has counted.
func (c HTTPCallers) Trips(ctx context.Context, t *Trips, n int) (float64, error) {
	before := t.Count()
	for range n {
		if err := c.all[0](ctx); err != nil {
			return 0, fmt.Errorf("%s: %w", c.op.Name, err)
		}
	}
	return float64(t.Count()-before) / float64(n), nil
}

// TripsOf does Trips in so many rounds, after one that prepares statements.
func (c HTTPCallers) TripsOf(ctx context.Context, t *Trips, rounds int) (all []float64, err error) {
	for i := range rounds + 1 {
		const times = 20 // in which little else happens
		n, err := c.Trips(ctx, t, times)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			all = append(all, n)
		}
	}
	return all, nil
}

// An httpClient keeps connections to a server.
type httpClient struct{ http *http.Client }

// newHTTPClient keeps one for each of so many callers. It does not follow redirects.
func newHTTPClient(callers int) httpClient {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 2*callers, callers
	return httpClient{&http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Close closes idle connections.
func (c httpClient) Close() { c.http.CloseIdleConnections() }

// send sends JSON, if there is some.
func (c httpClient) send(ctx context.Context, method, at string, body, into any) error {
	r, err := jsonRequest(ctx, method, at, body)
	if err != nil {
		return err
	}
	return c.do(r, into)
}

// jsonRequest is one with a body, if there is some.
func jsonRequest(ctx context.Context, method, at string, body any) (*http.Request, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, at, reader)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// do makes a request and decodes the JSON of the answer.
func (c httpClient) do(r *http.Request, into any) error {
	a, err := c.answer(r)
	if err == nil && a.status >= 300 {
		err = errors.New(http.StatusText(a.status))
	}
	if err == nil {
		err = json.Unmarshal(a.text, into)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %.300s", r.Method, r.URL.Path, err, a.text)
	}
	return nil
}

// An httpAnswer is one as it came.
type httpAnswer struct {
	status int
	header http.Header
	text   []byte
}

func (c httpClient) answer(r *http.Request) (a httpAnswer, err error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a = httpAnswer{status: resp.StatusCode, header: resp.Header}
	a.text, err = io.ReadAll(resp.Body)
	return a, err
}

// wrong is the error of an answer that should have been another one.
func (a httpAnswer) wrong() error {
	return fmt.Errorf("wrong answer: status %d: %.300s", a.status, a.text)
}
