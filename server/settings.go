package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A setting is one field of Config as it is written in the file (key), in the
// environment (CARDEA_ and the key in capitals, with _ for the dots) and, if
// flag is not "", on the command line.
type setting struct {
	key   string
	flag  string
	value string // the default, as it would be written
	usage string
	field func(*Config) any
	check func(value any) error // nil: the type says it all
}

// settings are all that can be set, in the order of the documentation.
var settings = slices.Concat(coreSettings, oauthSettings, identitySettings, flowEndSettings(), flowLimitSettings, factorSettings, oidcSettings, sessionSettings, courierSettings)

var coreSettings = []setting{
	{"dsn", "dsn", "sqlite://./data/cardea.db", "where the data is: sqlite://PATH, postgres://... or cockroach://...",
		func(c *Config) any { return &c.DSN }, isDSN},
	{"serve.read.address", "read", "127.0.0.1:4466", "address of the read API",
		func(c *Config) any { return &c.Serve.Read.Address }, isAddress},
	{"serve.write.address", "write", "127.0.0.1:4467", "address of the write API",
		func(c *Config) any { return &c.Serve.Write.Address }, isAddress},
	{"serve.public.address", "public", "localhost:4444", "address of the public API: OAuth2, OpenID Connect, the self-service flows and their pages; its host is that of the public URL unless oauth.urls.self.issuer is set; empty: closed",
		func(c *Config) any { return &c.Serve.Public.Address }, isAddressOrEmpty},
	{"serve.metrics.address", "metrics", "127.0.0.1:4468", "address of metrics and health; empty: closed",
		func(c *Config) any { return &c.Serve.Metrics.Address }, isAddressOrEmpty},
	{"serve.opl.address", "opl", "auto", "address of Keto's syntax check, which the read API has too; empty: closed; auto: port 4469 beside a read port of 4466",
		func(c *Config) any { return &c.Serve.OPL.Address }, isOPLAddress},
	{"serve.tls.cert.path", "", "", "a PEM file with the certificate of this server and those between it and an authority; it is read anew when it changes; empty: nothing is encrypted",
		func(c *Config) any { return &c.Serve.TLS.CertPath }, nil},
	{"serve.tls.key.path", "", "", "a PEM file with its private key",
		func(c *Config) any { return &c.Serve.TLS.KeyPath }, nil},
	{"serve.tls.client_ca.path", "", "", "a PEM file with the authorities whose certificates identify callers of read and write, see auth.keys; empty: none do",
		func(c *Config) any { return &c.Serve.TLS.ClientCAPath }, nil},
	{"serve.tls.except", "", "", "the listeners that do not encrypt all the same, such as metrics",
		func(c *Config) any { return &c.Serve.TLS.Except }, areListeners},
	{"serve.pprof", "pprof", "false", "profiles of the process at /debug/pprof/ of the metrics port, for go tool pprof",
		func(c *Config) any { return &c.Serve.Pprof }, nil},
	{"serve.trusted_proxies", "", "", "the networks of proxies whose X-Forwarded-For says where a request comes from, such as 10.0.0.0/8; empty: none",
		func(c *Config) any { return &c.Serve.TrustedProxies }, nil},
	{"serve.drain", "", "30s", "how long requests under way may take when the server is to end",
		func(c *Config) any { return &c.Serve.Drain }, isPositive},
	{"store.max_conns", "", "0", "connections to a database server at the same time; 0: as many as suit the processors",
		func(c *Config) any { return &c.Store.MaxConns }, isNotNegative},
	{"store.statement_timeout", "", "10s", "after which a database server ends a statement",
		func(c *Config) any { return &c.Store.StatementTimeout }, isPositive},
	{"networks", "networks", "default", "the networks that are served, with commas between; the first is that of requests that name none, unless one is called default",
		func(c *Config) any { return &c.Networks }, areNetworks},
	{"auth.keys", "", "", "the callers of read and write, a list of name, sha256 of an API key or name in a client certificate, roles and network; empty: callers are not authenticated",
		func(c *Config) any { return &c.Auth.Keys }, areKeys},
	{"secrets.system", "", "", "what encrypts and signs, a list of texts of at least 16 bytes, the newest first: the others still decrypt and verify; empty: made and kept beside an SQLite file, and needed for a database server",
		func(c *Config) any { return &c.Secrets.System }, areSecrets},
	{"model.location", "model", "", "the model: a file, a directory, an http(s) URL or base64://TEXT; empty: the one uploaded last",
		func(c *Config) any { return &c.Model.Location }, isLocation},
	{"model.poll", "", "1s", "how often model.location is looked at, besides when the file system tells of a change",
		func(c *Config) any { return &c.Model.Poll }, isPositive},
	{"pages.name", "", "Cardea", "the name of the service that pages for people show",
		func(c *Config) any { return &c.Pages.Name }, nil},
	{"pages.folder", "", "", "a folder with templates/ and static/, whose files take the place of those of the same name; empty: none",
		func(c *Config) any { return &c.Pages.Folder }, nil},
	{"compat", "compat", "", "keto: read models and accept tuples as Keto does",
		func(c *Config) any { return &c.Compat }, oneOf("", compatKeto)},
	{"opl.precedence", "", "", "how a || b && c is read without parentheses: typescript or keto; empty: refused",
		func(c *Config) any { return &c.OPL.Precedence }, oneOf("", "typescript", "keto")},
	{"expand.rewrites", "", "false", "let expand follow permissions",
		func(c *Config) any { return &c.Expand.Rewrites }, nil},
	{"limits.batch", "", "10000", "questions in one batch",
		func(c *Config) any { return &c.Limits.Batch }, isPositive},
	{"limits.body", "", "4194304", "bytes of an HTTP body",
		func(c *Config) any { return &c.Limits.Body }, isPositive},
	{"limits.message", "", "4194304", "bytes of a gRPC message",
		func(c *Config) any { return &c.Limits.Message }, isMessageSize},
	{"limits.work", "", "10000000", "steps of one check",
		func(c *Config) any { return &c.Limits.Work }, isPositive},
	{"limits.expand", "", "100000", "nodes of one tree",
		func(c *Config) any { return &c.Limits.Expand }, isPositive},
	{"limits.send", "", "30s", "how long a client may leave a message of a stream, such as a watch, untaken",
		func(c *Config) any { return &c.Limits.Send }, isPositive},
	{"memory.budget", "", "0", "bytes that the tuples may take in memory, of all networks together; beyond it what is asked for most stays there; 0: no limit",
		func(c *Config) any { return &c.Memory.Budget }, isNotNegative},
	{"memory.checkpoint.dir", "", "", "directory for files from which a start reads tuples faster than from the database; empty: none",
		func(c *Config) any { return &c.Memory.Checkpoint.Dir }, nil},
	{"memory.checkpoint.interval", "", "10m", "how often they are written if anything changed, beside when the server stops",
		func(c *Config) any { return &c.Memory.Checkpoint.Interval }, isPositive},
	{"log.level", "log-level", "info", "debug, info, warn or error",
		func(c *Config) any { return &c.Log.Level }, nil},
	{"log.format", "log-format", "", "json or text; empty: text with --dev, else json",
		func(c *Config) any { return &c.Log.Format }, oneOf("", "json", "text")},
	{"history.window", "", "24h", "how long a removed tuple can still be asked for by an old snaptoken",
		func(c *Config) any { return &c.History.Window }, isPositive},
	{"janitor.interval", "", "5m", "how often tokens, sessions and the like that have served their time are removed, on average",
		func(c *Config) any { return &c.Janitor.Interval }, isPositive},
	{"janitor.batch", "", "500", "how many of each kind at a time",
		func(c *Config) any { return &c.Janitor.Batch }, isPositive},
	{"dev", "dev", "false", "for a machine of one's own: logs for people, and a database server's schema is brought up to date at the start",
		func(c *Config) any { return &c.Dev }, nil},
	{"insecure", "insecure", "false", "accept connections from other machines although nothing is encrypted or callers are not authenticated",
		func(c *Config) any { return &c.Insecure }, nil},
}

