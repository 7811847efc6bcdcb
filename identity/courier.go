package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// The courier: what is to be sent to people stands in a queue in the database, written
// in the transaction that makes it necessary. Any node takes messages out of it, each
// for the time of a lease, and marks what became of them, if the lease is still its own.
// So each message goes out at least once, and is marked once. Its Message-ID is the
// same each time.

// CourierOptions say how messages go out.
type CourierOptions struct {
	// Carrier takes messages away; nil: none are sent, and there is no recovery, no
	// verification and no code by mail.
	Carrier Carrier

	Letters Letters // nil: there are none, and nothing can be sent

	Retries int           // after the first try; 0: 5
	Batch   int           // messages that are on the way at the same time; 0: 10
	Poll    time.Duration // between two looks at the queue; 0: 1 s

	// Limit is how often something is sent to one address; zero: 10 at once, then one
	// after a minute, the next after two, and so on to 10 minutes. Beyond it nothing is
	// sent, and nobody is told.
	Limit Limit

	// PerClient is how many messages one client causes in an hour; 0: 100.
	PerClient int

	// Plain shows codes to administrators, and keeps them when they were sent.
	Plain bool
}

func (o *CourierOptions) defaults() {
	if o.Retries <= 0 {
		o.Retries = 5
	}
	if o.Batch <= 0 {
		o.Batch = 10
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Limit == (Limit{}) {
		o.Limit = Limit{Free: 10, Delay: time.Minute, MaxDelay: 10 * time.Minute, Forget: 2 * time.Hour}
	}
	if o.PerClient <= 0 {
		o.PerClient = 100
	}
}

// A Carrier takes letters to where they go.
type Carrier interface {
	// Carry delivers a letter, or hands it to who will. It may be called from many
	// goroutines at once.
	//
	// Refused: it can never be delivered. Others: it may be another time.
	Carry(ctx context.Context, l *Letter) error

	// Reaches reports whether it carries to telephones, or to e-mail addresses.
	Reaches(phone bool) bool
}

// Letters write messages.
type Letters interface {
	// Letter writes a message. name is Kratos's template_type; locales are languages as
	// Accept-Language has them. For phones there is only text.
	Letter(name, locales string, phone bool, data map[string]any) (subject, text, html string, err error)
}

// A Letter is a message that is ready to go.
type Letter struct {
	ID        string // the same when it is sent again
	Phone     bool   // to a telephone number, not to an e-mail address
	Recipient string
	Template  string // Kratos's template_type
	At        time.Time

	Subject, Text, HTML string // of e-mail one of the bodies may be ""
	Data                map[string]any
}

// States of messages.
const (
	queued     = "queued"
	processing = "processing"
	sent       = "sent"
	abandoned  = "abandoned"
)

// Times of the courier. A lease is longer than it takes to carry a letter.
const (
	lease        = time.Minute
	carryTime    = 30 * time.Second
	firstRetry   = 30 * time.Second // doubled for each further one
	maxRetry     = time.Hour
	keepMessages = 30 * 24 * time.Hour
)

// A note is what a message is made from. It is stored sealed until it was sent.
type note struct {
	Template string `json:",omitempty"`
	Via, To  string
	Code     string          `json:",omitempty"`
	URL      string          `json:",omitempty"`
	Group    string          `json:",omitempty"` // to which somebody is invited
	Expires  time.Time       `json:",omitzero"`  // of the code or the link
	Minutes  int             `json:",omitempty"`
	Locales  string          `json:",omitempty"`
	Request  string          `json:",omitempty"` // the URL that the flow was opened with
	Identity json.RawMessage `json:",omitempty"`
	Payload  json.RawMessage `json:",omitempty"` // transient_payload

	// Unknown: there is nobody with the address. It is in the queue all the same, so that
	// an answer takes the same work, and the courier drops it unless it shall be sent.
	Unknown bool `json:",omitempty"`
}

// data is what templates see: Kratos's names, and ours.
func (n *note) data() map[string]any {
	d := map[string]any{
		"To": n.To, "Code": n.Code, "URL": n.URL, "Group": n.Group, "ExpiresInMinutes": n.Minutes, "RequestURL": n.Request,
		"RecoveryCode": n.Code, "VerificationCode": n.Code, "LoginCode": n.Code, "RegistrationCode": n.Code,
		"RecoveryURL": n.URL, "VerificationURL": n.URL,
	}
	for name, text := range map[string]json.RawMessage{"Identity": n.Identity, "TransientPayload": n.Payload} {
		var v any
		if len(text) > 0 && json.Unmarshal(text, &v) == nil {
			d[name] = v
		}
	}
	return d
}

// mails reports whether messages can be sent.
func (s *Service) mails() bool {
	return s.options.Courier.Carrier != nil && s.options.Courier.Letters != nil
}

// reaches reports whether messages can be sent to addresses of a kind.
func (s *Service) reaches(via string) bool {
	return s.mails() && s.options.Courier.Carrier.Reaches(via == viaSMS)
}

// post adds a message to what the step writes.
func (s *Service) post(st *Step, n note, who *Identity) error {
	n.Locales = cut(st.Request.Header.Get("Accept-Language"), 200)
	n.Request, n.Payload = st.Flow.RequestURL, st.transient()
	if who != nil {
		body, err := json.Marshal(s.identityBody(who))
		if err != nil {
			return errs.Wrap(errs.Internal, err, "an identity cannot be encoded")
		}
		n.Identity = body
		n.Locales = localeOf(who) + n.Locales
	}
	m, err := s.message(n, st.Now)
	if err != nil {
		return err
	}
	st.Also(PutMessage{m})
	st.Then(s.wake)
	return nil
}

// message returns what a note becomes in the queue.
func (s *Service) message(n note, now time.Time) (m Message, err error) {
	m = Message{ID: NewID(), Status: queued, Type: "email", Channel: "email", Recipient: n.To, Template: n.Template, DueAt: now, CreatedAt: now, UpdatedAt: now}
	if n.Via == viaSMS {
		m.Type, m.Channel = "phone", viaSMS
	}
	m.Data, err = s.sealNote(m.ID, n)
	return m, err
}

// localeOf is the language that somebody has chosen, in front of those of the browser.
func localeOf(i *Identity) string {
	var traits struct{ Locale, Lang, Language string }
	if json.Unmarshal(i.Traits, &traits) != nil {
		return ""
	}
	for _, one := range []string{traits.Locale, traits.Lang, traits.Language} {
		if one != "" {
			return cut(one, 35) + ","
		}
	}
	return ""
}

func (s *Service) sealNote(id string, n note) (string, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "a message cannot be encoded")
	}
	return base64.StdEncoding.EncodeToString(s.keys.Seal(s.purpose("message"), id, text)), nil
}

