package boot

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// Where things are mounted until the root is handed over. Overlay layers are
// detached again once the overlay holds them.
const (
	newRoot  = "/sysroot"
	layerDir = "/run/mkimage"
)

// Op says what an Action does.
type Op string

// The operations of a plan.
const (
	OpMount  Op = "mount"  // Source of Type with Options on Target, inside Root
	OpDir    Op = "dir"    // directory Target with Mode, or with owner and mode of Source
	OpBind   Op = "bind"   // Source on Target, both inside Root, made where they are missing
	OpFile   Op = "file"   // the same for a file
	OpDetach Op = "detach" // Target is unmounted as far as names go; an overlay keeps using it
	OpFstab  Op = "fstab"  // /etc/fstab of Root is rewritten for the factory system
)

// Action is one step of a mount plan.
type Action struct {
	Op             Op
	Type           string // of a file system
	Source, Target string
	Root           string // symlinks on the way to Target are resolved inside; "" means that there are none
	Options        []string
	Mode           string // octal
}

// String returns the action as one line, in the words of mount(8).
func (a Action) String() string {
	var b strings.Builder
	b.WriteString(string(a.Op))
	if a.Type != "" {
		b.WriteString(" -t " + a.Type)
	}
	if len(a.Options) > 0 {
		b.WriteString(" -o " + strings.Join(a.Options, ","))
	}
	if a.Mode != "" {
		b.WriteString(" -m " + a.Mode)
	}
	for _, s := range []string{a.Source, a.Root + a.Target} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	return b.String()
}

// Plan returns what is mounted, in order, for a root file system on device.
// It decides by c, what the host wrote into the archive, and cmd.
func Plan(c config.Config, cmd Cmdline, device string) ([]Action, error) {
	if cmd.RootFSType != "" && cmd.RootFSType != "btrfs" && cmd.RootFSType != "auto" {
		return nil, fault.New(fault.Input, "", "rootfstype=%s: this initramfs mounts btrfs only", cmd.RootFSType)
	}
	mounts := c.Mounts
	if cmd.Factory {
		mounts = c.Factory
		if len(mounts) == 0 {
			return nil, fault.New(fault.Input, "boot without mkimage.factory", "mkimage.factory: this layout has no factory snapshots")
		}
	}
	if err := checkMounts(mounts); err != nil {
		return nil, err
	}
	if cmd.Factory {
		return planFactory(mounts, device), nil
	}
	root := rootMount(mounts[0], cmd)
	plan := []Action{mountSubvolume(root, device, newRoot, "")}
	if c.Tmpfs != nil {
		plan = planTmpfs(*c.Tmpfs, root, device)
	}
	for _, m := range mounts[1:] {
		plan = append(plan, mountSubvolume(m, device, m.Target, newRoot))
	}
	for _, b := range c.Binds {
		op := OpBind
		if b.File {
			op = OpFile
		}
		if !cleanPath(b.From) || !cleanPath(b.To) {
			return nil, fmt.Errorf("configuration: bind of %q to %q: expected absolute, clean paths", b.From, b.To)
		}
		plan = append(plan, Action{Op: op, Source: b.From, Target: b.To, Root: newRoot})
	}
	return plan, nil
}

func checkMounts(mounts []config.Mount) error {
	if len(mounts) == 0 || mounts[0].Target != "/" {
		return fmt.Errorf("configuration: the first mount must be that of /")
	}
	for i, m := range mounts {
		if !cleanPath(m.Target) || i > 0 && m.Target == "/" {
			return fmt.Errorf("configuration: mount %d: target %q, expected an absolute, clean path", i+1, m.Target)
		}
	}
	return nil
}

func cleanPath(p string) bool { return path.IsAbs(p) && path.Clean(p) == p }

// rootMount is the mount of / with what the command line says about it:
// rootflags= replaces the options, mkimage.subvol= the subvolume.
func rootMount(m config.Mount, cmd Cmdline) config.Mount {
	if cmd.RootFlags != "" {
		subvolume, rest := subvolumeOf(strings.Split(cmd.RootFlags, ","))
		m.Options = rest
		if subvolume != "" {
			m.Subvolume = subvolume
		}
	}
	if cmd.Subvolume != "" {
		m.Subvolume = cmd.Subvolume
	}
	if cmd.ReadOnly {
		m.Options = append(slices.Clone(m.Options), "ro")
	}
	return m
}

func mountSubvolume(m config.Mount, device, target, root string) Action {
	_, options := subvolumeOf(m.Options)
	if m.Subvolume != "" {
		options = append([]string{"subvol=" + m.Subvolume}, options...)
	}
	return Action{Op: OpMount, Type: "btrfs", Source: device, Target: target, Root: root, Options: options}
}

// planTmpfs makes / an overlay in memory over the root subvolume.
func planTmpfs(t config.Tmpfs, root config.Mount, device string) []Action {
	memory := layerDir + "/memory"
	plan := []Action{
		{Op: OpDir, Target: memory, Mode: "700"},
		{Op: OpMount, Type: "tmpfs", Source: "mkimage", Target: memory, Options: []string{"size=" + t.Size, "mode=700"}},
	}
	plan = append(plan, overlay(root, device, "root", newRoot, "", t.Mode)...)
	return append(plan, Action{Op: OpDetach, Target: memory})
}

// planFactory boots the snapshots taken at build. Every one of them is the
// read-only lower layer of an overlay, so that nothing on the disk changes.
func planFactory(mounts []config.Mount, device string) []Action {
	memory := layerDir + "/memory"
	plan := []Action{
		{Op: OpDir, Target: memory, Mode: "700"},
		{Op: OpMount, Type: "tmpfs", Source: "mkimage", Target: memory, Options: []string{"mode=700"}},
	}
	for i, m := range mounts {
		if i == 0 {
			plan = append(plan, overlay(m, device, "root", newRoot, "", "")...)
			continue
		}
		name := strings.ReplaceAll(strings.Trim(m.Target, "/"), "/", "-")
		plan = append(plan, overlay(m, device, fmt.Sprintf("%d-%s", i, name), m.Target, newRoot, "")...)
	}
	return append(plan, Action{Op: OpDetach, Target: memory}, Action{Op: OpFstab, Root: newRoot})
}

// overlay mounts a subvolume read-only and lays a layer in memory over it. The
// top directory has the given mode, or is like the subvolume's when it is "".
func overlay(m config.Mount, device, name, target, root, mode string) []Action {
	lower, memory := layerDir+"/lower-"+name, layerDir+"/memory/"+name
	top := Action{Op: OpDir, Target: memory + "/upper", Mode: mode}
	if mode == "" {
		top.Source = lower
	}
	m.Options = append(slices.Clone(m.Options), "ro")
	return []Action{
		{Op: OpDir, Target: lower, Mode: "700"},
		mountSubvolume(m, device, lower, ""),
		top,
		{Op: OpDir, Target: memory + "/work", Mode: "700"},
		{Op: OpMount, Type: "overlay", Source: "mkimage", Target: target, Root: root,
			Options: []string{"lowerdir=" + lower, "upperdir=" + memory + "/upper", "workdir=" + memory + "/work"}},
		{Op: OpDetach, Target: lower},
	}
}
