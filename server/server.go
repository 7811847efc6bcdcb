package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	ketoopl "github.com/cardea-iam/cardea/proto/ory/keto/opl/v1alpha1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
	"github.com/cardea-iam/cardea/store"
)

// A Server is Cardea, listening. Run answers, and must be called to free what
// New took.
type Server struct {
	config Config
	db     *store.DB
	core   *core
	ports  []*port
	log    *slog.Logger
}

// New opens the store, loads tuples and model, and listens. Requests wait until
// Run is called.
//
// Invalid: the configuration or the model has mistakes. Other kinds as from
// store.Open and engine.New; Unavailable, too, if an address cannot be had.
func New(ctx context.Context, c Config) (*Server, error) {
	return open(ctx, c, newLog(c, os.Stderr))
}

// open is New with the log as a parameter.
func open(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	s := &Server{config: c, log: log}
	if err := s.open(ctx, c); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// open builds everything. What it took before an error is freed by close.
func (s *Server) open(ctx context.Context, c Config) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	if s.db, err = store.Open(ctx, c.DSN, c.storeOptions()); err != nil {
		return err
	}
	keys, err := c.keyring(s.log)
	if err != nil {
		return err
	}
	s.core = &core{secrets: keys, dev: c.Dev, origin: newOrigin(c.Serve.TrustedProxies), opl: c.oplOptions(), limits: c.Limits, metrics: newMetrics(), log: s.log}
	if s.core.certificate, err = openCertificate(c.Serve.TLS, s.log); err != nil {
		return err
	}
	if err := s.openNetworks(ctx, c); err != nil {
		return err
	}
	s.core.health = &health{log: s.log, parts: map[string]func(context.Context) error{"database": s.core.ready}}
	if s.core.certificate != nil {
		s.core.health.parts["certificate"] = s.core.certificate.ready
	}
	if c.Model.Location != "" {
		if err := s.core.loadModel(ctx, c); err != nil {
			return err
		}
	}
	if err := s.openPublic(ctx); err != nil {
		return err
	}
	for _, d := range s.core.doors(c.Serve) {
		if d.address == "" || d.name == "public" && s.core.secrets == nil {
			continue
		}
		if d.secure, err = s.core.encryption(d.name, c); err != nil {
			return err
		}
		p, err := s.core.openPort(d)
		if err != nil {
			return err
		}
		s.ports = append(s.ports, p)
		if d.name == "write" && s.core.console != nil {
			s.core.consoleURL = d.scheme() + "://" + p.address.String() + consoleBase + "/"
		}
	}
	return nil
}

// openNetworks loads what the networks hold.
func (s *Server) openNetworks(ctx context.Context, c Config) error {
	g := &guard{keys: c.Auth.Keys, networks: map[string]*network{}}
	g.certificates = slices.ContainsFunc(g.keys, func(k Key) bool { return k.Certificate != "" })
	s.core.guard, s.core.ownKey = g, g.issue()
	for _, name := range c.networks() {
		tuples, err := s.db.Network(ctx, name)
		if err != nil {
			return err
		}
		o := c.engineOptions()
		o.OnBounded = func() {
			s.log.Warn("the tuples take more memory than memory.budget allows: from now on only what is asked for most stays there", "network", name)
		}
		e, err := s.openEngine(ctx, name, tuples, o)
		if err != nil {
			return err
		}
		n := &network{name: name, engine: e, feed: engine.NewFeed(e)}
		s.core.networks = append(s.core.networks, n)
		s.core.metrics.export(name, e)
		if g.networks[name] = n; g.usual == nil || name == usualNetwork {
			g.usual = n
		}
	}
	return nil
}

