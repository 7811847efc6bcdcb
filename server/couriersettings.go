package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
)

// A CourierConfig says how messages to people go out. Below "identity.courier." the
// names are Kratos's.
type CourierConfig struct {
	Folder    string // messages are written there, and not sent
	Strategy  string // smtp or http
	SMTP      string // connection_uri
	From      string
	FromName  string
	Headers   headerConfig // of e-mail
	LocalName string

	Certificate, Key string // files, for the mail server

	HTTP      requestConfig
	Channels  channelConfigs
	Retries   int
	PerClient int // messages in an hour
	PullCount int
	PullWait  time.Duration
	Templates string
	Texts     courierTemplates
}

const (
	viaSMTP = "smtp"
	viaHTTP = "http"
)

var courierSettings = []setting{
	{"identity.courier.folder", "", "", "a folder in which messages to people are written as files, and not sent; empty: they are sent, or with --dev and nothing else below identity.courier written into mail beside the data",
		func(c *Config) any { return &c.Identity.Courier.Folder }, nil},
	{"identity.courier.delivery_strategy", "", viaSMTP, "smtp or http: how e-mail goes out",
		func(c *Config) any { return &c.Identity.Courier.Strategy }, oneOf(viaSMTP, viaHTTP)},
	{"identity.courier.smtp.connection_uri", "", "", "the mail server: smtp://USER:PASSWORD@HOST:PORT/ with STARTTLS, or smtps:// for TLS from the start; ?disable_starttls=true and ?skip_ssl_verify=true weaken it; empty: none, and without another way no recovery and no verification",
		func(c *Config) any { return &c.Identity.Courier.SMTP }, isSMTPOrEmpty},
	{"identity.courier.smtp.from_address", "", "no-reply@localhost", "who e-mail is from",
		func(c *Config) any { return &c.Identity.Courier.From }, isMailAddress},
	{"identity.courier.smtp.from_name", "", "", "and the name of that",
		func(c *Config) any { return &c.Identity.Courier.FromName }, nil},
	{"identity.courier.smtp.headers", "", "", "more headers of e-mail, a section of name and text",
		func(c *Config) any { return &c.Identity.Courier.Headers }, nil},
	{"identity.courier.smtp.local_name", "", "localhost", "what this server calls itself to the mail server",
		func(c *Config) any { return &c.Identity.Courier.LocalName }, nil},
	{"identity.courier.smtp.client_cert_path", "", "", "a file with the certificate that the mail server sees, in PEM",
		func(c *Config) any { return &c.Identity.Courier.Certificate }, nil},
	{"identity.courier.smtp.client_key_path", "", "", "and with its key",
		func(c *Config) any { return &c.Identity.Courier.Key }, nil},
	{"identity.courier.http.request_config", "", "", "the request that sends an e-mail, a section of url, method, headers, body (JSON in which ${recipient}, ${subject}, ${body}, ${html}, ${template_type}, ${message_type}, ${message_id} and ${template_data.NAME} stand for values; as it is, or after file:// or base64://) and auth (type basic_auth or api_key, and config)",
		func(c *Config) any { return &c.Identity.Courier.HTTP }, nil},
	{"identity.courier.channels", "", "", "how text messages go out, a list with one element: id sms, type http, and request_config as above",
		func(c *Config) any { return &c.Identity.Courier.Channels }, nil},
	{"identity.courier.message_retries", "", "5", "how often a message is tried again before it is abandoned: after 30 s, and then after twice the time",
		func(c *Config) any { return &c.Identity.Courier.Retries }, isPositive},
	{"identity.courier.max_per_client", "", "100", "messages that one client, by its address, causes in an hour; beyond that none are sent, and it is told nothing of that",
		func(c *Config) any { return &c.Identity.Courier.PerClient }, isPositive},
	{"identity.courier.worker.pull_count", "", "10", "messages that a node sends at the same time",
		func(c *Config) any { return &c.Identity.Courier.PullCount }, isPositive},
	{"identity.courier.worker.pull_wait", "", "1s", "how often a node looks for messages that others have left",
		func(c *Config) any { return &c.Identity.Courier.PullWait }, isPositive},
	{"identity.courier.template_override_path", "", "", "a folder with templates of messages of one's own, as Kratos has them; in folders named like languages too",
		func(c *Config) any { return &c.Identity.Courier.Templates }, nil},
	{"identity.courier.templates", "", "", "single templates of one's own, a section as Kratos has it, such as recovery_code.valid.email.subject, with email.body.html, email.body.plaintext and sms.body.plaintext beside it, each a text, as it is or after file:// or base64://",
		func(c *Config) any { return &c.Identity.Courier.Texts }, nil},
}

// A headerConfig is a section of names and texts.
type headerConfig map[string]string

func (h *headerConfig) parse(raw any) error {
	if err := decodeSection(raw, (*map[string]string)(h), "a section of names and texts"); err != nil {
		return err
	}
	for name, value := range *h {
		if http.CanonicalHeaderKey(name) == "" || strings.ContainsAny(name, " :\r\n") || strings.ContainsAny(value, "\r\n") {
			return fmt.Errorf("header %q is malformed", name)
		}
	}
	return nil
}

// A requestConfig is a request to somebody else's server.
type requestConfig struct {
	URL     string       `json:"url"`
	Method  string       `json:"method"`
	Headers headerConfig `json:"headers"`
	Body    string       `json:"body"`
	Auth    struct {
		Type   string `json:"type"` // basic_auth or api_key
		Config struct {
			User     string `json:"user"`
			Password string `json:"password"`
			Name     string `json:"name"`
			Value    string `json:"value"`
			In       string `json:"in"` // header or cookie
		} `json:"config"`
	} `json:"auth"`
}

func (r *requestConfig) parse(raw any) error {
	type plain requestConfig
	return decodeSection(raw, (*plain)(r), "a section of url, method, headers, body and auth")
}

// A channelConfig is a way to telephones.
type channelConfig struct {
	ID      string        `json:"id"`
	Type    string        `json:"type"`
	Request requestConfig `json:"request_config"`
}

type channelConfigs []channelConfig

func (c *channelConfigs) parse(raw any) error {
	if err := decodeSection(raw, (*[]channelConfig)(c), "a list of id, type and request_config"); err != nil {
		return err
	}
	for i, one := range *c {
		if one.ID != "sms" || one.Type != viaHTTP && one.Type != "" || i > 0 {
			return fmt.Errorf("expected one channel with the id sms and the type http")
		}
	}
	return nil
}

// decodeSection reads what YAML made of a section or list, or JSON in a text.
func decodeSection(raw, into any, what string) error {
	text, isText := raw.(string)
	if isText && strings.TrimSpace(text) == "" {
		return nil
	}
	if !isText {
		encoded, err := json.Marshal(raw)
		if err != nil {
			return fmt.Errorf("expected %s, got %s", what, describe(raw))
		}
		text = string(encoded)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("expected %s: %s", what, identity.WhatIsWrong(err))
	}
	return nil
}

func isMailAddress(value any) error {
	got := *value.(*string)
	if a, err := mail.ParseAddress(got); err != nil || a.Address != got {
		return fmt.Errorf("expected an e-mail address, got %q", got)
	}
	return nil
}

func isSMTPOrEmpty(value any) error {
	got := *value.(*string)
	if got == "" {
		return nil
	}
	_, err := newSMTPCarrier(got, "localhost", sender{})
	return err
}
