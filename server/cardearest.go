package server

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/cardea-iam/cardea/internal/errs"
)

// cardeaREST is cardea.v1 as REST: the same methods on the same messages, in
// JSON with the names of the .proto files.
type cardeaREST struct{ *core }

func (c *cardeaREST) readRoutes(rs *routes) {
	check, tuples := &checkService{core: c.core}, &tupleService{core: c.core}
	rs.handle("POST /v1/check", failCardea, posted(check.Check))
	rs.handle("POST /v1/batch-check", failCardea, posted(check.BatchCheck))
	rs.handle("POST /v1/expand", failCardea, posted((&expandService{core: c.core}).Expand))
	lists := &listService{core: c.core}
	rs.handle("GET /v1/objects", failCardea, asked(lists.ListObjects))
	rs.handle("GET /v1/subjects", failCardea, asked(lists.ListSubjects))
	rs.handle("GET /v1/tuples", failCardea, asked(tuples.List))
	rs.handle("GET /v1/tuples/watch", failCardea, c.events(rs.draining, rs.sendTime))
	c.statusRoute(rs)
}

func (c *cardeaREST) writeRoutes(rs *routes) {
	tuples, models := &tupleWriteService{core: c.core}, &modelService{core: c.core}
	rs.handle("POST /v1/tuples", failCardea, posted(tuples.Write))
	rs.handle("POST /v1/tuples/delete", failCardea, posted(tuples.DeleteByQuery))
	rs.handle("POST /v1/model", failCardea, posted(models.Apply))
	rs.handle("POST /v1/model/check", failCardea, posted(models.Check))
	rs.handle("GET /v1/model", failCardea, asked(models.Get))
	rs.handle("GET /v1/model/history", failCardea, asked(models.List))
	c.statusRoute(rs)
}

func (c *cardeaREST) statusRoute(rs *routes) {
	rs.handle("GET /v1/status", failCardea, asked((&statusService{core: c.core}).GetStatus))
}

// A message is a pointer to a generated struct.
type message[T any] interface {
	*T
	proto.Message
}

// posted calls a method with the message in the body.
func posted[T any, M message[T], R proto.Message](call func(context.Context, M) (R, error)) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		req := M(new(T))
		body, err := readBody(r)
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(body)) > 0 {
			if err := protojson.Unmarshal(body, req); err != nil {
				return errs.New(errs.Invalid, "the body is not the expected JSON: %s", protoMistake(err))
			}
		}
		if err := takeKey(r, req); err != nil {
			return err
		}
		return answer(w, r, call, req)
	}
}

// takeKey puts the idempotency key of the headers into a message that has a field
// for it.
func takeKey(r *http.Request, req proto.Message) error {
	key, err := onlyKey(r.Header.Values(idempotencyHeader))
	field := req.ProtoReflect().Descriptor().Fields().ByName("idempotency_key")
	if err != nil || key == "" || field == nil {
		return err
	}
	if there := req.ProtoReflect().Get(field).String(); there != "" && there != key {
		return errs.New(errs.Invalid, "idempotency_key and the header %s differ: expected one of them", idempotencyHeader)
	}
	req.ProtoReflect().Set(field, protoreflect.ValueOfString(key))
	return nil
}

// asked calls a method with a message made of the query parameters, whose names
// are paths of fields, such as query.namespace, or queries.0.namespace in a list.
func asked[T any, M message[T], R proto.Message](call func(context.Context, M) (R, error)) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		req := M(new(T))
		v, err := queryOf(r)
		if err != nil {
			return err
		}
		if err := fromQuery(v, req); err != nil {
			return err
		}
		return answer(w, r, call, req)
	}
}

func answer[M, R proto.Message](w http.ResponseWriter, r *http.Request, call func(context.Context, M) (R, error), req M) error {
	response, err := call(r.Context(), req)
	if err != nil {
		return err
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(response)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the answer cannot be encoded")
	}
	return reply(w, http.StatusOK, "", json.RawMessage(text))
}

// protoMistake returns what a protobuf decoder says, without its prefix.
func protoMistake(err error) string {
	_, what, found := strings.Cut(err.Error(), ":")
	if !found {
		what = err.Error()
	}
	return strings.TrimSpace(strings.ToValidUTF8(what, ""))
}

// fromQuery sets fields of m from query parameters.
func fromQuery(v url.Values, m proto.Message) error {
	keys := make([]string, 0, len(v))
	for key := range v {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	tree := map[string]any{}
	for _, key := range keys {
		if len(v[key]) > 1 {
			return errs.New(errs.Invalid, "query parameter %q is given more than once", key)
		}
		if err := setPath(tree, m.ProtoReflect().Descriptor(), key, v.Get(key)); err != nil {
			return err
		}
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the query parameters cannot be read")
	}
	if err := protojson.Unmarshal(text, m); err != nil {
		return errs.New(errs.Invalid, "the query parameters are not as expected: %s", protoMistake(err))
	}
	return nil
}

// setPath puts value into a tree of JSON at the path that key names.
func setPath(tree map[string]any, d protoreflect.MessageDescriptor, key, value string) error {
	if !utf8.ValidString(value) {
		return errs.New(errs.Invalid, "query parameter %q is not valid UTF-8", key)
	}
	unknown := errs.New(errs.Invalid, "query parameter %q is unknown", key)
	for rest := key; ; {
		name, below, deeper := strings.Cut(rest, ".")
		field := d.Fields().ByName(protoreflect.Name(name))
		if field == nil || field.IsMap() {
			return unknown
		}
		inside := field.Message() != nil && !isText(field.Message())
		if inside != deeper || field.IsList() && !inside {
			return unknown
		}
		if !inside {
			return setValue(tree, field, key, value)
		}
		if field.IsList() {
			items, _ := tree[name].(listed)
			if items == nil {
				items = listed{}
				tree[name] = items
			}
			index, after, _ := strings.Cut(below, ".")
			at, err := strconv.Atoi(index)
			if err != nil || strconv.Itoa(at) != index || at < 0 || after == "" {
				return unknown
			}
			tree, below = items.at(at), after
		} else {
			next, _ := tree[name].(map[string]any)
			if next == nil {
				next = map[string]any{}
				tree[name] = next
			}
			tree = next
		}
		d, rest = field.Message(), below
	}
}

// isText reports whether a message is a text in JSON.
func isText(d protoreflect.MessageDescriptor) bool {
	return d.FullName() == (&durationpb.Duration{}).ProtoReflect().Descriptor().FullName()
}

func setValue(tree map[string]any, field protoreflect.FieldDescriptor, key, value string) error {
	name := string(field.Name())
	if field.Kind() != protoreflect.BoolKind {
		tree[name] = value
		return nil
	}
	if value != "true" && value != "false" {
		return errs.New(errs.Invalid, "query parameter %q is %q: expected true or false", key, value)
	}
	tree[name] = value == "true"
	return nil
}

// A listed is a list in a tree of JSON: items by their indexes. Gaps count for
// nothing.
type listed map[int]map[string]any

func (l listed) at(i int) map[string]any {
	if l[i] == nil {
		l[i] = map[string]any{}
	}
	return l[i]
}

func (l listed) MarshalJSON() ([]byte, error) {
	items := []map[string]any{}
	for _, i := range slices.Sorted(maps.Keys(l)) {
		items = append(items, l[i])
	}
	return json.Marshal(items)
}