func newLog(c Config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Log.Level}
	if c.Log.Format == "text" || c.Log.Format == "" && c.Dev {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// loadModel puts the model of model.location to use.
func (c *core) loadModel(ctx context.Context, config Config) error {
	source, err := newModelSource(ctx, config, c.useModel, c.metrics, c.log)
	if err != nil {
		return err
	}
	c.model = source
	c.health.parts["model"] = source.ready
	return nil
}

// listeners are the names of the doors.
var listeners = []string{"read", "write", "opl", "public", "metrics"}

// doors says what is where.
func (c *core) doors(at Serve) []door {
	onTuples := &ketoService{core: c}
	onOPL := &ketoSyntax{core: c}
	ketoHTTP, cardeaHTTP := &ketoREST{core: c}, &cardeaREST{core: c}
	return []door{
		{
			name: "read", address: at.Read.Address, role: readRole,
			services: func(r grpc.ServiceRegistrar) {
				keto.RegisterCheckServiceServer(r, onTuples)
				keto.RegisterExpandServiceServer(r, onTuples)
				keto.RegisterNamespacesServiceServer(r, onTuples)
				keto.RegisterReadServiceServer(r, onTuples)
				keto.RegisterVersionServiceServer(r, onTuples)
				ketoopl.RegisterSyntaxServiceServer(r, onOPL)
				cardeav1.RegisterCheckServiceServer(r, &checkService{core: c})
				cardeav1.RegisterExpandServiceServer(r, &expandService{core: c})
				cardeav1.RegisterListServiceServer(r, &listService{core: c})
				cardeav1.RegisterTupleServiceServer(r, &tupleService{core: c})
				cardeav1.RegisterStatusServiceServer(r, &statusService{core: c})
			},
			routes: func(rs *routes) {
				ketoHTTP.readRoutes(rs)
				ketoHTTP.syntaxRoutes(rs)
				cardeaHTTP.readRoutes(rs)
			},
			around: c.named(at.Read.Address),
		},
		{
			name: "write", address: at.Write.Address, role: writeRole,
			services: func(r grpc.ServiceRegistrar) {
				keto.RegisterWriteServiceServer(r, onTuples)
				keto.RegisterVersionServiceServer(r, onTuples)
				cardeav1.RegisterTupleWriteServiceServer(r, &tupleWriteService{core: c})
				cardeav1.RegisterModelServiceServer(r, &modelService{core: c})
				cardeav1.RegisterStatusServiceServer(r, &statusService{core: c})
			},
			routes: func(rs *routes) {
				ketoHTTP.writeRoutes(rs)
				cardeaHTTP.writeRoutes(rs)
				c.identityAdminRoutes(rs)
				c.groupRoutes(rs)
				c.adminOAuth(rs)
				c.consoleRoutes(rs)
			},
			around: c.fromHere(at.Write.Address),
		},
		{
			name: "opl", address: at.OPL.Address,
			services: func(r grpc.ServiceRegistrar) {
				ketoopl.RegisterSyntaxServiceServer(r, onOPL)
				keto.RegisterVersionServiceServer(r, onTuples)
			},
			routes: ketoHTTP.syntaxRoutes,
		},
		{
			name: "public", address: at.Public.Address, listener: c.public,
			routes: func(rs *routes) { c.publicRoutes(rs) }, around: c.toHome,
		},
		{
			name: "metrics", address: at.Metrics.Address,
			routes: func(rs *routes) {
				rs.operators("GET /metrics", c.metrics.handler())
				if at.Pprof {
					profiles(rs)
				}
			},
		},
	}
}

// Address returns where the listener of a name (read, write, opl, metrics)
// accepts connections, nil if it is closed.
func (s *Server) Address(name string) net.Addr {
	for _, p := range s.ports {
		if p.name == name {
			return p.address
		}
	}
	return nil
}

// OwnKey returns an API key that may do everything and ends with s, for the
// process itself.
func (s *Server) OwnKey() string { return s.core.ownKey }

// Run answers requests until ctx ends, then finishes what was accepted, within
// the drain time, and closes everything. It returns nil after that, and an error
// if a listener failed. It is called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range s.ports {
		s.log.Info("listening", "listener", p.name, "address", p.address.String())
		g.Go(p.serve)
	}
	if s.core.model != nil {
		g.Go(func() error {
			s.core.model.run(ctx)
			return nil
		})
	}
	for _, n := range s.core.networks {
		if n.oauth != nil {
			g.Go(func() error {
				n.oauth.Run(ctx)
				return nil
			})
		}
	}
	for _, n := range s.core.networks {
		if n.people != nil {
			g.Go(func() error {
				n.people.Deliver(ctx)
				return nil
			})
			g.Go(func() error {
				n.people.TellEnded(ctx)
				return nil
			})
		}
	}
	g.Go(func() error {
		s.purge(ctx)
		return nil
	})
	g.Go(func() error {
		s.janitor(ctx)
		return nil
	})
	g.Go(func() error {
		s.checkpoint(ctx)
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		s.drain()
		return nil
	})
	return g.Wait()
}

// drain shuts all ports down, side by side.
func (s *Server) drain() {
	s.log.Info("shutting down", "drain", s.config.Serve.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Serve.Drain)
	defer cancel()
	var g errgroup.Group
	for _, p := range s.ports {
		g.Go(func() error {
			p.shutdown(ctx)
			return nil
		})
	}
	_ = g.Wait()
}

// purge forgets history that is older than the window, now and then.
func (s *Server) purge(ctx context.Context) {
	tick := time.NewTicker(max(s.config.History.Window/24, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n, err := s.db.Purge(ctx, time.Now().Add(-s.config.History.Window))
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.log.Error("history not purged", "err", err)
		case n > 0:
			s.log.Info("history purged", "rows", n)
		}
	}
}

// close frees what is there of a server that does not run, or no longer.
func (s *Server) close() {
	if s.core != nil && s.core.public != nil {
		_ = s.core.public.Close()
	}
	for _, p := range s.ports {
		_ = p.mux.listener.Close()
	}
	if s.core != nil {
		for _, n := range s.core.networks {
			_ = n.engine.Close()
		}
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.log.Error("store not closed", "err", err)
		}
	}
}
