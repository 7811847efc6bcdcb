package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// A groupKind is groups or organizations, whose commands are the same.
type groupKind struct{ name, path, article, example string }

var groupKinds = []groupKind{{"group", "/admin/groups", "a", "eng"}, {"organization", "/admin/organizations", "an", "acme"}}

// groupCommands are those of both kinds.
func (a *app) groupCommands() (all []*cobra.Command) {
	for _, k := range groupKinds {
		cmd := &cobra.Command{
			Use:   k.name,
			Short: fmt.Sprintf("Create, list and delete %ss, and say who is a member", k.name),
			Long: fmt.Sprintf(`Administers %ss. Their members are relation tuples, which checks and tokens see at
once. %s %s is named by its id or by its name.`, k.name, strings.ToUpper(k.article[:1])+k.article[1:], k.name),
			Example: fmt.Sprintf("  cardea %[1]s create --name %[2]s\n  cardea %[1]s add %[2]s 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11\n  cardea %[1]s members %[2]s --effective", k.name, k.example),
			Args:    knownCommand,
			RunE:    help,
		}
		cmd.AddCommand(a.createGroupCommand(k), a.getGroupCommand(k), a.listGroupsCommand(k), a.renameGroupCommand(k), a.deleteGroupsCommand(k),
			a.membersCommand(k, true), a.membersCommand(k, false), a.listMembersCommand(k), a.groupsOfCommand(k),
			a.inviteCommand(k), a.invitationsCommand(k), a.uninviteCommand(k))
		all = append(all, cmd)
	}
	return all
}

// A groupView is what the text form shows of a group.
type groupView struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Label   string   `json:"label"`
	Parents []string `json:"parents"`
	Created string   `json:"created_at"`
	Domains []string `json:"domains"`
}

func (a *app) printGroup(k groupKind, raw json.RawMessage) error {
	if a.output == "json" {
		return a.printJSON(raw)
	}
	var g groupView
	if err := json.Unmarshal(raw, &g); err != nil {
		return err
	}
	return a.printLines([][2]string{{k.name, g.ID}, {"name", g.Name}, {"label", g.Label}, {"parents", strings.Join(g.Parents, " ")},
		{"domains", strings.Join(g.Domains, " ")}, {"created", g.Created}})
}

func groupLine(raw json.RawMessage) (string, error) {
	var g groupView
	err := json.Unmarshal(raw, &g)
	return strings.Join([]string{g.ID, g.Name, g.Label}, "\t"), err
}

func (k groupKind) at(id string) string { return k.path + "/" + url.PathEscape(id) }

// groupID returns the id of the group that is named by its name or its id.
func (r *restRemote) groupID(ctx context.Context, k groupKind, which string) (string, error) {
	var found []groupView
	if _, err := r.do(ctx, "GET", k.path+query(url.Values{"name": {which}}), nil, &found); err != nil {
		return "", err
	}
	if len(found) == 0 || found[0].ID == which {
		return which, nil
	}
	if _, err := r.do(ctx, "GET", k.at(which), nil, nil); err == nil {
		return "", fmt.Errorf("%s is the id of one %s and the name of another, whose id is %s: expected an id that is no name", which, k.name, found[0].ID)
	}
	return found[0].ID, nil
}

