package bench

import (
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
// nested groups. Ids have 21 to 36 characters, as those of identities and documents
// do: prefixes with 16 digits, and UUIDs.
type Drive struct {
	seed                         seed
	users, groups, folders, docs int
}

// Properties of the elements of a Drive.
const (
	driveGroupParent = iota + 1
	driveUserGroups
	driveFolderParent
	driveFolderViewers
	driveDocument
)

// grantees are users, or groups counted from here on.
const firstGroup = 1 << 30

// NewDrive makes a workload of about n tuples. Equal arguments give equal
// workloads.
func NewDrive(n int, s uint64) *Drive {
	docs := max(n/4, 10)
	return &Drive{seed: seed(s), users: max(docs/10, 10), groups: max(docs/50, 5), folders: max(docs/10, 5), docs: docs}
}

// Name implements Workload.
func (d *Drive) Name() string { return "drive" }

// Model implements Workload.
func (d *Drive) Model() string { return DriveModel }

func group(i int) engine.Object              { return object("Group", id("group-", i)) }
func folder(i int) engine.Object             { return object("Folder", uuid(i)) }
func document(i int) engine.Object           { return object("Document", uuid(1<<32+i)) }
func members(g engine.Object) engine.Subject { return engine.Subject{Object: g, Relation: "members"} }

func grantee(i int) engine.Subject {
	if i >= firstGroup {
		return members(group(i - firstGroup))
	}
	return user(i)
}

// groupParent returns the group that a group is a member of, -1 at the top.
func (d *Drive) groupParent(g int) int {
	r := d.seed.of(driveGroupParent, g)
	return r.above(g, 5)
}

func (d *Drive) groupsOf(list []int, u int) []int {
	r := d.seed.of(driveUserGroups, u)
	return r.some(list, 3, d.groups)
}

func (d *Drive) folderParent(f int) int {
	r := d.seed.of(driveFolderParent, f)
	return r.above(f, 4)
}

func (d *Drive) folderViewers(list []int, f int) []int {
	r := d.seed.of(driveFolderViewers, f)
	return d.grantees(list, &r, 2)
}

// A driveDoc is what is stored of a document.
type driveDoc struct {
	folder, owner int
	banned        int // a user, -1 for nobody
	viewers       []int
}

func (d *Drive) doc(list []int, i int) driveDoc {
	r := d.seed.of(driveDocument, i)
	doc := driveDoc{folder: r.intn(d.folders), owner: r.intn(d.users), banned: -1}
	if r.intn(20) == 0 {
		doc.banned = r.intn(d.users)
	}
	doc.viewers = d.grantees(list, &r, 3)
	return doc
}

// grantees draws users, and groups for a third of them.
func (d *Drive) grantees(list []int, r *dice, most int) []int {
	start := len(list)
	list = r.some(list, most, d.users)
	for i := start; i < len(list); i++ {
		if r.intn(3) == 0 {
			list[i] = firstGroup + list[i]%d.groups
		}
	}
	return list
}

// Tuples implements Workload.
func (d *Drive) Tuples() iter.Seq[engine.Tuple] {
	return written(
		part{d.groups, func(w *writer, g int) {
			if in := d.groupParent(g); in >= 0 {
				w.put(group(in), "members", members(group(g)))
			}
		}},
		part{d.users, func(w *writer, u int) {
			var few [4]int
			for _, g := range d.groupsOf(few[:0], u) {
				w.put(group(g), "members", user(u))
			}
		}},
		part{d.folders, d.writeFolder},
		part{d.docs, d.writeDocument},
	)
}

func (d *Drive) writeFolder(w *writer, f int) {
	o := folder(f)
	if parent := d.folderParent(f); parent >= 0 {
		w.put(o, "parents", itself(folder(parent)))
	}
	var few [4]int
	for _, g := range d.folderViewers(few[:0], f) {
		w.put(o, "viewers", grantee(g))
	}
}

func (d *Drive) writeDocument(w *writer, i int) {
	var few [4]int
	o, doc := document(i), d.doc(few[:0], i)
	w.put(o, "parents", itself(folder(doc.folder)))
	w.put(o, "owners", user(doc.owner))
	for _, g := range doc.viewers {
		w.put(o, "viewers", grantee(g))
	}
	if doc.banned >= 0 {
		w.put(o, "banned", user(doc.banned))
	}
}

// Questions implements Workload. Those about somebody who was granted something are
// about a user whom the document is shared with, or else its owner.
func (d *Drive) Questions(r *rand.Rand, m Mix) iter.Seq[Question] {
	anyDoc, anyUser := m.drawn(r, d.docs), m.drawn(r, d.users)
	return endless(func() Question {
		i, u := anyDoc(), anyUser()
		if r.Float64() < m.Granted {
			var few [4]int
			doc := d.doc(few[:0], i)
			u = doc.owner
			if n := len(doc.viewers); n > 0 {
				if g := doc.viewers[r.IntN(n)]; g < firstGroup {
					u = g
				}
			}
		}
		return ask(document(i), "view", u, d.CanView(u, i))
	})
}

// CanView is the reference: it says by plain walks whether a user may view a
// document.
func (d *Drive) CanView(u, i int) bool {
	var few, groups [4]int
	doc := d.doc(few[:0], i)
	if doc.banned == u {
		return false
	}
	in := d.groupsOf(groups[:0], u)
	if doc.owner == u || d.anyContains(doc.viewers, u, in) {
		return true
	}
	for f := doc.folder; f >= 0; f = d.folderParent(f) {
		if d.anyContains(d.folderViewers(few[:0], f), u, in) {
			return true
		}
	}
	return false
}

// anyContains reports whether one of the grantees is a user, or has one of the
// groups that the user is in.
func (d *Drive) anyContains(grantees []int, u int, in []int) bool {
	for _, g := range grantees {
		if g == u {
			return true
		}
		for _, mine := range in {
			for ; g >= firstGroup && mine >= 0; mine = d.groupParent(mine) {
				if mine == g-firstGroup {
					return true
				}
			}
		}
	}
	return false
}
