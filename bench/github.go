package bench

import (
	"iter"
	"math/rand/v2"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/examples"
)

// A gitHub is a workload of code hosting: organizations with nested teams own
// repositories, in which teams and people have five roles, each of which includes
// the ones below it; branches and pull requests belong to repositories. The model
// is that of the example.
type gitHub struct {
	seed  seed
	orgs  int
	users int
	repos int
}

// Sizes of an organization.
const (
	orgTeams = 8
	orgUsers = 40
	orgRepos = 50

	repoPulls = 2
)

const (
	ghTeamParent = iota + 1
	ghUserTeams
	ghOrg
	ghRepo
	ghBranch
	ghPull
)

func newGitHub(n int, s uint64) Workload {
	orgs := max(n/(orgRepos*14), 2)
	return &gitHub{seed: seed(s), orgs: orgs, users: orgs * orgUsers, repos: orgs * orgRepos}
}

func (g *gitHub) Name() string { return "github" }

func (g *gitHub) Model() string { return exampleModel("github") }

func exampleModel(name string) string {
	e, _ := examples.Get(name)
	return e.Model
}

func team(i int) engine.Object { return object("Team", id("team-", i)) }
func org(i int) engine.Object  { return object("Organization", id("org-", i)) }
func repo(i int) engine.Object { return object("Repository", uuid(i)) }

// Team t is in organization t/orgTeams. The first team of each has all others in it.
func (g *gitHub) teamParent(t int) int {
	local := t % orgTeams
	if local == 0 {
		return -1
	}
	r := g.seed.of(ghTeamParent, t)
	return t - local + r.intn(local)
}

// teamsOf returns the teams of a user: one to three of the own organization, and
// for one in ten a team of another one.
func (g *gitHub) teamsOf(u int) []int {
	r := g.seed.of(ghUserTeams, u)
	first := u / orgUsers * orgTeams
	list := r.some([]int{first + r.intn(orgTeams)}, 2, orgTeams)
	for i := 1; i < len(list); i++ {
		list[i] += first
	}
	if r.intn(10) == 0 {
		list = append(list, r.intn(g.orgs*orgTeams))
	}
	return list
}

func (g *gitHub) inTeam(u, t int) bool {
	for _, mine := range g.teamsOf(u) {
		for ; mine >= 0; mine = g.teamParent(mine) {
			if mine == t {
				return true
			}
		}
	}
	return false
}

// A ghOrganization is what is stored of one. Its members are its first team.
type ghOrganization struct{ owners, blocked []int }

func (g *gitHub) org(o int) ghOrganization {
	r := g.seed.of(ghOrg, o)
	var org ghOrganization
	org.owners = r.some([]int{o*orgUsers + r.intn(orgUsers)}, 1, orgUsers)
	for i := 1; i < len(org.owners); i++ {
		org.owners[i] += o * orgUsers
	}
	org.blocked = r.some(nil, 3, g.users)
	for i := range org.blocked {
		if r.intn(2) == 0 { // somebody of the house
			org.blocked[i] = o*orgUsers + org.blocked[i]%orgUsers
		}
	}
	return org
}

var ghRoles = [...]string{"admins", "maintainers", "writers", "triagers", "readers"}

// A ghRepository is what is stored of one. Those with a role are users, or teams
// from firstGroup on.
type ghRepository struct {
	internal bool
	roles    [len(ghRoles)][]int
}

func (g *gitHub) repo(i int) ghRepository {
	r := g.seed.of(ghRepo, i)
	repo := ghRepository{internal: r.intn(3) == 0}
	for role := range repo.roles {
		most := 1
		if role >= 2 {
			most = 2
		}
		repo.roles[role] = g.withRole(&r, i/orgRepos, most)
	}
	return repo
}

// withRole draws teams and users of an organization, and collaborators from
// anywhere.
func (g *gitHub) withRole(r *dice, o, most int) []int {
	var list []int
	for range r.intn(most + 1) {
		switch r.intn(5) {
		case 0:
			list = append(list, r.intn(g.users))
		case 1:
			list = append(list, o*orgUsers+r.intn(orgUsers))
		default:
			list = append(list, firstGroup+o*orgTeams+r.intn(orgTeams))
		}
	}
	return list
}

