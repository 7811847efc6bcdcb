package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/metadata"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// Names of headers, and in lower case of gRPC metadata.
const (
	authHeader    = "Authorization"
	authKey       = "authorization"
	networkHeader = "Cardea-Network"
	networkKey    = "cardea-network"
)

// usualNetwork is the network of requests that name none, if it is served.
const usualNetwork = "default"

// A network is one tenant. What is stored in one shows in no other.
type network struct {
	name   string
	engine *engine.Engine
	feed   *engine.Feed
	oauth  *oauth.Provider // nil: off
	admin  []oauth.Route   // of oauth
	claims claimMaker
	people *identity.Service // nil: no identities are kept
	joint  *joint            // what people keeps, and the tuples; nil with it
	pages  *pages            // nil: nothing is public

	answers atomic.Pointer[checkAnswers]
}

// A guard knows who may call, and about which network.
type guard struct {
	keys     []Key // none: everyone may
	networks map[string]*network
	usual    *network // of requests that name none

	certificates bool // whether keys has some
}

// admit returns the network that a request is about, and the key that it has, if there are
// keys. A role of "" is any.
//
// Unauthenticated: there are keys, and the request has none of them, nor has its
// connection a certificate of one. Denied: the key does not have the role, or is for
// another network. NotFound: there is no such network. Invalid: the request names
// several.
func (g *guard) admit(ctx context.Context, role string, authorization, names []string) (n *network, by *Key, err error) {
	if len(names) > 1 {
		return nil, nil, errs.New(errs.Invalid, "%s is given more than once", networkHeader)
	}
	wanted := ""
	if len(names) == 1 {
		wanted = names[0]
	}
	if len(g.keys) > 0 {
		k, err := g.caller(ctx, authorization)
		if err != nil {
			return nil, nil, err
		}
		by = k
		if role != "" && !slices.Contains(k.Roles, role) {
			return nil, nil, errs.New(errs.Denied, "%s does not have the role %s", k, role)
		}
		switch {
		case k.Network == anyNetwork:
		case wanted == "":
			wanted = k.Network
		case wanted != k.Network:
			return nil, nil, errs.New(errs.Denied, "%s is for another network than %q", k, wanted)
		}
	}
	if wanted == "" {
		return g.usual, by, nil
	}
	found, ok := g.networks[wanted]
	if !ok {
		return nil, nil, errs.New(errs.NotFound, "this server has no network %q", wanted)
	}
	return found, by, nil
}

// caller finds the key of a request: that which its header has or, if it has no such
// header, that of the certificate of its connection.
func (g *guard) caller(ctx context.Context, authorization []string) (*Key, error) {
	if len(authorization) > 0 || !g.certificates {
		return g.key(authorization)
	}
	shown := shownBy(ctx)
	if shown == nil {
		return g.key(authorization)
	}
	names := namesIn(shown)
	for i, k := range g.keys {
		if k.Certificate != "" && slices.Contains(names, k.Certificate) {
			return &g.keys[i], nil
		}
	}
	return nil, errs.New(errs.Unauthenticated, "the client certificate is for %q, which auth.keys does not list", names)
}

// key finds the key that the header has. It takes as long for each that is not
// known.
func (g *guard) key(authorization []string) (*Key, error) {
	const expected = "expected the header Authorization: Bearer KEY with one of the server's API keys"
	if len(authorization) != 1 {
		return nil, errs.New(errs.Unauthenticated, "the request has no API key, or several: %s", expected)
	}
	scheme, secret, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, errs.New(errs.Unauthenticated, "the request has no API key: %s", expected)
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(secret)))
	found := -1
	for i := range g.keys {
		if g.keys[i].Certificate != "" {
			continue
		}
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], g.keys[i].Hash[:]), i, found)
	}
	if found < 0 {
		return nil, errs.New(errs.Unauthenticated, "the API key is not known: %s", expected)
	}
	return &g.keys[found], nil
}

// issue makes a key that lives as long as the process and may do everything.
func (g *guard) issue() string {
	secret := NewKey()
	if len(g.keys) > 0 {
		g.keys = append(slices.Clone(g.keys), Key{
			Name: "of the process itself", itself: true, Hash: sha256.Sum256([]byte(secret)),
			Roles: []string{readRole, writeRole}, Network: anyNetwork,
		})
	}
	return secret
}

// NewKey returns a random API key of 256 bits or a little more.
func NewKey() string { return "cardea_" + rand.Text() + rand.Text() }

type (
	callersNetwork struct{}
	callersName    struct{}
)

// callerOf returns the name of the key that a request was admitted by, "" if of none.
func callerOf(r *http.Request) string {
	name, _ := r.Context().Value(callersName{}).(string)
	return name
}

// networkOf returns the network that a request was admitted to.
func networkOf(ctx context.Context) *network { return ctx.Value(callersNetwork{}).(*network) }

func engineOf(ctx context.Context) *engine.Engine { return networkOf(ctx).engine }

// admitRPC admits a call, and returns its context with the network.
func (g *guard) admitRPC(ctx context.Context, role string) (context.Context, error) {
	n, _, err := g.admit(ctx, role, sentHeader(ctx, authKey), sentHeader(ctx, networkKey))
	if err != nil {
		return nil, err
	}
	return context.WithValue(ctx, callersNetwork{}, n), nil
}

// admitHTTP does the same for a REST request.
func (g *guard) admitHTTP(r *http.Request, role string) (*http.Request, error) {
	n, by, err := g.admit(r.Context(), role, r.Header.Values(authHeader), r.Header.Values(networkHeader))
	if err != nil {
		return nil, err
	}
	ctx := context.WithValue(r.Context(), callersNetwork{}, n)
	if by != nil && !by.itself { // the process itself asks for somebody
		ctx = context.WithValue(ctx, callersName{}, by.Name)
	}
	return r.WithContext(ctx), nil
}

// callerHeaders puts what a caller says in headers of HTTP where calls of gRPC
// have it.
func callerHeaders(ctx context.Context, h http.Header) context.Context {
	md := metadata.MD{}
	for header, key := range map[string]string{authHeader: authKey, networkHeader: networkKey, idempotencyHeader: idempotencyKey} {
		if values := h.Values(header); len(values) > 0 {
			md[key] = values
		}
	}
	if len(md) == 0 {
		return ctx
	}
	return metadata.NewIncomingContext(ctx, md)
}
