package opl_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/opl"
)

// largeModel is the text of a model of n classes like those people write:
// members of groups, parents, and permissions that follow from both.
func largeModel(n int) []byte {
	var b strings.Builder
	b.WriteString(`import { Namespace, SubjectSet, Context } from "@ory/keto-namespace-types"

class User implements Namespace {}

class Group implements Namespace {
  related: {
    members: (User | SubjectSet<Group, "members">)[]
  }
}
`)
	for i := range n - 2 {
		fmt.Fprintf(&b, `
// Type%[1]d lives in folders of the type before it.
class Type%[1]d implements Namespace {
  related: {
    parents: (Type%[1]d | Type%[2]d)[]
    owners: (User | SubjectSet<Group, "members">)[]
    editors: (User | SubjectSet<Group, "members">)[]
    viewers: (User | SubjectSet<Group, "members">)[]
    banned: User[]
  }

  permits = {
    own: (ctx: Context): boolean =>
      this.related.owners.includes(ctx.subject) ||
      this.related.parents.traverse((p) => p.permits.own(ctx)),
    edit: (ctx: Context): boolean =>
      (this.related.editors.includes(ctx.subject) || this.permits.own(ctx)) &&
      !this.related.banned.includes(ctx.subject),
    view: (ctx: Context): boolean =>
      this.related.viewers.includes(ctx.subject) ||
      this.permits.edit(ctx) ||
      this.related.parents.traverse((p) => p.permits.view(ctx)),
  }
}
`, i, max(i-1, 0))
	}
	return []byte(b.String())
}

// BenchmarkCompile measures a model of 50 classes, about 45 kB, from text.
func BenchmarkCompile(b *testing.B) {
	sources := []opl.Source{{Name: "large", Text: largeModel(50)}}
	b.SetBytes(int64(len(sources[0].Text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := opl.Compile(sources, opl.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFormat measures the same model from the tree to text.
func BenchmarkFormat(b *testing.B) {
	f, err := opl.Parse(opl.Source{Name: "large", Text: largeModel(50)}, opl.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		opl.Format(f)
	}
}
