package main

import (
	"fmt"
	"testing"

	"github.com/cardea-iam/cardea/opl"
)

func TestTraversed(t *testing.T) {
	m, err := opl.Compile([]opl.Source{{Name: "m", Text: []byte(`
class User implements Namespace {}
class Org implements Namespace {
  related: { owners: User[], parents: Org[] }
  permits = { own: (ctx) => this.related.owners.includes(ctx.subject) }
}
class Repo implements Namespace {
  related: { orgs: Org[], readers: User[], mirrors: Repo[] }
  permits = {
    read: (ctx) => this.related.readers.includes(ctx.subject) ||
      !(this.related.mirrors.traverse((r) => r.permits.read2(ctx)) &&
        this.related.orgs.traverse((o) => o.related.parents.traverse((p) => p.permits.own(ctx)))),
    read2: (ctx) => this.related.readers.includes(ctx.subject),
  }
}`)}}, opl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = "[{Org parents} {Repo mirrors} {Repo orgs}]"
	if got := fmt.Sprint(traversed(m)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
