package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	envPrefix  = "CARDEA_"
	configFlag = "config"
	configEnv  = envPrefix + "CONFIG"
)

// Flags defines the flags of the settings, and --config.
func Flags(fs *pflag.FlagSet) {
	fs.String(configFlag, "", "YAML file with the configuration ($"+configEnv+")")
	for _, s := range settings {
		switch {
		case s.flag == "":
		case s.isBool():
			fs.Bool(s.flag, s.value == "true", s.usage)
		default:
			fs.String(s.flag, s.value, s.usage)
		}
	}
}

// LoadConfig reads the file that --config or CARDEA_CONFIG names, if any, and
// over it the environment, and over that the flags, which may be nil.
//
// Invalid: anything is wrong; the message has a line for each mistake, which
// names the key, where it was set, and what was expected.
func LoadConfig(flags *pflag.FlagSet) (Config, error) {
	l := &loader{merged: koanf.New("."), origin: map[string]string{}}
	l.defaults()
	l.file(configPath(flags))
	l.environment(os.Environ())
	l.flags(flags)
	c := l.config()
	if len(l.mistakes) > 0 {
		return Config{}, errs.New(errs.Invalid, "the configuration has mistakes:\n  %s", strings.Join(l.mistakes, "\n  "))
	}
	return c, nil
}

func configPath(flags *pflag.FlagSet) string {
	if flags != nil {
		if path, err := flags.GetString(configFlag); err == nil && path != "" {
			return path
		}
	}
	return os.Getenv(configEnv)
}

// A loader merges the layers and collects what is wrong with them.
type loader struct {
	merged   *koanf.Koanf
	origin   map[string]string // key: where its value was set
	mistakes []string
}

func (l *loader) mistake(format string, args ...any) {
	l.mistakes = append(l.mistakes, fmt.Sprintf(format, args...))
}

// add puts a layer over those before. values is flat.
func (l *loader) add(values map[string]any, origin func(key string) string) {
	if err := l.merged.Load(confmap.Provider(values, "."), nil); err != nil {
		l.mistake("%v", err)
	}
	for key := range values {
		l.origin[key] = origin(key)
	}
}

func (l *loader) defaults() {
	values := map[string]any{}
	for _, s := range settings {
		values[s.key] = s.value
	}
	l.add(values, func(string) string { return "default" })
}

// file reads a YAML file and reports the keys that are no settings. What is null
// counts as not set.
func (l *loader) file(path string) {
	if path == "" {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		l.mistake("--config: %v", err)
		return
	}
	tree, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		l.mistake("%s: expected YAML with sections and keys: %v", path, err)
		return
	}
	values := map[string]any{}
	l.flatten(path, "", tree, values)
	l.add(values, func(string) string { return path })
}

// flatten collects the settings below prefix. It follows the settings rather
// than the file, so that a scalar where a section belongs is told from a
// section where a scalar belongs.
func (l *loader) flatten(path, prefix string, tree map[string]any, values map[string]any) {
	names := make([]string, 0, len(tree))
	for name := range tree {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		key, value := prefix+name, tree[name]
		below, isSection := value.(map[string]any)
		_, isText := value.(string)
		switch {
		case isSetting(key):
			if value != nil {
				values[key] = value
			}
		case !isSectionKey(key):
			l.mistake("%s (%s): there is no such key; %s has %s", key, path, sectionName(prefix), strings.Join(keysBelow(prefix), ", "))
		case isText && isSetting(key+".url"): // as Hydra has hooks of which no more is to be said
			values[key+".url"] = value
		case isSection:
			l.flatten(path, key+".", below, values)
		case value != nil:
			l.mistake("%s (%s): expected a section with %s, got %s", key, path, strings.Join(keysBelow(key+"."), ", "), describe(value))
		}
	}
}

func isSetting(key string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.key == key })
}

func isSectionKey(key string) bool { return len(keysBelow(key+".")) > 0 }

