package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Ways in which an address is asked for. None may take another time for one that has an
// account than for one that has none.
var timings = []struct {
	name, kind string
	form       func(email string) map[string]any
	status     int
}{
	{"login with a wrong password", "login", func(email string) map[string]any {
		return map[string]any{"method": "password", "identifier": email, "password": "a wrong password"}
	}, 400},
	{"login with a code", "login", func(email string) map[string]any {
		return map[string]any{"method": "code", "identifier": email}
	}, 400},
	{"login that asks who one is first", "login", func(email string) map[string]any {
		return map[string]any{"method": "identifier_first", "identifier": email}
	}, 400},
	{"recovery", "recovery", func(email string) map[string]any {
		return map[string]any{"method": "code", "email": email}
	}, 200},
	{"registration", "registration", func(email string) map[string]any {
		return map[string]any{"method": "password", "password": identityPassword, "traits": traitsOf(email)}
	}, 200},
}

// A TimingReport is how long the answers of one way took, in milliseconds.
type TimingReport struct {
	Name           string
	Known, Unknown []float64
}

// Timings submits each way for n addresses that have an account and as many that have none,
// one at a time and in an order that follows from nothing: what the server does after an
// answer is in the way of both alike.
func Timings(ctx context.Context, public, admin string, n int) ([]TimingReport, error) {
	i, err := NewIdentity(ctx, public, admin, max(n, 1))
	if err != nil {
		return nil, err
	}
	defer i.Close()
	type asked struct {
		email string
		known bool
	}
	var all []asked
	for _, p := range i.people[:n] {
		all = append(all, asked{p.email, true}, asked{mailOf(), false})
	}
	var out []TimingReport
	for _, way := range timings {
		report := TimingReport{Name: way.name}
		rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		for _, one := range all {
			took, err := i.timed(ctx, way.kind, way.form(one.email), way.status)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			if one.known {
				report.Known = append(report.Known, took)
			} else {
				report.Unknown = append(report.Unknown, took)
			}
		}
		out = append(out, report)
	}
	return out, nil
}

// timed opens a flow, and returns how many milliseconds the answer to the form takes.
func (i *Identity) timed(ctx context.Context, kind string, form map[string]any, status int) (float64, error) {
	var f flow
	if err := i.get(ctx, i.public+"/self-service/"+kind+"/api", nil, &f); err != nil {
		return 0, err
	}
	r, err := jsonRequest(ctx, "POST", i.public+"/self-service/"+kind+"?flow="+f.ID, form)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	a, err := i.answer(r)
	took := time.Since(start)
	if err == nil && a.status != status {
		err = fmt.Errorf("the status is %d, expected %d: %.300s", a.status, status, a.text)
	}
	return float64(took) / float64(time.Millisecond), err
}

// Distance is the statistic of the two-sample Kolmogorov-Smirnov test: how far the shares of
// a and b that are at most x lie apart, for the x where that is most. 0: nowhere; 1: all of
// one is below all of the other.
func Distance(a, b []float64) float64 {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	most, i, j := 0.0, 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		most = max(most, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return most
}

// Indistinct is the greatest Distance of two samples of n each that one in a hundred pairs
// from the same distribution exceeds.
func Indistinct(n int) float64 { return 1.628 * math.Sqrt(2/float64(n)) }

// AddTimings adds what rounds of Timings say.
func (r *Result) AddTimings(n int, rounds [][]TimingReport) {
	for at, way := range timings {
		var distances, known, unknown []float64
		for _, round := range rounds {
			distances = append(distances, Distance(round[at].Known, round[at].Unknown))
			known, unknown = append(known, Median(round[at].Known)), append(unknown, Median(round[at].Unknown))
		}
		r.Add(way.name+": Kolmogorov-Smirnov distance of somebody and nobody", "", AtMost(Indistinct(n)), distances...)
		r.Add(way.name+": median for somebody", "ms", nil, known...)
		r.Add(way.name+": median for nobody", "ms", nil, unknown...)
	}
}
