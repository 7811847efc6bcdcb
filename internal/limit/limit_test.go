package limit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/limit"
)

// A clock that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func TestTry(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	l := limit.New(3, time.Second, 100, c.now)
	for i := range 3 {
		if wait := l.Try("a"); wait != 0 {
			t.Fatalf("try %d waits %s", i, wait)
		}
	}
	if wait := l.Try("a"); wait != time.Second {
		t.Errorf("the fourth try waits %s: expected 1s", wait)
	}
	if wait := l.Try("b"); wait != 0 {
		t.Errorf("another key waits %s", wait)
	}
	c.pass(time.Second)
	if l.Try("a") != 0 || l.Try("a") == 0 {
		t.Error("a second forgives another number of tries than one")
	}
	c.pass(time.Hour)
	for i := range 3 {
		if wait := l.Try("a"); wait != 0 {
			t.Fatalf("after an hour try %d waits %s", i, wait)
		}
	}
	l.Forget("a")
	if l.Try("a") != 0 {
		t.Error("what was forgiven counts")
	}
}

// TestCount: counting goes on beyond what is allowed, and yet locks nobody out for
// longer than a try takes to be forgiven.
func TestCount(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	l := limit.New(3, time.Second, 100, c.now)
	for i := range 10 {
		if wait := l.Wait("a"); (wait != 0) != (i >= 3) {
			t.Fatalf("after %d: wait %s", i, wait)
		}
		l.Count("a")
	}
	if wait := l.Wait("a"); wait > 2*time.Second {
		t.Errorf("ten tries lock out for %s", wait)
	}
}

// TestManyKeys: memory is bounded, and the latest keys are the ones that are known.
func TestManyKeys(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	l := limit.New(1, time.Hour, 10, c.now)
	for i := range 100 {
		l.Try(strconv.Itoa(i))
	}
	if l.Try("99") == 0 || l.Try("0") != 0 {
		t.Error("the latest key is forgotten, or the first is not")
	}
}
