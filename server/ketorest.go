package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// ketoREST is Keto's REST API.
type ketoREST struct{ *core }

func (k *ketoREST) readRoutes(rs *routes) {
	const check, openapi = "/relation-tuples/check", "/relation-tuples/check/openapi"
	rs.handle("GET /relation-tuples", failKeto, k.list)
	rs.handle("GET "+check, failKeto, k.checked(tupleFromURL, http.StatusForbidden))
	rs.handle("POST "+check, failKeto, k.checked(tupleFromBody, http.StatusForbidden))
	rs.handle("GET "+openapi, failKeto, k.checked(tupleFromURL, http.StatusOK))
	rs.handle("POST "+openapi, failKeto, k.checked(tupleFromBody, http.StatusOK))
	rs.handle("POST /relation-tuples/batch/check", failKeto, k.batchCheck)
	rs.handle("GET /relation-tuples/expand", failKeto, k.expand)
	rs.handle("GET /namespaces", failKeto, k.namespaces)
}

func (k *ketoREST) writeRoutes(rs *routes) {
	const path = "/admin/relation-tuples"
	rs.handle("PUT "+path, failKeto, k.create)
	rs.handle("PATCH "+path, failKeto, k.patch)
	rs.handle("DELETE "+path, failKeto, k.remove)
}

func (k *ketoREST) syntaxRoutes(rs *routes) {
	rs.handle("POST /opl/syntax/check", failKeto, k.syntax)
}

// at reads the query parameters latest and snaptoken, which Keto has in its gRPC
// API only.
func (k *ketoREST) at(v url.Values) (engine.Consistency, error) {
	latest := false
	if text := v.Get("latest"); text != "" {
		value, err := strconv.ParseBool(text)
		if err != nil {
			return engine.Consistency{}, said(fmt.Sprintf("unable to parse 'latest' query parameter to bool: %v", err))
		}
		latest = value
	}
	return freshness(latest, v.Get("snaptoken")), nil
}

// maxDepth reads the query parameter of that name.
func maxDepth(v url.Values) (int, error) {
	text := v.Get("max-depth")
	if text == "" {
		return 0, nil
	}
	depth, err := strconv.ParseInt(text, 0, 0)
	if err != nil {
		return 0, said(fmt.Sprintf("unable to parse 'max-depth' query parameter to int: %v", err))
	}
	return int(depth), nil
}

// asked reads what checks and expansions have in common.
func (k *ketoREST) asked(r *http.Request) (v url.Values, depth int, at engine.Consistency, err error) {
	if v, err = queryOf(r); err != nil {
		return v, 0, at, err
	}
	if depth, err = maxDepth(v); err != nil {
		return v, 0, at, err
	}
	at, err = k.at(v)
	return v, depth, at, err
}

func (k *ketoREST) list(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r)
	if err != nil {
		return err
	}
	q, err := queryFromURL(v)
	if err != nil {
		return err
	}
	page := engine.ListPage{Token: v.Get("page_token")}
	if text := v.Get("page_size"); text != "" {
		if page.Size, err = strconv.Atoi(text); err != nil {
			return said(err.Error())
		}
	}
	page.Size = pageSize(page.Size)
	at, err := k.at(v)
	if err != nil {
		return err
	}
	list, err := k.core.list(r.Context(), q, page, at)
	if err != nil {
		return err
	}
	body := ketoList{Tuples: make([]ketoTuple, len(list.Tuples)), Next: list.Next}
	for i, t := range list.Tuples {
		body.Tuples[i] = tupleToJSON(t)
	}
	return reply(w, http.StatusOK, list.Token, body)
}

// checked answers a check whose tuple read finds in the request; denied is the
// status of a "no". A namespace that the model lacks is a "no" here, as in Keto.
func (k *ketoREST) checked(read func(*http.Request) (engine.Tuple, error), denied int) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		_, _, at, err := k.asked(r)
		if err != nil {
			return err
		}
		t, err := read(r)
		var answer engine.Answer
		if err == nil {
			answer, err = engineOf(r.Context()).Check(r.Context(), t, at)
		}
		if err != nil && errs.KindOf(err) != errs.NotFound {
			return err
		}
		status := http.StatusOK
		if !answer.Allowed {
			status = denied
		}
		return reply(w, status, answer.Token, ketoAllowed{Allowed: answer.Allowed})
	}
}

func (k *ketoREST) batchCheck(w http.ResponseWriter, r *http.Request) error {
	_, _, at, err := k.asked(r)
	if err != nil {
		return err
	}
	var body struct {
		Tuples []*ketoTuple `json:"tuples"`
	}
	if err := decodeBody(r, checkPrefix, &body); err != nil {
		return err
	}
	if err := k.batch(len(body.Tuples)); err != nil {
		return err
	}
	if i := slices.Index(body.Tuples, nil); i >= 0 {
		return said(fmt.Sprintf("tuples[%d] is null", i))
	}
	results, token, err := checkBatch(r.Context(), k.core, body.Tuples, (*ketoTuple).tuple, at)
	if err != nil {
		return err
	}
	out := make([]ketoAllowed, len(results))
	for i, result := range results {
		out[i] = ketoAllowed{Allowed: result.Allowed, Error: itemError(result.Err)}
	}
	return reply(w, http.StatusOK, token, map[string]any{"results": out})
}

