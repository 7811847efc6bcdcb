package bench

import (
	"fmt"
	"iter"
	"math/bits"
	"math/rand/v2"
	"strings"

	"github.com/cardea-iam/cardea/engine"
)

// A Workload is a model, tuples under it, and questions with the right answers.
//
// Nothing of it is kept: what an element is connected with follows from its number
// and the seed (see dice), so a workload of any size takes no memory, and the
// answer to a question takes a walk over a few elements.
type Workload interface {
	// Name is that by which NewWorkload makes it.
	Name() string

	// Model is its text in OPL.
	Model() string

	// Tuples yields all tuples. A few may come twice, as from a careless client.
	Tuples() iter.Seq[engine.Tuple]

	// Questions yields questions without end. Equal generators and mixes give
	// equal questions.
	Questions(r *rand.Rand, m Mix) iter.Seq[Question]
}

// A Question is a tuple to check and the right answer.
type Question struct {
	Tuple engine.Tuple
	Want  bool
}

// A Mix says how questions are drawn.
type Mix struct {
	// Skew is the exponent of the Zipf law by which objects and users are drawn,
	// above 1; 0 draws them evenly.
	Skew float64
	// Granted is the share of questions, 0 to 1, that are drawn from what an
	// object is shared with, so that most are allowed. The others ask about any
	// user, and most are denied.
	Granted float64
}

// workloads are all that there are, the one to start with first.
var workloads = []struct {
	name, about string
	make        func(tuples int, seed uint64) Workload
}{
	{"drive", "documents in nested folders, shared with users and nested groups, some banned", func(n int, seed uint64) Workload { return NewDrive(n, seed) }},
	{"github", "repositories of organizations with nested teams and five roles", newGitHub},
	{"wide", "items in 200 collections each", newWide},
	{"deep", "folders 32 levels deep, groups 16 levels deep, some of them in a ring", newDeep},
	{"rbac", "tenants with roles that inherit, denials, and robots in 10,000 groups", newRBAC},
	{"social", "posts for followers, friends or their friends, of people with very unequal numbers of them, unless blocked", newSocial},
}

// Workloads lists the names of the workloads, each with what it is.
func Workloads() [][2]string {
	var list [][2]string
	for _, w := range workloads {
		list = append(list, [2]string{w.name, w.about})
	}
	return list
}

// NewWorkload makes the workload of that name with about so many tuples. Equal
// arguments give equal workloads.
func NewWorkload(name string, tuples int, seed uint64) (Workload, error) {
	var names []string
	for _, w := range workloads {
		if w.name == name {
			return w.make(tuples, seed), nil
		}
		names = append(names, w.name)
	}
	return nil, fmt.Errorf("there is no workload %q: expected one of %s", name, strings.Join(names, ", "))
}

// A seed is that of a workload.
type seed uint64

// A dice is a random number generator (SplitMix64) that starts anew for each
// property of each element, so that it can be asked for without what came before.
type dice uint64

func (s seed) of(property uint64, i int) dice {
	return dice(scramble(uint64(s)^property<<56) ^ uint64(i))
}

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	return scramble(uint64(*d))
}

// scramble is a bijection that leaves no pattern (the finalizer of SplitMix64).
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// intn draws a number from 0 to below n.
func (d *dice) intn(n int) int {
	high, _ := bits.Mul64(d.next(), uint64(n))
	return int(high)
}

// float draws a number from 0 to below 1.
func (d *dice) float() float64 { return float64(d.next()>>11) / (1 << 53) }

// some draws distinct numbers below n, at most most of them, and appends them to list.
func (d *dice) some(list []int, most, n int) []int {
	start := len(list)
	for range d.intn(most + 1) {
		x := d.intn(n)
		if !contains(list[start:], x) {
			list = append(list, x)
		}
	}
	return list
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// above gives element i a place in a tree where every node has about width
// children: the number of its parent, -1 at the top.
func (d *dice) above(i, width int) int {
	if i < width {
		return -1
	}
	return d.intn(max(i/width, 1))
}

// id makes a name of a number: a prefix and 16 digits that have no pattern.
func id(prefix string, i int) string {
	text := make([]byte, 0, 32)
	return string(hex(append(text, prefix...), scramble(uint64(i)+1), 16))
}

// uuid makes a name of 36 characters of a number.
func uuid(i int) string {
	high, low := scramble(uint64(i)+1), scramble(uint64(i)+1<<40)
	text := make([]byte, 0, 36)
	text = append(hex(text, high>>32, 8), '-')
	text = append(hex(text, high>>16, 4), '-', '4')
	text = append(hex(text, high, 3), '-', "89ab"[low>>62])
	text = append(hex(text, low>>48, 3), '-')
	return string(hex(text, low, 12))
}

// hex appends the last n hexadecimal digits of x.
func hex(text []byte, x uint64, n int) []byte {
	for n--; n >= 0; n-- {
		text = append(text, "0123456789abcdef"[x>>(4*n)&15])
	}
	return text
}

func object(namespace, id string) engine.Object { return engine.Object{Namespace: namespace, ID: id} }

func user(i int) engine.Subject { return engine.Subject{Object: object("User", id("user-", i))} }

func itself(o engine.Object) engine.Subject { return engine.Subject{Object: o} }

// A writer hands tuples to a consumer until that has enough.
type writer struct {
	yield func(engine.Tuple) bool
	done  bool
}

// put hands on a tuple, and reports whether the consumer wants more.
func (w *writer) put(o engine.Object, relation string, s engine.Subject) bool {
	w.done = w.done || !w.yield(engine.Tuple{Object: o, Relation: relation, Subject: s})
	return !w.done
}

// written turns functions that write parts of a workload into a sequence. Each is
// called with the numbers from 0 to below its count.
func written(parts ...part) iter.Seq[engine.Tuple] {
	return func(yield func(engine.Tuple) bool) {
		w := &writer{yield: yield}
		for _, p := range parts {
			for i := 0; i < p.count; i++ {
				if p.write(w, i); w.done {
					return
				}
			}
		}
	}
}

type part struct {
	count int
	write func(w *writer, i int)
}

// drawn returns a function that draws numbers from 0 to below n by the mix.
func (m Mix) drawn(r *rand.Rand, n int) func() int {
	if m.Skew <= 1 {
		return func() int { return r.IntN(n) }
	}
	z := rand.NewZipf(r, m.Skew, 1, uint64(n-1))
	return func() int { return int(z.Uint64()) }
}

// endless yields what next returns for ever.
func endless(next func() Question) iter.Seq[Question] {
	return func(yield func(Question) bool) {
		for yield(next()) {
		}
	}
}

func ask(o engine.Object, relation string, u int, want bool) Question {
	return Question{engine.Tuple{Object: o, Relation: relation, Subject: user(u)}, want}
}
