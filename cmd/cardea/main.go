package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitYes   = 0 // yes, or done
	exitNo    = 1 // denied, not ready, not formatted
	exitError = 2 // there is no answer
)

// errNo ends a command whose answer is no. The answer has been printed.
var errNo = errors.New("no")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process, so that tests can call it. It returns the
// exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{args: args, stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitYes
	case errors.Is(err, errNo):
		return exitNo
	default:
		a.printError(err)
		return exitError
	}
}

// An app is one run of the program: its streams and the flags that commands
// share.
type app struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	output         string // text or json, and dot for expand
	save           string // folder for the results of benchmarks
	client         clientFlags
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cardea",
		Short: "Who may do what to which: the server, and its client",
		Long: `Cardea answers permission questions over a graph of relation tuples, under a
model written in the Ory Permission Language. cardea serve starts the server;
most other commands ask a running one.

Exit codes: 0 yes or done, 1 no, 2 error.`,
		Example: `  cardea serve --dev --example drive
  cardea check "User:ann" view Document:plan`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          help,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		a.serveCommand(),
		a.checkCommand(),
		a.expandCommand(),
		a.listsCommand(),
		a.tuplesCommand(),
		a.watchCommand(),
		a.modelCommand(),
		a.oplCommand(),
		a.passwordsCommand(),
		a.benchCommand(),
		a.migrateCommand(),
		a.keyCommand(),
		a.identityCommand(),
		a.sessionCommand(),
		a.recoveryCommand(),
		a.auditCommand(),
		a.clientCommand(),
		a.keysCommand(),
		a.tokenCommand(),
		a.oauthCommand(),
		a.janitorCommand(),
		a.statusCommand(),
		a.versionCommand(),
	)
	root.AddCommand(a.groupCommands()...)
	return root
}

// help is what a command does that only has others below it.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// knownCommand refuses an argument where a command is expected.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := "see " + cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("%s has no command %q: %s", cmd.CommandPath(), args[0], hint)
}
