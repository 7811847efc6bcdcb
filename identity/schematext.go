package identity

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// What a schema does not allow, in the words that Kratos has for it.

// schemaText is the text of one mistake.
func schemaText(e jsonschema.ErrorKind) Text {
	switch k := e.(type) {
	case *kind.MinLength:
		return textMinLength(k.Want, k.Got)
	case *kind.MaxLength:
		return textMaxLength(k.Want, k.Got)
	case *kind.Pattern:
		return textPattern(k.Want)
	case *kind.Format:
		return textFormat(k.Want)
	case *kind.Type:
		return textType(k.Want, k.Got)
	case *kind.Minimum:
		return textBound(4000018, "must be >= %v but found %v", "minimum", k.Want, k.Got)
	case *kind.ExclusiveMinimum:
		return textBound(4000019, "must be > %v but found %v", "minimum", k.Want, k.Got)
	case *kind.Maximum:
		return textBound(4000020, "must be <= %v but found %v", "maximum", k.Want, k.Got)
	case *kind.ExclusiveMaximum:
		return textBound(4000021, "must be < %v but found %v", "maximum", k.Want, k.Got)
	case *kind.MultipleOf:
		base, got := number(k.Want), number(k.Got)
		return mistake(4000022, fmt.Sprintf("%v not multipleOf %v", got, base)).with("base", base).with("actual", got)
	case *kind.MaxItems:
		return mistake(4000023, fmt.Sprintf("maximum %d items allowed, but found %d items", k.Want, k.Got)).with("max_items", k.Want).with("actual_items", k.Got)
	case *kind.MinItems:
		return mistake(4000024, fmt.Sprintf("minimum %d items allowed, but found %d items", k.Want, k.Got)).with("min_items", k.Want).with("actual_items", k.Got)
	case *kind.UniqueItems:
		a, b := k.Duplicates[0], k.Duplicates[1]
		return mistake(4000025, fmt.Sprintf("items at index %d and %d are equal", a, b)).with("index_a", a).with("index_b", b)
	case *kind.Const:
		return textConst(k.Want)
	default:
		return textGeneric(e.LocalizedString(english))
	}
}

func textMinLength(want, got int) Text {
	return mistake(4000003, fmt.Sprintf("length must be >= %d, but got %d", want, got)).with("min_length", want).with("actual_length", got)
}

func textMaxLength(want, got int) Text {
	return mistake(4000017, fmt.Sprintf("length must be <= %d, but got %d", want, got)).with("max_length", want).with("actual_length", got)
}

func textPattern(pattern string) Text {
	return mistake(4000004, fmt.Sprintf("does not match pattern %q", pattern)).with("pattern", pattern)
}

func textBound(id int, format, bound string, want, got *big.Rat) Text {
	w, g := number(want), number(got)
	return mistake(id, fmt.Sprintf(format, w, g)).with(bound, w).with("actual", g)
}

// number is as exact as JSON readers are.
func number(r *big.Rat) float64 {
	f, _ := r.Float64()
	return f
}

// numbers finds those that are too large or too small to be compared: whoever reads traits
// would fail with them, the schema library first.
func numbers(at string, v any, form *FormError) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			numbers(at+"."+name, member, form)
		}
	case []any:
		for n, element := range v {
			numbers(at+"."+strconv.Itoa(n), element, form)
		}
	case json.Number:
		f, err := v.Float64()
		digits, _, _ := strings.Cut(strings.ToLower(v.String()), "e")
		if err != nil || f == 0 && strings.ContainsAny(digits, "123456789") {
			form.Nodes[at] = append(form.Nodes[at], textGeneric("is a number beyond all bounds"))
		}
	}
}

func textConst(want any) Text {
	switch want.(type) {
	case map[string]any, []any:
		return mistake(4000030, "const failed")
	default:
		return mistake(4000029, fmt.Sprintf("must be equal to constant %v", want)).with("expected", want)
	}
}

// english formats numbers in messages of the schema library.
var english = message.NewPrinter(language.English)

func textFormat(format string) Text {
	switch format {
	case "email":
		return mistake(4000040, "Enter a valid email address")
	case "tel":
		return mistake(4000041, "Enter a valid phone number")
	default:
		return textGeneric(fmt.Sprintf("is not a valid %q", format))
	}
}

func textType(want []string, got string) Text {
	return mistake(4000026, fmt.Sprintf("expected %s, but got %s", strings.Join(want, " or "), got)).
		with("allowed_types", want).with("actual_type", got)
}
