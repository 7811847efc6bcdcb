package engine

import (
	"hash/maphash"
	"sync"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A shelf chooses which sets of a partial graph stay in memory. Ristretto keeps
// the account of who is asked for how often (TinyLFU); the sets themselves stand
// in the snapshots. What it drops leaves the graph when the next state is built,
// unless a question under way has just read it and would have to read it again.
//
// Sets are known by a hash of their names, which stays when numbers change. Two
// with the same hash would share a place, which costs a read, never an answer.
// The nil cache keeps everything.
type shelf struct {
	cache  *ristretto.Cache[uint64, struct{}]
	places map[uint64]graph.Ref // guarded by the line's mutex
	floor  int64                // bytes below which to build the graph anew wins nothing; guarded likewise

	mu struct {
		sync.Mutex
		pins    map[uint64]int
		dropped map[uint64]bool
	}
}

// shelfEntry is what the bookkeeping of one set takes, in bytes: the maps here
// and in ristretto, and its counters.
const shelfEntry = 250

// newShelf returns a shelf for sets that take half of a memory budget, in bytes;
// the other half is for names that nothing uses any more, until they are cleared
// away, and for the states that questions under way hold.
func newShelf(memory int64) (*shelf, error) {
	s := newKeepAll()
	room := max(memory/2, 1)
	drop := func(item *ristretto.Item[struct{}]) { s.drop(item.Key) }
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, struct{}]{
		NumCounters: max(1000, room/(shelfEntry+100)*10),
		MaxCost:     room, BufferItems: 64, IgnoreInternalCost: true,
		KeyToHash: func(key uint64) (uint64, uint64) { return key, 0 },
		OnEvict:   drop, OnReject: drop,
	})
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the cache of bounded mode cannot be made")
	}
	s.cache = cache
	return s, nil
}

// newKeepAll returns a shelf that drops nothing.
func newKeepAll() *shelf {
	s := &shelf{places: map[uint64]graph.Ref{}}
	s.mu.pins, s.mu.dropped = map[uint64]int{}, map[uint64]bool{}
	return s
}

var shelfSeed = maphash.MakeSeed()

func shelfKey(o Object, relation string) uint64 {
	return maphash.Comparable(shelfSeed, Subject{o, relation})
}

// touch counts a use of a set.
func (s *shelf) touch(key uint64) {
	if s.cache != nil {
		s.cache.Get(key)
	}
}

// add offers a set that takes so many bytes more than before. The line's mutex is
// held.
func (s *shelf) add(key uint64, at graph.Ref, bytes int64) {
	_, again := s.places[key]
	s.places[key] = at
	if s.cache == nil {
		return
	}
	if again {
		// Ristretto adds in the background, and rejects what it takes for a second
		// new entry when the first is still on its way.
		s.cache.Wait()
	}
	s.mu.Lock()
	delete(s.mu.dropped, key)
	s.mu.Unlock()
	if !s.cache.Set(key, struct{}{}, bytes+shelfEntry) {
		s.drop(key)
	}
}

func (s *shelf) drop(key uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.dropped[key] = true
}

// pin keeps a set in the graph until unpin.
func (s *shelf) pin(key uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.pins[key]++
}

func (s *shelf) unpin(keys []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if s.mu.pins[key]--; s.mu.pins[key] == 0 {
			delete(s.mu.pins, key)
		}
	}
}

// takeDropped returns the sets that have to leave the graph. The line's mutex is
// held.
func (s *shelf) takeDropped() []graph.Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []graph.Ref
	for key := range s.mu.dropped {
		if s.mu.pins[key] > 0 {
			continue
		}
		delete(s.mu.dropped, key)
		if at, ok := s.places[key]; ok {
			out = append(out, at)
			delete(s.places, key)
		}
	}
	return out
}

// restart begins to number places anew, and moved gives a set its new place. The
// line's mutex is held.
func (s *shelf) restart() { clear(s.places) }

func (s *shelf) moved(key uint64, to graph.Ref) { s.places[key] = to }

// close ends ristretto's goroutines. Nothing may be asked meanwhile or later.
func (s *shelf) close() {
	if s.cache != nil {
		s.cache.Close()
	}
}
