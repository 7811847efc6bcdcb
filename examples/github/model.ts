// Code hosting: organizations own repositories, teams and people have roles in
// them, and each role includes the ones below it.
import { Namespace, SubjectSet, Context } from "@ory/keto-namespace-types"

class User implements Namespace {}

// The members of a child team are members of its parent.
class Team implements Namespace {
  related: {
    members: (User | SubjectSet<Team, "members">)[]
    maintainers: User[]
  }

  permits = {
    invite: (ctx: Context): boolean => this.related.maintainers.includes(ctx.subject),
  }
}

class Organization implements Namespace {
  related: {
    owners: User[]
    members: (User | SubjectSet<Team, "members">)[]
    blocked: User[]
  }

  permits = {
    administer: (ctx: Context): boolean => this.related.owners.includes(ctx.subject),

    belong: (ctx: Context): boolean =>
      this.related.owners.includes(ctx.subject) ||
      this.related.members.includes(ctx.subject),
  }
}

class Repository implements Namespace {
  related: {
    orgs: Organization[]
    // Everyone who belongs to one of these may read.
    internal: Organization[]
    admins: (User | SubjectSet<Team, "members">)[]
    maintainers: (User | SubjectSet<Team, "members">)[]
    writers: (User | SubjectSet<Team, "members">)[]
    triagers: (User | SubjectSet<Team, "members">)[]
    readers: (User | SubjectSet<Team, "members">)[]
  }

  permits = {
    blocked: (ctx: Context): boolean =>
      this.related.orgs.traverse((o) => o.related.blocked.includes(ctx.subject)),

    administer: (ctx: Context): boolean =>
      this.related.admins.includes(ctx.subject) ||
      this.related.orgs.traverse((o) => o.permits.administer(ctx)),

    maintain: (ctx: Context): boolean =>
      this.permits.administer(ctx) ||
      this.related.maintainers.includes(ctx.subject),

    push: (ctx: Context): boolean =>
      this.permits.maintain(ctx) ||
      (this.related.writers.includes(ctx.subject) && !this.permits.blocked(ctx)),

    triage: (ctx: Context): boolean =>
      this.permits.push(ctx) ||
      (this.related.triagers.includes(ctx.subject) && !this.permits.blocked(ctx)),

    read: (ctx: Context): boolean =>
      this.permits.triage(ctx) ||
      (
        (
          this.related.readers.includes(ctx.subject) ||
          this.related.internal.traverse((o) => o.permits.belong(ctx))
        ) &&
        !this.permits.blocked(ctx)
      ),
  }
}

class Branch implements Namespace {
  related: {
    repos: Repository[]
    // A protected branch takes pushes from these people only.
    pushers: (User | SubjectSet<Team, "members">)[]
  }

  permits = {
    push: (ctx: Context): boolean =>
      this.related.repos.traverse((r) => r.permits.push(ctx)) &&
      this.related.pushers.includes(ctx.subject),

    unprotect: (ctx: Context): boolean =>
      this.related.repos.traverse((r) => r.permits.administer(ctx)),
  }
}

class PullRequest implements Namespace {
  related: {
    repos: Repository[]
    authors: User[]
  }

  permits = {
    comment: (ctx: Context): boolean => this.related.repos.traverse((r) => r.permits.read(ctx)),

    // Four eyes: nobody approves what is their own.
    approve: (ctx: Context): boolean =>
      this.related.repos.traverse((r) => r.permits.push(ctx)) &&
      !this.related.authors.includes(ctx.subject),

    close: (ctx: Context): boolean =>
      (this.related.authors.includes(ctx.subject) && this.permits.comment(ctx)) ||
      this.related.repos.traverse((r) => r.permits.triage(ctx)),

    // Two conditions on the same repository, not on any two of them.
    lock: (ctx: Context): boolean =>
      this.related.repos.traverse((r) =>
        r.permits.triage(ctx) &&
        !r.related.triagers.includes(ctx.subject),
      ),

    // From the pull request over its repository to the organization.
    purge: (ctx: Context): boolean =>
      this.related.repos.traverse((r) => r.related.orgs.traverse((o) => o.permits.administer(ctx))),
  }
}
