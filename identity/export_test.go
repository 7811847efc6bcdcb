package identity

import (
	"context"
	"net/http/httptest"
)

// Post queues a message as a step of a flow does.
func (s *Service) Post(ctx context.Context, template, via, to, code string, unknown bool) error {
	st := &Step{Flow: &Flow{Kind: Recovery, Opening: Opening{RequestURL: "http://id.example/x"}}, Request: httptest.NewRequest("GET", "/", nil), Now: s.now()}
	if err := s.post(st, note{Template: template, Via: via, To: to, Code: code, URL: "http://id.example/?token=" + code, Unknown: unknown}, nil); err != nil {
		return err
	}
	return s.store.Write(ctx, st.ops...)
}

// DeliverSome sends one batch.
func (s *Service) DeliverSome(ctx context.Context) (int, error) {
	w := s.newWorkers()
	defer w.wait()
	return s.deliverSome(ctx, w)
}

// HashAlone takes all memory of hashes, until it is given back.
func (s *Service) HashAlone(ctx context.Context) (leave func(), err error) {
	m := s.hasher.memory
	return func() { m.running.Add(-1); m.free.Release(s.hasher.total) }, m.take(ctx, s.hasher.total)
}

// Hashes returns how many passwords were hashed.
func (s *Service) Hashes() int64 { return s.hasher.memory.made.Load() }