func teamOrUser(i int) engine.Subject {
	if i >= firstGroup {
		return members(team(i - firstGroup))
	}
	return user(i)
}

func (g *gitHub) has(list []int, u int) bool {
	for _, x := range list {
		if x == u || x >= firstGroup && g.inTeam(u, x-firstGroup) {
			return true
		}
	}
	return false
}

func (g *gitHub) pushers(repo int) []int {
	r := g.seed.of(ghBranch, repo)
	return g.withRole(&r, repo/orgRepos, 3)
}

func (g *gitHub) author(pull int) int {
	r := g.seed.of(ghPull, pull)
	o := pull / repoPulls / orgRepos
	return o*orgUsers + r.intn(orgUsers)
}

func branch(repo int) engine.Object      { return object("Branch", uuid(1<<33+repo)) }
func pullRequest(pull int) engine.Object { return object("PullRequest", uuid(1<<34+pull)) }

func (g *gitHub) Tuples() iter.Seq[engine.Tuple] {
	return written(
		part{g.orgs * orgTeams, func(w *writer, t int) {
			if in := g.teamParent(t); in >= 0 {
				w.put(team(in), "members", members(team(t)))
			}
		}},
		part{g.users, func(w *writer, u int) {
			for _, t := range g.teamsOf(u) {
				w.put(team(t), "members", user(u))
			}
		}},
		part{g.orgs, g.writeOrg},
		part{g.repos, g.writeRepo},
	)
}

func (g *gitHub) writeOrg(w *writer, o int) {
	stored := g.org(o)
	w.put(org(o), "members", members(team(o*orgTeams)))
	for _, u := range stored.owners {
		w.put(org(o), "owners", user(u))
	}
	for _, u := range stored.blocked {
		w.put(org(o), "blocked", user(u))
	}
}

func (g *gitHub) writeRepo(w *writer, i int) {
	stored := g.repo(i)
	w.put(repo(i), "orgs", itself(org(i/orgRepos)))
	if stored.internal {
		w.put(repo(i), "internal", itself(org(i/orgRepos)))
	}
	for role, list := range stored.roles {
		for _, x := range list {
			w.put(repo(i), ghRoles[role], teamOrUser(x))
		}
	}
	w.put(branch(i), "repos", itself(repo(i)))
	for _, x := range g.pushers(i) {
		w.put(branch(i), "pushers", teamOrUser(x))
	}
	for pull := i * repoPulls; pull < (i+1)*repoPulls; pull++ {
		w.put(pullRequest(pull), "repos", itself(repo(i)))
		w.put(pullRequest(pull), "authors", user(g.author(pull)))
	}
}

// Questions are about people of the repository's organization where Granted says so.
func (g *gitHub) Questions(r *rand.Rand, m Mix) iter.Seq[Question] {
	anyRepo, anyUser := m.drawn(r, g.repos), m.drawn(r, g.users)
	return endless(func() Question {
		i, u := anyRepo(), anyUser()
		if r.Float64() < m.Granted {
			u = i/orgRepos*orgUsers + r.IntN(orgUsers)
		}
		switch r.IntN(4) {
		case 0:
			return ask(repo(i), "push", u, g.push(u, i))
		case 1:
			return ask(branch(i), "push", u, g.push(u, i) && g.has(g.pushers(i), u))
		case 2:
			pull := i*repoPulls + r.IntN(repoPulls)
			return ask(pullRequest(pull), "approve", u, g.push(u, i) && g.author(pull) != u)
		default:
			return ask(repo(i), "read", u, g.read(u, i))
		}
	})
}

// push and read are the reference.
func (g *gitHub) push(u, i int) bool {
	org, repo := g.org(i/orgRepos), g.repo(i)
	return contains(org.owners, u) || g.has(repo.roles[0], u) || g.has(repo.roles[1], u) ||
		g.has(repo.roles[2], u) && !contains(org.blocked, u)
}

func (g *gitHub) read(u, i int) bool {
	org, repo := g.org(i/orgRepos), g.repo(i)
	if g.push(u, i) {
		return true
	}
	return !contains(org.blocked, u) && (g.has(repo.roles[3], u) || g.has(repo.roles[4], u) ||
		repo.internal && (contains(org.owners, u) || g.inTeam(u, i/orgRepos*orgTeams)))
}
