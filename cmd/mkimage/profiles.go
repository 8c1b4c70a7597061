package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

func newProfiles(u *ui) *cobra.Command {
	var f profileFlags
	cmd := &cobra.Command{
		Use:   "profiles [NAME]",
		Short: "list profiles, or show one with where each of its values comes from",
		Long: `profiles lists the profiles that can be built. With a NAME it shows that one with
all that it extends, and for each value the file, line and column that set it.

A profile is a file NAME.toml in a directory of --profile-dir, in ./profiles, in
$XDG_CONFIG_HOME/mkimage/profiles, or built in; the first found holds. Layouts
are looked for in the same way. A file that is wrong is refused with everything
that is wrong with it.`,
		Example: `  mkimage profiles
  mkimage profiles bandit-minimal
  mkimage profiles bandit-minimal --set hostname=fox --set layout.esp.size=512MiB
  mkimage profiles --json server-home | jq -r .profile.packages[]`,
		Args:        takes(0, 1),
		Annotations: exits(fault.Config, fault.Input),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listProfiles(u, &f)
			}
			return showProfile(u, &f, args[0])
		},
		ValidArgsFunction: completeProfiles(&f),
	}
	f.define(cmd)
	return cmd
}

func newLayouts(u *ui) *cobra.Command {
	var f profileFlags
	cmd := &cobra.Command{
		Use:   "layouts [NAME]",
		Short: "list layouts, or show one with where each of its values comes from",
		Long: `layouts lists the shapes of disks that a profile can name. With a NAME it shows
that one with all that it extends, and for each value the file, line and column
that set it. Where layouts are looked for is said in mkimage profiles --help;
--set takes keys with layout before them, as it does for a profile.`,
		Example: `  mkimage layouts
  mkimage layouts impermanence
  mkimage layouts btrfs-laptop --set layout.root.free=8GiB`,
		Args:        takes(0, 1),
		Annotations: exits(fault.Config, fault.Input),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listLayouts(u, &f)
			}
			return showLayout(u, &f, args[0])
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			_, set, err := f.load()
			if err != nil || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return set.Names(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f.define(cmd)
	return cmd
}

// completeProfiles lets the shell complete the name of a profile as the first
// argument.
func completeProfiles(f *profileFlags) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		set, _, err := f.load()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return set.Names(), cobra.ShellCompDirectiveNoFileComp
	}
}

// listed is a line of a list.
type listed struct {
	strict.Item
	Description string `json:"description"`
	Error       string `json:"error,omitempty"` // what is wrong with the file
}

func listProfiles(u *ui, f *profileFlags) error {
	set, _, err := f.load()
	if err != nil {
		return err
	}
	items, err := set.Items()
	if err != nil {
		return err
	}
	return printList(u, "profiles", items, func(name string) (string, error) {
		p, _, err := set.Resolve(name, nil)
		return p.Description, err
	})
}

func listLayouts(u *ui, f *profileFlags) error {
	_, set, err := f.load()
	if err != nil {
		return err
	}
	items, err := set.Items()
	if err != nil {
		return err
	}
	return printList(u, "layouts", items, func(name string) (string, error) {
		l, _, err := set.Resolve(name, nil)
		return l.Description, err
	})
}

// printList prints items with what describe says of each. One that is wrong
// does not keep the others from being listed.
func printList(u *ui, kind string, items []strict.Item, describe func(name string) (string, error)) error {
	list := make([]listed, len(items))
	for i, item := range items {
		list[i].Item = item
		text, err := describe(item.Name)
		list[i].Description = text
		if err != nil {
			list[i].Error = err.Error()
		}
	}
	return u.answer(map[string][]listed{kind: list}, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintf(t, "NAME\tFROM\tDESCRIPTION\n")
		for _, l := range list {
			text := l.Description
			if l.Error != "" {
				first, _, _ := strings.Cut(l.Error, "\n")
				text = "wrong: " + first
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", l.Name, printable(l.File), printable(text))
		}
		t.Flush()
	})
}

func showProfile(u *ui, f *profileFlags, name string) error {
	r, err := f.resolve(name)
	if err != nil {
		return err
	}
	all := struct {
		Profile       profiles.Profile `json:"profile"`
		Layout        layouts.Layout   `json:"layout"`
		Origins       strict.Origins   `json:"origins"`
		LayoutOrigins strict.Origins   `json:"layout_origins"`
	}{r.profile, r.layout, r.profileOrigins, r.layoutOrigins}
	return u.answer(all, func(w io.Writer) { printValues(w, strict.Values(r.profile, r.profileOrigins)) })
}

func showLayout(u *ui, f *profileFlags, name string) error {
	_, set, err := f.load()
	if err != nil {
		return err
	}
	others, sets, err := f.settings()
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fault.New(fault.Usage, "for example: --set layout.root.free=8GiB", "--set %s: expected a key that begins with %s.", others[0].Key, layoutKey)
	}
	l, origins, err := set.Resolve(name, sets)
	if err != nil {
		return err
	}
	all := struct {
		Layout  layouts.Layout `json:"layout"`
		Origins strict.Origins `json:"origins"`
	}{l, origins}
	return u.answer(all, func(w io.Writer) { printValues(w, strict.Values(l, origins)) })
}

func printValues(w io.Writer, values []strict.Value) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "KEY\tVALUE\tFROM\n")
	for _, v := range values {
		fmt.Fprintf(t, "%s\t%s\t%s\n", printable(v.Key), printable(v.Text), printable(cmp.Or(v.From.String(), "not set")))
	}
	t.Flush()
}
