package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
)

const defaultPublicRemote = "http://localhost:4444"

// A restRemote is one listener of a server, as asked over HTTP.
type restRemote struct {
	base    *url.URL
	flag    string // that named it
	headers http.Header
	timeout time.Duration
	client  *http.Client
}

// named is a check of arguments that are names or ids: an empty one is that of a variable
// that is not set, and would be the path of something else.
func named(number cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if slices.Contains(args, "") {
			return errors.New("an argument is empty: expected a name or an id")
		}
		return number(cmd, args)
	}
}

// adminFlags adds the flags of a command that uses the admin API of OAuth 2.
func (a *app) adminFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.client.write, "write-remote", envOr("CARDEA_WRITE_REMOTE", defaultWriteRemote),
		"address of the server's write listener, https://HOST:PORT if it does TLS (CARDEA_WRITE_REMOTE)")
	f.StringVar(&a.client.apiKey, "api-key", os.Getenv("CARDEA_API_KEY"),
		"API key, if the server wants one; others on this machine can see flags, so better (CARDEA_API_KEY)")
	f.Lookup("api-key").DefValue = "" // not to be shown in the help
	f.StringVar(&a.client.network, "network", os.Getenv("CARDEA_NETWORK"),
		"network to ask in; none: the usual one (CARDEA_NETWORK)")
	a.timeoutFlag(cmd)
	a.client.tls.add(f)
}

// publicFlags adds the flag of a command that does what clients of OAuth 2 do.
func (a *app) publicFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.client.public, "public-url", envOr("CARDEA_PUBLIC_REMOTE", defaultPublicRemote),
		"URL or address of the server's public listener (CARDEA_PUBLIC_REMOTE)")
	if cmd.Flags().Lookup("timeout") == nil {
		a.timeoutFlag(cmd)
	}
	if cmd.Flags().Lookup("ca-cert") == nil {
		a.client.tls.add(cmd.Flags())
	}
}

func (a *app) timeoutFlag(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&a.client.timeout, "timeout", 10*time.Second, "how long to wait for one answer")
}

// adminRemote is the write listener.
func (a *app) adminRemote() (*restRemote, error) {
	r, err := a.client.rest(a.client.write, "--write-remote")
	if err != nil {
		return nil, err
	}
	if a.client.apiKey != "" {
		r.headers.Set("Authorization", "Bearer "+a.client.apiKey)
	}
	if a.client.network != "" {
		r.headers.Set("Cardea-Network", a.client.network)
	}
	return r, nil
}

// publicRemote is the public listener.
func (a *app) publicRemote() (*restRemote, error) {
	return a.client.rest(a.client.public, "--public-url")
}

// rest reads an address or a URL.
func (c clientFlags) rest(address, flag string) (*restRemote, error) {
	text := address
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" {
		return nil, fmt.Errorf("%s is %q: expected host:port, or an http(s) URL", flag, address)
	}
	client, err := c.tls.http()
	if err != nil {
		return nil, err
	}
	return &restRemote{base, flag, http.Header{}, c.timeout, client}, nil
}

// at returns the URL of a path, whose segments are escaped already.
func (r *restRemote) at(path string) string {
	return strings.TrimSuffix(r.base.String(), "/") + path
}

// do makes a request with a JSON body, unless it is nil, and decodes the answer into a
// value, unless that is nil. It returns the headers of the answer.
func (r *restRemote) do(ctx context.Context, method, path string, body, into any) (http.Header, error) {
	var reader io.Reader
	kind := ""
	switch body := body.(type) {
	case nil:
	case url.Values:
		reader, kind = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader, kind = bytes.NewReader(text), "application/json"
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.at(path), reader)
	if err != nil {
		return nil, err
	}
	req.Header = r.headers.Clone()
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return r.send(req, into)
}

