package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	documents = 3  // registers
	values    = 40 // of each, and so the most writes to it
)

// A world is a number of registers that clients of several nodes read and write.
// Value v of document r is two tuples, of which one alone shows nothing:
//
//	Document:r#viewers@Group:r-v#members
//	Group:r-v#members@User:r-v
type world struct {
	nodes   []*engine.Engine
	history history
	next    [documents]atomic.Int64         // the value of the next write
	newest  [documents]atomic.Pointer[mark] // the write that was acknowledged last
	clients atomic.Int64
}

// A mark is a token and a value that it shows.
type mark struct {
	value int
	token engine.Token
}

// A client is one caller of the world; it has one call at a time.
type client struct {
	*world
	id   int
	rand *rand.Rand
	errs func(error) bool // whether an error is one of those that may happen
}

func (w *world) client(seed uint64, expected func(error) bool) *client {
	id := w.clients.Add(1)
	return &client{world: w, id: int(id), rand: rand.New(rand.NewPCG(seed, uint64(id))), errs: expected}
}

func document(register int) engine.Object {
	return engine.Object{Namespace: "Document", ID: fmt.Sprint(register)}
}

func group(register, value int) engine.Subject {
	return engine.SubjectSet("Group", fmt.Sprintf("%d-%d", register, value), "members")
}

func user(register, value int) engine.Subject {
	return engine.SubjectSet("User", fmt.Sprintf("%d-%d", register, value), "")
}

func viewers(register, value int) engine.Tuple {
	return engine.Tuple{Object: document(register), Relation: "viewers", Subject: group(register, value)}
}

func members(register, value int) engine.Tuple {
	return engine.Tuple{Object: group(register, value).Object, Relation: "members", Subject: user(register, value)}
}

// read asks at one revision for all users, and returns the one who may view the
// document, or nothing. ok is false if there are several.
func read(ctx context.Context, on *engine.Engine, register int, at engine.Consistency) (value int, ok bool, token engine.Token, err error) {
	questions := make([]engine.Tuple, values)
	for v := range questions {
		questions[v] = engine.Tuple{Object: document(register), Relation: "view", Subject: user(register, v)}
	}
	results, token, err := on.BatchCheck(ctx, questions, at)
	if err != nil {
		return 0, false, "", err
	}
	value, ok = nothing, true
	for v, r := range results {
		if r.Err != nil {
			return 0, false, "", r.Err
		}
		if r.Allowed {
			ok = value == nothing
			value = v
		}
		if !ok {
			break
		}
	}
	return value, ok, token, nil
}

// read reads a register on a node and records what it saw.
func (c *client) read(ctx context.Context, node, register int, at engine.Consistency, o op) (mark, error) {
	call := c.history.now()
	value, ok, token, err := read(ctx, c.nodes[node], register, at)
	if err != nil {
		return mark{}, err
	}
	o.register, o.value = register, value
	if !ok {
		o.kind = opTorn
	}
	c.history.add(c.id, call, o)
	return mark{value, token}, nil
}

// set gives a register a new value, whatever it has.
func (c *client) set(ctx context.Context, node, register, value int) error {
	doc, relation := document(register), "viewers"
	return c.write(ctx, node, op{kind: opSet, register: register, before: nothing, value: value}, engine.Write{
		Delete:  []engine.Query{{Namespace: &doc.Namespace, Object: &doc.ID, Relation: &relation}},
		Updates: []engine.Update{insert(members(register, value)), insert(viewers(register, value))},
	})
}

// swap reads a register and gives it a new value if it still has the one read.
func (c *client) swap(ctx context.Context, node, register, value int) error {
	was, err := c.read(ctx, node, register, fully, op{kind: opFully})
	if err != nil {
		return err
	}
	doc, relation := document(register), "viewers"
	w := engine.Write{
		If:      []engine.Precondition{{Query: engine.Query{Namespace: &doc.Namespace, Object: &doc.ID, Relation: &relation}}},
		Updates: []engine.Update{insert(members(register, value)), insert(viewers(register, value))},
	}
	if was.value != nothing {
		holder := group(register, was.value)
		w.If[0] = engine.Precondition{Query: engine.Query{Namespace: &doc.Namespace, Object: &doc.ID, Relation: &relation, Subject: &holder}, Exists: true}
		w.Updates = append(w.Updates, remove(viewers(register, was.value)), remove(members(register, was.value)))
	}
	return c.write(ctx, node, op{kind: opSwap, register: register, before: was.value, value: value}, w)
}

