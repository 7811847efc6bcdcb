package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/engine"
)

// draw writes a tree on one line: a set and its children in brackets.
func draw(t *engine.Tree) string {
	text := map[engine.NodeType]string{engine.Leaf: "", engine.Union: "or", engine.Intersection: "and", engine.Exclusion: "not"}[t.Type]
	if t.Subject != nil {
		text = strings.TrimSuffix(t.Subject.String()+" "+text, " ")
	}
	if len(t.Children) == 0 {
		return text
	}
	var children []string
	for _, c := range t.Children {
		children = append(children, draw(c))
	}
	return fmt.Sprintf("%s[%s]", text, strings.Join(children, ", "))
}

func TestExpand(t *testing.T) {
	tuples := []string{
		"Group:a#members@User:ann", "Group:a#members@Group:b#members", "Group:b#members@Group:a#members", "Group:b#members@bob",
		"Doc:1#viewers@Group:a#members", "Doc:1#viewers@User:eve", "Doc:1#banned@User:eve", "Doc:1#parents@Doc:2", "Doc:2#viewers@User:zoe",
	}
	plain := withDocs(t, engine.Options{}, tuples...)
	rewrites := withDocs(t, engine.Options{ExpandRewrites: true}, tuples...)
	tests := []struct {
		engine *engine.Engine
		set    string
		depth  int
		want   string
	}{
		{plain, "Group:a#members", 0, "Group:a#members or[Group:b#members or[bob, Group:a#members], User:ann]"},
		{plain, "Group:a#members", 1, "Group:a#members"},
		{plain, "Group:a#members", 2, "Group:a#members or[Group:b#members, User:ann]"},
		{plain, "Doc:1#viewers", 0, "Doc:1#viewers or[Group:a#members or[Group:b#members or[bob, Group:a#members], User:ann], User:eve]"},
		{plain, "Doc:1#view", 0, "Doc:1#view"},
		{plain, "Doc:none#viewers", 0, "Doc:none#viewers"},
		{plain, "Doc:none#nothing", 0, "Doc:none#nothing"},
		{plain, "bob", 0, "bob"},
		{plain, "User:ann", 0, "User:ann"},
		{rewrites, "Doc:1#view", 0, "Doc:1#view and[or[" +
			"Doc:1#viewers or[Group:a#members or[Group:b#members or[bob, Group:a#members], User:ann], User:eve], " +
			"Doc:1#parents or[Doc:2#view and[or[Doc:2#viewers or[User:zoe], Doc:2#parents], not[Doc:2#banned]]]], " +
			"not[Doc:1#banned or[User:eve]]]"},
		{rewrites, "Doc:1#view", 2, "Doc:1#view and[or[Doc:1#viewers, Doc:1#parents], not[Doc:1#banned]]"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.set, "/", tt.depth), func(t *testing.T) {
			set, err := engine.ParseSubject(tt.set)
			if err != nil {
				t.Fatal(err)
			}
			tree, token, err := tt.engine.Expand(t.Context(), set, tt.depth, latency)
			if err != nil || token == "" {
				t.Fatal(err, token)
			}
			if got := draw(tree); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
