package graph

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestTrie compares a trie with a map, and every older version with what it was.
// Hashes of a few bits make keys collide on all levels.
func TestTrie(t *testing.T) {
	for _, mask := range []uint64{0, 3, 0xff<<56 | 1, ^uint64(0)} {
		t.Run(fmt.Sprintf("mask=%x", mask), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, mask))
			hash := func(k int) uint64 { return mix(uint64(k)) & mask }
			var now trie[int, int]
			want := map[int]int{}
			type version struct {
				t    trie[int, int]
				want map[int]int
			}
			var versions []version
			for edit := range uint64(100) {
				for range 20 {
					k, v := r.IntN(150), r.Int()
					if r.IntN(3) == 0 {
						now.remove(edit+1, hash(k), k)
						delete(want, k)
					} else {
						now.put(edit+1, hash(k), k, v, hash)
						want[k] = v
					}
				}
				versions = append(versions, version{now, maps.Clone(want)})
			}
			for i, v := range versions {
				if got := maps.Collect(v.t.all2()); !maps.Equal(got, v.want) || v.t.len != len(v.want) {
					t.Fatalf("version %d changed: %d entries, len %d, want %d", i, len(got), v.t.len, len(v.want))
				}
				for k := range 150 {
					got, ok := v.t.get(hash(k), k)
					if want, there := v.want[k]; got != want || ok != there {
						t.Fatalf("version %d, key %d: got %d %v, want %d %v", i, k, got, ok, want, there)
					}
				}
			}
		})
	}
}

// all2 is all as an iterator.
func (t *trie[K, V]) all2() func(func(K, V) bool) {
	return func(yield func(K, V) bool) { t.all(yield) }
}

// TestSnapshots applies random batches and compares each snapshot with a map,
// after all batches, so that a change to an old snapshot shows.
func TestSnapshots(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	type pair struct{ on, subject string }
	want := map[pair]bool{}
	type version struct {
		s    *Snapshot
		want map[pair]bool
	}
	now := Empty()
	var versions []version
	ref := func(b *Builder, text string) Ref {
		ns := b.Namespace(text[:1])
		return MakeRef(b.Object(ns, text[1:2]), b.Relation(text[2:]))
	}
	texts := []string{"A1", "A2", "A3r", "A1r", "B1r", "B1s", "B2s", "C1", "C2t"}
	for range 200 {
		b := now.Build()
		for range 1 + r.IntN(10) {
			p := pair{texts[r.IntN(len(texts))], texts[r.IntN(len(texts))]}
			if r.IntN(2) == 0 {
				b.Insert(ref(b, p.on), ref(b, p.subject))
				want[p] = true
			} else {
				b.Delete(ref(b, p.on), ref(b, p.subject))
				delete(want, p)
			}
		}
		now = b.Publish()
		versions = append(versions, version{now, maps.Clone(want)})
	}
	print := func(s *Snapshot, r Ref) string {
		return s.NamespaceName(s.NamespaceOf(r.Object())) + s.ObjectName(r.Object()) + s.RelationName(r.Relation())
	}
	for i, v := range versions {
		got, bare := map[pair]bool{}, false
		v.s.All(func(on Ref, set *Set) bool {
			bare = bare || on.Relation() == 0
			for _, list := range [][]Ref{set.Direct, set.Sets} {
				for j, subject := range list {
					if j > 0 && list[j-1] >= subject {
						t.Errorf("version %d: members not sorted (G4)", i)
					}
					if !set.Contains(subject) {
						t.Errorf("version %d: Contains misses a member", i)
					}
					got[pair{print(v.s, on), print(v.s, subject)}] = true
				}
			}
			return true
		})
		if !maps.Equal(got, v.want) || int(v.s.Tuples()) != len(v.want) || v.s.HasBare() != bare {
			t.Fatalf("version %d: %d tuples, says %d, want %d", i, len(got), v.s.Tuples(), len(v.want))
		}
	}
}

// TestReadersBesideWriter is for the race detector: readers walk whatever
// snapshot is the newest while a builder makes the next ones, and another line
// of builders starts from a fork.
func TestReadersBesideWriter(t *testing.T) {
	start := Empty()
	var wg sync.WaitGroup
	published := make(chan *Snapshot, 64)
	for range 2 {
		wg.Go(func() {
			for s := range published {
				s.All(func(r Ref, set *Set) bool { return set.Contains(set.Direct[0]) && s.ObjectName(r.Object()) != "" })
				fork := s.Fork().Build()
				fork.Insert(MakeRef(fork.Object(1, "fork"), 1), MakeRef(fork.Object(1, "u"), 0))
				if fork.Publish().Tuples() != s.Tuples()+1 {
					t.Error("a fork lost tuples")
				}
			}
		})
	}
	now := start
	for i := range 300 {
		b := now.Build()
		b.Insert(MakeRef(b.Object(b.Namespace("N"), fmt.Sprint(i)), b.Relation("r")), MakeRef(b.Object(b.Namespace("N"), fmt.Sprint(i/2)), 0))
		now = b.Publish()
		published <- now
	}
	close(published)
	wg.Wait()
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		build := Empty().Build()
		for i := range n {
			build.Insert(MakeRef(uint32(i), 1), MakeRef(uint32(i), 0))
		}
		s := build.Publish()
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				if !s.Set(MakeRef(uint32(i), 1)).Contains(MakeRef(uint32(i), 0)) {
					b.Fatal("lost")
				}
			}
		})
	}
}
