package identity

import (
	"maps"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Problem is an error that Kratos's clients know by its id. It is answered as it is,
// not in a form.
type Problem struct {
	Kind    errs.Kind
	ID      string // "" if there is none
	Message string
	Reason  string

	RedirectTo string         // where a browser shall go on
	UseFlow    string         // the id of a flow to go on with
	ExpiredAt  time.Time      // when the flow expired
	Details    map[string]any // more for clients
}

func (p *Problem) Error() string {
	if p.Reason != "" {
		return p.Message + ": " + p.Reason
	}
	return p.Message
}

// Unwrap gives the error its kind.
func (p *Problem) Unwrap() error { return &errs.Error{Kind: p.Kind, Msg: p.Error()} }

// Ids of problems.
const (
	idLoggedIn       = "session_already_available"
	idNoSession      = "session_inactive"
	idAAL1Required   = "session_aal1_required"
	idAAL2Required   = "session_aal2_required"
	idAALFulfilled   = "session_aal_already_fulfilled"
	idRefresh        = "session_refresh_required"
	idCSRF           = "security_csrf_violation"
	idOtherIdentity  = "security_identity_mismatch"
	idReturnTo       = "self_service_flow_return_to_forbidden"
	idNotVerified    = "session_verified_address_required"
	idExpired        = "self_service_flow_expired"
	idReplaced       = "self_service_flow_replaced"
	idLocationChange = "browser_location_change_required"
	idDisabled       = "self_service_flow_disabled"
)

// What Kratos says of kinds of errors.
const (
	saysInvalid   = "The request was malformed or contained invalid parameters"
	saysForbidden = "The requested action was forbidden"
)

func errLoggedIn(k Kind) error {
	reason := "A valid session was detected and thus " + string(k) + " is not possible."
	if k == Login {
		reason += " Did you forget to set `?refresh=true`?"
	}
	return &Problem{Kind: errs.Invalid, ID: idLoggedIn, Message: "you are already logged in", Reason: reason}
}

func errNotVerified(url string, next Continue) error {
	return &Problem{Kind: errs.Denied, ID: idNotVerified, Message: "your email or phone address is not yet verified", Reason: textNotVerified.Text,
		RedirectTo: url, Details: map[string]any{"continue_with": []Continue{next}}}
}

// errRefused is what a hook says against a flow that there is no form of.
func errRefused(no *FormError) error {
	all := slices.Clone(no.Texts)
	for _, node := range slices.Sorted(maps.Keys(no.Nodes)) {
		all = append(all, no.Nodes[node]...)
	}
	return &Problem{Kind: errs.Invalid, Message: all[0].Text, Details: map[string]any{"messages": all}}
}

func errNoSession() error {
	return &Problem{Kind: errs.Unauthenticated, ID: idNoSession, Message: "request does not have a valid authentication session", Reason: "No active session was found in this request."}
}

func errAAL1() error {
	return &Problem{Kind: errs.Unauthenticated, ID: idAAL1Required, Message: "aal2 and aal3 can only be requested if a session exists already",
		Reason: "You can not requested a higher AAL (AAL2/AAL3) without an active session."}
}

func errAALFulfilled() error {
	return &Problem{Kind: errs.Unauthenticated, ID: idAALFulfilled, Message: "session has the requested authenticator assurance level already", Reason: "The session has the requested AAL already."}
}

func errCSRF(reason string) error {
	return &Problem{Kind: errs.Denied, ID: idCSRF, Message: "the request was rejected to protect you from Cross-Site-Request-Forgery", Reason: reason + " Please fill out the form again."}
}

func errOtherIdentity() error {
	return &Problem{Kind: errs.Denied, ID: idOtherIdentity, Message: saysForbidden, Reason: "The request was made for another identity and has been blocked for security reasons."}
}

// errBrowser is about a native flow. Kratos's has no id, and is no security violation.
func errBrowser(reason string) error {
	return &Problem{Kind: errs.Invalid, Message: saysInvalid, Reason: reason}
}

func errReturnTo(url string) error {
	return &Problem{Kind: errs.Invalid, ID: idReturnTo, Message: saysInvalid, Reason: "Requested return_to URL is not allowed.",
		Details: map[string]any{"return_to": url}}
}

func errDisabled(what string) error {
	return &Problem{Kind: errs.Invalid, ID: idDisabled, Message: saysInvalid, Reason: what + " is not allowed because it was disabled by the administrator."}
}

func errRefresh(login string) error {
	return &Problem{Kind: errs.Denied, ID: idRefresh, Message: saysForbidden, Reason: "The login session is too old and thus not allowed to update these fields. Please re-authenticate.", RedirectTo: login}
}

func errAAL2(login string) error {
	return &Problem{Kind: errs.Denied, ID: idAAL2Required, Message: "Session does not fulfill the requested Authenticator Assurance Level",
		Reason:     "An active session was found but it does not fulfill the requested Authenticator Assurance Level. Please verify yourself with a second factor to resolve this issue.",
		RedirectTo: login}
}

func errGoto(url string) error {
	return &Problem{Kind: errs.Refused, ID: idLocationChange, Message: "browser location change required",
		Reason: "In order to complete this flow please redirect the browser to the given URL.", RedirectTo: url}
}

// A FormError is what the user can mend: its messages are shown in the form.
type FormError struct {
	Texts []Text            // of the whole form
	Nodes map[string][]Text // of nodes, by their names
}

func (e *FormError) Error() string { return "the form has mistakes" }

// Unwrap gives the error its kind.
func (e *FormError) Unwrap() error { return &errs.Error{Kind: errs.Invalid, Msg: e.Error()} }

// Wrong returns a FormError about a whole form.
func Wrong(texts ...Text) error { return &FormError{Texts: texts} }

// WrongAt returns a FormError about one node.
func WrongAt(node string, texts ...Text) error {
	return &FormError{Nodes: map[string][]Text{node: texts}}
}
