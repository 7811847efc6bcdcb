package identity

import (
	"encoding/json"
	"errors"
	"testing"
)

// TestSchemaTexts: each mistake has the id that Kratos has for it, and can be written as JSON.
func TestSchemaTexts(t *testing.T) {
	s, err := NewSchema("s", []byte(`{"type":"object","properties":{"traits":{"type":"object","properties":{
		"low":{"type":"number","minimum":2,"exclusiveMinimum":1},"high":{"maximum":2},"under":{"exclusiveMaximum":2},"even":{"multipleOf":2},"over":{"exclusiveMinimum":2},
		"list":{"type":"array","minItems":1,"maxItems":2,"uniqueItems":true},"one":{"const":1},"object":{"const":{"a":1}},
		"short":{"minLength":2},"long":{"maxLength":2},"form":{"pattern":"^a"},"pick":{"enum":["x"]}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for traits, want := range map[string]int{
		`{"low":1.5}`: 4000018, `{"over":2}`: 4000019, `{"high":3}`: 4000020, `{"under":2}`: 4000021, `{"even":3}`: 4000022, `{"high":1e400}`: 4000001, `{"high":1e9999999}`: 4000001, `{"low":1e-9999999}`: 4000001, `{"over":0e9999999}`: 4000019,
		`{"list":[1,2,3]}`: 4000023, `{"list":[]}`: 4000024, `{"list":[1,1]}`: 4000025, `{"one":2}`: 4000029, `{"object":{}}`: 4000030,
		`{"low":"x"}`: 4000026, `{"short":"x"}`: 4000003, `{"long":"xxx"}`: 4000017, `{"form":"b"}`: 4000004, `{"pick":"y"}`: 4000001,
	} {
		err := s.validate([]byte(traits))
		var wrong *FormError
		if !errors.As(err, &wrong) || len(wrong.Nodes) != 1 {
			t.Errorf("%s: %v", traits, err)
			continue
		}
		for node, texts := range wrong.Nodes {
			if len(texts) != 1 || texts[0].ID != want || texts[0].Text == "" {
				t.Errorf("%s: %s: %+v", traits, node, texts)
			}
			if _, err := json.Marshal(texts); err != nil {
				t.Errorf("%s: %v", traits, err)
			}
		}
	}
}
