package server

import (
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// FuzzDecodeQuick: what decodeQuick takes, package proto takes as well, and
// understands in the same way.
func FuzzDecodeQuick(f *testing.F) {
	for _, m := range decodable() {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(append(data, data...))
		f.Add(data[:len(data)/2])
	}
	f.Add(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "\x0a\x01\xff"))
	f.Fuzz(func(t *testing.T, data []byte) { sameAsProto(t, data) })
}

func sameAsProto(t *testing.T, data []byte) (quick bool) {
	for _, m := range []proto.Message{&cardeav1.CheckRequest{}, &cardeav1.BatchCheckRequest{}, &keto.CheckRequest{}, &keto.BatchCheckRequest{}} {
		want := proto.Clone(m)
		if !decodeQuick(data, m) {
			continue
		}
		quick = true
		if err := proto.Unmarshal(data, want); err != nil || !proto.Equal(m, want) {
			t.Errorf("%x: %v, want %v, %v", data, m, want, err)
		}
	}
	return quick
}

func decodable() []proto.Message {
	set := &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{Namespace: "User", Object: "ann", Relation: "members"}}}
	id := &cardeav1.Subject{Ref: &cardeav1.Subject_Id{Id: "ännchen"}}
	at := &cardeav1.Consistency{Mode: &cardeav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: "token"}}
	long := make([]byte, 300)
	for i := range long {
		long[i] = 'x'
	}
	tuples := []*cardeav1.Tuple{
		{Namespace: "Doc", Object: "plan", Relation: "view", Subject: set},
		{Namespace: "Doc", Object: string(long), Relation: "view", Subject: id},
		{Subject: &cardeav1.Subject{}}, {},
		{Namespace: "Doc", Subject: &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{}}}},
	}
	out := []proto.Message{&cardeav1.CheckRequest{}, &cardeav1.BatchCheckRequest{Tuples: tuples}, &cardeav1.BatchCheckRequest{Tuples: tuples, Consistency: at}}
	for _, t := range tuples {
		out = append(out, &cardeav1.CheckRequest{Tuple: t}, &cardeav1.CheckRequest{Tuple: t, Consistency: at}, &cardeav1.CheckRequest{Consistency: at})
	}
	return append(out, ketoDecodable(tuples)...)
}

// ketoDecodable returns messages of Keto's with the same tuples.
func ketoDecodable(tuples []*cardeav1.Tuple) []proto.Message {
	out := []proto.Message{&keto.CheckRequest{}, &keto.CheckRequest{Latest: true, Snaptoken: "token", MaxDepth: 5}}
	batch := &keto.BatchCheckRequest{Latest: true, Snaptoken: "token", MaxDepth: 5}
	for _, t := range tuples {
		data, err := proto.Marshal(t)
		if err != nil {
			panic(err)
		}
		k := &keto.RelationTuple{}
		if err := proto.Unmarshal(data, k); err != nil { // they are the same on the wire
			panic(err)
		}
		batch.Tuples = append(batch.Tuples, k)
		out = append(out, &keto.CheckRequest{Tuple: k}, &keto.CheckRequest{Tuple: k, Snaptoken: "token"},
			&keto.CheckRequest{Namespace: k.Namespace, Object: k.Object, Relation: k.Relation, Subject: k.Subject, MaxDepth: 3})
	}
	return append(out, batch, &keto.BatchCheckRequest{Tuples: batch.Tuples})
}

// TestDecodeQuick: usual messages are decoded quickly, and damaged ones as package
// proto does, if at all.
func TestDecodeQuick(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, m := range decodable() {
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if !sameAsProto(t, data) {
			t.Errorf("%v takes the long way", m)
		}
		for range 2000 {
			damaged := append([]byte(nil), data...)
			for range 1 + r.IntN(3) {
				if len(damaged) > 0 {
					damaged[r.IntN(len(damaged))] ^= 1 << r.IntN(8)
				}
			}
			sameAsProto(t, damaged)
		}
	}
}

// TestEncodeQuick: what encodeQuick writes is what was meant.
func TestEncodeQuick(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		want := &cardeav1.BatchCheckResponse{Snaptoken: strings.Repeat("x", r.IntN(3)*100)}
		for range n {
			want.Results = append(want.Results, &cardeav1.CheckResult{Allowed: r.IntN(2) == 0})
		}
		out, quick := encodeQuick(want)
		if n == 0 && !quick {
			continue
		}
		got := &cardeav1.BatchCheckResponse{}
		if err := proto.Unmarshal(out.Materialize(), got); err != nil || !quick || !proto.Equal(got, want) {
			t.Fatalf("%v, %v, quick %t, want %v", got, err, quick, want)
		}
		out.Free()
	}
	for _, want := range []proto.Message{
		&cardeav1.CheckResponse{}, &cardeav1.CheckResponse{Allowed: true, Snaptoken: strings.Repeat("y", 200)},
		&keto.CheckResponse{Snaptoken: "z"}, &keto.CheckResponse{Allowed: true},
	} {
		out, quick := encodeQuick(want)
		got := want.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(out.Materialize(), got); err != nil || !quick || !proto.Equal(got, want) {
			t.Errorf("%v, %v, quick %t, want %v", got, err, quick, want)
		}
	}
	failed := &cardeav1.BatchCheckResponse{Results: []*cardeav1.CheckResult{{Error: &cardeav1.CheckError{Code: 3}}}}
	if _, quick := encodeQuick(failed); quick {
		t.Error("an error was left out")
	}
}

func BenchmarkDecode(b *testing.B) {
	tuple := &cardeav1.Tuple{Namespace: "Document", Object: "6ba7b810-9dad-11d1-80b4-00c04fd430c8", Relation: "view",
		Subject: &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{Namespace: "User", Object: "user-00012345"}}}}
	batch := &cardeav1.BatchCheckRequest{}
	for range 100 {
		batch.Tuples = append(batch.Tuples, tuple)
	}
	for name, m := range map[string]proto.Message{"one": &cardeav1.CheckRequest{Tuple: tuple}, "batch": batch} {
		data, err := proto.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/quick", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !decodeQuick(data, m.ProtoReflect().New().Interface()) {
					b.Fatal("not decoded")
				}
			}
		})
		b.Run(name+"/proto", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := proto.Unmarshal(data, m.ProtoReflect().New().Interface()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
