package bench

import (
	"iter"
	"math"
	"math/rand/v2"

	"github.com/cardea-iam/cardea/engine"
)

const socialModel = `class User implements Namespace {
  related: {
    friends: User[]
    followers: User[]
    blocked: User[]
  }
  permits = {
    near: (ctx: Context): boolean =>
      this.related.friends.includes(ctx.subject) ||
      this.related.friends.traverse((f) => f.related.friends.includes(ctx.subject)),
  }
}

class Post implements Namespace {
  related: {
    authors: User[]
    // Whose followers, friends, and friends of friends may read it.
    followersOf: User[]
    friendsOf: User[]
    nearOf: User[]
  }
  permits = {
    view: (ctx: Context): boolean =>
      (this.related.authors.includes(ctx.subject) ||
        this.related.followersOf.traverse((u) => u.related.followers.includes(ctx.subject)) ||
        this.related.friendsOf.traverse((u) => u.related.friends.includes(ctx.subject)) ||
        this.related.nearOf.traverse((u) => u.permits.near(ctx))) &&
      !this.related.authors.traverse((u) => u.related.blocked.includes(ctx.subject)),
  }
}
`

// A social is a workload of people and posts. Degrees are skewed: most have a few
// friends and some have hundreds, and the followers of the best known are a good
// share of all people.
type social struct {
	seed  seed
	users int
	posts int
}

const (
	socialFriends = iota + 1
	socialFollows
	socialBlocked
	socialPost

	mostFriends = 1000
)

func newSocial(n int, s uint64) Workload {
	users := max(n/21, 20)
	return &social{seed: seed(s), users: users, posts: 2 * users}
}

func (s *social) Name() string { return "social" }

func (s *social) Model() string { return socialModel }

// degree is how many friends a user has at most: two or more by a power law.
func (s *social) degree(r *dice) int {
	return min(int(2*math.Pow(1-r.float(), -1/1.3)), mostFriends, s.users/2)
}

// wellKnown draws a user, those with low numbers far more often.
func (s *social) wellKnown(r *dice, power float64) int {
	return int(math.Pow(r.float(), power) * float64(s.users))
}

// friends yields the friends of a user. Some come twice.
func (s *social) friends(u int) iter.Seq[int] {
	return func(yield func(int) bool) {
		r := s.seed.of(socialFriends, u)
		for range s.degree(&r) {
			if f := s.wellKnown(&r, 1.5); f != u && !yield(f) {
				return
			}
		}
	}
}

// follows returns whom a user follows. Some come twice.
func (s *social) follows(list []int, u int) []int {
	r := s.seed.of(socialFollows, u)
	for range r.intn(20) {
		if v := s.wellKnown(&r, 3); v != u {
			list = append(list, v)
		}
	}
	return list
}

func (s *social) blocked(u int) []int {
	r := s.seed.of(socialBlocked, u)
	if r.intn(3) > 0 {
		return nil
	}
	return r.some(nil, 4, s.users)
}

var audiences = [...]string{"followersOf", "friendsOf", "nearOf"}

// post returns the author and the audience of a post.
func (s *social) post(i int) (author, audience int) {
	r := s.seed.of(socialPost, i)
	return s.wellKnown(&r, 1.5), r.intn(len(audiences))
}

func person(u int) engine.Object { return user(u).Object }

func post(i int) engine.Object { return object("Post", uuid(i)) }

func (s *social) Tuples() iter.Seq[engine.Tuple] {
	return written(
		part{s.users, func(w *writer, u int) {
			for f := range s.friends(u) {
				w.put(person(u), "friends", user(f))
			}
			for _, v := range s.follows(nil, u) {
				w.put(person(v), "followers", user(u))
			}
			for _, v := range s.blocked(u) {
				w.put(person(u), "blocked", user(v))
			}
		}},
		part{s.posts, func(w *writer, i int) {
			author, audience := s.post(i)
			w.put(post(i), "authors", user(author))
			w.put(post(i), audiences[audience], user(author))
		}},
	)
}

// Questions are about the author's audience where Granted says so; of followers,
// only some are found soon.
func (s *social) Questions(r *rand.Rand, m Mix) iter.Seq[Question] {
	anyPost, anyUser := m.drawn(r, s.posts), m.drawn(r, s.users)
	return endless(func() Question {
		i, u := anyPost(), anyUser()
		if r.Float64() < m.Granted {
			u = s.someoneOf(r, i)
		}
		return ask(post(i), "view", u, s.CanView(u, i))
	})
}

func (s *social) someoneOf(r *rand.Rand, i int) int {
	author, audience := s.post(i)
	if audience == 0 {
		var few [20]int
		for range 64 {
			if u := r.IntN(s.users); contains(s.follows(few[:0], u), author) {
				return u
			}
		}
		return author
	}
	u := author
	for range audience {
		u = s.friendOf(r, u)
	}
	return u
}

// friendOf draws a friend, or, of who has none, the person.
func (s *social) friendOf(r *rand.Rand, u int) int {
	chosen, n := u, 0
	for f := range s.friends(u) {
		if n++; r.IntN(n) == 0 {
			chosen = f
		}
	}
	return chosen
}

// CanView is the reference.
func (s *social) CanView(u, i int) bool {
	author, audience := s.post(i)
	if contains(s.blocked(author), u) {
		return false
	}
	if author == u {
		return true
	}
	switch audience {
	case 0:
		return contains(s.follows(nil, u), author)
	case 1:
		return s.isFriend(author, u)
	default:
		return s.isNear(author, u)
	}
}

func (s *social) isFriend(of, u int) bool {
	for f := range s.friends(of) {
		if f == u {
			return true
		}
	}
	return false
}

func (s *social) isNear(of, u int) bool {
	if s.isFriend(of, u) {
		return true
	}
	for f := range s.friends(of) {
		if s.isFriend(f, u) {
			return true
		}
	}
	return false
}
