package oauth

import (
	"encoding/json"
	"io"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/cardea-iam/cardea/internal/errs"
)

// maxPatch is how many operations a patch may have.
const maxPatch = 1000

// readPatch reads a JSON Patch (RFC 6902).
func readPatch(body io.Reader) (jsonpatch.Patch, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the body cannot be read: %v", err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the body is no JSON Patch (RFC 6902), a list of operations with \"op\" and \"path\"")
	}
	if len(patch) > maxPatch {
		return nil, errs.New(errs.Invalid, "the patch has %d operations: expected at most %d", len(patch), maxPatch)
	}
	return patch, nil
}

// patched returns what a patch makes of c. What is kept of its secret is not there to
// be read; a new one can be put in its place.
func patched(c *Client, patch jsonpatch.Patch) (*Client, error) {
	text, err := json.Marshal(struct {
		*Client
		Secret string `json:"client_secret"`
	}{Client: c})
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the client cannot be encoded")
	}
	o := jsonpatch.NewApplyOptions()
	o.AccumulatedCopySizeLimit = 1 << 20 // bytes
	if text, err = patch.ApplyWithOptions(text, o); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the patch cannot be applied: %v", err)
	}
	given := &Client{}
	if err := decodeMetadata(text, given); err != nil {
		return nil, err
	}
	given.unset()
	return given, nil
}
