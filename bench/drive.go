package bench

import (
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/cardea-iam/cardea/engine"
)

// DriveModel is the OPL model of the Drive workload.
const DriveModel = `class User implements Namespace {}

class Group implements Namespace {
  related: {
    members: (User | SubjectSet<Group, "members">)[]
  }
}

class Folder implements Namespace {
  related: {
    parents: Folder[]
    viewers: (User | SubjectSet<Group, "members">)[]
  }
  permits = {
    view: (ctx: Context): boolean =>
      this.related.viewers.includes(ctx.subject) ||
      this.related.parents.traverse((f) => f.permits.view(ctx)),
  }
}

class Document implements Namespace {
  related: {
    parents: Folder[]
    owners: User[]
    viewers: (User | SubjectSet<Group, "members">)[]
    banned: User[]
  }
  permits = {
    view: (ctx: Context): boolean =>
      (this.related.owners.includes(ctx.subject) ||
        this.related.viewers.includes(ctx.subject) ||
        this.related.parents.traverse((f) => f.permits.view(ctx))) &&
      !this.related.banned.includes(ctx.subject),
  }
}
`

// A Drive is a workload of documents in nested folders, shared with users and
// nested groups. Its fields are indexes; nothing of it is a string until it is
// written or asked.
type Drive struct {
	parentOf  []int   // folder -> folder, -1 at the top
	folderOf  []int   // document -> folder
	ownerOf   []int   // document -> user
	groupOf   []int   // group -> the group it is a member of, -1 at the top
	groupsOf  [][]int // user -> groups
	folderTo  [][]int // folder -> grantees
	docTo     [][]int // document -> grantees
	bannedOf  []int   // document -> user, -1 for nobody
	userCount int
}

// grantees are users, or groups counted from here on.
const firstGroup = 1 << 30

// NewDrive makes a workload of about n tuples. Equal arguments give equal
// workloads.
func NewDrive(n int, seed uint64) *Drive {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	docs := max(n/4, 10)
	d := &Drive{userCount: max(docs/10, 10)}
	groups, folders := max(docs/50, 5), max(docs/10, 5)
	for i := range groups {
		d.groupOf = append(d.groupOf, above(r, i, 5))
	}
	for range d.userCount {
		d.groupsOf = append(d.groupsOf, someOf(r, 3, groups))
	}
	for i := range folders {
		d.parentOf = append(d.parentOf, above(r, i, 4))
		d.folderTo = append(d.folderTo, d.grantees(r, 2, groups))
	}
	for range docs {
		d.folderOf = append(d.folderOf, r.IntN(folders))
		d.ownerOf = append(d.ownerOf, r.IntN(d.userCount))
		d.docTo = append(d.docTo, d.grantees(r, 3, groups))
		banned := -1
		if r.IntN(20) == 0 {
			banned = r.IntN(d.userCount)
		}
		d.bannedOf = append(d.bannedOf, banned)
	}
	return d
}

// above gives element i a place in a tree where every node has about width
// children.
func above(r *rand.Rand, i, width int) int {
	if i < width {
		return -1
	}
	return r.IntN(max(i/width, 1))
}

func someOf(r *rand.Rand, most, n int) []int {
	seen := map[int]bool{}
	var list []int
	for range r.IntN(most + 1) {
		if x := r.IntN(n); !seen[x] {
			seen[x] = true
			list = append(list, x)
		}
	}
	return list
}

func (d *Drive) grantees(r *rand.Rand, most, groups int) []int {
	list := someOf(r, most, d.userCount)
	for i := range list {
		if r.IntN(3) == 0 {
			list[i] = firstGroup + list[i]%groups
		}
	}
	return list
}

func user(i int) engine.Subject { return engine.SubjectSet("User", fmt.Sprintf("user-%08d", i), "") }
func group(i int) engine.Object {
	return engine.Object{Namespace: "Group", ID: fmt.Sprintf("group-%07d", i)}
}
func folder(i int) engine.Object {
	return engine.Object{Namespace: "Folder", ID: fmt.Sprintf("folder-%07d", i)}
}
func document(i int) engine.Object {
	return engine.Object{Namespace: "Document", ID: fmt.Sprintf("document-%09d", i)}
}
func members(g int) engine.Subject          { return engine.Subject{Object: group(g), Relation: "members"} }
func itself(o engine.Object) engine.Subject { return engine.Subject{Object: o} }

func grantee(i int) engine.Subject {
	if i >= firstGroup {
		return members(i - firstGroup)
	}
	return user(i)
}