// write does w and records it as o. A refused one has not happened; one that is
// unavailable neither.
func (c *client) write(ctx context.Context, node int, o op, w engine.Write) error {
	call := c.history.now()
	done, err := c.nodes[node].Write(ctx, w)
	switch {
	case err == nil:
		c.history.add(c.id, call, o)
		c.newest[o.register].Store(&mark{o.value, done.Token})
	case errs.KindOf(err) == errs.Refused:
		return nil
	case errs.KindOf(err) == errs.Unknown:
		c.history.addUnknown(c.id, call, o)
	}
	return err
}

// writeAll writes through one node until the values are used up.
func (c *client) writeAll(ctx context.Context, node int) error {
	for {
		register := c.rand.IntN(documents)
		value := int(c.next[register].Add(1)) - 1
		if value >= values {
			return nil
		}
		do := c.set
		if c.rand.IntN(2) == 0 {
			do = c.swap
		}
		if err := c.survive(ctx, node, do(ctx, node, register, value)); err != nil {
			return err
		}
	}
}

// survive returns err, unless it may happen: then it waits until the node has
// recovered by itself.
func (c *client) survive(ctx context.Context, node int, err error) error {
	if err == nil || !c.errs(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, _, _, err = read(ctx, c.nodes[node], 0, fully); err == nil || !c.errs(err) {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("node %d does not recover: %w", node, err)
		}
	}
}

// readFully reads through one node, fully consistent, until done.
func (c *client) readFully(ctx context.Context, node int, done <-chan struct{}) error {
	return c.until(ctx, node, done, func() error {
		_, err := c.read(ctx, node, c.rand.IntN(documents), fully, op{kind: opFully})
		return err
	})
}

// readTokens takes the token of a write to another node, and that of the answer
// to a third, until done.
func (c *client) readTokens(ctx context.Context, node int, done <-chan struct{}) error {
	return c.until(ctx, node, done, func() error {
		register := c.rand.IntN(documents)
		wrote := c.newest[register].Load()
		if wrote == nil {
			return nil
		}
		saw, err := c.read(ctx, node, register, asFresh(wrote.token), op{kind: opAsFresh, before: wrote.value})
		if err != nil {
			return err
		}
		other := c.rand.IntN(len(c.nodes))
		if _, err := c.read(ctx, other, register, asFresh(saw.token), op{kind: opAsFresh, before: saw.value}); err != nil {
			return err
		}
		exactly := engine.Consistency{Mode: engine.Exact, Token: wrote.token}
		_, err = c.read(ctx, other, register, exactly, op{kind: opExactly, before: wrote.value})
		return err
	})
}

func (c *client) until(ctx context.Context, node int, done <-chan struct{}, do func() error) error {
	for {
		select {
		case <-done:
			return nil
		default:
		}
		if err := c.survive(ctx, node, do()); err != nil {
			return err
		}
	}
}

// run lets writers and readers work on all nodes until the writers are ready,
// and reads everything once more.
func (w *world) run(t *testing.T, seed uint64, expected func(error) bool) {
	t.Helper()
	ctx := t.Context()
	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	try := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	for node := range w.nodes {
		for range 2 {
			c := w.client(seed, expected)
			writers.Go(func() { try(c.writeAll(ctx, node)) })
		}
		fully, tokens := w.client(seed, expected), w.client(seed, expected)
		readers.Go(func() { try(fully.readFully(ctx, node, done)) })
		readers.Go(func() { try(tokens.readTokens(ctx, node, done)) })
	}
	writers.Wait()
	close(done)
	readers.Wait()
	w.readAll(t, seed)
	w.history.check(t)
}

// readAll reads every register on every node.
func (w *world) readAll(t *testing.T, seed uint64) {
	t.Helper()
	last := w.client(seed, nil)
	for node := range w.nodes {
		for register := range documents {
			if _, err := last.read(t.Context(), node, register, fully, op{kind: opFully}); err != nil {
				t.Error(err)
			}
		}
	}
}

// noError is for a world without faults.
func noError(error) bool { return false }
