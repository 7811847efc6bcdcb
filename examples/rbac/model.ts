// Role-based access control: people hold roles, alone or through groups, roles
// inherit from roles, and roles are granted permissions. A denial outweighs
// every grant, and duties that must not meet in one person are kept apart.
import { Namespace, SubjectSet, Context } from "@ory/keto-namespace-types"

class User implements Namespace {}

// Nothing is declared about devices: any relation to anyone can be stored.
class Device implements Namespace {}

class Group implements Namespace {
  related: {
    members: (User | SubjectSet<Group, "members">)[]
  }
}

class Role implements Namespace {
  related: {
    assignees: (User | SubjectSet<Group, "members">)[]
    // Whoever holds a senior role holds this one, too.
    seniors: Role[]
  }

  permits = {
    hold: (ctx: Context): boolean =>
      this.related.assignees.includes(ctx.subject) ||
      this.related.seniors.traverse((s) => s.permits.hold(ctx)),
  }
}

class Tenant implements Namespace {
  related: {
    users: (User | SubjectSet<Group, "members">)[]
    suspended: User[]
  }

  permits = {
    active: (ctx: Context): boolean =>
      this.related.users.includes(ctx.subject) &&
      !this.related.suspended.includes(ctx.subject),
  }
}

class Permission implements Namespace {
  related: {
    tenants: Tenant[]
    grantedTo: Role[]
    deniedTo: Role[]
  }

  permits = {
    use: (ctx: Context): boolean =>
      this.related.tenants.traverse((t) => t.permits.active(ctx)) &&
      this.related.grantedTo.traverse((r) => r.permits.hold(ctx)) &&
      !this.related.deniedTo.traverse((r) => r.permits.hold(ctx)),
  }
}

class Invoice implements Namespace {
  related: {
    preparers: User[]
    releasedBy: User[]
    // The permission that it takes to approve invoices of this kind.
    approval: Permission[]
  }

  permits = {
    approve: (ctx: Context): boolean =>
      this.related.approval.traverse((p) => p.permits.use(ctx)) &&
      !this.related.preparers.includes(ctx.subject),

    // Neither who prepared the invoice nor who may approve it pays it.
    pay: (ctx: Context): boolean =>
      this.related.releasedBy.includes(ctx.subject) &&
      !(this.related.preparers.includes(ctx.subject) || this.permits.approve(ctx)),

    // Whoever does not decide about it may contest it.
    contest: (ctx: Context): boolean => !this.permits.approve(ctx),
  }
}
