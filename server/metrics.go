package server

import (
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	"github.com/cardea-iam/cardea/engine"
)

// metrics are the numbers of one server, in a registry of its own. What a
// request needs on its way is looked up beforehand and counted without a lock.
type metrics struct {
	registry *prometheus.Registry

	rpcs     *prometheus.HistogramVec // method, code
	requests *prometheus.HistogramVec // route, code

	purged      *prometheus.CounterVec // network, part
	purgeErrors *prometheus.CounterVec // network, part

	watches       prometheus.Gauge
	reloads       prometheus.Counter
	reloadErrors  prometheus.Counter
	reloadFailing prometheus.Gauge
}

// buckets reach from 25 microseconds to about 13 seconds.
var buckets = prometheus.ExponentialBuckets(25e-6, 2, 20)

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		rpcs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cardea_rpc_duration_seconds", Buckets: buckets,
			Help: "Time from a decoded request to its answer, by gRPC method and code; gRPC-Web and Connect included.",
		}, []string{"method", "code"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cardea_http_request_duration_seconds", Buckets: buckets,
			Help: "Time to answer a REST request, by route and status code.",
		}, []string{"route", "code"}),
		purged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cardea_purged_rows_total", Help: "Rows that had served their time and were removed, by network and part.",
		}, []string{"network", "part"}),
		purgeErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cardea_purge_failures_total", Help: "Times that such rows could not be removed, by network and part.",
		}, []string{"network", "part"}),
		watches: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cardea_watches", Help: "Watches under way.",
		}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cardea_model_reloads_total", Help: "Models taken over from model.location.",
		}),
		reloadErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "cardea_model_reload_failures_total", Help: "Changes of model.location that could not be taken over.",
		}),
		reloadFailing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cardea_model_reload_failing", Help: "1 while model.location holds something that cannot be taken over, else 0.",
		}),
	}
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cardea_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": Version(), "go": runtime.Version()},
	}, func() float64 { return 1 })
	m.registry.MustRegister(m.rpcs, m.requests, m.purged, m.purgeErrors, m.watches, m.reloads, m.reloadErrors, m.reloadFailing, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// export exports the numbers of a network and its engine.
func (m *metrics) export(network string, e *engine.Engine) {
	for _, part := range []string{"oauth", "identity"} {
		m.purged.WithLabelValues(network, part)
		m.purgeErrors.WithLabelValues(network, part)
	}
	number := func(of func(engine.Stats) int64) func() float64 {
		return func() float64 { return float64(of(e.Stats())) }
	}
	counter := func(name, help string, of func(engine.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, number(of))
	}
	gauge := func(name, help string, of func(engine.Stats) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, number(of))
	}
	byNetwork := prometheus.WrapRegistererWith(prometheus.Labels{"network": network}, m.registry)
	for mode, name := range [...]string{"minimize_latency", "at_least_as_fresh", "fully_consistent", "exact"} {
		byNetwork.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "cardea_consistency_total", Help: "Requests by the consistency they asked for.", ConstLabels: prometheus.Labels{"mode": name},
		}, number(func(s engine.Stats) int64 { return s.Asked[mode] })))
	}
	byNetwork.MustRegister(
		counter("cardea_checks_total", "Questions answered or failed, each item of a batch counting.",
			func(s engine.Stats) int64 { return s.Checks }),
		counter("cardea_check_errors_total", "Questions that failed.",
			func(s engine.Stats) int64 { return s.CheckErrors }),
		counter("cardea_check_steps_total", "Steps of all checks.",
			func(s engine.Stats) int64 { return s.Steps }),
		counter("cardea_check_round_trips_total", "Round trips to the store that questions needed, in bounded mode.",
			func(s engine.Stats) int64 { return s.CheckRounds }),
		counter("cardea_check_rows_total", "Rows read in those round trips.",
			func(s engine.Stats) int64 { return s.CheckRows }),
		counter("cardea_store_round_trips_total", "Round trips to the store, to follow its log and to answer questions.",
			func(s engine.Stats) int64 { return s.StoreRounds }),
		counter("cardea_store_rows_total", "Rows read in those round trips.",
			func(s engine.Stats) int64 { return s.StoreRows }),
		counter("cardea_log_reads_total", "Reads of the tail of the store's log.",
			func(s engine.Stats) int64 { return s.Rounds }),
		counter("cardea_log_waits_total", "Requests that waited for such a read.",
			func(s engine.Stats) int64 { return s.Waits }),
		gauge("cardea_tuples", "Tuples in memory at the current revision.",
			func(s engine.Stats) int64 { return s.Tuples }),
		gauge("cardea_memory_bytes", "Bytes that they take, as estimated.",
			func(s engine.Stats) int64 { return s.Bytes }),
		gauge("cardea_bounded", "1 if those are only a part, because all would take more than memory.budget; else 0.",
			func(s engine.Stats) int64 {
				if s.Bounded {
					return 1
				}
				return 0
			}),
		counter("cardea_memory_compactions_total", "Times that memory was cleared of names no longer used.",
			func(s engine.Stats) int64 { return s.Compactions }),
		gauge("cardea_model_version", "Version of the active model; 0 if it comes from the configuration, or there is none.",
			func(s engine.Stats) int64 { return s.Model }),
	)
}

// handler serves the numbers.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// A routeTimer counts the requests of one route.
type routeTimer struct {
	route string
	all   *prometheus.HistogramVec
	ok    atomic.Pointer[prometheus.Observer] // of status 200; nil: there was none yet
}

func (m *metrics) route(name string) *routeTimer { return &routeTimer{route: name, all: m.requests} }

func (t *routeTimer) observe(status int, took time.Duration) {
	if ok := t.ok.Load(); ok != nil && status == http.StatusOK {
		(*ok).Observe(took.Seconds())
		return
	}
	o := t.all.WithLabelValues(t.route, strconv.Itoa(status))
	o.Observe(took.Seconds())
	if status == http.StatusOK {
		t.ok.Store(&o)
	}
}

// An rpcTimer counts the calls of one method.
type rpcTimer struct {
	method string
	all    *prometheus.HistogramVec
	ok     prometheus.Observer
}

func (m *metrics) rpc(method string) rpcTimer {
	return rpcTimer{method, m.rpcs, m.rpcs.WithLabelValues(method, codes.OK.String())}
}

func (t rpcTimer) observe(c codes.Code, took time.Duration) {
	if c == codes.OK {
		t.ok.Observe(took.Seconds())
		return
	}
	t.all.WithLabelValues(t.method, c.String()).Observe(took.Seconds())
}
