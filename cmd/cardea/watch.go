package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

func (a *app) watchCommand() *cobra.Command {
	var query queryFlags
	var from string
	var heartbeat time.Duration
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print what changes, until interrupted",
		Long: `Prints the changes of tuples, or of those that match, and of the model, from now on
or from a snaptoken: a line each, with + for what came and - for what went. With
-o json each message of the server is a line, heartbeats among them.

At the end stderr says how to go on from there. A snaptoken that is older than the
server's history cannot be watched from: export all tuples anew, and watch from
the snaptoken of that.`,
		Example: `  cardea watch
  cardea watch --namespace Document -o json
  cardea watch --from "$(cardea tuples create Document:plan#viewers@User:ann -o json | jq -r .snaptoken)"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := query.proto(cmd)
			if err != nil {
				return err
			}
			req := &cardeav1.WatchTuplesRequest{Snaptoken: from}
			if q != nil {
				req.Queries = []*cardeav1.TupleQuery{q}
			}
			if cmd.Flags().Changed("heartbeat") {
				req.Heartbeat = durationpb.New(heartbeat)
			}
			return a.watch(cmd.Context(), req)
		},
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	query.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "snaptoken to begin at; none: now")
	cmd.Flags().DurationVar(&heartbeat, "heartbeat", 5*time.Second, "how long the server may have nothing to say")
	return cmd
}

// watch prints messages until ctx ends, which is no error, or the server ends the
// watch.
func (a *app) watch(ctx context.Context, req *cardeav1.WatchTuplesRequest) error {
	conn, err := a.readRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := cardeav1.NewTupleServiceClient(conn).Watch(ctx, req)
	if err != nil {
		return err
	}
	last := ""
	for {
		m, err := stream.Recv()
		if err != nil {
			if last != "" {
				fmt.Fprintf(a.stderr, "to go on from there: --from %s\n", last)
			}
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, io.EOF) {
				return errors.New("the server ended the watch")
			}
			return conn.explain(err)
		}
		if token := m.GetSnaptoken(); token != "" {
			last = token
		}
		if err := a.printMessage(m); err != nil {
			return err
		}
	}
}

// A messageJSON is a message of a watch.
type messageJSON struct {
	Changes   []changeJSON `json:"changes"`
	Model     int64        `json:"model_version,omitempty"` // that became active
	Snaptoken string       `json:"snaptoken,omitempty"`     // none: more of the same is to come
	Heartbeat bool         `json:"heartbeat,omitempty"`
}

type changeJSON struct {
	Action string    `json:"action"` // insert or delete
	Tuple  tupleJSON `json:"relation_tuple"`
}

func (a *app) printMessage(m *cardeav1.WatchTuplesResponse) error {
	if a.output == "json" {
		return a.printMessageJSON(m)
	}
	for _, c := range m.GetChanges() {
		sign := "+"
		if c.GetAction() == cardeav1.TupleUpdate_ACTION_DELETE {
			sign = "-"
		}
		if _, err := fmt.Fprintln(a.stdout, sign, formatLine(tupleFrom(c.GetTuple()))); err != nil {
			return err
		}
	}
	if v := m.GetModel().GetVersion(); v > 0 {
		_, err := fmt.Fprintf(a.stdout, "model version %d\n", v)
		return err
	}
	return nil
}

func (a *app) printMessageJSON(m *cardeav1.WatchTuplesResponse) error {
	line := messageJSON{
		Changes: []changeJSON{}, Model: m.GetModel().GetVersion(), Snaptoken: m.GetSnaptoken(), Heartbeat: m.GetHeartbeat(),
	}
	for _, c := range m.GetChanges() {
		action := "insert"
		if c.GetAction() == cardeav1.TupleUpdate_ACTION_DELETE {
			action = "delete"
		}
		line.Changes = append(line.Changes, changeJSON{action, toJSON(tupleFrom(c.GetTuple()))})
	}
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}
