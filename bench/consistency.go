package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cardea-iam/cardea/engine"
)

// Modes are the modes of consistency in the order of their price, with the names
// that the API gives them.
var Modes = []struct {
	Name string
	Mode engine.Mode
}{
	{"minimize_latency", engine.MinimizeLatency},
	{"at_least_as_fresh", engine.AtLeastAsFresh},
	{"fully_consistent", engine.FullyConsistent},
	{"exact", engine.Exact},
}

// A ConsistencyReport is what one mode cost on one store.
type ConsistencyReport struct {
	Store string `json:"store"`
	Mode  string `json:"mode"`
	Report
	Writes         int64   `json:"writes"`           // by the other node meanwhile
	RoundsPerCheck float64 `json:"rounds_per_check"` // round trips to the store, those of the follower included
	RowsPerCheck   float64 `json:"rows_per_check"`
}

// Consistency asks one node of a filled cluster checks in a mode, while another
// writes the given number of tuples a second. The modes that take a token get
// that of the newest write: what somebody asks for who has just written.
func Consistency(ctx context.Context, c *Cluster, w Workload, l Load, mode engine.Mode, writes int) (ConsistencyReport, error) {
	reader, writer := c.Nodes[0], Local{Engine: c.Nodes[len(c.Nodes)-1]}
	var newest atomic.Pointer[engine.Token]
	var written atomic.Int64
	write := func(ctx context.Context) error {
		token, err := writer.write(ctx, fresh(mode, written.Add(1)))
		if err == nil {
			newest.Store(&token)
		}
		return err
	}
	if err := write(ctx); err != nil { // so that there is a token
		return ConsistencyReport{}, err
	}
	on := Local{Engine: reader, At: func() engine.Consistency {
		if mode == engine.AtLeastAsFresh || mode == engine.Exact {
			return engine.Consistency{Mode: mode, Token: *newest.Load()}
		}
		return engine.Consistency{Mode: mode}
	}}
	before := reader.Stats()
	var report Report
	err := while(ctx, writes, write, func(ctx context.Context) (err error) {
		report, err = Run(ctx, on, w, l)
		return err
	})
	after := reader.Stats()
	return ConsistencyReport{
		Report: report, Writes: written.Load(),
		RoundsPerCheck: perCheck(after.StoreRounds-before.StoreRounds, report.Checks),
		RowsPerCheck:   perCheck(after.StoreRows-before.StoreRows, report.Checks),
	}, err
}

func perCheck(n, checks int64) float64 { return float64(n) / float64(max(checks, 1)) }

// fresh is a tuple that the workload does not have and no question is about.
func fresh(kind engine.Mode, i int64) engine.Tuple {
	return engine.Tuple{
		Object:   engine.Object{Namespace: "Document", ID: fmt.Sprintf("fresh-%d-%d", kind, i)},
		Relation: "viewers", Subject: engine.SubjectSet("User", "fresh", ""),
	}
}

// while calls tick so many times a second, in goroutines of their own, until do
// returns. A tick that finds 64 others at work waits for one to end.
func while(ctx context.Context, perSecond int, tick, do func(context.Context) error) error {
	if perSecond == 0 {
		return do(ctx)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	// Ticks under way when do returns may end: to cut off a write helps nobody.
	stop := make(chan struct{})
	ticked := make(chan struct{})
	go func() {
		defer close(ticked)
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				g.Go(func() error { return tick(gctx) })
			case <-stop:
				return
			case <-gctx.Done():
				return
			}
		}
	}()
	err := do(gctx)
	close(stop)
	<-ticked
	if failed := g.Wait(); failed != nil {
		return failed // the reason why do's context ended, if it did
	}
	return err
}
