package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/opl"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

func (a *app) modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "model",
		Short:   "Check, apply and show the model: which namespaces, relations and permissions there are",
		Example: "  cardea model check model.ts\n  cardea model apply model.ts",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.modelCheckCommand(), a.modelApplyCommand(), a.modelShowCommand(), a.modelHistoryCommand())
	return cmd
}

func (a *app) modelCheckCommand() *cobra.Command {
	var flags oplFlags
	var stored bool
	cmd := &cobra.Command{
		Use:   "check FILE|FOLDER|-...",
		Short: "Say what is wrong with a model, without a server",
		Long: `Compiles OPL files as one model, prints everything that is wrong with it, and
exits with 1 if anything is. No server is asked, unless --stored is given: then a
server's tuples are looked through for those that permissions of the model
traverse in vain. Whether stored tuples fit says cardea model apply --dry-run.`,
		Example: `  cardea model check model.ts
  cardea model check ./models -o json
  cardea model check model.ts --stored
  cardea model check --compat keto old-model.ts`,
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := flags.options()
			if err != nil {
				return err
			}
			files, err := readOPL(args, a.stdin)
			if err != nil {
				return err
			}
			return a.modelCheck(cmd.Context(), files, options, stored)
		},
	}
	a.clientFlags(cmd)
	flags.add(cmd)
	a.outputFlag(cmd)
	cmd.Flags().BoolVar(&stored, "stored", false, "also warn of tuples of the server at --read-remote that permissions traverse in vain")
	return cmd
}

// A modelError is one mistake in a model, as JSON.
type modelError struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // in characters, from 1
	Message string `json:"message"`
	text    string // for people
}

// A modelVerdict is what there is to say about a model, as JSON.
type modelVerdict struct {
	Valid      bool         `json:"valid"`
	Namespaces int          `json:"namespaces"`
	Errors     []modelError `json:"errors"`
	Warnings   []string     `json:"warnings,omitempty"`
}

func (a *app) modelCheck(ctx context.Context, files []opl.Source, options opl.Options, stored bool) error {
	v := modelVerdict{Valid: true, Errors: []modelError{}}
	m, err := opl.Compile(files, options)
	if list := (opl.ErrorList)(nil); errors.As(err, &list) {
		v.Valid = false
		for _, e := range list {
			v.Errors = append(v.Errors, modelError{e.Name, e.Start.Line, e.Start.Column + 1, e.Msg, e.Error()})
		}
	} else if err != nil {
		return err
	} else {
		v.Namespaces = len(m.Namespaces)
	}
	if stored && v.Valid {
		read, err := a.readRemote()
		if err != nil {
			return err
		}
		defer read.Close()
		if v.Warnings, err = unreachable(ctx, read, m); err != nil {
			return err
		}
	}
	return a.printVerdict(v)
}

// printVerdict prints v and returns errNo if the model is not valid.
func (a *app) printVerdict(v modelVerdict) error {
	var text strings.Builder
	for _, e := range v.Errors {
		text.WriteString(e.text + "\n")
	}
	for _, w := range v.Warnings {
		text.WriteString("warning: " + w + "\n")
	}
	if v.Valid {
		namespaces := "namespaces"
		if v.Namespaces == 1 {
			namespaces = "namespace"
		}
		fmt.Fprintf(&text, "valid: %d %s\n", v.Namespaces, namespaces)
	}
	if err := a.print(v, "%s", text.String()); err != nil {
		return err
	}
	if !v.Valid {
		return errNo
	}
	return nil
}

