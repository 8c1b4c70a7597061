package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

func newInventory(p *program) *cobra.Command {
	var w where
	var short bool
	cmd := &cobra.Command{
		Use:   "inventory [--image FILE]...",
		Short: "say what is there to rescue",
		Long: `mkimage-rescue inventory says what is on the disks: systems with their
subvolumes, snapshots and generations, what the boot menu starts, sessions
that sleep, backups and key media, and what is wrong with them, the worst
first.

It mounts nothing and writes nothing. A disk that is damaged is told as far as
it can be read, and one that does not answer is given up after three minutes.

Which machine is meant a manifest says: that of --manifest, or that of the
recovery stick that runs, or that of the only installer medium that is found.`,
		Example: `  mkimage-rescue inventory
  mkimage-rescue inventory --json --image laptop.img --image backup.img`,
		Args: cobra.NoArgs,
	}
	w.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&short, "problems", false, "say what is wrong, and not what there is")
	return p.command(cmd, func(ctx context.Context, _ []string) error {
		m, err := p.look(ctx, &w)
		if err != nil {
			return err
		}
		if p.json {
			return p.encode(m.Inventory)
		}
		if short {
			return inventory.Summary(p.stdout, m.Inventory, p.columns())
		}
		return inventory.Text(p.stdout, m.Inventory, p.columns())
	})
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
