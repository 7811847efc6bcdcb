package server

import (
	"context"
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
	services      func(grpc.ServiceRegistrar) // nil: no gRPC
	routes        func(*routes)
}

// A port is a listener and the servers behind it.
type port struct {
	name    string
	address net.Addr
	mux     *mux
	http    *http.Server
	// Both gRPC servers have the same services: native runs on its own
	// transport; bridged stands behind http, for gRPC-Web and Connect.
	native, bridged *grpc.Server
	health          *grpchealth.Server
}

// openPort listens at the door's address.
//
// Unavailable: the address is in use, or not one of this machine.
func (c *core) openPort(d door) (*port, error) {
	l, err := net.Listen("tcp", d.address)
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "serve.%s.address: cannot listen: %v", d.name, err)
	}
	p := &port{name: d.name, address: l.Addr(), mux: newMux(l), health: grpchealth.NewServer()}
	p.native = c.grpcServer(d, p.health)
	p.bridged = c.grpcServer(d, p.health)
	for service := range p.native.GetServiceInfo() {
		p.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	handler, err := c.handler(d, p.bridged)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	p.http = &http.Server{
		Handler:           handler,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: peekTime,
		ReadTimeout:       httpTime,
		WriteTimeout:      httpTime,
		IdleTimeout:       idleTime,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	p.http.Protocols.SetHTTP1(true)
	p.http.Protocols.SetUnencryptedHTTP2(true)
	return p, nil
}

// grpcServer returns a server with the services of a door.
func (c *core) grpcServer(d door, health *grpchealth.Server) *grpc.Server {
	s := &rpcServer{Server: grpc.NewServer(grpcOptions(c.limits)...), log: c.log, metrics: c.metrics}
	if d.services == nil {
		return s.Server
	}
	d.services(s)
	healthpb.RegisterHealthServer(s, healthService{health})
	reflection.Register(s)
	return s.Server
}

// handler returns what answers the requests that are not plain gRPC.
func (c *core) handler(d door, bridged *grpc.Server) (http.Handler, error) {
	rs := &routes{mux: http.NewServeMux(), log: c.log, metrics: c.metrics, body: c.limits.Body}
	d.routes(rs)
	c.health.routes(rs)
	rs.mux.Handle("GET /metrics/prometheus", c.metrics.handler())
	bridge, err := bridgeTo(bridged, c.limits)
	if err != nil {
		return nil, err
	}
	for service := range bridged.GetServiceInfo() {
		rs.mux.Handle("/"+service+"/", bridge)
	}
	return withRequestID(rs.mux), nil
}

// serve returns nil after shutdown, else why it ended.
func (p *port) serve() error {
	var g errgroup.Group
	g.Go(p.mux.serve)
	g.Go(func() error { return p.native.Serve(p.mux.grpc) })
	g.Go(func() error {
		if err := p.http.Serve(p.mux.http); err != http.ErrServerClosed {
			return err
		}
		return nil
	})
	return g.Wait()
}

// shutdown lets what was accepted finish until ctx ends, then breaks it off.
func (p *port) shutdown(ctx context.Context) {
	p.health.Shutdown()
	p.mux.close()
	var g errgroup.Group
	g.Go(func() error {
		if p.http.Shutdown(ctx) != nil {
			_ = p.http.Close()
		}
		p.bridged.Stop()
		return nil
	})
	g.Go(func() error {
		stop := context.AfterFunc(ctx, p.native.Stop)
		defer stop()
		p.native.GracefulStop()
		return nil
	})
	_ = g.Wait()
}