// env returns the name of the setting's environment variable.
func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// isBool reports whether the flag of s needs no value.
func (s *setting) isBool() bool {
	_, ok := s.field(&Config{}).(*bool)
	return ok
}

// set parses raw, which is a string or what YAML made of the text, into the
// field of c.
func (s *setting) set(c *Config, raw any) error {
	field := s.field(c)
	if err := parse(field, raw); err != nil {
		return err
	}
	if s.check == nil {
		return nil
	}
	return s.check(field)
}

// A parser is a field that reads itself.
type parser interface{ parse(raw any) error }

func parse(field, raw any) error {
	text := fmt.Sprint(raw)
	switch field := field.(type) {
	case *string:
		value, ok := raw.(string)
		if !ok {
			return fmt.Errorf("expected a text, got %s", describe(raw))
		}
		*field = value
		return nil
	case *bool:
		value, err := strconv.ParseBool(text)
		*field = value
		return expected(err, "true or false", raw)
	case *int:
		value, err := strconv.Atoi(text)
		*field = value
		return expected(err, "a whole number", raw)
	case *int64:
		value, err := strconv.ParseInt(text, 10, 64)
		*field = value
		return expected(err, "a whole number", raw)
	case *time.Duration:
		if text == "-1" { // Hydra's word for no end
			text = "-1ns"
		}
		value, err := time.ParseDuration(text)
		*field = value
		return expected(err, "a duration such as 30s or 24h", raw)
	case *[]string:
		value, err := parseNames(raw)
		*field = value
		return err
	case parser:
		return field.parse(raw)
	case *[]netip.Prefix:
		value, err := parsePrefixes(raw)
		*field = value
		return err
	case *[]Key:
		value, err := parseKeys(raw)
		*field = value
		return err
	case *slog.Level:
		levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
		value, ok := levels[text]
		if !ok {
			return fmt.Errorf("expected debug, info, warn or error, got %s", describe(raw))
		}
		*field = value
		return nil
	default:
		panic(fmt.Sprintf("no parser for a %T", field))
	}
}

