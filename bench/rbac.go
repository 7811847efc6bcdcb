package bench

import (
	"iter"
	"math/rand/v2"

	"github.com/cardea-iam/cardea/engine"
)

// An rbac is a workload of software sold to many tenants, under the model of the
// example: a tenant has users in nested groups, roles that inherit from one another
// and are given to groups and users, permissions that are granted to some roles and
// denied to others, and invoices whose approval takes a permission. A few robots
// serve all tenants and are in up to 10,000 groups.
type rbac struct {
	seed    seed
	tenants int
	robots  int
}

// Sizes of a tenant.
const (
	tenantUsers       = 100
	tenantGroups      = 20
	tenantRoles       = 10
	tenantPermissions = 30
	tenantInvoices    = 180

	robotGroups = 10_000
	firstRobot  = 1 << 29 // user numbers from here on are robots
)

const (
	rbacUser = iota + 1
	rbacGroupParent
	rbacRole
	rbacPermission
	rbacInvoice
	rbacTenant
	rbacRobot
)

func newRBAC(n int, s uint64) Workload {
	tenants := max(n/(900+tenantGroups), 1)
	return &rbac{seed: seed(s), tenants: tenants, robots: 1 + min(n/1_000_000, 19)}
}

func (b *rbac) Name() string { return "rbac" }

func (b *rbac) Model() string { return exampleModel("rbac") }

func tenant(i int) engine.Object     { return object("Tenant", id("tenant-", i)) }
func role(i int) engine.Object       { return object("Role", id("role-", i)) }
func permission(i int) engine.Object { return object("Permission", id("permission-", i)) }
func invoice(i int) engine.Object    { return object("Invoice", uuid(i)) }

func (b *rbac) groups() int { return b.tenants * tenantGroups }

// groupParent returns the group of the same tenant that a group is a member of.
func (b *rbac) groupParent(g int) int {
	local := g % tenantGroups
	if local < 5 {
		return -1
	}
	r := b.seed.of(rbacGroupParent, g)
	return g - local + r.intn(local)
}

// groupsOf returns up to three groups of a user's tenant.
func (b *rbac) groupsOf(u int) []int {
	r := b.seed.of(rbacUser, u)
	list := r.some(nil, 3, tenantGroups)
	for i := range list {
		list[i] += u / tenantUsers * tenantGroups
	}
	return list
}

// inRobotGroup reports whether a robot is stored in a group: every k-th, so that
// there are no more than robotGroups.
func (b *rbac) inRobotGroup(robot, g int) bool {
	every := (b.groups() + robotGroups - 1) / robotGroups
	r := b.seed.of(rbacRobot, robot)
	return g%every == r.intn(every)
}

func (b *rbac) inGroup(u, g int) bool {
	if u >= firstRobot {
		return b.robotIn(u-firstRobot, g)
	}
	for _, mine := range b.groupsOf(u) {
		for ; mine >= 0; mine = b.groupParent(mine) {
			if mine == g {
				return true
			}
		}
	}
	return false
}

// robotIn looks at the groups of the tenant that lead up to g.
func (b *rbac) robotIn(robot, g int) bool {
	first := g - g%tenantGroups
	for mine := first; mine < first+tenantGroups; mine++ {
		if !b.inRobotGroup(robot, mine) {
			continue
		}
		for up := mine; up >= 0; up = b.groupParent(up) {
			if up == g {
				return true
			}
		}
	}
	return false
}

// An rbacRole is what is stored of a role: the role that includes it, -1 for none,
// a group and a user who have it.
type rbacRoleOf struct{ senior, group, user int }

func (b *rbac) role(i int) rbacRoleOf {
	r, local := b.seed.of(rbacRole, i), i%tenantRoles
	t := i / tenantRoles
	stored := rbacRoleOf{senior: -1, group: t*tenantGroups + r.intn(tenantGroups), user: t*tenantUsers + r.intn(tenantUsers)}
	if local > 0 {
		stored.senior = i - local + r.intn(local)
	}
	return stored
}

// holds is the reference for Role#hold.
func (b *rbac) holds(u, role int) bool {
	for ; role >= 0; role = b.role(role).senior {
		if stored := b.role(role); stored.user == u || b.inGroup(u, stored.group) {
			return true
		}
	}
	return false
}

// suspended returns up to two users of a tenant.
func (b *rbac) suspended(t int) []int {
	r := b.seed.of(rbacTenant, t)
	list := r.some(nil, 2, tenantUsers)
	for i := range list {
		list[i] += t * tenantUsers
	}
	return list
}