func (s *Service) openNote(m *Message) (n note, err error) {
	sealed, err := base64.StdEncoding.DecodeString(m.Data)
	if err != nil {
		return n, errs.Wrap(errs.Internal, err, "message %s is malformed", m.ID)
	}
	text, err := s.keys.Open(s.purpose("message"), m.ID, sealed)
	if err != nil {
		return n, errs.Wrap(errs.Internal, err, "message %s was sealed with a secret that is gone", m.ID)
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return n, errs.Wrap(errs.Internal, err, "message %s is malformed", m.ID)
	}
	return n, nil
}

// letter writes a message.
func (s *Service) letter(m *Message, n note) (*Letter, error) {
	l := &Letter{ID: m.ID, Phone: n.Via == viaSMS, Recipient: m.Recipient, Template: m.Template, At: m.CreatedAt, Data: n.data()}
	var err error
	l.Subject, l.Text, l.HTML, err = s.options.Courier.Letters.Letter(m.Template, n.Locales, l.Phone, l.Data)
	return l, err
}

// wake makes the courier of this node look at the queue now.
func (s *Service) wake() {
	select {
	case s.posted <- struct{}{}:
	default:
	}
}

// Deliver sends what is in the queue until ctx ends. Letters that are on the way then
// arrive first.
func (s *Service) Deliver(ctx context.Context) {
	if !s.mails() {
		return
	}
	tick := time.NewTicker(s.options.Courier.Poll)
	defer tick.Stop()
	w := s.newWorkers()
	defer w.wait()
	for ctx.Err() == nil {
		if _, err := s.deliverSome(ctx, w); err != nil && ctx.Err() == nil {
			s.options.Log.Error("messages cannot be taken from the queue", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-s.posted:
		case <-w.done: // there is room for another one
			w.busy--
		}
	}
}

// workers are the messages that are on the way. A slow one keeps no other from it as long
// as there is room.
type workers struct {
	most, busy int
	done       chan struct{}
}

func (s *Service) newWorkers() *workers {
	most := s.options.Courier.Batch
	return &workers{most: most, done: make(chan struct{}, most)}
}

// room returns how many more may be on the way.
func (w *workers) room() int {
	for {
		select {
		case <-w.done:
			w.busy--
		default:
			return w.most - w.busy
		}
	}
}

// wait returns when none is on the way.
func (w *workers) wait() {
	for ; w.busy > 0; w.busy-- {
		<-w.done
	}
}

// deliverSome sends as many messages as there is room for, side by side, and returns how
// many it has taken. It does not wait for them.
func (s *Service) deliverSome(ctx context.Context, w *workers) (int, error) {
	room := w.room()
	if room == 0 {
		return 0, nil
	}
	taken, err := s.store.TakeMessages(ctx, s.now(), lease, room)
	for _, m := range taken {
		w.busy++
		go func() {
			defer func() { w.done <- struct{}{} }()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), carryTime)
			defer cancel()
			s.deliver(ctx, m)
		}()
	}
	return len(taken), err
}

