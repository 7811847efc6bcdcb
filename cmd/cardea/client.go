package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

const (
	defaultReadRemote  = "127.0.0.1:4466"
	defaultWriteRemote = "127.0.0.1:4467"
)

// clientFlags say which server a command asks, and as whom.
type clientFlags struct {
	read, write string
	public      string // a URL or an address
	apiKey      string
	network     string
	timeout     time.Duration
	consistency string
	tls         tlsFlags
}

// clientFlags adds the flags of a command that asks a server.
func (a *app) clientFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.client.read, "read-remote", envOr("CARDEA_READ_REMOTE", defaultReadRemote),
		"address of the server's read listener, https://HOST:PORT if it does TLS (CARDEA_READ_REMOTE)")
	f.StringVar(&a.client.write, "write-remote", envOr("CARDEA_WRITE_REMOTE", defaultWriteRemote),
		"address of the server's write listener, https://HOST:PORT if it does TLS (CARDEA_WRITE_REMOTE)")
	f.StringVar(&a.client.apiKey, "api-key", os.Getenv("CARDEA_API_KEY"),
		"API key, if the server wants one; others on this machine can see flags, so better (CARDEA_API_KEY)")
	f.Lookup("api-key").DefValue = "" // not to be shown in the help
	f.StringVar(&a.client.network, "network", os.Getenv("CARDEA_NETWORK"),
		"network to ask in; none: the usual one (CARDEA_NETWORK)")
	f.DurationVar(&a.client.timeout, "timeout", 10*time.Second, "how long to wait for one answer")
	a.client.tls.add(f)
}

// consistencyFlag adds the flag of a command that reads.
func (a *app) consistencyFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.client.consistency, "consistency", "latest",
		"how fresh the answer has to be: latest; fast, for what the server has at hand;\n"+
			"a snaptoken, for at least as fresh as it; or exact:SNAPTOKEN")
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// consistency translates the flag. Tokens are base64url without a colon, so
// the words cannot be mistaken for one.
func (c clientFlags) proto() *cardeav1.Consistency {
	switch token, exact := strings.CutPrefix(c.consistency, "exact:"); {
	case exact:
		return &cardeav1.Consistency{Mode: &cardeav1.Consistency_Exact{Exact: token}}
	case c.consistency == "fast" || c.consistency == "":
		return &cardeav1.Consistency{Mode: &cardeav1.Consistency_MinimizeLatency{MinimizeLatency: true}}
	case c.consistency == "latest":
		return &cardeav1.Consistency{Mode: &cardeav1.Consistency_FullyConsistent{FullyConsistent: true}}
	default:
		return &cardeav1.Consistency{Mode: &cardeav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: c.consistency}}
	}
}

// A remote is a connection to one listener of a server. It is a
// grpc.ClientConnInterface whose errors are written for people.
type remote struct {
	*grpc.ClientConn
	addr    string
	flag    string   // that named addr
	headers []string // of every call, names and values in turn
	timeout time.Duration
}

func (a *app) readRemote() (*remote, error) { return a.client.dial(a.client.read, "--read-remote") }

func (a *app) writeRemote() (*remote, error) { return a.client.dial(a.client.write, "--write-remote") }

// dial prepares a connection; the first call makes it. Close frees it.
func (c clientFlags) dial(addr, flag string) (*remote, error) {
	how := insecure.NewCredentials()
	addr, encrypted := strings.CutPrefix(addr, secure)
	if encrypted {
		config, err := c.tls.config()
		if err != nil {
			return nil, err
		}
		how = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(how),
		// A batch of an import or a page of an export can be large.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return nil, fmt.Errorf("%s is %q: %w", flag, addr, err)
	}
	r := &remote{ClientConn: conn, addr: addr, flag: flag, timeout: c.timeout}
	if c.apiKey != "" {
		r.headers = append(r.headers, "authorization", "Bearer "+c.apiKey)
	}
	if c.network != "" {
		r.headers = append(r.headers, "cardea-network", c.network)
	}
	return r, nil
}

// as returns the context of a call with its headers.
func (r *remote) as(ctx context.Context) context.Context {
	if len(r.headers) == 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, r.headers...)
}

// Invoke implements grpc.ClientConnInterface, with the time limit of the flags.
func (r *remote) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(r.as(ctx), r.timeout)
	defer cancel()
	err := r.ClientConn.Invoke(ctx, method, args, reply, opts...)
	if err == nil {
		return nil
	}
	return r.explain(err)
}

// NewStream implements grpc.ClientConnInterface. A stream may last.
func (r *remote) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := r.ClientConn.NewStream(r.as(ctx), desc, method, opts...)
	if err != nil {
		return nil, r.explain(err)
	}
	return stream, nil
}

// explain turns the error of a call into one that says what to do.
func (r *remote) explain(err error) error {
	s := status.Convert(err)
	e := &remoteError{code: s.Code(), msg: s.Message()}
	switch unreached := r.GetState() != connectivity.Ready; {
	case distrust(err) != "":
		e.msg = distrusted(r.addr, distrust(err))
	case unreached && (s.Code() == codes.Unavailable || s.Code() == codes.DeadlineExceeded):
		e.msg = fmt.Sprintf("cannot reach the server at %s: start one with `cardea serve`, or name another with %s", r.addr, r.flag)
	case s.Code() == codes.DeadlineExceeded:
		e.msg = fmt.Sprintf("no answer from the server at %s within %s: --timeout allows more", r.addr, r.timeout)
	case s.Code() == codes.Unimplemented:
		e.msg = fmt.Sprintf("the listener at %s does not answer this: are --read-remote and --write-remote the right way round?", r.addr)
	case s.Code() == codes.Unauthenticated && len(r.headers) == 0:
		e.msg = fmt.Sprintf("the server at %s wants an API key: give it one in CARDEA_API_KEY", r.addr)
	case s.Code() == codes.Unauthenticated:
		e.msg = fmt.Sprintf("the server at %s does not know the API key of CARDEA_API_KEY or --api-key", r.addr)
	}
	return e
}

func distrusted(addr, why string) string {
	return fmt.Sprintf("the server at %s has a certificate that cannot be believed: %s; --ca-cert names an authority of your own", addr, why)
}

// A remoteError is what a server, or the lack of one, had to say.
type remoteError struct {
	code codes.Code
	msg  string
}

func (e *remoteError) Error() string { return e.msg }

// isNotFound reports whether a server said that something is not there.
func isNotFound(err error) bool {
	var e *remoteError
	return errors.As(err, &e) && e.code == codes.NotFound
}