// A rbacGrant is what is stored of a permission.
type rbacGrant struct {
	to     [2]int
	denied int // -1 for none
}

func (b *rbac) permission(i int) rbacGrant {
	r, first := b.seed.of(rbacPermission, i), i/tenantPermissions*tenantRoles
	stored := rbacGrant{to: [2]int{first + r.intn(tenantRoles), first + r.intn(tenantRoles)}, denied: -1}
	if r.intn(5) == 0 {
		stored.denied = first + r.intn(tenantRoles)
	}
	return stored
}

// uses is the reference for Permission#use.
func (b *rbac) uses(u, i int) bool {
	t, stored := i/tenantPermissions, b.permission(i)
	if u < firstRobot && u/tenantUsers != t || contains(b.suspended(t), u) {
		return false
	}
	return (b.holds(u, stored.to[0]) || b.holds(u, stored.to[1])) && (stored.denied < 0 || !b.holds(u, stored.denied))
}

// invoice returns the permission that an invoice takes and who prepared it.
func (b *rbac) invoice(i int) (approval, preparer int) {
	r, t := b.seed.of(rbacInvoice, i), i/tenantInvoices
	return t*tenantPermissions + r.intn(tenantPermissions), t*tenantUsers + r.intn(tenantUsers)
}

func (b *rbac) Tuples() iter.Seq[engine.Tuple] {
	return written(
		part{b.groups(), b.writeGroup},
		part{b.tenants * tenantUsers, func(w *writer, u int) {
			w.put(tenant(u/tenantUsers), "users", user(u))
			for _, g := range b.groupsOf(u) {
				w.put(group(g), "members", user(u))
			}
		}},
		part{b.tenants, b.writeTenant},
		part{b.tenants * tenantInvoices, func(w *writer, i int) {
			approval, preparer := b.invoice(i)
			w.put(invoice(i), "approval", itself(permission(approval)))
			w.put(invoice(i), "preparers", user(preparer))
		}},
	)
}

func (b *rbac) writeGroup(w *writer, g int) {
	if in := b.groupParent(g); in >= 0 {
		w.put(group(in), "members", members(group(g)))
	}
	for robot := range b.robots {
		if b.inRobotGroup(robot, g) {
			w.put(group(g), "members", user(firstRobot+robot))
		}
	}
}

func (b *rbac) writeTenant(w *writer, t int) {
	for robot := range b.robots {
		w.put(tenant(t), "users", user(firstRobot+robot))
	}
	for _, u := range b.suspended(t) {
		w.put(tenant(t), "suspended", user(u))
	}
	for i := t * tenantRoles; i < (t+1)*tenantRoles; i++ {
		stored := b.role(i)
		w.put(role(i), "assignees", members(group(stored.group)))
		w.put(role(i), "assignees", user(stored.user))
		if stored.senior >= 0 {
			w.put(role(i), "seniors", itself(role(stored.senior)))
		}
	}
	for i := t * tenantPermissions; i < (t+1)*tenantPermissions; i++ {
		stored := b.permission(i)
		w.put(permission(i), "tenants", itself(tenant(t)))
		for _, r := range stored.to {
			w.put(permission(i), "grantedTo", itself(role(r)))
		}
		if stored.denied >= 0 {
			w.put(permission(i), "deniedTo", itself(role(stored.denied)))
		}
	}
}

// Questions are about people of the tenant where Granted says so, and one in ten of
// those about a robot.
func (b *rbac) Questions(r *rand.Rand, m Mix) iter.Seq[Question] {
	anyTenant, anyUser := m.drawn(r, b.tenants), m.drawn(r, b.tenants*tenantUsers)
	return endless(func() Question {
		t, u := anyTenant(), anyUser()
		if r.Float64() < m.Granted {
			u = t*tenantUsers + r.IntN(tenantUsers)
			if r.IntN(10) == 0 {
				u = firstRobot + r.IntN(b.robots)
			}
		}
		if r.IntN(2) == 0 {
			i := t*tenantPermissions + r.IntN(tenantPermissions)
			return ask(permission(i), "use", u, b.uses(u, i))
		}
		i := t*tenantInvoices + r.IntN(tenantInvoices)
		approval, preparer := b.invoice(i)
		return ask(invoice(i), "approve", u, u != preparer && b.uses(u, approval))
	})
}
