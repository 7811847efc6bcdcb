package server

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/opl"
	"github.com/cardea-iam/cardea/store"
)

// A Config is everything that can be set. LoadConfig fills it; settings.go lists
// each field's key, default and meaning.
type Config struct {
	// DSN says where the data is: sqlite://PATH, postgres://... or cockroach://...
	DSN string

	Serve    Serve
	Store    StoreConfig
	Auth     AuthConfig
	Secrets  SecretsConfig
	OAuth    OAuthConfig
	Identity IdentityConfig
	Pages    PagesConfig
	Model    ModelConfig
	Compat   string // "" or "keto"
	OPL      OPLConfig
	Expand   ExpandConfig
	Limits   Limits
	Memory   MemoryConfig
	Log      LogConfig
	History  HistoryConfig
	Janitor  JanitorConfig

	// Networks are those that are served; none: default alone. Requests that name none
	// are about the one called default, or else the first.
	Networks []string

	// Dev is for a machine of one's own: logs are for people, and the schema of a
	// database server is brought up to date.
	Dev bool
	// Insecure lets listeners accept connections from other machines although
	// nothing is encrypted, or callers are not authenticated.
	Insecure bool
}

// Serve says where the server listens. Port 0 takes any free port.
type Serve struct {
	Read    Listener
	Write   Listener
	Public  Listener // OAuth2, OpenID Connect, the self-service flows and their pages; "" keeps it closed
	Metrics Listener // "" keeps it closed
	OPL     Listener // Keto's port for its syntax check; "" keeps it closed

	TLS TLS

	// TrustedProxies are those whose X-Forwarded-For says where requests come from.
	TrustedProxies []netip.Prefix

	// Pprof lets the metrics listener serve profiles of the process.
	Pprof bool

	// Drain is how long Run waits for requests under way when it is to end.
	Drain time.Duration
}

// TLS says how listeners encrypt. All do, but Except.
type TLS struct {
	CertPath, KeyPath string   // files in PEM; "": nothing is encrypted
	ClientCAPath      string   // a file in PEM: who signs certificates of callers of read and write; "": nobody
	Except            []string // names of listeners
}

// A Listener is one address to listen at.
type Listener struct{ Address string }

// A StoreConfig is about databases that run as servers.
type StoreConfig struct {
	MaxConns         int // connections at the same time; 0: as many as suit the processors
	StatementTimeout time.Duration
}

// An AuthConfig says who may call. Without keys everyone may.
type AuthConfig struct{ Keys []Key }

// A SecretsConfig has what stored secrets are encrypted with, and what is handed out
// is signed with.
type SecretsConfig struct {
	System []string // the newest first; none: see Config.keyring
}

// A ModelConfig names a model outside the store. Without a location the model
// is the one that was uploaded last.
type ModelConfig struct {
	Location string        // a file, a directory, an http(s) URL, or base64://TEXT
	Poll     time.Duration // how often the location is looked at
}

// An OPLConfig tunes how models are read.
type OPLConfig struct {
	Precedence string // "", "typescript" or "keto"
}

// An ExpandConfig tunes the trees of Expand.
type ExpandConfig struct {
	Rewrites bool // follow permissions
}

// Limits bound what one request may cost.
type Limits struct {
	Batch   int   // questions in one batch
	Body    int64 // bytes of an HTTP body
	Message int64 // bytes of a gRPC message
	Work    int64 // steps of one check
	Expand  int   // nodes of one tree

	// Send is how long a client may leave a message of a stream untaken.
	Send time.Duration
}

// A MemoryConfig bounds memory.
type MemoryConfig struct {
	Budget     int64 // bytes that the tuples of all networks may take together; 0: no limit
	Checkpoint CheckpointConfig
}

// A CheckpointConfig says where memory is written to, so that a start is quick.
type CheckpointConfig struct {
	Dir      string        // "": nowhere
	Interval time.Duration // between two
}

// A LogConfig says what is logged and how.
type LogConfig struct {
	Level  slog.Level
	Format string // "json" or "text"; "" is text with Dev and else JSON
}

// A HistoryConfig says how long removed tuples can be asked for.
type HistoryConfig struct {
	Window time.Duration
}

const compatKeto = "keto"

// oplOptions returns how models are read.
func (c Config) oplOptions() opl.Options {
	o := opl.Options{Compat: c.Compat == compatKeto}
	switch c.OPL.Precedence {
	case "typescript":
		o.Precedence = opl.TypeScript
	case "keto":
		o.Precedence = opl.Keto
	}
	return o
}

func (c Config) engineOptions() engine.Options {
	return engine.Options{
		Compat:         c.Compat == compatKeto,
		OPL:            c.oplOptions(),
		MaxWork:        c.Limits.Work,
		MaxExpand:      c.Limits.Expand,
		ExpandRewrites: c.Expand.Rewrites,
		MaxBatch:       c.Limits.Batch,
		Memory:         c.memory(),
	}
}

// memory returns the share of one network.
func (c Config) memory() int64 {
	if c.Memory.Budget == 0 {
		return 0
	}
	return max(c.Memory.Budget/int64(len(c.networks())), 1)
}

func (c Config) networks() []string {
	if len(c.Networks) == 0 {
		return []string{usualNetwork}
	}
	return c.Networks
}

func (c Config) storeOptions() store.Options {
	return store.Options{
		MaxConns:         c.Store.MaxConns,
		StatementTimeout: c.Store.StatementTimeout,
		Migrate:          c.Dev,
	}
}
