package bench

import (
	"iter"
	"math/rand/v2"

	"github.com/cardea-iam/cardea/engine"
)

// A deep is a workload of long ways, under the model of Drive: documents at the end
// of chains of folders, which are shared with one of a chain of groups that are
// members of one another. One chain of groups in eight is a ring.
type deep struct {
	seed  seed
	users int
	lines int // chains of folders
	rings int // chains of groups, closed or not
}

const (
	deepFolders = 32
	deepDocs    = 8 // of a chain
	deepGroups  = 16
)

const (
	deepShares = iota + 1
	deepUser
)

func newDeep(n int, s uint64) Workload {
	lines := max(n/60, 2)
	return &deep{seed: seed(s), users: 2 * lines, lines: lines, rings: max(lines/4, 1)}
}

func (d *deep) Name() string { return "deep" }

func (d *deep) Model() string { return DriveModel }

func (d *deep) ring(g int) bool { return g%8 == 0 }

// A deepLine is what the chain of folders is shared with: two users, at two levels of
// folders, and a group, that of a level of a chain of groups, at its top.
type deepLine struct {
	users, at [2]int
	group     int
	level     int
}

func (d *deep) line(l int) deepLine {
	r := d.seed.of(deepShares, l)
	return deepLine{
		users: [2]int{r.intn(d.users), r.intn(d.users)}, at: [2]int{r.intn(deepFolders), r.intn(deepFolders)},
		group: r.intn(d.rings), level: r.intn(deepGroups),
	}
}

// places returns the two groups of a user, each a chain and a level of it.
func (d *deep) places(u int) [2][2]int {
	r := d.seed.of(deepUser, u)
	return [2][2]int{{r.intn(d.rings), r.intn(deepGroups)}, {r.intn(d.rings), r.intn(deepGroups)}}
}

func (d *deep) Tuples() iter.Seq[engine.Tuple] {
	return written(
		part{d.rings, func(w *writer, g int) {
			for level := 1; level < deepGroups; level++ {
				w.put(group(g*deepGroups+level-1), "members", members(group(g*deepGroups+level)))
			}
			if d.ring(g) {
				w.put(group(g*deepGroups+deepGroups-1), "members", members(group(g*deepGroups)))
			}
		}},
		part{d.users, func(w *writer, u int) {
			for _, place := range d.places(u) {
				w.put(group(place[0]*deepGroups+place[1]), "members", user(u))
			}
		}},
		part{d.lines, d.writeLine},
	)
}

func (d *deep) writeLine(w *writer, l int) {
	first, stored := l*deepFolders, d.line(l)
	for f := first + 1; f < first+deepFolders; f++ {
		w.put(folder(f), "parents", itself(folder(f-1)))
	}
	w.put(folder(first), "viewers", members(group(stored.group*deepGroups+stored.level)))
	for i, u := range stored.users {
		w.put(folder(first+stored.at[i]), "viewers", user(u))
	}
	for doc := l * deepDocs; doc < (l+1)*deepDocs; doc++ {
		w.put(document(doc), "parents", itself(folder(first+deepFolders-1)))
	}
}

// Questions are about somebody in the chain of groups that the document is shared
// with where Granted says so, as far as one is soon found.
func (d *deep) Questions(r *rand.Rand, m Mix) iter.Seq[Question] {
	anyDoc, anyUser := m.drawn(r, d.lines*deepDocs), m.drawn(r, d.users)
	return endless(func() Question {
		doc, u := anyDoc(), anyUser()
		line := d.line(doc / deepDocs)
		if r.Float64() < m.Granted {
			u = line.users[r.IntN(2)]
			for range 64 {
				if try := r.IntN(d.users); d.inGroup(try, line.group, line.level) {
					u = try
					break
				}
			}
		}
		want := contains(line.users[:], u) || d.inGroup(u, line.group, line.level)
		return ask(document(doc), "view", u, want)
	})
}

// inGroup is the reference: lower levels are members of higher ones, and in a ring
// all are members of all.
func (d *deep) inGroup(u, chain, level int) bool {
	for _, place := range d.places(u) {
		if place[0] == chain && (place[1] >= level || d.ring(chain)) {
			return true
		}
	}
	return false
}