// groupIDs is groupID for several.
func (r *restRemote) groupIDs(ctx context.Context, k groupKind, which []string) ([]string, error) {
	ids := []string{}
	for _, one := range which {
		id, err := r.groupID(ctx, k, one)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// onGroup runs do with the path of the group that the first argument names.
func (a *app) onGroup(k groupKind, do func(ctx context.Context, server *restRemote, path string, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		server, err := a.adminRemote()
		if err != nil {
			return err
		}
		id, err := server.groupID(cmd.Context(), k, args[0])
		if err != nil {
			return err
		}
		return do(cmd.Context(), server, k.at(id), args[1:])
	}
}

func (a *app) createGroupCommand(k groupKind) *cobra.Command {
	var id, name, label, parent string
	cmd := &cobra.Command{
		Use:   "create --name NAME",
		Short: fmt.Sprintf("Create %s %s, and print it", k.article, k.name),
		Long: fmt.Sprintf(`Creates %s %s. Its id, which tuples have, is for ever: that of --id, or else a
UUID. With --parent its members are members of that one as well.`, k.article, k.name),
		Example: fmt.Sprintf("  cardea %[1]s create --name %[2]s --id %[2]s --label \"The %[2]s\"\n  cardea %[1]s create --name backend --parent %[2]s -o json", k.name, k.example),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			if parent != "" {
				if parent, err = server.groupID(cmd.Context(), k, parent); err != nil {
					return err
				}
			}
			var raw json.RawMessage
			body := map[string]any{"id": id, "name": name, "label": label, "parent": parent}
			if _, err := server.do(cmd.Context(), "POST", k.path, body, &raw); err != nil {
				return err
			}
			return a.printGroup(k, raw)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "its name, which no other one has")
	f.StringVar(&id, "id", "", "its id, which is also that of its object; none: a UUID")
	f.StringVar(&label, "label", "", "what people see")
	f.StringVar(&parent, "parent", "", fmt.Sprintf("id or name of the %s that it is part of", k.name))
	return cmd
}

func (a *app) getGroupCommand(k groupKind) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get " + strings.ToUpper(k.name),
		Short:   fmt.Sprintf("Print %s %s, and what it is part of", k.article, k.name),
		Example: fmt.Sprintf("  cardea %s get %s", k.name, k.example),
		Args:    named(cobra.ExactArgs(1)),
		RunE: a.onGroup(k, func(ctx context.Context, server *restRemote, path string, _ []string) error {
			var raw json.RawMessage
			if _, err := server.do(ctx, "GET", path, nil, &raw); err != nil {
				return err
			}
			return a.printGroup(k, raw)
		}),
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) listGroupsCommand(k groupKind) *cobra.Command {
	var list listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   fmt.Sprintf("List %ss, a page of them", k.name),
		Example: fmt.Sprintf("  cardea %[1]s list\n  cardea %[1]s list --page-size 500 -o json", k.name),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			items, next, err := server.page(cmd.Context(), k.path, url.Values{}, list)
			if err != nil {
				return err
			}
			return a.printPage(k.name+"s", items, next, strings.ToUpper(k.name)+"\tNAME\tLABEL", groupLine)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	list.add(cmd, k.name+"s")
	return cmd
}

func (a *app) renameGroupCommand(k groupKind) *cobra.Command {
	var name, label string
	cmd := &cobra.Command{
		Use:     "rename " + strings.ToUpper(k.name),
		Short:   fmt.Sprintf("Give %s %s another name or label", k.article, k.name),
		Example: fmt.Sprintf("  cardea %[1]s rename %[2]s --name %[2]s-2 --label \"The second\"", k.name, k.example),
		Args:    named(cobra.ExactArgs(1)),
	}
	cmd.RunE = a.onGroup(k, func(ctx context.Context, server *restRemote, path string, _ []string) error {
		body := map[string]any{}
		if cmd.Flags().Changed("name") {
			body["name"] = name
		}
		if cmd.Flags().Changed("label") {
			body["label"] = label
		}
		if len(body) == 0 {
			return fmt.Errorf("nothing to change: expected --name or --label")
		}
		var raw json.RawMessage
		if _, err := server.do(ctx, "PATCH", path, body, &raw); err != nil {
			return err
		}
		return a.printGroup(k, raw)
	})
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().StringVar(&name, "name", "", "its new name")
	cmd.Flags().StringVar(&label, "label", "", "its new label; empty: none")
	return cmd
}

func (a *app) deleteGroupsCommand(k groupKind) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete " + strings.ToUpper(k.name) + "...",
		Short:   fmt.Sprintf("Delete %ss, with every tuple that they are in", k.name),
		Example: fmt.Sprintf("  cardea %s delete %s", k.name, k.example),
		Args:    named(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, which []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			return a.deleteEach(which, func(one string) error {
				id, err := server.groupID(cmd.Context(), k, one)
				if err == nil {
					_, err = server.do(cmd.Context(), "DELETE", k.at(id), nil, nil)
				}
				return err
			})
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

// membersCommand adds or removes members.
func (a *app) membersCommand(k groupKind, adds bool) *cobra.Command {
	var groups, organizations []string
	verb, preposition := "remove", "from"
	if adds {
		verb, preposition = "add", "to"
	}
	cmd := &cobra.Command{
		Use:   verb + " " + strings.ToUpper(k.name) + " [IDENTITY...]",
		Short: fmt.Sprintf("%s members %s %s %s", strings.ToUpper(verb[:1])+verb[1:], preposition, k.article, k.name),
		Long: fmt.Sprintf(`Members are identities, by their ids, and whole groups and organizations, as far as the
model allows. All are %sed in one write, whose snaptoken -o json shows.`, strings.TrimSuffix(verb, "e")),
		Example: fmt.Sprintf("  cardea %[1]s %[2]s %[3]s 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11\n  cardea %[1]s %[2]s %[3]s --group backend -o json", k.name, verb, k.example),
		Args:    named(cobra.MinimumNArgs(1)),
		RunE: a.onGroup(k, func(ctx context.Context, server *restRemote, path string, identities []string) error {
			if len(identities)+len(groups)+len(organizations) == 0 {
				return fmt.Errorf("there is nobody to %s: expected ids of identities, --group or --organization", verb)
			}
			named := map[string][]string{"identities": identities}
			for i, which := range [][]string{groups, organizations} {
				ids, err := server.groupIDs(ctx, groupKinds[i], which)
				if err != nil {
					return err
				}
				named[groupKinds[i].name+"s"] = ids
			}
			return a.changeMembers(ctx, server, path+"/members", named, adds)
		}),
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().StringArrayVar(&groups, "group", nil, "id or name of a group that is a member; can be given several times")
	cmd.Flags().StringArrayVar(&organizations, "organization", nil, "id or name of an organization that is a member; can be given several times")
	return cmd
}

func (a *app) changeMembers(ctx context.Context, server *restRemote, path string, named map[string][]string, adds bool) error {
	var got struct {
		Added     int64  `json:"added"`
		Removed   int64  `json:"removed"`
		Snaptoken string `json:"snaptoken"`
	}
	method, body := http.MethodPost, any(named)
	if !adds {
		q := url.Values{"identity": named["identities"], "group": named["groups"], "organization": named["organizations"]}
		method, path, body = http.MethodDelete, path+query(q), nil
	}
	if _, err := server.do(ctx, method, path, body, &got); err != nil {
		return err
	}
	if adds {
		return a.print(got, "added %d\n", got.Added)
	}
	return a.print(got, "removed %d\n", got.Removed)
}

func (a *app) listMembersCommand(k groupKind) *cobra.Command {
	var list listFlags
	var all bool
	cmd := &cobra.Command{
		Use:     "members " + strings.ToUpper(k.name),
		Short:   fmt.Sprintf("List the members of %s %s", k.article, k.name),
		Long:    "Lists the members that were added; with --effective all identities that are\nmembers, also by way of other groups.",
		Example: fmt.Sprintf("  cardea %[1]s members %[2]s\n  cardea %[1]s members %[2]s --effective -o json", k.name, k.example),
		Args:    named(cobra.ExactArgs(1)),
		RunE: a.onGroup(k, func(ctx context.Context, server *restRemote, path string, _ []string) error {
			items, next, err := server.page(ctx, path+"/members", effective(all), list)
			if err != nil {
				return err
			}
			return a.printPage("members", items, next, "KIND\tMEMBER", func(raw json.RawMessage) (string, error) {
				var m map[string]string
				err := json.Unmarshal(raw, &m)
				for kind, id := range m {
					return kind + "\t" + id, err
				}
				return "", err
			})
		}),
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	list.add(cmd, "members")
	cmd.Flags().BoolVar(&all, "effective", false, "all identities that are members, also by way of others")
	return cmd
}

func effective(all bool) url.Values {
	if all {
		return url.Values{"effective": {"true"}}
	}
	return url.Values{}
}

func (a *app) groupsOfCommand(k groupKind) *cobra.Command {
	var list listFlags
	var all bool
	cmd := &cobra.Command{
		Use:     "of IDENTITY",
		Short:   fmt.Sprintf("List the %ss of an identity", k.name),
		Long:    fmt.Sprintf("Lists the %[1]ss that an identity was added to; with --effective also those that it\nis in by way of others.", k.name),
		Example: fmt.Sprintf("  cardea %s of 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11 --effective", k.name),
		Args:    named(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			items, next, err := server.page(cmd.Context(), identityPath(args[0])+"/"+k.name+"s", effective(all), list)
			if err != nil {
				return err
			}
			return a.printPage(k.name+"s", items, next, strings.ToUpper(k.name)+"\tNAME\tLABEL", groupLine)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	list.add(cmd, k.name+"s")
	cmd.Flags().BoolVar(&all, "effective", false, "also those by way of others")
	return cmd
}
