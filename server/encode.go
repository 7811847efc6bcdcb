package server

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// encodeQuick encodes the answers that a server gives most into one buffer. What else
// there is it leaves to package proto, and reports false.
func encodeQuick(v any) (mem.BufferSlice, bool) {
	switch m := v.(type) {
	case *cardeav1.CheckResponse:
		return encodeCheck(m.Allowed, m.Snaptoken), true
	case *keto.CheckResponse:
		return encodeCheck(m.Allowed, m.Snaptoken), true
	case *cardeav1.BatchCheckResponse:
		return encodeBatch(m)
	default:
		return nil, false
	}
}

// encodeCheck encodes the answer to one question, which both APIs write alike.
func encodeCheck(allowed bool, token string) mem.BufferSlice {
	out := make([]byte, 0, 8+len(token))
	if allowed {
		out = append(out, number1, 1)
	}
	if token != "" {
		out = protowire.AppendString(append(out, tag2), token)
	}
	return mem.BufferSlice{mem.SliceBuffer(out)} // too short for a pool
}

// encodeBatch encodes the answer to a batch, whose items are mostly a bit each, if no
// item has an error.
func encodeBatch(m *cardeav1.BatchCheckResponse) (mem.BufferSlice, bool) {
	if len(m.Results) == 0 {
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
			out = append(out, tag1, 2, number1, 1)
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
