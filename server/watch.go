package server

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// Bounds on what a watch may ask for.
const (
	minHeartbeat    = 100 * time.Millisecond
	maxHeartbeat    = time.Minute
	maxWatchQueries = 100
)

func (s *tupleService) Watch(req *cardeav1.WatchTuplesRequest, stream cardeav1.TupleService_WatchServer) error {
	for m, err := range s.watch(stream.Context(), req) {
		if err != nil {
			return err
		}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// watch yields the messages of a watch. An error comes last.
func (c *core) watch(ctx context.Context, req *cardeav1.WatchTuplesRequest) iter.Seq2[*cardeav1.WatchTuplesResponse, error] {
	return func(yield func(*cardeav1.WatchTuplesResponse, error) bool) {
		w, err := watchFromCardea(req)
		if err != nil {
			yield(nil, err)
			return
		}
		c.metrics.watches.Inc()
		defer c.metrics.watches.Dec()
		for event, err := range networkOf(ctx).feed.Watch(ctx, engine.Token(req.Snaptoken), w) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, m := range watchToCardea(event) {
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

func watchFromCardea(req *cardeav1.WatchTuplesRequest) (w engine.Watch, err error) {
	if len(req.Queries) > maxWatchQueries {
		return w, errs.New(errs.Invalid, "queries has %d items: expected at most %d", len(req.Queries), maxWatchQueries)
	}
	for i, q := range req.Queries {
		query, err := queryFromCardea(q, fmt.Sprintf("queries[%d]", i))
		if err != nil {
			return w, err
		}
		w.Queries = append(w.Queries, query)
	}
	w.Heartbeat, err = heartbeat(req.Heartbeat)
	return w, err
}

// heartbeat returns 0 for the default.
func heartbeat(asked *durationpb.Duration) (time.Duration, error) {
	if asked == nil {
		return 0, nil
	}
	d := asked.AsDuration()
	if !asked.IsValid() || d < minHeartbeat || d > maxHeartbeat {
		return 0, errs.New(errs.Invalid, "heartbeat is %v: expected between %v and %v", d, minHeartbeat, maxHeartbeat)
	}
	return d, nil
}

// watchToCardea returns the messages of an event. A change of the model ends a
// message.
func watchToCardea(e engine.WatchEvent) []*cardeav1.WatchTuplesResponse {
	if len(e.Changes) == 0 {
		return []*cardeav1.WatchTuplesResponse{{Snaptoken: string(e.Token), Heartbeat: true}}
	}
	actions := map[engine.Op]cardeav1.TupleUpdate_Action{
		engine.Insert: cardeav1.TupleUpdate_ACTION_INSERT, engine.Delete: cardeav1.TupleUpdate_ACTION_DELETE,
	}
	var all []*cardeav1.WatchTuplesResponse
	m := &cardeav1.WatchTuplesResponse{}
	for _, c := range e.Changes {
		if m.Model != nil {
			all = append(all, m)
			m = &cardeav1.WatchTuplesResponse{}
		}
		if c.Model != nil {
			m.Model = &cardeav1.ModelChange{Version: c.Model.Number}
		} else {
			m.Changes = append(m.Changes, &cardeav1.TupleUpdate{Action: actions[c.Op], Tuple: tupleToCardea(c.Tuple)})
		}
	}
	m.Snaptoken = string(e.Token)
	return append(all, m)
}

// lastEventID is the header in which a browser says how far it came.
const lastEventID = "Last-Event-ID"

// events serves a watch as server-sent events: each message is the data of an
// event whose id is the snaptoken, so that a browser resumes by itself. Heartbeats
// are events of their own type, and so is the error at the end.
func (c *cardeaREST) events(draining context.Context, sendTime time.Duration) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		req := &cardeav1.WatchTuplesRequest{}
		v, err := queryOf(r)
		if err != nil {
			return err
		}
		if err := fromQuery(v, req); err != nil {
			return err
		}
		if id := r.Header.Get(lastEventID); id != "" {
			req.Snaptoken = id
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(draining, cancel)()
		s := &eventStream{to: w, sendTime: sendTime}
		for m, err := range c.watch(ctx, req) {
			if err != nil && draining.Err() != nil {
				err = errDraining
			}
			if err != nil {
				return s.end(r, err)
			}
			if err := s.send(m); err != nil {
				return err
			}
		}
		return nil
	}
}

// An eventStream writes server-sent events.
type eventStream struct {
	to       http.ResponseWriter
	sendTime time.Duration
	paced    *pacedWriter // nil: nothing was sent yet
}

// begin sends the headers. Proxies that would collect the answer are asked not to.
func (s *eventStream) begin() {
	s.paced = paced(s.to, s.sendTime)
	h := s.to.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	s.to.WriteHeader(http.StatusOK)
}

func (s *eventStream) send(m *cardeav1.WatchTuplesResponse) error {
	if s.paced == nil {
		s.begin()
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the message cannot be encoded")
	}
	kind := ""
	if m.Heartbeat {
		kind = "heartbeat"
	}
	return s.write(kind, m.Snaptoken, text)
}

// write writes one event. Its data has no line breaks, which JSON does not need.
func (s *eventStream) write(kind, id string, data []byte) error {
	var text []byte
	if kind != "" {
		text = fmt.Appendf(text, "event: %s\n", kind)
	}
	if id != "" {
		text = fmt.Appendf(text, "id: %s\n", id)
	}
	text = fmt.Appendf(text, "data: %s\n\n", data)
	if _, err := s.paced.Write(text); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the client took no event for %v, or went away", s.sendTime)
	}
	if err := s.paced.FlushError(); err != nil {
		return errs.Wrap(errs.Unavailable, err, "the client took no event for %v, or went away", s.sendTime)
	}
	return nil
}

// end says why a stream ends, in an event if the headers are gone.
func (s *eventStream) end(r *http.Request, cause error) error {
	if s.paced == nil {
		return cause
	}
	text, err := json.Marshal(cardeaError(r, cause))
	if err != nil { // strings and numbers only
		panic(err)
	}
	_ = s.write("end", "", text) // the client may be gone
	return cause
}
