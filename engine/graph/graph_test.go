package graph

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"weak"
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
// after all batches, so that a change to an old snapshot shows: in both
// directions, with lists on both sides of the size that moves them out of their
// chunk.
func TestSnapshots(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	type pair struct{ on, subject Ref }
	type version struct {
		s    *Snapshot
		want map[pair]bool
	}
	for name, world := range map[string]struct{ objects, relations, batch, rounds, first int }{
		"small": {6, 4, 10, 200, 0}, "crowded": {2000, 2, 3000, 25, 0}, "wide": {40_000, 6, 5000, 10, 0},
		"single": {1000, 2, 8, 20, 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			now := Empty()
			for i := range world.objects {
				now.objects.intern(uint32(i%3), fmt.Sprint("object", i))
			}
			random := func() Ref {
				object := 1 + r.IntN(world.objects)
				if r.IntN(3) == 0 {
					object = 1 + r.IntN(3) // some are in everything
				}
				return MakeRef(uint32(object), uint32(r.IntN(world.relations)))
			}
			want := map[pair]bool{}
			var versions []version
			for round := range world.rounds {
				b := now.Build()
				n := 1 + r.IntN(world.batch)
				if round == 0 {
					n += world.first
				}
				for range n {
					p := pair{random(), random()}
					if r.IntN(3) == 0 {
						b.Delete(p.on, p.subject)
						delete(want, p)
					} else {
						b.Insert(p.on, p.subject)
						want[p] = true
					}
				}
				now = b.Publish()
				versions = append(versions, version{now, maps.Clone(want)})
			}
			for i, v := range versions {
				got, bare := map[pair]bool{}, false
				for on, set := range v.s.All {
					bare = bare || on.Relation() == 0
					last := Ref(0)
					for subject := range set.All {
						if key := subject<<32 | subject>>32; last != 0 && key <= last {
							t.Fatalf("version %d: subjects are not sorted (G4)", i)
						} else {
							last = key
						}
						got[pair{on, subject}] = true
						if !v.s.Set(on).Contains(subject) || !v.s.Memberships(subject).Contains(on) {
							t.Fatalf("version %d: %x in %x is not found", i, subject, on)
						}
					}
				}
				if !maps.Equal(got, v.want) || int(v.s.Tuples()) != len(v.want) || v.s.HasBare() != bare {
					t.Fatalf("version %d: %d tuples, says %d, want %d", i, len(got), v.s.Tuples(), len(v.want))
				}
				back := 0
				for _, c := range v.s.reverse.all {
					for local := range uint32(chunkLen) {
						e := c.entry(local)
						for s := e.slot(0); !s.Ended(); s = e.next(s) {
							back += c.list(e, s).Len()
						}
					}
				}
				if back != len(got) {
					t.Fatalf("version %d: %d memberships of %d tuples", i, back, len(got))
				}
				stars := 0
				for object := range uint32(world.objects + 2) {
					star := v.s.Star(object)
					n := star.Slots()
					for i, at := uint32(0), n; i < n; i, at = i+1, star.Behind(i, at) {
						relation, far := v.s.Kind(star, i)
						for subject := range v.s.List(object, star, i, at).All {
							stars++
							if !v.want[pair{MakeRef(object, relation), MakeRef(subject, far)}] {
								t.Fatalf("version %d: the star of %d has what is not there", i, object)
							}
						}
					}
				}
				if stars != len(got) {
					t.Fatalf("version %d: %d tuples in stars, want %d", i, stars, len(got))
				}
				for range 100 {
					p := pair{random(), random()}
					if v.s.Set(p.on).Contains(p.subject) != v.want[p] {
						t.Fatalf("version %d: Contains is wrong", i)
					}
				}
			}
		})
	}
}

// TestReadersBesideWriter is for the race detector: readers walk whatever
// snapshot is the newest while a builder makes the next ones, and other builders
// start from old ones.
func TestReadersBesideWriter(t *testing.T) {
	var wg sync.WaitGroup
	published := make(chan *Snapshot, 64)
	for range 2 {
		wg.Go(func() {
			for s := range published {
				for r, set := range s.All {
					for subject := range set.All {
						if !set.Contains(subject) || s.ObjectName(r.Object()) == "" || s.ObjectName(subject.Object()) == "" {
							t.Error("a name or a subject is lost")
						}
					}
				}
				other := s.Build()
				other.Insert(MakeRef(other.Object(1, "fork"), 1), MakeRef(other.Object(1, "u"), 0))
				if other.Publish().Tuples() != s.Tuples()+1 {
					t.Error("a second builder lost tuples")
				}
			}
		})
	}
	now := Empty()
	for i := range 300 {
		b := now.Build()
		b.Insert(MakeRef(b.Object(b.Namespace("N"), fmt.Sprint(i)), b.Relation("r")), MakeRef(b.Object(b.Namespace("N"), fmt.Sprint(i/2)), 0))
		now = b.Publish()
		published <- now
	}
	close(published)
	wg.Wait()
}

