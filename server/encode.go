package server

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// encodeQuick encodes the answer to a batch, whose items are mostly a bit each, into one
// buffer. Where an item has an error it reports false, and package proto is to do it.
func encodeQuick(v any) (mem.BufferSlice, bool) {
	m, ok := v.(*cardeav1.BatchCheckResponse)
	if !ok || len(m.Results) == 0 {
		return nil, false
	}
	for _, r := range m.Results {
		if r.Error != nil {
			return nil, false
		}
	}
	pool := mem.DefaultBufferPool()
	buf := pool.Get(4*len(m.Results) + 16 + len(m.Snaptoken))
	out := (*buf)[:0]
	for _, r := range m.Results {
		if r.Allowed {
			out = append(out, tag1, 2, 1<<3, 1)
		} else {
			out = append(out, tag1, 0)
		}
	}
	if m.Snaptoken != "" {
		out = protowire.AppendString(append(out, tag2), m.Snaptoken)
	}
	*buf = out
	return mem.BufferSlice{mem.NewBuffer(buf, pool)}, true
}