// send makes a request whose errors are for people.
func (r *restRemote) send(req *http.Request, into any) (http.Header, error) {
	resp, err := r.client.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &remoteError{codes.DeadlineExceeded, fmt.Sprintf("no answer from the server at %s within %s: --timeout allows more", r.base.Host, r.timeout)}
	}
	if err != nil && distrust(err) != "" {
		return nil, &remoteError{codes.Unavailable, distrusted(r.base.Host, distrust(err))}
	}
	if err != nil {
		return nil, &remoteError{codes.Unavailable, fmt.Sprintf("cannot reach the server at %s: start one with `cardea serve`, or name another with %s", r.base.Host, r.flag)}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("the answer of the server at %s ended early: %w", r.base.Host, err)
	}
	if resp.StatusCode >= 300 {
		return nil, r.explain(resp, text)
	}
	if into == nil || len(text) == 0 {
		return resp.Header, nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, fmt.Errorf("the server at %s answers with what is no JSON of the expected form: is %s that of a Cardea?", r.base.Host, r.flag)
	}
	return resp.Header, nil
}

// httpCodes are the codes of gRPC for statuses of HTTP.
var httpCodes = map[int]codes.Code{
	http.StatusBadRequest: codes.InvalidArgument, http.StatusUnauthorized: codes.Unauthenticated, http.StatusForbidden: codes.PermissionDenied,
	http.StatusNotFound: codes.NotFound, http.StatusConflict: codes.AlreadyExists, http.StatusTooManyRequests: codes.ResourceExhausted,
	http.StatusNotImplemented: codes.Unimplemented, http.StatusServiceUnavailable: codes.Unavailable,
}

// explain turns an answer into an error that says what to do.
func (r *restRemote) explain(resp *http.Response, text []byte) error {
	e := &remoteError{code: codes.Internal}
	if c, ok := httpCodes[resp.StatusCode]; ok {
		e.code = c
	}
	var body struct {
		Name        string `json:"error"`
		Description string `json:"error_description"`
	}
	err := json.Unmarshal(text, &body)
	var kratos struct{ Error kratosError }
	isKratos := json.Unmarshal(text, &kratos) == nil && kratos.Error.Message != ""
	switch {
	case resp.StatusCode == http.StatusUnauthorized && r.flag == "--write-remote" && r.headers.Get("Authorization") == "":
		e.msg = fmt.Sprintf("the server at %s wants an API key: give it one in CARDEA_API_KEY", r.base.Host)
	case resp.StatusCode == http.StatusUnauthorized && r.flag == "--write-remote":
		e.msg = fmt.Sprintf("the server at %s does not know the API key of CARDEA_API_KEY or --api-key", r.base.Host)
	case resp.StatusCode == http.StatusNotFound && (bytes.Contains(text, []byte("there is nothing at ")) || err != nil && !isKratos):
		e.msg = fmt.Sprintf("the listener at %s has nothing at %s: is %s right, and are system secrets set?", r.base.Host, resp.Request.URL.Path, r.flag)
	case err == nil && body.Description != "":
		e.msg = body.Name + ": " + body.Description
	case isKratos:
		e.msg = kratos.Error.String()
	default:
		e.msg = fmt.Sprintf("the server at %s answers %s", r.base.Host, resp.Status)
	}
	return e
}

// A kratosError is an error of the admin API of identities.
type kratosError struct {
	Message string `json:"message"`
	Reason  string `json:"reason"`
}

func (e kratosError) String() string {
	if e.Reason != "" {
		return e.Reason
	}
	return e.Message
}

// readFile reads a file, or stdin if its name is -.
func (a *app) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(a.stdin)
	}
	return os.ReadFile(name)
}

// readJSON reads a file, or stdin, into a map or a list, which is called what.
func (a *app) readJSON(name string, into any, what string) error {
	text, err := a.readFile(name)
	if err != nil {
		return err
	}
	err = json.Unmarshal(text, into)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind), err == nil && string(bytes.TrimSpace(text)) == "null":
		return fmt.Errorf("%s: it is no %s", name, what)
	case err != nil:
		return fmt.Errorf("%s: it is no JSON: %w", name, err)
	}
	return nil
}
