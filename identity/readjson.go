package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// ReadStrictly reads a body that is one JSON value without fields that are not known.
//
// Invalid: it is something else.
func ReadStrictly(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errs.New(errs.Invalid, "the body is not what is expected: %s", WhatIsWrong(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return errs.New(errs.Invalid, "the body is not what is expected: there is more after the JSON value")
	}
	return nil
}

// WhatIsWrong says what a decoder of JSON has against a text, without the names of our
// types.
func WhatIsWrong(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Sprintf("%s is of the type %s", kind.Field, kind.Value)
	case errors.As(err, &kind):
		return "it is of the type " + kind.Value
	case errors.Is(err, io.EOF):
		return "it is empty"
	default:
		return strings.TrimPrefix(err.Error(), "json: ")
	}
}