// Tuples yields all tuples of the workload. A few may come twice, as from a
// careless client.
func (d *Drive) Tuples() iter.Seq[engine.Tuple] {
	return func(yield func(engine.Tuple) bool) {
		for _, part := range []iter.Seq[engine.Tuple]{d.groupTuples, d.folderTuples, d.documentTuples} {
			for t := range part {
				if !yield(t) {
					return
				}
			}
		}
	}
}

func (d *Drive) groupTuples(yield func(engine.Tuple) bool) {
	for g, in := range d.groupOf {
		if in >= 0 && !yield(engine.Tuple{Object: group(in), Relation: "members", Subject: members(g)}) {
			return
		}
	}
	for u, groups := range d.groupsOf {
		for _, g := range groups {
			if !yield(engine.Tuple{Object: group(g), Relation: "members", Subject: user(u)}) {
				return
			}
		}
	}
}

func (d *Drive) folderTuples(yield func(engine.Tuple) bool) {
	for f, parent := range d.parentOf {
		if parent >= 0 && !yield(engine.Tuple{Object: folder(f), Relation: "parents", Subject: itself(folder(parent))}) {
			return
		}
		for _, g := range d.folderTo[f] {
			if !yield(engine.Tuple{Object: folder(f), Relation: "viewers", Subject: grantee(g)}) {
				return
			}
		}
	}
}

func (d *Drive) documentTuples(yield func(engine.Tuple) bool) {
	for i := range d.folderOf {
		o := document(i)
		list := []engine.Tuple{
			{Object: o, Relation: "parents", Subject: itself(folder(d.folderOf[i]))},
			{Object: o, Relation: "owners", Subject: user(d.ownerOf[i])},
		}
		for _, g := range d.docTo[i] {
			list = append(list, engine.Tuple{Object: o, Relation: "viewers", Subject: grantee(g)})
		}
		if d.bannedOf[i] >= 0 {
			list = append(list, engine.Tuple{Object: o, Relation: "banned", Subject: user(d.bannedOf[i])})
		}
		for _, t := range list {
			if !yield(t) {
				return
			}
		}
	}
}

// A Question is a tuple to check and the right answer.
type Question struct {
	Tuple engine.Tuple
	Want  bool
}

// A Mix says how questions are drawn.
type Mix struct {
	// Skew is the exponent of the Zipf law by which documents and users are
	// drawn, above 1; 0 draws them evenly.
	Skew float64
	// Granted is the share of questions, 0 to 1, that are drawn from what a
	// document is shared with, so that most are allowed. The others ask about
	// any user, and most are denied.
	Granted float64
}

// Questions yields questions without end.
func (d *Drive) Questions(r *rand.Rand, m Mix) iter.Seq[Question] {
	draw := func(n int) func() int { return func() int { return r.IntN(n) } }
	if m.Skew > 1 {
		draw = func(n int) func() int {
			z := rand.NewZipf(r, m.Skew, 1, uint64(n-1))
			return func() int { return int(z.Uint64()) }
		}
	}
	doc, any := draw(len(d.folderOf)), draw(d.userCount)
	return func(yield func(Question) bool) {
		for {
			i, u := doc(), any()
			if r.Float64() < m.Granted {
				u = d.someoneGranted(r, i)
			}
			q := Question{engine.Tuple{Object: document(i), Relation: "view", Subject: user(u)}, d.CanView(u, i)}
			if !yield(q) {
				return
			}
		}
	}
}

// someoneGranted returns a user whom the document is shared with, or else its
// owner.
func (d *Drive) someoneGranted(r *rand.Rand, doc int) int {
	if to := d.docTo[doc]; len(to) > 0 {
		if g := to[r.IntN(len(to))]; g < firstGroup {
			return g
		}
	}
	return d.ownerOf[doc]
}

// CanView is the reference: it says by plain walks over the workload's own
// fields whether a user may view a document.
func (d *Drive) CanView(u, doc int) bool {
	if d.bannedOf[doc] == u {
		return false
	}
	if d.ownerOf[doc] == u || d.anyContains(d.docTo[doc], u) {
		return true
	}
	for f := d.folderOf[doc]; f >= 0; f = d.parentOf[f] {
		if d.anyContains(d.folderTo[f], u) {
			return true
		}
	}
	return false
}

func (d *Drive) anyContains(grantees []int, u int) bool {
	for _, g := range grantees {
		if g == u || g >= firstGroup && d.inGroup(u, g-firstGroup) {
			return true
		}
	}
	return false
}

func (d *Drive) inGroup(u, group int) bool {
	for _, g := range d.groupsOf[u] {
		for ; g >= 0; g = d.groupOf[g] {
			if g == group {
				return true
			}
		}
	}
	return false
}
