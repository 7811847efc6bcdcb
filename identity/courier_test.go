package identity_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/store"
)

// A post office is what messages are handed to.
type office struct {
	mu      sync.Mutex
	letters []*identity.Letter
	failure error
	slow    map[string]chan struct{} // by recipient, whose letters wait for it
}

func (o *office) Carry(_ context.Context, l *identity.Letter) error {
	if wait := o.slow[l.Recipient]; wait != nil {
		<-wait
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.Recipient == "panic@example.com" {
		panic("out of paper")
	}
	if o.failure != nil {
		return o.failure
	}
	o.letters = append(o.letters, l)
	return nil
}

func (*office) Reaches(bool) bool { return true }

type plainLetters struct{}

func (plainLetters) Letter(name, _ string, _ bool, data map[string]any) (subject, text, html string, err error) {
	return name, "code " + data["Code"].(string) + " " + data["URL"].(string), "", nil
}

// A courier is a service with a clock that tests move.
type courier struct {
	*testing.T
	*identity.Service
	office
	people identity.Store
	now    time.Time
}

func newCourier(t *testing.T) *courier {
	db, err := store.Open(t.Context(), "mem:", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c := &courier{T: t, now: time.Unix(1_800_000_000, 0)}
	if c.people, err = db.People(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	c.Service = c.service()
	return c
}

// service is another node with the same database.
func (c *courier) service() *identity.Service {
	keys, err := secret.New("a secret of the system")
	if err != nil {
		c.Fatal(err)
	}
	s, err := identity.New(c.people, keys, identity.Options{BaseURL: "http://id.example", Now: func() time.Time { return c.now },
		Courier: identity.CourierOptions{Carrier: &c.office, Letters: plainLetters{}, Retries: 2, Batch: 3, Poll: 5 * time.Millisecond}})
	if err != nil {
		c.Fatal(err)
	}
	return s
}

func (c *courier) post(template, to string, unknown bool) {
	c.Helper()
	if err := c.Post(c.Context(), template, "email", to, "123456", unknown); err != nil {
		c.Fatal(err)
	}
}

// deliver sends a batch, and asserts how many there were.
func (c *courier) deliver(want int) {
	c.Helper()
	n, err := c.DeliverSome(c.Context())
	if err != nil || n != want {
		c.Fatalf("%d messages taken, %v: want %d", n, err, want)
	}
}

// only returns the one message that there is.
func (c *courier) only(status string) *identity.Message {
	c.Helper()
	all, err := c.people.ListMessages(c.Context(), identity.MessageQuery{Status: status}, identity.MessagePosition{}, 10)
	if err != nil || len(all) != 1 {
		c.Fatalf("%d messages are %s, %v", len(all), status, err)
	}
	return all[0]
}

func TestMessageIsSent(t *testing.T) {
	c := newCourier(t)
	c.post("recovery_code_valid", "ann@example.com", false)
	before := c.only("queued")
	if strings.Contains(before.Data, "123456") {
		t.Error("the code lies in the queue as it is")
	}
	c.deliver(1)
	c.deliver(0)
	if len(c.letters) != 1 || c.letters[0].Text != "code 123456 http://id.example/?token=123456" || c.letters[0].Recipient != "ann@example.com" || c.letters[0].ID != before.ID {
		t.Fatalf("letters %+v", c.letters)
	}
	if m := c.only("sent"); m.SendCount != 1 || !strings.Contains(string(m.Dispatches), `"success"`) || m.Data == before.Data {
		t.Errorf("message %+v", m)
	}
}

// TestMessageIsTriedAgain fails until the message is given up.
func TestMessageIsTriedAgain(t *testing.T) {
	c := newCourier(t)
	c.failure = errs.New(errs.Unavailable, "no mail today")
	c.post("recovery_code_valid", "ann@example.com", false)
	for try, wait := range []time.Duration{30 * time.Second, time.Minute} {
		c.deliver(1)
		m := c.only("queued")
		if m.SendCount != try+1 || m.DueAt.Sub(c.now) != wait {
			t.Fatalf("after try %d: %d, due after %v", try+1, m.SendCount, m.DueAt.Sub(c.now))
		}
		c.now = m.DueAt.Add(-time.Microsecond)
		c.deliver(0)
		c.now = m.DueAt
	}
	c.deliver(1)
	m := c.only("abandoned")
	var dispatches []struct {
		Status string
		Error  struct{ Message string }
	}
	if err := json.Unmarshal(m.Dispatches, &dispatches); err != nil || len(dispatches) != 3 || dispatches[2].Status != "failed" || dispatches[2].Error.Message != "no mail today" {
		t.Errorf("dispatches %s, %v", m.Dispatches, err)
	}
	c.now = c.now.Add(24 * time.Hour)
	c.deliver(0)

	c.failure = errs.New(errs.Refused, "there is no such mailbox")
	c.post("recovery_code_valid", "bob@example.com", false)
	c.deliver(1)
	c.deliver(0)
	c.failure = nil
	if len(c.letters) != 0 {
		t.Errorf("letters %+v", c.letters)
	}
}

// TestMessageThatPanics: it takes nothing else with it.
func TestMessageThatPanics(t *testing.T) {
	c := newCourier(t)
	c.post("login_code_valid", "panic@example.com", false)
	for range 3 {
		c.deliver(1)
		c.now = c.now.Add(time.Hour)
	}
	if m := c.only("abandoned"); !strings.Contains(string(m.Dispatches), "out of paper") {
		t.Errorf("%s", m.Dispatches)
	}
}

// TestUnknownRecipient leaves nothing of a message to somebody who is not known.
func TestUnknownRecipient(t *testing.T) {
	c := newCourier(t)
	c.post("recovery_code_invalid", "nobody@example.com", true)
	c.only("queued")
	c.deliver(1)
	all, err := c.people.ListMessages(t.Context(), identity.MessageQuery{}, identity.MessagePosition{}, 10)
	if err != nil || len(all) != 0 || len(c.letters) != 0 {
		t.Errorf("%v, %v, %v", all, c.letters, err)
	}
}

// TestNodesShareTheQueue has several couriers at work.
func TestNodesShareTheQueue(t *testing.T) {
	c := newCourier(t)
	const n = 20
	for range n {
		c.post("login_code_valid", "ann@example.com", false)
	}
	var wait sync.WaitGroup
	for range 3 {
		node := c.service()
		wait.Go(func() {
			for {
				taken, err := node.DeliverSome(t.Context())
				if err != nil {
					t.Error(err)
				}
				if taken == 0 {
					return
				}
			}
		})
	}
	wait.Wait()
	seen := map[string]bool{}
	for _, l := range c.letters {
		seen[l.ID] = true
	}
	if len(c.letters) != n || len(seen) != n {
		t.Errorf("%d letters of %d messages: want %d", len(c.letters), len(seen), n)
	}
}

// TestDeliverEnds runs the courier as the server does.
func TestDeliverEnds(t *testing.T) {
	c := newCourier(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Deliver(ctx)
	}()
	c.post("login_code_valid", "ann@example.com", false)
	c.arrive(1)
	cancel()
	<-done
	c.only("sent")
}

// arrive waits until there are letters.
func (c *courier) arrive(want int) {
	c.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		c.mu.Lock()
		n := len(c.letters)
		c.mu.Unlock()
		if n == want {
			return
		}
		if time.Now().After(deadline) {
			c.Fatalf("%d letters have arrived: want %d", n, want)
		}
	}
}

// TestSlowLetter: a letter that takes long keeps no other one from arriving, and is not lost
// at the end.
func TestSlowLetter(t *testing.T) {
	c := newCourier(t)
	slow := make(chan struct{})
	c.slow = map[string]chan struct{}{"slow@example.com": slow}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	c.post("login_code_valid", "slow@example.com", false)
	go func() {
		defer close(done)
		c.Deliver(ctx)
	}()
	for n := range 8 {
		c.post("login_code_valid", "ann@example.com", false)
		c.arrive(n + 1)
	}
	cancel()
	close(slow)
	<-done
	c.arrive(9)
	if all, err := c.people.ListMessages(t.Context(), identity.MessageQuery{Status: "sent"}, identity.MessagePosition{}, 10); err != nil || len(all) != 9 {
		t.Errorf("%d messages are sent, %v", len(all), err)
	}
}