func (k *ketoREST) expand(w http.ResponseWriter, r *http.Request) error {
	v, depth, at, err := k.asked(r)
	if err != nil {
		return err
	}
	if v.Get("namespace") == "" {
		return unknownNamespace("")
	}
	set := engine.SubjectSet(v.Get("namespace"), v.Get("object"), v.Get("relation"))
	tree, token, err := engineOf(r.Context()).Expand(r.Context(), set, depth, at)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, token, treeToJSON(tree))
}

func (k *ketoREST) namespaces(w http.ResponseWriter, r *http.Request) error {
	type namespace struct {
		Name string `json:"name"`
	}
	var body struct {
		Namespaces []namespace `json:"namespaces,omitempty"`
	}
	for _, name := range engineOf(r.Context()).Namespaces() {
		body.Namespaces = append(body.Namespaces, namespace{name})
	}
	return reply(w, http.StatusOK, "", body)
}

func (k *ketoREST) create(w http.ResponseWriter, r *http.Request) error {
	var body ketoTuple
	if err := decodeBody(r, "", &body); err != nil {
		return err
	}
	t, err := body.tuple()
	if err != nil {
		return err
	}
	done, err := k.write(r, engine.Update{Op: engine.Insert, Tuple: t})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/relation-tuples?"+body.urlQuery().Encode())
	return reply(w, http.StatusCreated, done.Token, body)
}

// write applies updates, once if the request has an idempotency key.
func (k *ketoREST) write(r *http.Request, ups ...engine.Update) (engine.Receipt, error) {
	key, err := onlyKey(r.Header.Values(idempotencyHeader))
	if err != nil {
		return engine.Receipt{}, err
	}
	return engineOf(r.Context()).Write(r.Context(), engine.Write{Updates: ups, Key: key})
}

func (k *ketoREST) patch(w http.ResponseWriter, r *http.Request) error {
	var deltas []*ketoDelta
	if err := decodeBody(r, "", &deltas); err != nil {
		return err
	}
	ups, err := updatesFromJSON(deltas)
	if err != nil {
		return err
	}
	done, err := k.write(r, ups...)
	if err != nil {
		return err
	}
	setToken(w, done.Token)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// remove deletes by query. It refuses whatever makes it doubtful what is meant:
// too much would be gone.
func (k *ketoREST) remove(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r)
	if err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if why := doubts(v, len(body) > 0); why != "" {
		return errs.New(errs.Invalid, "%s", why)
	}
	q, err := queryFromURL(v)
	if err != nil {
		return err
	}
	key, err := onlyKey(r.Header.Values(idempotencyHeader))
	if err != nil {
		return err
	}
	done, err := engineOf(r.Context()).Delete(r.Context(), q, engine.Write{Key: key})
	if err != nil {
		return err
	}
	setToken(w, done.Token)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

var deleteKeys = []string{"namespace", "object", "relation", "subject_id", "subject_set.namespace", "subject_set.object", "subject_set.relation"}

func doubts(v url.Values, hasBody bool) string {
	var why []string
	if !v.Has("namespace") {
		why = append(why, "query parameters must specify at least one of the following: namespace")
	}
	keys := make([]string, 0, len(v))
	for key := range v {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		switch {
		case !slices.Contains(deleteKeys, key):
			why = append(why, fmt.Sprintf("query parameter key %q unknown", key))
		case len(v[key]) > 1:
			why = append(why, fmt.Sprintf("query parameter key %q given more than once", key))
		}
	}
	if hasBody {
		why = append(why, "body is not empty")
	}
	return strings.Join(why, "; ")
}

func (k *ketoREST) syntax(w http.ResponseWriter, r *http.Request) error {
	text, err := readBody(r)
	if err != nil {
		return err
	}
	list, err := k.parseModel(text)
	if err != nil {
		return err
	}
	type position struct {
		Line   int // in capitals on the wire
		Column int `json:"column"`
	}
	type mistake struct {
		Message string   `json:"message"`
		Start   position `json:"start"`
		End     position `json:"end"`
	}
	var body struct {
		Errors []mistake `json:"errors,omitempty"`
	}
	for _, e := range list {
		body.Errors = append(body.Errors, mistake{
			e.Msg, position{e.Start.Line, e.Start.Column}, position{e.End.Line, e.End.Column},
		})
	}
	return reply(w, http.StatusOK, "", body)
}

// checkPrefix is what Keto puts before a mistake in the JSON of a check.
const checkPrefix = "could not unmarshal json: "

// decodeBody reads a JSON body. Fields that are not known are ignored, and so is
// what follows the value, both as in Keto.
func decodeBody(r *http.Request, prefix string, into any) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(into); err != nil {
		return said(prefix + jsonMistake(err))
	}
	return nil
}

// jsonMistake words a decoder's error for callers, who do not know our types.
func jsonMistake(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	kinds := map[reflect.Kind]string{reflect.String: "a string", reflect.Slice: "an array"}
	kind := cmp.Or(kinds[wrong.Type.Kind()], "an object")
	return fmt.Sprintf("%s: expected %s, got %s", cmp.Or(wrong.Field, "body"), kind, wrong.Value)
}
