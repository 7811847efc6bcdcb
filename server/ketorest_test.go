package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/server"
)

func parse(t *testing.T, text string) engine.Tuple {
	t.Helper()
	p, err := engine.ParseTuple(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// herodot returns the body of an error of Keto's.
func herodot(status int, message, reason string) string {
	if reason != "" {
		reason = fmt.Sprintf(`"reason":%s,`, quote(reason))
	}
	return fmt.Sprintf(`{"error":{"code":%d,"status":%q,%s"message":%s}}`, status, http.StatusText(status), reason, quote(message))
}

// nowhere is the answer where nothing is.
func nowhere(path string) string { return herodot(404, notFound, `there is nothing at "`+path+`"`) }

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

const (
	malformed = "The request was malformed or contained invalid parameters"
	notFound  = "The requested resource could not be found"
	nilSubj   = "subject is not allowed to be nil"
	ann       = `"subject_set":{"namespace":"User","object":"ann","relation":""}`
	annQuery  = "subject_set.namespace=User&subject_set.object=ann&subject_set.relation="
)

var huge = strings.Repeat("x", 100_000)

func unknown(name string) string {
	return herodot(404, notFound, fmt.Sprintf("Unknown namespace with name %q.", name))
}

// A restCase is one request and the whole answer. A body that ends in ... is
// compared up to there.
type restCase struct {
	name   string
	method string
	path   string
	body   string
	status int
	want   string
}

// run sends each case to an address, and checks that afterwards as many tuples
// are stored as before.
func (n *node) run(address string, cases []restCase) {
	n.t.Helper()
	before := n.count()
	for _, c := range cases {
		n.t.Run(c.name, func(t *testing.T) {
			got := n.do(c.method, address, c.path, c.body)
			if got.status != c.status {
				t.Errorf("status %d, want %d", got.status, c.status)
			}
			if !begins(got.body, c.want) {
				t.Errorf("body\n%.2000s\nwant\n%.2000s", got.body, c.want)
			}
			kind := got.header.Get("Content-Type")
			_, isError := got.header["Ory-Error-Id"]
			switch {
			case strings.HasPrefix(got.body, `{"error":`):
				if kind != "application/json" || isError == strings.HasPrefix(c.path, "/v1/") {
					t.Errorf("an error with content type %q, Ory-Error-Id %v", kind, isError)
				}
			case strings.HasPrefix(got.body, "{"):
				if kind != "application/json; charset=utf-8" || isError {
					t.Errorf("an answer with content type %q, Ory-Error-Id %v", kind, isError)
				}
			}
		})
	}
	if after := n.count(); after != before {
		n.t.Errorf("%d tuples are stored, before there were %d", after, before)
	}
}

func TestKetoRESTReads(t *testing.T) {
	n := startWithModel(t)
	n.insert("Doc:a#owners@User:ann", "Doc:a#viewers@Group:g#members", "Group:g#members@User:bob", "Open:o#any@someone", "Doc:b#viewers@plain")
	const (
		check  = "/relation-tuples/check"
		docA   = "?namespace=Doc&object=a&relation=view&"
		yes    = `{"allowed":true}`
		no     = `{"allowed":false}`
		tupleA = `{"namespace":"Doc","object":"a","relation":"owners",` + ann + `}`
	)
	n.run(n.read, []restCase{
		{"list by object", "GET", "/relation-tuples?namespace=Doc&object=a&relation=owners", "", 200,
			`{"relation_tuples":[` + tupleA + `],"next_page_token":""}`},
		{"list by subject id", "GET", "/relation-tuples?subject_id=someone", "", 200,
			`{"relation_tuples":[{"namespace":"Open","object":"o","relation":"any","subject_id":"someone"}],"next_page_token":""}`},
		{"list by subject set", "GET", "/relation-tuples?" + annQuery, "", 200, `{"relation_tuples":[` + tupleA + `],"next_page_token":""}`},
		{"list nothing", "GET", "/relation-tuples?namespace=Doc&object=zzz", "", 200, `{"relation_tuples":[],"next_page_token":""}`},
		{"list with unknown parameters", "GET", "/relation-tuples?namespace=Doc&object=zzz&foo=bar", "", 200, `{"relation_tuples":[],"next_page_token":""}`},
		{"list of an unknown namespace", "GET", "/relation-tuples?namespace=Nope", "", 404, unknown("Nope")},
		{"list of the empty namespace", "GET", "/relation-tuples?namespace=", "", 404, unknown("")},
		{"list with the dropped key", "GET", "/relation-tuples?subject=x", "", 400,
			herodot(400, malformed, `provide "subject_id" or "subject_set.*"; support for "subject" was dropped`)},
		{"list with both subjects", "GET", "/relation-tuples?subject_id=x&" + annQuery, "", 400,
			herodot(400, "exactly one of subject_set or subject_id has to be provided", "")},
		{"list with half a subject", "GET", "/relation-tuples?subject_set.namespace=User", "", 400,
			herodot(400, `incomplete subject, provide "subject_id" or a complete "subject_set.*"`, "")},
		{"list with a page size that is none", "GET", "/relation-tuples?page_size=many", "", 400,
			herodot(400, `strconv.Atoi: parsing "many": invalid syntax`, "")},
		{"list with a huge page", "GET", "/relation-tuples?object=zzz&page_size=1000000000", "", 200, `{"relation_tuples":[],"next_page_token":""}`},
		{"list with a page token that is none", "GET", "/relation-tuples?page_token=garbage", "", 400, herodot(400, "invalid pagination token", "")},
		{"list with a broken parameter", "GET", "/relation-tuples?namespace=%zz", "", 400,
			herodot(400, malformed, `the query parameters cannot be read: invalid URL escape "%zz"`)},
		{"list with invalid UTF-8", "GET", "/relation-tuples?object=%ff", "", 400, herodot(400, malformed, "object is not valid UTF-8")},
		{"list with a huge name", "GET", "/relation-tuples?object=" + huge, "", 400, herodot(400, malformed, "object has 100000 bytes: expected at most 1000")},
		{"list with a malformed token", "GET", "/relation-tuples?snaptoken=zzz", "", 400,
			herodot(400, malformed, "snaptoken is malformed: expected one that this server returned")},

		{"allowed", "GET", check + docA + annQuery, "", 200, yes},
		{"denied", "GET", check + docA + "subject_id=ann", "", 403, no},
		{"allowed without status", "GET", check + "/openapi" + docA + annQuery, "", 200, yes},
		{"denied without status", "GET", check + "/openapi" + docA + "subject_id=ann", "", 200, no},
		{"allowed by body", "POST", check, `{"namespace":"Doc","object":"a","relation":"view",` + ann + `,"more":1}`, 200, yes},
		{"denied by body", "POST", check, `{"namespace":"Doc","object":"a","relation":"view","subject_id":"x"}`, 403, no},
		{"denied by body without status", "POST", check + "/openapi", `{"namespace":"Doc","object":"a","relation":"view","subject_id":"x"}`, 200, no},
		{"through a group", "GET", check + docA + "subject_set.namespace=User&subject_set.object=bob&subject_set.relation=", "", 200, yes},
		{"with a depth in hex", "GET", check + docA + annQuery + "&max-depth=0x5", "", 200, yes},
		{"with a negative depth", "GET", check + docA + annQuery + "&max-depth=-1", "", 200, yes},
		{"with a depth that is none", "GET", check + docA + annQuery + "&max-depth=deep", "", 400,
			herodot(400, `unable to parse 'max-depth' query parameter to int: strconv.ParseInt: parsing "deep": invalid syntax`, "")},
		{"latest", "GET", check + docA + annQuery + "&latest=true", "", 200, yes},
		{"latest that is none", "GET", check + docA + annQuery + "&latest=maybe", "", 400,
			herodot(400, `unable to parse 'latest' query parameter to bool: strconv.ParseBool: parsing "maybe": invalid syntax`, "")},
		{"latest with a malformed token", "GET", check + docA + annQuery + "&latest=true&snaptoken=not+yet+implemented", "", 400,
			herodot(400, malformed, "snaptoken is malformed: expected one that this server returned")},
		{"no subject", "GET", check + "?namespace=Doc&object=a&relation=view", "", 400, herodot(400, nilSubj, "")},
		{"no relation", "GET", check + "?namespace=Doc&object=a&subject_id=x", "", 400,
			herodot(400, `incomplete tuple, provide "namespace", "object", "relation", and a subject`, "")},
		{"unknown namespace", "GET", check + "?namespace=Nope&object=a&relation=view&subject_id=x", "", 403, no},
		{"unknown namespace of the subject", "GET", check + docA + "subject_set.namespace=Nope&subject_set.object=ann&subject_set.relation=", "", 403, no},
		{"unknown relation", "GET", check + "?namespace=Doc&object=a&relation=zzz&subject_id=x", "", 400, herodot(400, malformed, `relation "zzz" does not exist`)},
		{"any relation where none is declared", "GET", check + "?namespace=Open&object=o&relation=any&subject_id=someone", "", 200, yes},
		{"empty body", "POST", check, "", 400, herodot(400, "could not unmarshal json: EOF", "")},
		{"empty object as body", "POST", check, "{}", 403, no},
		{"wrong type in body", "POST", check, `{"namespace":5}`, 400,
			herodot(400, "could not unmarshal json: namespace: expected a string, got number", "")},
		{"body without subject", "POST", check, `{"namespace":"Doc","object":"a","relation":"view"}`, 400, herodot(400, nilSubj, "")},
		{"body with invalid UTF-8", "POST", check, "{\"namespace\":\"\xff\"}", 400, herodot(400, malformed, "the body is not valid UTF-8")},
		{"body with a huge name", "POST", check, `{"namespace":"Doc","object":"` + huge + `","relation":"view","subject_id":"x"}`, 400,
			herodot(400, malformed, "object has 100000 bytes: expected at most 1000")},

		{"batch", "POST", "/relation-tuples/batch/check", `{"tuples":[{"namespace":"Doc","object":"a","relation":"view",` + ann + `},` +
			`{"namespace":"Nope","object":"a","relation":"view","subject_id":"x"},{"namespace":"Doc","object":"a","relation":"zzz","subject_id":"x"},` +
			`{"namespace":"Doc","object":"a","relation":"view"},{"namespace":"Doc","object":"a","relation":"view","subject_id":"x"}]}`, 200,
			`{"results":[{"allowed":true},{"allowed":false,"error":"` + notFound + `"},{"allowed":false,"error":"` + malformed + `"},` +
				`{"allowed":false,"error":"` + nilSubj + `"},{"allowed":false}]}`},
		{"empty batch", "POST", "/relation-tuples/batch/check", `{}`, 200, `{"results":[]}`},
		{"batch with a null", "POST", "/relation-tuples/batch/check", `{"tuples":[{},null]}`, 400, herodot(400, "tuples[1] is null", "")},
		{"batch that is too long", "POST", "/relation-tuples/batch/check", `{"tuples":[` + strings.Repeat("{},", 10_000) + `{}]}`, 400,
			herodot(400, "batch exceeds max size of 10000", "")},

		{"expand", "GET", "/relation-tuples/expand?namespace=Doc&object=a&relation=viewers", "", 200,
			`{"type":"union","children":[{"type":"union","children":[{"type":"leaf","tuple":{"namespace":"","object":"","relation":"",` +
				`"subject_set":{"namespace":"User","object":"bob","relation":""}}}],"tuple":{"namespace":"","object":"","relation":"",` +
				`"subject_set":{"namespace":"Group","object":"g","relation":"members"}}}],"tuple":{"namespace":"","object":"","relation":"",` +
				`"subject_set":{"namespace":"Doc","object":"a","relation":"viewers"}}}`},
		{"expand to a depth", "GET", "/relation-tuples/expand?namespace=Group&object=g&relation=members&max-depth=1", "", 200,
			`{"type":"leaf","tuple":{"namespace":"","object":"","relation":"","subject_set":{"namespace":"Group","object":"g","relation":"members"}}}`},
		{"expand nothing", "GET", "/relation-tuples/expand?namespace=Doc&object=zzz&relation=viewers", "", 200,
			`{"type":"leaf","tuple":{"namespace":"","object":"","relation":"","subject_set":{"namespace":"Doc","object":"zzz","relation":"viewers"}}}`},
		{"expand an unknown namespace", "GET", "/relation-tuples/expand?namespace=Nope&object=a&relation=b", "", 404, unknown("Nope")},
		{"expand without a namespace", "GET", "/relation-tuples/expand", "", 404, unknown("")},
		{"expand to a depth that is none", "GET", "/relation-tuples/expand?namespace=Doc&max-depth=x", "", 400,
			herodot(400, `unable to parse 'max-depth' query parameter to int: strconv.ParseInt: parsing "x": invalid syntax`, "")},

		{"namespaces", "GET", "/namespaces", "", 200, `{"namespaces":[{"name":"User"},{"name":"Open"},{"name":"Group"},{"name":"Doc"}]}`},
		{"version", "GET", "/version", "", 200, `{"version":"` + server.Version() + `"}`},
		{"alive", "GET", "/health/alive", "", 200, `{"status":"ok"}`},
		{"ready", "GET", "/health/ready", "", 200, `{"status":"ok"}`},

		{"unknown path", "GET", "/nope", "", 404, nowhere("/nope")},
		{"trailing slash", "GET", "/relation-tuples/", "", 404, nowhere("/relation-tuples/")},
		{"wrong method", "PUT", "/relation-tuples", "", 405, herodot(405, "the method is not one of those in the header Allow", "")},
		{"write on the read port", "PUT", "/admin/relation-tuples", `{}`, 404, nowhere("/admin/relation-tuples")},
	})
}

func TestKetoRESTSyntax(t *testing.T) {
	n := start(t)
	for _, address := range []string{n.read, n.opl} {
		n.run(address, []restCase{
			{"good", "POST", "/opl/syntax/check", "class User implements Namespace {}", 200, `{}`},
			{"bad", "POST", "/opl/syntax/check", "class User implements Names {}", 200,
				`{"errors":[{"message":"expected \"Namespace\", got \"Names\"","start":{"Line":1,"column":22},"end":{"Line":1,"column":27}}]}`},
			{"invalid UTF-8", "POST", "/opl/syntax/check", "class \xff", 400, herodot(400, malformed, "the body is not valid UTF-8")},
		})
	}
}

func TestKetoRESTWrites(t *testing.T) {
	n := startWithModel(t)
	const path = "/admin/relation-tuples"
	put := n.do("PUT", n.write, path, `{"namespace":"Doc","object":"a b","relation":"owners",`+ann+`}`)
	if want := `{"namespace":"Doc","object":"a b","relation":"owners",` + ann + `}`; put.status != 201 || put.body != want {
		t.Errorf("PUT answers %d %s", put.status, put.body)
	}
	if got, want := put.header.Get("Location"), "/relation-tuples?namespace=Doc&object=a+b&relation=owners&"+annQuery; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	token := put.header.Get("Cardea-Snaptoken")
	list := n.do("GET", n.read, put.header.Get("Location")+"&snaptoken="+url.QueryEscape(token), "")
	if want := `{"relation_tuples":[` + put.body + `],"next_page_token":""}`; list.body != want {
		t.Errorf("the list at the Location is %s, want %s", list.body, want)
	}
	if again := n.do("PUT", n.write, path, put.body); again.status != 201 || n.count() != 1 {
		t.Errorf("a second PUT answers %d, and there are %d tuples", again.status, n.count())
	}
	both := n.do("PUT", n.write, path, `{"namespace":"Open","object":"o","relation":"r","subject_id":"x",`+ann+`}`)
	if want := `{"namespace":"Open","object":"o","relation":"r","subject_id":"x",` + ann + `}`; both.status != 201 || both.body != want {
		t.Errorf("PUT with both subjects answers %d %s", both.status, both.body)
	}
	if got := n.do("GET", n.read, "/relation-tuples?subject_id=x", ""); !strings.Contains(got.body, `"subject_id":"x"`) {
		t.Errorf("of both subjects, the id is not stored: %s", got.body)
	}
	patch := n.do("PATCH", n.write, path, `[{"action":"delete","relation_tuple":`+put.body+`},`+
		`{"action":"insert","relation_tuple":{"namespace":"Open","object":"p","relation":"r","subject_id":"x"}}]`)
	if patch.status != 204 || patch.body != "" || patch.header.Get("Cardea-Snaptoken") == "" || n.count() != 2 {
		t.Errorf("PATCH answers %d %q, and there are %d tuples", patch.status, patch.body, n.count())
	}
	gone := n.do("DELETE", n.write, path+"?namespace=Open", "")
	if gone.status != 204 || gone.body != "" || gone.header.Get("Cardea-Snaptoken") == "" || n.count() != 0 {
		t.Errorf("DELETE answers %d %q, and there are %d tuples", gone.status, gone.body, n.count())
	}
	if again := n.do("DELETE", n.write, path+"?namespace=Open", ""); again.status != 204 {
		t.Errorf("a second DELETE answers %d", again.status)
	}
}

func TestKetoRESTBadWrites(t *testing.T) {
	n := startWithModel(t)
	n.insert("Doc:a#owners@User:ann", "Open:o#any@someone")
	const path = "/admin/relation-tuples"
	good := `{"action":"insert","relation_tuple":{"namespace":"Open","object":"new","relation":"r","subject_id":"x"}}`
	n.run(n.write, []restCase{
		{"no JSON", "PUT", path, "{", 400, herodot(400, "unexpected EOF", "")},
		{"empty body", "PUT", path, "", 400, herodot(400, "EOF", "")},
		{"wrong type", "PUT", path, `{"object":true}`, 400,
			herodot(400, "object: expected a string, got bool", "")},
		{"no subject", "PUT", path, `{"namespace":"Doc","object":"a","relation":"owners"}`, 400, herodot(400, nilSubj, "")},
		{"unknown namespace", "PUT", path, `{"namespace":"Nope","object":"a","relation":"r","subject_id":"x"}`, 404, unknown("Nope")},
		{"empty namespace", "PUT", path, `{"object":"a","relation":"r","subject_id":"x"}`, 404, unknown("")},
		{"unknown namespace of the subject", "PUT", path, `{"namespace":"Open","object":"a","relation":"r","subject_set":{"namespace":"Nope"}}`, 404, unknown("Nope")},
		{"empty namespace of the subject", "PUT", path, `{"namespace":"Open","object":"a","relation":"r","subject_set":{"object":"x"}}`, 404, unknown("")},
		{"unknown relation", "PUT", path, `{"namespace":"Doc","object":"a","relation":"zzz","subject_id":"x"}`, 400,
			herodot(400, malformed, `relation "zzz" does not exist in namespace "Doc"`)},
		{"permission", "PUT", path, `{"namespace":"Doc","object":"a","relation":"view","subject_id":"x"}`, 400,
			`{"error":{"code":400,"status":"Bad Request","reason":"\"view\" is a permission of namespace \"Doc\"...`},
		{"wrong subject", "PUT", path, `{"namespace":"Doc","object":"a","relation":"owners","subject_set":{"namespace":"Group","object":"g","relation":"members"}}`, 400,
			`{"error":{"code":400,"status":"Bad Request","reason":"relation \"owners\" of namespace \"Doc\" does not take the subject Group:g#members...`},
		{"huge name", "PUT", path, `{"namespace":"Open","object":"a","relation":"r","subject_id":"` + huge + `"}`, 400,
			herodot(400, malformed, "subject_id has 100000 bytes: expected at most 1000")},
		{"invalid UTF-8", "PUT", path, "{\"namespace\":\"Open\",\"object\":\"\xc3\"}", 400, herodot(400, malformed, "the body is not valid UTF-8")},
		{"NUL", "PUT", path, `{"namespace":"Open","object":"a\u0000b","relation":"r","subject_id":"x"}`, 400, herodot(400, malformed, "object holds a NUL byte")},
		{"wrong method", "POST", path, "", 405, herodot(405, "the method is not one of those in the header Allow", "")},
		{"trailing slash", "PUT", path + "/", "", 404, nowhere(path + "/")},
		{"read on the write port", "GET", "/relation-tuples", "", 404, nowhere("/relation-tuples")},

		{"patch without action", "PATCH", path, `[` + good + `,{"relation_tuple":{}}]`, 400, herodot(400, "unknown action ", "")},
		{"patch with an unknown action", "PATCH", path, `[` + good + `,{"action":"upsert","relation_tuple":{}}]`, 400, herodot(400, "unknown action upsert", "")},
		{"patch without tuple", "PATCH", path, `[` + good + `,{"action":"insert"}]`, 400, herodot(400, "relation_tuple is missing", "")},
		{"patch with a null", "PATCH", path, `[` + good + `,null]`, 400, herodot(400, "delta 1 is null", "")},
		{"patch without subject", "PATCH", path, `[` + good + `,{"action":"delete","relation_tuple":{"namespace":"Doc"}}]`, 400, herodot(400, nilSubj, "")},
		{"patch of an unknown namespace", "PATCH", path, `[` + good + `,{"action":"insert","relation_tuple":{"namespace":"Nope","subject_id":"x"}}]`, 404,
			herodot(404, notFound, `update 1: Unknown namespace with name "Nope".`)},
		{"patch that is no list", "PATCH", path, `{}`, 400, herodot(400, "body: expected an array, got object", "")},
		{"empty patch", "PATCH", path, `[]`, 204, ""},

		{"delete everything", "DELETE", path, "", 400,
			herodot(400, malformed, "query parameters must specify at least one of the following: namespace")},
		{"delete without namespace", "DELETE", path + "?object=o", "", 400,
			herodot(400, malformed, "query parameters must specify at least one of the following: namespace")},
		{"delete with a key that is none, and a body", "DELETE", path + "?namespace=Open&foo=1", `{"object":"o"}`, 400,
			herodot(400, malformed, `query parameter key "foo" unknown; body is not empty`)},
		{"delete with a key twice", "DELETE", path + "?namespace=Open&object=x&object=y", "", 400,
			herodot(400, malformed, `query parameter key "object" given more than once`)},
		{"delete with a broken filter", "DELETE", path + "?namespace=Open&object=%zz", "", 400,
			herodot(400, malformed, `the query parameters cannot be read: invalid URL escape "%zz"`)},
		{"delete with half a subject", "DELETE", path + "?namespace=Open&subject_set.object=x", "", 400,
			herodot(400, `incomplete subject, provide "subject_id" or a complete "subject_set.*"`, "")},
		{"delete of an unknown namespace", "DELETE", path + "?namespace=Nope", "", 404, unknown("Nope")},
		{"delete of the empty namespace", "DELETE", path + "?namespace=", "", 404, unknown("")},
	})
}

func TestKetoRESTPages(t *testing.T) {
	n := startWithModel(t)
	var tuples []string
	for i := range 120 {
		tuples = append(tuples, fmt.Sprintf("Open:o#r@s%03d", i))
	}
	n.insert(tuples...)
	pages := func(first string, sizes ...int) string {
		t.Helper()
		path, next := first, ""
		for _, size := range sizes {
			got := n.do("GET", n.read, path, "")
			if count := strings.Count(got.body, `"subject_id"`); count != size {
				t.Errorf("%s has %d tuples, want %d", path, count, size)
			}
			_, next, _ = strings.Cut(got.body, `"next_page_token":"`)
			next = strings.TrimSuffix(next, `"}`)
			path = first + "&page_token=" + url.QueryEscape(next)
		}
		return next
	}
	if next := pages("/relation-tuples?namespace=Open", 100, 20); next != "" {
		t.Errorf("the last page has a next one: %s", next)
	}
	pages("/relation-tuples?namespace=Open&page_size=-5", 100)
	pages("/relation-tuples?namespace=Open&page_size=0", 100)
	if next := pages("/relation-tuples?namespace=Open&page_size=600", 120); next != "" {
		t.Errorf("the only page has a next one: %s", next)
	}
	token := pages("/relation-tuples?namespace=Open&page_size=50", 50)
	foreign := n.do("GET", n.read, "/relation-tuples?namespace=Doc&page_token="+token, "")
	if want := herodot(400, "invalid pagination token", ""); foreign.status != 400 || foreign.body != want {
		t.Errorf("a token of another query gives %d %s", foreign.status, foreign.body)
	}
}

func TestKetoRESTWithoutModel(t *testing.T) {
	n := start(t)
	n.run(n.read, []restCase{
		{"namespaces", "GET", "/namespaces", "", 200, `{}`},
		{"list", "GET", "/relation-tuples", "", 200, `{"relation_tuples":[],"next_page_token":""}`},
	})
}

func TestHTTPLimits(t *testing.T) {
	n := startWithModel(t, func(c *server.Config) { c.Limits.Body = 1000 })
	n.run(n.write, []restCase{
		{"body too large", "PUT", "/admin/relation-tuples", strings.Repeat(" ", 1001), 413,
			herodot(413, "the body is too large: expected at most 1000 bytes", "")},
		{"body just small enough", "PUT", "/admin/relation-tuples", strings.Repeat(" ", 1000), 400, herodot(400, "EOF", "")},
	})
}

func TestRequestID(t *testing.T) {
	n := start(t)
	for _, tt := range []struct{ sent, want string }{
		{"abc-123", "abc-123"},
		{"", ""},
		{"no spaces", ""},
		{strings.Repeat("x", 129), ""},
	} {
		got := n.do("GET", n.read, "/relation-tuples?namespace=Nope", "", "X-Request-Id: "+tt.sent)
		echoed := got.header.Get("X-Request-Id")
		if tt.want != "" && (echoed != tt.want || !strings.Contains(got.body, `"request":"`+tt.want+`"`)) {
			t.Errorf("id %q comes back as %q in %s", tt.sent, echoed, got.body)
		}
		if tt.want == "" && (echoed == "" || echoed == tt.sent || strings.Contains(got.body, `"request"`)) {
			t.Errorf("without a good id, %q comes back in %s", echoed, got.body)
		}
	}
}
