package server

import (
	"context"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// A Floor is a server with nothing behind its wire. Its read listener is that of a
// Server, mux, options, authentication, decoding, metrics and encoding included, but
// Check gives every question the same answer without looking at it. So a Server
// measured beside it shows what its checks cost, and the Floor what no check can
// undercut. The benchmarks are the only use of it.
type Floor struct {
	port  *port
	drain time.Duration
}

// NewFloor listens at c's read address. Requests wait until Run is called.
//
// Unavailable: the address cannot be had.
func NewFloor(c Config) (*Floor, error) {
	log := newLog(c, os.Stderr)
	n := &network{name: usualNetwork}
	core := &core{
		guard:  &guard{keys: c.Auth.Keys, networks: map[string]*network{n.name: n}, usual: n},
		limits: c.Limits, metrics: newMetrics(), health: &health{log: log}, log: log,
	}
	p, err := core.openPort(door{
		name: "read", address: c.Serve.Read.Address, role: readRole,
		services: func(r grpc.ServiceRegistrar) { cardeav1.RegisterCheckServiceServer(r, floorService{}) },
		routes:   func(*routes) {},
	})
	if err != nil {
		return nil, err
	}
	return &Floor{p, c.Serve.Drain}, nil
}

// Address returns where it listens.
func (f *Floor) Address() net.Addr { return f.port.address }

// Run answers until ctx ends. It is called once.
func (f *Floor) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(f.port.serve)
	g.Go(func() error {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.Background(), f.drain)
		defer cancel()
		f.port.shutdown(ending)
		return nil
	})
	return g.Wait()
}

type floorService struct {
	cardeav1.UnimplementedCheckServiceServer
}

// floorAnswer is as long as the answers of a Server.
var floorAnswer = &cardeav1.CheckResponse{Allowed: true, Snaptoken: "c1.4h2rzv5m2u7nq3kd6t8x0w9ybe.MTAwMDAw"}

func (floorService) Check(context.Context, *cardeav1.CheckRequest) (*cardeav1.CheckResponse, error) {
	return floorAnswer, nil
}
