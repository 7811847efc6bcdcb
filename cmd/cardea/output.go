package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
)

// outputFlag adds -o to a command and sees that its value is one of formats.
func (a *app) outputFlag(cmd *cobra.Command, formats ...string) {
	if len(formats) == 0 {
		formats = []string{"text", "json"}
	}
	cmd.Flags().StringVarP(&a.output, "output", "o", "text", "form of the output: "+strings.Join(formats, ", "))
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, a.output) {
			wrong := a.output
			a.output = "text"
			return fmt.Errorf("--output is %q: expected one of %s", wrong, strings.Join(formats, ", "))
		}
		return nil
	}
}

// printJSON prints v as one indented document.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// print prints v if the output is JSON, and otherwise the text that format
// makes of args.
func (a *app) print(v any, format string, args ...any) error {
	if a.output == "json" {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}

// printError prints err to stderr, as JSON if that is the output.
func (a *app) printError(err error) {
	if a.output != "json" {
		fmt.Fprintln(a.stderr, "cardea:", err)
		return
	}
	line, _ := json.Marshal(map[string]errorShown{"error": shown(err)}) // two strings
	fmt.Fprintln(a.stderr, string(line))
}

// An errorShown is an error in JSON.
type errorShown struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
}

func shown(err error) errorShown {
	out := errorShown{Message: err.Error()}
	if remote := (*remoteError)(nil); errors.As(err, &remote) {
		out.Code = codeName(remote.code)
	}
	return out
}

// codeName returns the name that google.rpc.Code gives a code: NOT_FOUND.
func codeName(c codes.Code) string {
	if c == codes.Canceled {
		return "CANCELLED"
	}
	var name strings.Builder
	for i, r := range c.String() {
		if i > 0 && r >= 'A' && r <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(r)
	}
	return strings.ToUpper(name.String())
}
