package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/cardea-iam/cardea/examples"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	"github.com/cardea-iam/cardea/server"
	"github.com/cardea-iam/cardea/store"
)

// seedTimeout is how long each step of loading an example may take, and how
// long the start may take until the server can answer.
const seedTimeout = time.Minute

func (a *app) serveCommand() *cobra.Command {
	var example string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start the server",
		Long: `Starts the server and runs it until it gets SIGINT or SIGTERM, upon which it
finishes what it has accepted.

Every setting can be in the YAML file that --config names, in an environment
variable (CARDEA_ and the setting's path in capitals, as CARDEA_SERVE_DRAIN), or
in a flag, each over the one before.`,
		Example: `  cardea serve --dev --example drive
  cardea serve --config cardea.yaml
  cardea serve --dsn sqlite:///var/lib/cardea/cardea.db --model ./models`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := server.LoadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			return a.serve(cmd.Context(), cfg, example)
		},
	}
	server.Flags(cmd.Flags())
	cmd.Flags().StringVar(&example, "example", "", "load this example into a store without a model: "+strings.Join(examples.Names(), ", "))
	return cmd
}

// serve runs the server. Once it can answer, serve loads the example, if one is
// asked for and the store is new, and says where the server is.
func (a *app) serve(ctx context.Context, cfg server.Config, example string) error {
	e, known := examples.Get(example)
	if example != "" && !known {
		return fmt.Errorf("--example is %q: expected one of %s", example, strings.Join(examples.Names(), ", "))
	}
	defer server.TendHeap()()
	s, err := server.New(ctx, cfg)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(gctx) })
	g.Go(func() error {
		err := a.welcome(gctx, s, cfg, e)
		if gctx.Err() != nil {
			return nil // told to end while it began; Run says whether that went well
		}
		return err
	})
	return g.Wait()
}

// welcome waits until s can answer, loads e if it has a name, and prints the
// banner.
func (a *app) welcome(ctx context.Context, s *server.Server, cfg server.Config, e examples.Example) error {
	a.client.read, a.client.write = a.listening(s, "read"), a.listening(s, "write")
	a.client.timeout, a.client.apiKey = seedTimeout, s.OwnKey()
	read, err := a.readRemote()
	if err != nil {
		return err
	}
	defer read.Close()
	state, err := waitReady(ctx, read)
	if err != nil {
		return err
	}
	said := ""
	switch {
	case !state.GetReady():
		said = "Not ready yet: cardea status says why."
	case e.Name != "":
		if said, err = a.seed(ctx, e, read); err != nil {
			return fmt.Errorf("example %s: %w", e.Name, err)
		}
	}
	a.banner(s, cfg, said)
	return nil
}

// listening returns the address of a listener of the server of this process, and lets
// the client believe its certificate.
func (a *app) listening(s *server.Server, name string) string {
	address := s.Address(name).String()
	if own := s.OwnTLS(name); own != nil {
		a.client.tls.own = own
		address = secure + address
	}
	return address
}

// seed loads the example if the store has neither model nor tuples, and returns
// a sentence about that.
//
// The tuples go in with one write. If the process ends between the model and
// them, the store has the example's model and no tuples, and the next start
// completes it.
func (a *app) seed(ctx context.Context, e examples.Example, read *remote) (string, error) {
	write, err := a.writeRemote()
	if err != nil {
		return "", err
	}
	defer write.Close()
	models := cardeav1.NewModelServiceClient(write)
	active, err := models.Get(ctx, &cardeav1.GetModelRequest{})
	if isNotFound(err) {
		active, err = nil, nil
	}
	if err != nil {
		return "", err
	}
	found, err := cardeav1.NewTupleServiceClient(read).List(ctx, &cardeav1.ListTuplesRequest{
		PageSize: 1, Consistency: clientFlags{consistency: "latest"}.proto(),
	})
	if err != nil {
		return "", err
	}
	begun := active == nil || active.GetModel().GetVersion() == 1 && active.GetModel().GetSource() == e.Model
	if !begun || len(found.GetTuples()) > 0 {
		return "The store has a model or tuples already: the example was not loaded.", nil
	}
	if active == nil {
		if _, err := models.Apply(ctx, &cardeav1.ApplyModelRequest{Source: e.Model}); err != nil {
			return "", err
		}
	}
	var updates []*cardeav1.TupleUpdate
	for _, text := range e.Tuples {
		t, _, err := parseLine(text)
		if err != nil {
			return "", err
		}
		updates = append(updates, &cardeav1.TupleUpdate{Action: cardeav1.TupleUpdate_ACTION_INSERT, Tuple: tupleProto(t)})
	}
	if _, err := cardeav1.NewTupleWriteServiceClient(write).Write(ctx, &cardeav1.WriteTuplesRequest{Updates: updates}); err != nil {
		return "", err
	}
	return fmt.Sprintf("Loaded the example %s: its model and %s.", e.Name, count(int64(len(e.Tuples)))), nil
}

// banner tells people where the server is and what to try. Logs stay apart from
// it, on stderr.
func (a *app) banner(s *server.Server, cfg server.Config, said string) {
	var b strings.Builder
	fmt.Fprintf(&b, "Cardea %s\n\n", server.Version())
	for _, l := range []struct{ name, about string }{
		{"read", "gRPC and REST: check, expand, list"},
		{"write", "gRPC and REST: tuples, models; admin APIs; /console/ in a browser"},
		{"public", "OAuth2 and OpenID Connect, accounts: open it in a browser"},
		{"metrics", "Prometheus metrics, health"},
		{"opl", "Keto's syntax check"},
	} {
		if addr := s.Address(l.name); addr != nil {
			about := l.about
			if s.OwnTLS(l.name) != nil {
				about += " (TLS)"
			}
			fmt.Fprintf(&b, "  %-9s%-22s %s\n", l.name, addressAs(cfg.Serve.Public.Address, l.name, addr), about)
		}
	}
	fmt.Fprintf(&b, "  %-9s%s\n", "data", store.Redact(cfg.DSN))
	if said != "" {
		fmt.Fprintf(&b, "\n%s\n", said)
	}
	fmt.Fprint(&b, "\nTry next, in another terminal:\n\n")
	for _, step := range nextSteps {
		fmt.Fprintf(&b, "  %s %s%s\n", programName(), step, a.remoteFlags(strings.HasPrefix(step, "model")))
	}
	fmt.Fprintln(a.stdout, b.String())
}

// addressAs is where a listener is: people open the public one by the name that it was
// given, so that cookies and passkeys belong to that.
func addressAs(public, listener string, at net.Addr) string {
	host, _, err := net.SplitHostPort(public)
	_, port, err2 := net.SplitHostPort(at.String())
	if listener != "public" || err != nil || err2 != nil || host != "localhost" {
		return at.String()
	}
	return net.JoinHostPort(host, port)
}

// nextSteps are what the banner tells people to try.
var nextSteps = []string{
	`check "User:ann" view Document:plan`,
	`expand editors Folder:engineering`,
	`model show`,
}

// programName returns how this program was called, so that what the banner
// shows can be copied.
func programName() string {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return "cardea"
}

// remoteFlags returns the flag that a command needs to find this server, if it
// would not find it without.
func (a *app) remoteFlags(write bool) string {
	switch {
	case write && a.client.write != defaultWriteRemote:
		return " --write-remote " + a.client.write
	case !write && a.client.read != defaultReadRemote:
		return " --read-remote " + a.client.read
	}
	return ""
}
