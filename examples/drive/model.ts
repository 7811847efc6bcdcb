// A drive: people and groups share folders and documents. What a folder grants
// holds for all that lies in it.
import { Namespace, SubjectSet, Context } from "@ory/keto-namespace-types"

class User implements Namespace {}

class Group implements Namespace {
  related: {
    members: (User | SubjectSet<Group, "members">)[]
  }
}

class Folder implements Namespace {
  related: {
    parents: Folder[]
    owners: (User | SubjectSet<Group, "members">)[]
    editors: (User | SubjectSet<Group, "members">)[]
    viewers: (User | SubjectSet<Group, "members">)[]
    banned: (User | SubjectSet<Group, "members">)[]
  }

  permits = {
    own: (ctx: Context): boolean =>
      this.related.owners.includes(ctx.subject) ||
      this.related.parents.traverse((p) => p.permits.own(ctx)),

    // A ban holds for everything below, but nobody can ban an owner.
    barred: (ctx: Context): boolean =>
      !this.permits.own(ctx) &&
      (
        this.related.banned.includes(ctx.subject) ||
        this.related.parents.traverse((p) => p.permits.barred(ctx))
      ),

    edit: (ctx: Context): boolean =>
      this.permits.own(ctx) ||
      (
        !this.permits.barred(ctx) &&
        (
          this.related.editors.includes(ctx.subject) ||
          this.related.parents.traverse((p) => p.permits.edit(ctx))
        )
      ),

    view: (ctx: Context): boolean =>
      this.permits.edit(ctx) ||
      (
        !this.permits.barred(ctx) &&
        (
          this.related.viewers.includes(ctx.subject) ||
          this.related.parents.traverse((p) => p.permits.view(ctx))
        )
      ),
  }
}

class Document implements Namespace {
  related: {
    parents: Folder[]
    owners: (User | SubjectSet<Group, "members">)[]
    editors: (User | SubjectSet<Group, "members">)[]
    viewers: (User | SubjectSet<Group, "members">)[]
    approvers: (User | SubjectSet<Group, "members">)[]
    banned: (User | SubjectSet<Group, "members">)[]
  }

  permits = {
    own: (ctx: Context): boolean =>
      this.related.owners.includes(ctx.subject) ||
      this.related.parents.traverse((p) => p.permits.own(ctx)),

    barred: (ctx: Context): boolean =>
      !this.permits.own(ctx) &&
      (
        this.related.banned.includes(ctx.subject) ||
        this.related.parents.traverse((p) => p.permits.barred(ctx))
      ),

    edit: (ctx: Context): boolean =>
      this.permits.own(ctx) ||
      (
        !this.permits.barred(ctx) &&
        (
          this.related.editors.includes(ctx.subject) ||
          this.related.parents.traverse((p) => p.permits.edit(ctx))
        )
      ),

    view: (ctx: Context): boolean =>
      this.permits.edit(ctx) ||
      (
        !this.permits.barred(ctx) &&
        (
          this.related.viewers.includes(ctx.subject) ||
          this.related.parents.traverse((p) => p.permits.view(ctx))
        )
      ),

    share: (ctx: Context): boolean => this.permits.own(ctx),

    // Publishing takes both the right to edit and a place among the approvers.
    publish: (ctx: Context): boolean =>
      this.permits.edit(ctx) &&
      this.related.approvers.includes(ctx.subject),

    // Who sees nothing and is not barred may ask the owners for access.
    request: (ctx: Context): boolean =>
      !this.permits.view(ctx) &&
      !this.permits.barred(ctx),
  }
}
