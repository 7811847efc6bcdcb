package localdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Cockroach is a private CockroachDB of one node or several. It is driven with
// flags that versions from 20.1 on take. (cockroach-go's testserver would leave
// its nodes behind when this process is killed, and lets nodes believe that their
// clocks agree to the nanosecond.) Methods may not be called at the same time,
// DSN excepted.
type Cockroach struct {
	binary string
	nodes  []*cockroachNode
}

type cockroachNode struct {
	port    int
	folder  string
	process *process // nil before the first start
}

// StartCockroach starts n nodes of the program binary. One alone keeps its data
// in memory; several keep them in files, so that a killed one can come back.
// Stop ends them, and so does the end of this process.
func StartCockroach(ctx context.Context, binary string, n int) (*Cockroach, error) {
	c := &Cockroach{binary: binary}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := c.start(ctx, n); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cockroach) start(ctx context.Context, n int) error {
	for range n {
		port, err := freePort()
		if err != nil {
			return err
		}
		folder, err := os.MkdirTemp("", "cardea-cockroach-")
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, &cockroachNode{port: port, folder: folder})
	}
	for _, node := range c.nodes {
		if err := c.run(node); err != nil {
			return err
		}
	}
	if n > 1 {
		if err := c.nodes[0].until(ctx, c.initialise); err != nil {
			return err
		}
	}
	for i, node := range c.nodes {
		if err := node.until(ctx, func(ctx context.Context) (bool, error) { return answers(ctx, c.DSN(i)) }); err != nil {
			return err
		}
	}
	return nil
}

// run starts the process of a node.
func (c *Cockroach) run(node *cockroachNode) error {
	args := []string{c.binary, "start-single-node", "--store=type=mem,size=1GiB"}
	if len(c.nodes) > 1 {
		var all []string
		for _, n := range c.nodes {
			all = append(all, n.address())
		}
		args = []string{c.binary, "start", "--store=path=" + filepath.Join(node.folder, "data"), "--join=" + strings.Join(all, ",")}
	}
	args = append(args, "--insecure", "--listen-addr="+node.address(), "--http-addr=127.0.0.1:0",
		"--cache=128MiB", "--max-sql-memory=256MiB", "--logtostderr")
	started, err := command{
		args: args, folder: node.folder, log: node.log(), signal: "KILL",
		env: []string{"HOME=" + node.folder, "COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING=true"},
	}.start()
	if err != nil {
		return err
	}
	if node.process != nil {
		if err := node.process.release(); err != nil {
			return err
		}
	}
	node.process = started
	return nil
}

// initialise makes a cluster of nodes that wait for it.
func (c *Cockroach) initialise(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, c.binary, "init", "--insecure", "--host="+c.nodes[0].address()).CombinedOutput()
	return err == nil || strings.Contains(string(out), "already been initialized"), nil
}

func (n *cockroachNode) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }
func (n *cockroachNode) log() string     { return filepath.Join(n.folder, "log") }

// until waits for the node, see process.until.
func (n *cockroachNode) until(ctx context.Context, done func(context.Context) (bool, error)) error {
	err := n.process.until(ctx, done)
	if err == nil {
		return nil
	}
	log, _ := os.ReadFile(n.log())
	return errs.Wrap(errs.Internal, err, "CockroachDB does not start; its log says: %s", tail(string(log)))
}

// answers reports whether a server takes connections.
func answers(ctx context.Context, dsn string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return false, nil
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, "SELECT 1")
	return err == nil, nil
}

// DSN names the default database through node i, counted from 0.
func (c *Cockroach) DSN(i int) string {
	return fmt.Sprintf("postgres://root@%s/defaultdb?sslmode=disable", c.nodes[i].address())
}

// Kill ends node i as a power failure does. Its data stay for Start, unless it is
// the only node.
func (c *Cockroach) Kill(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return c.nodes[i].process.kill(ctx)
}

// Start starts a killed node and waits until it answers.
func (c *Cockroach) Start(ctx context.Context, i int) error {
	if err := c.run(c.nodes[i]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return c.nodes[i].until(ctx, func(ctx context.Context) (bool, error) { return answers(ctx, c.DSN(i)) })
}

// Stop ends all nodes for good and removes their data.
func (c *Cockroach) Stop() error {
	var bad []error
	for _, node := range c.nodes {
		if node.process != nil {
			bad = append(bad, node.process.stop())
		}
		bad = append(bad, os.RemoveAll(node.folder))
	}
	return errors.Join(bad...)
}