// keysBelow returns the names directly below a prefix such as "serve.".
func keysBelow(prefix string) []string {
	var names []string
	for _, s := range settings {
		if rest, ok := strings.CutPrefix(s.key, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func sectionName(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return strings.TrimSuffix(prefix, ".")
}

// environment takes the variables of settings. Others with the prefix belong to
// the client commands, unless they begin like a section: those are misspelt.
func (l *loader) environment(environ []string) {
	values := map[string]any{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || name == configEnv {
			continue
		}
		at := slices.IndexFunc(settings, func(s setting) bool { return s.env() == name })
		if at >= 0 {
			values[settings[at].key] = value
			continue
		}
		section, _, deep := strings.Cut(rest, "_")
		if deep && isSectionKey(strings.ToLower(section)) {
			l.mistake("%s: there is no such setting; %s has %s", name, strings.ToLower(section), strings.Join(keysBelow(strings.ToLower(section)+"."), ", "))
		}
	}
	l.add(values, func(key string) string {
		return settings[slices.IndexFunc(settings, func(s setting) bool { return s.key == key })].env()
	})
}

// flags takes the flags that were given.
func (l *loader) flags(flags *pflag.FlagSet) {
	if flags == nil {
		return
	}
	values := map[string]any{}
	names := map[string]string{}
	for _, s := range settings {
		if s.flag == "" {
			continue
		}
		if f := flags.Lookup(s.flag); f != nil && f.Changed {
			values[s.key] = f.Value.String()
			names[s.key] = "--" + s.flag
		}
	}
	l.add(values, func(key string) string { return names[key] })
}

// config turns the merged values into a Config.
func (l *loader) config() Config {
	var c Config
	for _, s := range settings {
		if err := s.set(&c, l.merged.Get(s.key)); err != nil {
			l.mistake("%s (%s): %v", s.key, l.origin[s.key], err)
		}
	}
	if c.Serve.OPL.Address == "auto" {
		c.Serve.OPL.Address = oplBeside(c.Serve.Read.Address)
	}
	if err := c.Validate(); err != nil {
		l.mistakes = append(l.mistakes, strings.Split(err.Error(), "\n")...)
	}
	return c
}

// oplBeside returns Keto's address of the syntax check if the read listener has
// Keto's port, else "".
func oplBeside(read string) string {
	if host, port, err := net.SplitHostPort(read); err == nil && port == "4466" {
		return net.JoinHostPort(host, "4469")
	}
	return ""
}

// Validate reports every listener that other machines could reach unencrypted or
// without authentication unless Insecure is set, settings of TLS that do not fit
// together, and every key of a network that is not served. What is no host
// and port is no address to listen at either; LoadConfig reports it by itself.
func (c Config) Validate() error {
	bad := append(c.openListeners(), c.badTLS()...)
	for i, k := range c.Auth.Keys {
		if k.Network != anyNetwork && !slices.Contains(c.networks(), k.Network) {
			bad = append(bad, fmt.Errorf("auth.keys[%d].network: %q is not among networks: expected one of %s, or %s for all",
				i, k.Network, strings.Join(c.networks(), ", "), anyNetwork))
		}
	}
	return errors.Join(bad...)
}

func (c Config) openListeners() (bad []error) {
	if c.Insecure {
		return nil
	}
	for _, l := range []struct {
		name, address string
		guarded       bool // callers need API keys there
	}{
		{"read", c.Serve.Read.Address, true},
		{"write", c.Serve.Write.Address, true},
		{"public", c.Serve.Public.Address, false},
		{"metrics", c.Serve.Metrics.Address, true},
		{"opl", c.Serve.OPL.Address, false},
	} {
		if _, _, err := net.SplitHostPort(l.address); err != nil || isLoopback(l.address) {
			continue
		}
		report := func(why, told string) {
			bad = append(bad, fmt.Errorf("serve.%s.address: other machines can connect to %q, and %s: expected a loopback address such as 127.0.0.1, or --insecure %s",
				l.name, l.address, why, told))
		}
		switch {
		case l.guarded && len(c.Auth.Keys) == 0:
			report("callers are not authenticated, as auth.keys is empty", "if everyone who can connect may read and write everything")
		case !c.Serve.encrypts(l.name):
			report("nothing is encrypted, as serve.tls is not set for it, so that secrets could be read on the way", "if the network between is trusted, or a proxy on this machine ends TLS")
		}
	}
	return bad
}

// badTLS reports settings of TLS that do not fit together.
func (c Config) badTLS() (bad []error) {
	t := c.Serve.TLS
	if (t.CertPath == "") != (t.KeyPath == "") {
		bad = append(bad, errors.New("serve.tls: cert.path and key.path go together: expected both or neither"))
	}
	if t.CertPath == "" && (t.ClientCAPath != "" || len(t.Except) > 0 || c.OAuth.Certificates.Request) {
		bad = append(bad, errors.New("serve.tls.client_ca.path, serve.tls.except and oauth.client_certificates.request need TLS: expected serve.tls.cert.path"))
	}
	for i, k := range c.Auth.Keys {
		if k.Certificate != "" && t.ClientCAPath == "" {
			bad = append(bad, fmt.Errorf("auth.keys[%d].certificate: nobody signs client certificates: expected serve.tls.client_ca.path", i))
		}
	}
	return bad
}