// TestNames: numbers are found again and texts come back, whatever they look like,
// also while others add.
func TestNames(t *testing.T) {
	texts := []string{"", "a", "00000000-0000-0000-0000-000000000000", "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
		"6BA7B810-9dad-11d1-80b4-00c04fd430c8", "6ba7b8109dad-11d1-80b4-00c04fd430c8-", "------------------------------------",
		"6ba7b810-9dad-11d1-80b4-00c04fd430cg", strings.Repeat("x", 253), strings.Repeat("x", 254), strings.Repeat("\xff", 1000)}
	for i := range 3000 {
		texts = append(texts, fmt.Sprint("name ", i), strings.Repeat("y", i%300)+fmt.Sprint(i))
	}
	spaces := []uint32{0, 1, 254, 255, 256, 1 << 20}
	names := newNames(4)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for _, space := range spaces {
				for _, text := range texts {
					id := names.intern(space, text)
					if names.text(id) != text || names.space(id) != space {
						t.Errorf("%q in %d came back as %q in %d", text, space, names.text(id), names.space(id))
					}
				}
			}
		})
	}
	wg.Wait()
	if int(names.count) != len(spaces)*len(texts) {
		t.Errorf("%d numbers for %d names", names.count, len(spaces)*len(texts))
	}
	for _, text := range texts {
		for _, space := range spaces {
			if id, ok := names.lookup(space, text); !ok || names.text(id) != text || names.space(id) != space {
				t.Errorf("%q in %d is lost", text, space)
			}
		}
		if _, ok := names.lookup(2, text); ok {
			t.Errorf("%q is in a space without names", text)
		}
	}
}

// checkpointed returns a graph with lists of all sizes, and its checkpoint.
func checkpointed(tb testing.TB, n int) (*Snapshot, []byte) {
	tb.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	b := Empty().Build()
	users, docs := b.Namespace("User"), b.Namespace("Doc")
	b.Insert(MakeRef(b.Object(docs, "nobody's"), b.Relation("a")), MakeRef(b.Object(Plain, ""), 0))
	for i := range n {
		on := MakeRef(b.Object(docs, fmt.Sprint("doc", i/5)), b.Relation([]string{"", "a", "b"}[r.IntN(3)]))
		if i%3 == 0 {
			on = MakeRef(b.Object(docs, "everybody's"), b.Relation("a"))
		}
		b.Insert(on, MakeRef(b.Object(users, fmt.Sprintf("6ba7b810-9dad-11d1-80b4-%012d", r.IntN(n))), b.Relation([]string{"", "a"}[r.IntN(2)])))
	}
	s := b.Publish()
	var out bytes.Buffer
	if err := s.WriteCheckpoint(&out); err != nil {
		tb.Fatal(err)
	}
	return s, out.Bytes()
}

func TestCheckpoint(t *testing.T) {
	s, data := checkpointed(t, 8000)
	again, err := ReadCheckpoint(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	all := func(s *Snapshot) map[[2]Ref]bool {
		out := map[[2]Ref]bool{}
		for on, set := range s.All {
			for subject := range set.All {
				out[[2]Ref{on, subject}] = s.Memberships(subject).Contains(on)
			}
		}
		return out
	}
	if !maps.Equal(all(s), all(again)) || s.Tuples() != again.Tuples() || s.HasBare() != again.HasBare() {
		t.Error("another graph came back")
	}
	id, ok := s.Object(1, fmt.Sprintf("6ba7b810-9dad-11d1-80b4-%012d", 3))
	if got, found := again.Object(1, fmt.Sprintf("6ba7b810-9dad-11d1-80b4-%012d", 3)); got != id || found != ok {
		t.Error("a name has another number")
	}
	id, _ = s.Object(Plain, "")
	if got, _ := again.Object(Plain, ""); got != id || id == 0 {
		t.Errorf("the empty name has number %d, want %d", got, id)
	}
	for _, namespace := range []uint32{Plain, 1, 2, 3} { // each goes on where it was in its run
		want := s.Build().Object(namespace, "new")
		if got := again.Build().Object(namespace, "new"); got != want || again.NamespaceOf(got) != namespace || again.ObjectName(got) != "new" {
			t.Errorf("a new name in namespace %d has number %d, want %d", namespace, got, want)
		}
	}
	for _, cut := range []int{0, 1, 100, len(data) / 2, len(data) - 1} {
		if _, err := ReadCheckpoint(bytes.NewReader(data[:cut])); err == nil {
			t.Errorf("a checkpoint that ends after %d bytes is read", cut)
		}
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		damaged := bytes.Clone(data)
		damaged[r.IntN(len(data))] ^= 1 << r.IntN(8)
		if _, err := ReadCheckpoint(bytes.NewReader(damaged)); err == nil {
			t.Error("a damaged checkpoint is read")
		}
	}
}

func FuzzReadCheckpoint(f *testing.F) {
	_, data := checkpointed(f, 60)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadCheckpoint(bytes.NewReader(data))
		if err != nil {
			return
		}
		for on, set := range s.All {
			_ = s.ObjectName(on.Object())
			for subject := range set.All {
				_ = s.RelationName(subject.Relation())
			}
		}
	})
}

