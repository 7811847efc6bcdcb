package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A door says what one port serves.
type door struct {
	name, address string
	listener      net.Listener                // nil: one is made for the address
	secure        *tls.Config                 // nil: nothing is encrypted
	role          string                      // that API keys need there; "": any
	services      func(grpc.ServiceRegistrar) // nil: no gRPC
	routes        func(*routes)
	around        func(http.Handler) http.Handler // nil: nothing
}

func (d door) scheme() string {
	if d.secure != nil {
		return "https"
	}
	return "http"
}

// A port is a listener and the servers behind it.
type port struct {
	name    string
	address net.Addr
	mux     *mux
	http    *http.Server
	grpc    *grpc.Server
	health  *grpchealth.Server
	end     context.CancelFunc // ends the streams and watches
}

func listen(name, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "serve.%s.address: cannot listen: %v", name, err)
	}
	return l, nil
}

// openPort listens at the door's address.
//
// Unavailable: the address is in use, or not one of this machine.
func (c *core) openPort(d door) (*port, error) {
	l := d.listener
	if l == nil {
		var err error
		if l, err = listen(d.name, d.address); err != nil {
			return nil, err
		}
	}
	p := &port{name: d.name, address: l.Addr(), mux: newMux(l, d.secure), health: grpchealth.NewServer()}
	handlers := http.NewServeMux()
	draining, end := context.WithCancel(context.Background())
	p.end = end
	c.routes(draining, d, handlers)
	p.grpc = c.services(draining, d, p.health, handlers)
	handler := http.Handler(handlers)
	if d.around != nil {
		handler = d.around(handler)
	}
	p.http = &http.Server{
		Handler:           withRequestID(handler),
		ConnContext:       keepTLS,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: peekTime,
		ReadTimeout:       httpTime,
		WriteTimeout:      httpTime,
		IdleTimeout:       idleTime,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	if d.secure != nil {
		p.http.Handler = withTLS(p.http.Handler)
	}
	p.http.Protocols.SetHTTP1(true)
	p.http.Protocols.SetUnencryptedHTTP2(true)
	return p, nil
}

// services returns a gRPC server with the services of a door, which handlers
// get too. The end of draining ends all streams.
func (c *core) services(draining context.Context, d door, health *grpchealth.Server, handlers *http.ServeMux) *grpc.Server {
	options := grpcOptions(c.limits)
	if d.secure != nil {
		options = append(options, grpc.Creds(settledTLS{}))
	}
	s := &rpcServer{
		Server: grpc.NewServer(options...), draining: draining, sendTime: c.limits.Send,
		guard: c.guard, role: d.role, log: c.log, metrics: c.metrics,
		bridge: &bridge{mux: handlers, message: int(c.limits.Message), sendTime: c.limits.Send},
	}
	if d.services == nil {
		return s.Server
	}
	d.services(s)
	healthpb.RegisterHealthServer(s, healthService{health})
	reflection.Register(s)
	for service := range s.GetServiceInfo() {
		health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	return s.Server
}

// routes registers the REST API of a door, and what every port has.
func (c *core) routes(draining context.Context, d door, handlers *http.ServeMux) {
	rs := &routes{
		mux: handlers, guard: c.guard, role: d.role, draining: draining,
		log: c.log, metrics: c.metrics, body: c.limits.Body, sendTime: c.limits.Send,
		local: d.name == "metrics" && isLoopback(d.address),
	}
	d.routes(rs)
	c.health.routes(rs)
	if d.name != "public" {
		rs.operators("GET /metrics/prometheus", c.metrics.handler())
	}
	c.unmatched(rs, d.name)
}

// serve returns nil after shutdown, else why it ended.
func (p *port) serve() error {
	var g errgroup.Group
	g.Go(p.mux.serve)
	g.Go(func() error { return unless(grpc.ErrServerStopped, p.grpc.Serve(p.mux.grpc)) })
	g.Go(func() error { return unless(http.ErrServerClosed, p.http.Serve(p.mux.http)) })
	return g.Wait()
}

// unless returns err, or nil if it is the one that is expected.
func unless(expected, err error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// shutdown lets what was accepted finish until ctx ends, then breaks it off.
func (p *port) shutdown(ctx context.Context) {
	p.health.Shutdown()
	p.end()
	p.mux.close()
	var g errgroup.Group
	g.Go(func() error {
		if p.http.Shutdown(ctx) != nil {
			_ = p.http.Close()
		}
		return nil
	})
	g.Go(func() error {
		stop := context.AfterFunc(ctx, p.grpc.Stop)
		defer stop()
		p.grpc.GracefulStop()
		return nil
	})
	_ = g.Wait()
}
