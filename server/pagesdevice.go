package server

import (
	"net/http"

	"github.com/cardea-iam/cardea/internal/errs"
)

// devicePage asks for the code that a device shows.
func (n *network) devicePage(w http.ResponseWriter, r *http.Request) error {
	q, err := n.oauth.DeviceRequest(r.Context(), r.URL.Query().Get("device_challenge"))
	if err != nil {
		return err
	}
	return n.askCode(w, http.StatusOK, q.Challenge, q.UserCode, "")
}

func (n *network) askCode(w http.ResponseWriter, status int, challenge, code, wrong string) error {
	return n.pages.Show(w, status, "device", struct{ Title, Action, Challenge, Code, Wrong string }{
		"Connect a device", n.at(devicePage), challenge, code, wrong,
	})
}

// answerDevice goes on with a code.
//
// Invalid: it is wrong.
func (n *network) answerDevice(w http.ResponseWriter, r *http.Request) error {
	to, err := n.oauth.AcceptDevice(r.Context(), r.PostFormValue("device_challenge"), r.PostFormValue("user_code"))
	if err != nil {
		return err
	}
	return seeOther(w, r, to)
}

func isWrongCode(err error) bool { return errs.KindOf(err) == errs.Invalid }

// retryDevice is answerDevice, and asks again after a wrong code.
func (n *network) retryDevice(answer restHandler) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := answer(w, r)
		if !isWrongCode(err) {
			return err
		}
		return n.askCode(w, http.StatusBadRequest, r.PostFormValue("device_challenge"), r.PostFormValue("user_code"),
			"The code is wrong, or has expired. Compare it with what your device shows.")
	}
}

func (n *network) deviceDone(w http.ResponseWriter, _ *http.Request) error {
	return n.pages.Show(w, http.StatusOK, "message", messagePage{
		Title: "Your device is connected", Look: "success", Message: "The device has access now. You can close this page.",
	})
}

// A messagePage is what the template message shows.
type messagePage struct {
	Title, Look, Message, More string
	Links                      []pageLink
}

type pageLink struct{ URL, Text string }