// BenchmarkCheckpoint reads a graph of a million tuples.
func BenchmarkCheckpoint(b *testing.B) {
	_, data := checkpointed(b, 1_000_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := ReadCheckpoint(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPartial applies random loads, changes and drops in batches, and compares what
// the graph knows with a map.
func TestPartial(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	type pair struct{ on, subject Ref }
	now := Unknown()
	for i := range 60 {
		now.objects.intern(0, fmt.Sprint("object", i))
	}
	random := func() Ref { return MakeRef(uint32(1+r.IntN(60)), uint32(r.IntN(2))) }
	truth, loaded := map[pair]bool{}, map[Ref]bool{} // truth is of all sets, loaded or not
	for range 400 {
		b := now.Build()
		for range r.IntN(20) {
			p := pair{random(), random()}
			if truth[p] = r.IntN(2) == 0; truth[p] {
				b.Insert(p.on, p.subject)
			} else {
				b.Delete(p.on, p.subject)
			}
		}
		for range r.IntN(6) {
			on := random()
			if loaded[on] {
				continue
			}
			var members []Ref
			for p, there := range truth {
				if there && p.on == on {
					members = append(members, p.subject)
				}
			}
			loaded[on] = true
			b.Load(on, &Loaded{}, members)
		}
		var drop []Ref
		for on := range loaded {
			if r.IntN(12) == 0 {
				drop = append(drop, on)
				delete(loaded, on)
			}
		}
		b.Drop(drop)
		now = b.Publish()
		for range 100 {
			p := pair{random(), random()}
			if known := now.Loaded(p.on) != nil; known != loaded[p.on] {
				t.Fatalf("%x is known: %v", p.on, known)
			}
			want := loaded[p.on] && truth[p]
			if now.Set(p.on).Contains(p.subject) != want {
				t.Fatalf("%x in %x: expected %v", p.subject, p.on, want)
			}
		}
	}
}

// BenchmarkSet looks for one subject in the set of one of n objects.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 10_000_000} {
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
			b.ReportMetric(float64(s.Bytes())/float64(n), "bytes/tuple")
		})
	}
}

// BenchmarkWrite publishes one change in a graph of n tuples.
func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		build := Empty().Build()
		for i := range n {
			build.Insert(MakeRef(uint32(i/4), uint32(i%4)), MakeRef(uint32(i*7919%n), 0))
		}
		s := build.Publish()
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				build := s.Build()
				build.Insert(MakeRef(uint32(i/4), 1), MakeRef(uint32(i), 0))
				s = build.Publish()
			}
		})
	}
}

// BenchmarkBuild builds a graph of a million tuples with their names.
func BenchmarkBuild(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		build := Empty().Build()
		docs, users := build.Namespace("Document"), build.Namespace("User")
		viewers := build.Relation("viewers")
		for i := range n {
			build.Insert(MakeRef(build.Object(docs, fmt.Sprintf("document-%08d", i/4)), viewers),
				MakeRef(build.Object(users, fmt.Sprintf("user-%08d", i*7919%n/10)), 0))
		}
		s := build.Publish()
		b.ReportMetric(float64(s.Bytes())/n, "bytes/tuple")
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "tuples/s")
}

// TestWritesLeaveNothingBehind: what entries left behind that grew is made room of in
// time, with long lists and without.
func TestWritesLeaveNothingBehind(t *testing.T) {
	for _, members := range []int{40, 1000} {
		now := Empty()
		b := now.Build()
		for i := range 300 * members {
			b.Insert(MakeRef(uint32(1+i%300), 1), MakeRef(uint32(1000+i/300), 0))
		}
		now = b.Publish()
		laid := now.Bytes()
		for i := range 3000 {
			on, subject := MakeRef(uint32(1+i/2%300), 1), MakeRef(9999, 0)
			b := now.Build()
			if i%2 == 0 {
				b.Insert(on, subject)
			} else {
				b.Delete(on, subject)
			}
			now = b.Publish()
		}
		if grown := now.Bytes(); grown > laid+laid/7 {
			t.Errorf("lists of %d: the graph took %d bytes, and %d after writes that took themselves back", members, laid, grown)
		}
	}
}

// TestOldSnapshotsAreFreed: a snapshot keeps nothing of those before but the chunks
// that it shares.
func TestOldSnapshotsAreFreed(t *testing.T) {
	now := Empty()
	var old []weak.Pointer[Snapshot]
	for i := range 10 {
		old = append(old, weak.Make(now))
		b := now.Build()
		b.Insert(MakeRef(b.Object(b.Namespace("Doc"), "1"), b.Relation("viewers")), MakeRef(b.Object(Plain, fmt.Sprint(i)), 0))
		now = b.Publish()
	}
	runtime.GC()
	for i, p := range old {
		if p.Value() != nil {
			t.Errorf("snapshot %d of %d is still there", i, len(old))
		}
	}
	runtime.KeepAlive(now)
}
