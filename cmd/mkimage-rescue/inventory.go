package main

import (
	"encoding/json"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

func newInventory(p *program) *cobra.Command {
	var images []string
	var from string
	var short bool
	cmd := &cobra.Command{
		Use:   "inventory [--image FILE]...",
		Short: "say what is there to rescue",
		Long: `mkimage-rescue inventory says what is on the disks: systems with their
subvolumes, snapshots and generations, what the boot menu starts, sessions that
sleep, backups and key media, and what is wrong with them, the worst first.

It mounts nothing and writes nothing. A disk that is damaged is told as far as it
can be read, and one that does not answer is given up after three minutes.

Which machine is meant a manifest says: that of --manifest, or that of the only
installer medium that is found. In the rescue environment of a medium it is the
medium's.`,
		Example: `  mkimage-rescue inventory
  mkimage-rescue inventory --json --image laptop.img --image backup.img`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.started = true
			host, err := planIn(from)
			if err == nil && from == "" && len(images) == 0 {
				host, err = planHere()
			}
			if err != nil {
				return err
			}
			inv, err := inventory.Take(cmd.Context(), inventory.Options{Images: images, Plan: host})
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(inv)
			}
			if short {
				return inventory.Summary(p.stdout, inv, p.columns())
			}
			return inventory.Text(p.stdout, inv, p.columns())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&images, "image", nil, "look at this disk or image, not at the machine's disks: a `file`")
	flags.StringVar(&from, "manifest", "", "the manifest of the machine's image, or of a medium that installs it: a `file`")
	flags.BoolVar(&short, "problems", false, "say what is wrong, and not what there is")
	flags.BoolVar(&p.json, "json", false, "print JSON")
	return cmd
}

// planIn returns the plan in the manifest of a name, nil for "".
func planIn(name string) (*plan.Plan, error) {
	if name == "" {
		return nil, nil
	}
	m, err := manifest.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return m.Plan, nil
}

// encode prints a value as JSON.
func (p *program) encode(v any) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// defaultColumns are those of a console of text.
const defaultColumns = 80

// columns returns the width of the terminal, or that of a console where the output is
// none.
func (p *program) columns() int {
	f, ok := p.stdout.(interface{ Fd() uintptr })
	if !ok {
		return defaultColumns
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return defaultColumns
	}
	return int(size.Col)
}