// deliver sends one message, and stores what became of it.
func (s *Service) deliver(ctx context.Context, m *Message) {
	op := ReturnMessage{Message: *m, Lease: m.DueAt}
	n, err := s.openNote(m)
	now := s.now()
	switch {
	case err != nil:
		err = errs.Wrap(errs.Refused, err, "%v", err)
	case n.Unknown:
		op.Drop = true
	case !n.Expires.IsZero() && !now.Before(n.Expires):
		err = errs.New(errs.Refused, "what the message is about has expired")
	default:
		err = s.carry(ctx, m, n)
	}
	if !op.Drop {
		s.mark(&op.Message, err, s.now())
	}
	// The lease is longer than carryTime, and this must be stored although that is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease-carryTime)
	defer cancel()
	if err := s.store.Write(ctx, op); err != nil {
		s.options.Log.Warn("what became of a message is not stored, and it will be sent again", "message", m.ID, "err", err)
	}
}

// carry writes a message and gives it away. One that makes that panic is given up in the
// end, as it would take down one node after the other.
func (s *Service) carry(ctx context.Context, m *Message, n note) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.New(errs.Internal, "the message cannot be written: %v", p)
		}
	}()
	l, err := s.letter(m, n)
	if err != nil {
		return err
	}
	return s.options.Courier.Carrier.Carry(ctx, l)
}

// A dispatch is one try to send a message. Its JSON is Kratos's.
type dispatch struct {
	ID        string         `json:"id"`
	Message   string         `json:"message_id"`
	Status    string         `json:"status"` // failed or success
	Error     map[string]any `json:"error,omitempty"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

// mark notes a try, and decides what comes next.
func (s *Service) mark(m *Message, failure error, now time.Time) {
	d := dispatch{ID: NewID(), Message: m.ID, Status: "success", CreatedAt: now, UpdatedAt: now}
	m.SendCount++
	m.UpdatedAt = now
	log := s.options.Log.With("message", m.ID, "template", m.Template, "tries", m.SendCount)
	switch {
	case failure == nil:
		m.Status = sent
	case errs.KindOf(failure) == errs.Refused || m.SendCount > s.options.Courier.Retries:
		m.Status = abandoned
		log.Error("a message is given up", "err", failure)
	default:
		m.Status = queued
		m.DueAt = now.Add(min(firstRetry<<(m.SendCount-1), maxRetry))
		log.Warn("a message is not sent yet", "err", failure, "next", m.DueAt)
	}
	if failure != nil {
		d.Status, d.Error = "failed", map[string]any{"message": cut(failure.Error(), 500)}
	}
	if m.Status != queued {
		m.DueAt = now.Add(keepMessages)
		s.blacken(m)
	}
	var all []dispatch
	if json.Unmarshal(m.Dispatches, &all) != nil {
		all = nil
	}
	m.Dispatches, _ = json.Marshal(append(all, d))
}

// blacken removes the secrets from a message that is done: nobody needs them any more.
func (s *Service) blacken(m *Message) {
	if s.options.Courier.Plain {
		return
	}
	n, err := s.openNote(m)
	if err != nil {
		return
	}
	n.hide()
	if data, err := s.sealNote(m.ID, n); err == nil {
		m.Data = data
	}
}

// hide makes the secrets of a note unreadable.
func (n *note) hide() {
	if n.Code != "" {
		n.Code = "******"
	}
	for _, name := range []string{"token", "code", "invitation"} {
		if u, err := url.Parse(n.URL); err == nil && u.Query().Has(name) {
			n.URL = withQuery(n.URL, name, "******")
		}
	}
}