func parsePrefixes(raw any) ([]netip.Prefix, error) {
	texts, err := parseNames(raw)
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("expected networks such as 10.0.0.0/8 or 2001:db8::/32, got %q", text)
		}
		out = append(out, p)
	}
	return out, nil
}

func expected(err error, what string, raw any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("expected %s, got %s", what, describe(raw))
}

// describe prints a value as it may have been written.
func describe(raw any) string {
	switch raw := raw.(type) {
	case string:
		return strconv.Quote(raw)
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	default:
		return fmt.Sprint(raw)
	}
}

func isPositive(value any) error {
	positive := false
	switch v := value.(type) {
	case *int:
		positive = *v > 0
	case *int64:
		positive = *v > 0
	case *time.Duration:
		positive = *v > 0
	}
	if !positive {
		return errors.New("expected more than 0")
	}
	return nil
}

func isNotNegative(value any) error {
	negative := false
	switch v := value.(type) {
	case *int:
		negative = *v < 0
	case *int64:
		negative = *v < 0
	case *time.Duration:
		negative = *v < 0
	}
	if negative {
		return errors.New("expected 0 or more")
	}
	return nil
}

// isMessageSize also keeps a size within what gRPC can count.
func isMessageSize(value any) error {
	if v := *value.(*int64); v <= 0 || v > 1<<31-1 {
		return errors.New("expected between 1 and 2147483647")
	}
	return nil
}

func oneOf(allowed ...string) func(any) error {
	return func(value any) error {
		if got := *value.(*string); !slices.Contains(allowed, got) {
			names := strings.Join(slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" }), " or ")
			return fmt.Errorf("expected %s, got %q", names, got)
		}
		return nil
	}
}

func isDSN(value any) error {
	got := *value.(*string)
	if scheme, _, ok := strings.Cut(got, ":"); !ok || scheme == "" {
		return errors.New("expected a URL with the scheme sqlite, postgres or cockroach, or mem: for memory")
	}
	return nil
}

func isLocation(value any) error {
	got := *value.(*string)
	scheme, _, ok := strings.Cut(got, "://")
	if ok && !slices.Contains([]string{"file", "http", "https", "base64"}, scheme) {
		return fmt.Errorf("expected a path, or a URL with file, http, https or base64, got %q", got)
	}
	return nil
}

func isAddress(value any) error {
	got := *value.(*string)
	_, port, err := net.SplitHostPort(got)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return expected(err, "host:port, such as 127.0.0.1:4466", got)
}

func isAddressOrEmpty(value any) error {
	if *value.(*string) == "" {
		return nil
	}
	return isAddress(value)
}

func isOPLAddress(value any) error {
	if *value.(*string) == "auto" {
		return nil
	}
	return isAddressOrEmpty(value)
}

func areListeners(value any) error {
	for _, name := range *value.(*[]string) {
		if !slices.Contains(listeners, name) {
			return fmt.Errorf("expected some of %s, got %q", strings.Join(listeners, ", "), name)
		}
	}
	return nil
}

// namesThisMachine reports whether a Host is of an address that only this machine has.
func namesThisMachine(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	ip, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && ip.IsLoopback()
}

// isLoopback reports whether only this machine can connect to the address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