func (a *app) modelApplyCommand() *cobra.Command {
	var force, dryRun bool
	cmd := &cobra.Command{
		Use:   "apply FILE|FOLDER|-...",
		Short: "Make OPL files the server's model",
		Long: `Uploads OPL files as one model, a new version, and makes it active. The server
refuses a model that stored tuples do not fit, unless told --force; it prints
what is wrong with a text that is no model and exits with 1.`,
		Example: `  cardea model apply model.ts
  cardea model apply ./models --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := readOPL(args, a.stdin)
			if err != nil {
				return err
			}
			return a.modelApply(cmd, join(files), &cardeav1.ApplyModelRequest{Force: force, DryRun: dryRun})
		},
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "apply even if stored tuples do not fit")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would happen, and change nothing")
	return cmd
}

func (a *app) modelApply(cmd *cobra.Command, src joined, req *cardeav1.ApplyModelRequest) error {
	conn, err := a.writeRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	client := cardeav1.NewModelServiceClient(conn)
	checked, err := client.Check(cmd.Context(), &cardeav1.CheckModelRequest{Source: src.text})
	if err != nil {
		return err
	}
	if len(checked.GetErrors()) > 0 {
		return a.printVerdict(src.verdict(checked.GetErrors()))
	}
	req.Source = src.text
	resp, err := client.Apply(cmd.Context(), req)
	if err != nil {
		return err
	}
	if req.GetDryRun() {
		return a.print(struct {
			Valid  bool `json:"valid"`
			DryRun bool `json:"dry_run"`
		}{true, true}, "the model can be applied; nothing was changed\n")
	}
	version := resp.GetModel().GetVersion()
	return a.print(struct {
		Version   int64  `json:"version"`
		Snaptoken string `json:"snaptoken"`
	}{version, resp.GetSnaptoken()}, "version %d of the model is active\n", version)
}

// verdict turns what the server says about the one text back to the files.
func (j joined) verdict(list []*cardeav1.ModelError) modelVerdict {
	v := modelVerdict{Errors: []modelError{}}
	for _, e := range list {
		line, column := int(e.GetStart().GetLine()), int(e.GetStart().GetColumn())
		at := j.place(line)
		text := e.GetText()
		if rest, ok := strings.CutPrefix(text, fmt.Sprintf("model:%d:", line)); ok {
			text = at.String() + ":" + rest
		}
		v.Errors = append(v.Errors, modelError{at.file, at.line, column, e.GetMessage(), text})
	}
	return v
}

func (a *app) modelShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [VERSION]",
		Short: "Print the active model, or a version of it",
		Example: `  cardea model show
  cardea model show 3 > model.ts`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var version int64
			if len(args) == 1 {
				var err error
				if version, err = strconv.ParseInt(args[0], 10, 64); err != nil || version < 1 {
					return fmt.Errorf("version %q: expected a number from 1 on", args[0])
				}
			}
			return a.modelShow(cmd, version)
		},
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

// A modelJSON is one version of the model.
type modelJSON struct {
	Version int64  `json:"version"`
	Created string `json:"created,omitempty"` // RFC 3339, UTC
	Source  string `json:"source,omitempty"`
}

func modelToJSON(m *cardeav1.Model) modelJSON {
	out := modelJSON{Version: m.GetVersion(), Source: m.GetSource()}
	if m.GetCreated() != nil {
		out.Created = m.GetCreated().AsTime().UTC().Format(time.RFC3339)
	}
	return out
}

func (a *app) modelShow(cmd *cobra.Command, version int64) error {
	conn, err := a.writeRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	resp, err := cardeav1.NewModelServiceClient(conn).Get(cmd.Context(), &cardeav1.GetModelRequest{Version: version})
	if err != nil {
		return err
	}
	return a.print(modelToJSON(resp.GetModel()), "%s", resp.GetModel().GetSource())
}

func (a *app) modelHistoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the versions of the model, newest first",
		Example: `  cardea model history
  cardea model history -o json`,
		Args: cobra.NoArgs,
		RunE: a.modelHistory,
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) modelHistory(cmd *cobra.Command, _ []string) error {
	conn, err := a.writeRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	client := cardeav1.NewModelServiceClient(conn)
	versions := []modelJSON{}
	req := &cardeav1.ListModelsRequest{}
	for {
		resp, err := client.List(cmd.Context(), req)
		if err != nil {
			return err
		}
		for _, m := range resp.GetModels() {
			versions = append(versions, modelToJSON(m))
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	var text strings.Builder
	for _, v := range versions {
		fmt.Fprintf(&text, "%d\t%s\n", v.Version, v.Created)
	}
	return a.print(struct {
		Models []modelJSON `json:"models"`
	}{versions}, "%s", text.String())
}
