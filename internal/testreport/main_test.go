package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	tests := map[string]struct {
		in   string
		want []string // in this order
		not  string
		ok   bool
	}{
		"leaves are counted": {
			in: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"    --- PASS: TestA/x (0.00s)\n"}
{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"run","Package":"p","Test":"TestA/y/z"}
{"Action":"pass","Package":"p","Test":"TestA/y/z"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: seed 7\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`,
			want: []string{"seed 7", "ok  \tp", "2 passed, 0 failed, 0 skipped"},
			not:  "PASS", ok: true,
		},
		"a failed subtest counts once": {
			in: `{"Action":"output","Package":"p","Test":"TestA/x","Output":"    a_test.go:9: broken\n"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Test":"TestA/x"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
`,
			want: []string{"broken", "FAILED p TestA/x", "0 passed, 1 failed, 0 skipped"},
		},
		"a reason to skip is said once": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: no node: see\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"        the manual\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"output","Package":"q","Test":"TestC/x","Output":"        c_test.go:12: no node: see\n"}
{"Action":"output","Package":"q","Test":"TestC/x","Output":"            the manual\n"}
{"Action":"skip","Package":"q","Test":"TestC/x"}
{"Action":"skip","Package":"p","Test":"TestD"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}
`,
			want: []string{"SKIPPED 2: no node: see the manual\n", "SKIPPED 1: no reason was given\n", "1 passed, 0 failed, 3 skipped"},
			not:  ".go", ok: true,
		},
		"what does not build fails": {
			in: `{"ImportPath":"p","Action":"build-output","Output":"a.go:1: syntax error\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p"}
`,
			want: []string{"syntax error", "FAILED p", "0 passed, 1 failed, 0 skipped"},
		},
		"a test cut short is shown": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh\n"}
{"Action":"fail","Package":"p"}
`,
			want: []string{"TestA did not end", "panic: oh", "FAILED p"},
		},
		"nothing ran": {in: "go: no such package\n", want: []string{"go: no such package", "0 passed"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r := newReport(&out)
			if err := r.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if ok := r.finish(); ok != tt.ok {
				t.Errorf("ok is %t, want %t", ok, tt.ok)
			}
			rest := out.String()
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("no %q (in this order) in:\n%s", want, out.String())
				}
				rest = after
			}
			if tt.not != "" && strings.Contains(out.String(), tt.not) {
				t.Errorf("%q in:\n%s", tt.not, out.String())
			}
		})
	}
}
