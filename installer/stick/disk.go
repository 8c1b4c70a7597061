package stick

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/layouts"
)

// layoutOf returns the layout of the system that a plan is of, or of a medium for.
func layoutOf(p *plan.Plan) *layouts.Layout {
	if p.Medium != nil {
		return &p.Medium.Layout
	}
	return &p.Layout
}

// layout compares the disk of the machine with the layout on the medium: what that would
// make of a new disk.
func layout(s *Stick, m *Machine) []Finding {
	if m.System == nil {
		return m.unknown(Layout, "the disk was", "run it as root, on the machine that the medium is for")
	}
	l := layoutOf(s.Plan)
	var list []Finding
	add := func(what, was, is string) {
		list = append(list, Finding{Kind: Layout, Severity: Drift, What: what, Was: was, Is: is, Do: "change the layout of the profile, or the disk; then " + s.rebuild()})
	}
	if is := m.System.Root.PARTLABEL; is != l.Root.Label {
		add("the root partition has another label", l.Root.Label, is)
	}
	there := map[string]bool{}
	for _, v := range m.System.Subvolumes {
		there[v.Path] = true
	}
	mounted := map[string]string{} // subvolumes by where fstab mounts them
	for _, mount := range m.System.Mounts {
		if mount.Here && mount.Type == "btrfs" {
			mounted[mount.Target] = mount.Subvolume
		}
	}
	for _, v := range l.Subvolumes {
		is, known := mounted[v.Mount]
		switch {
		case !there[v.Name]:
			add("subvolume "+v.Name+" is not on the disk", v.Name, "")
		case v.Mount != "" && known && is != v.Name:
			add("another subvolume is mounted at "+v.Mount, v.Name, is)
		case v.Mount != "" && !known && v.Mount != "/" && len(mounted) > 0:
			add("fstab mounts nothing at "+v.Mount, v.Name, "")
		}
	}
	return append(list, added(s, m.System)...)
}

// added names what fstab mounts of the root file system, which the layout knows nothing of.
func added(s *Stick, system *inventory.System) (list []Finding) {
	planned := map[string]bool{}
	for _, v := range layoutOf(s.Plan).Subvolumes {
		planned[v.Mount] = true
	}
	for _, mount := range system.Mounts {
		if mount.Here && mount.Type == "btrfs" && !planned[mount.Target] {
			list = append(list, Finding{
				Kind: Layout, Severity: Drift, What: "the layout on the medium has nothing at " + mount.Target, Is: mount.Subvolume,
				Do: "add the subvolume to the layout of the profile; then " + s.rebuild(),
			})
		}
	}
	return list
}

// anew is how the swapfile of a system that runs is made: the rescue has to have the disk
// for itself.
const anew = "start this machine from the stick, and type mkimage-rescue swapfile there"

// memory is about a swapfile that must hold all memory for the machine to hibernate.
func memory(s *Stick, m *Machine) []Finding {
	if s.Plan.Profile.Swap.Policy != plan.SwapHibernate {
		return nil
	}
	if m.Memory == 0 {
		return m.unknown(Memory, "the memory was", "")
	}
	l := layoutOf(s.Plan)
	var list []Finding
	if size := l.Swapfile.Size; !strings.HasPrefix(size, "ram") {
		if n := sizeOf(size); n < m.Memory {
			list = append(list, Finding{
				Kind: Memory, Severity: Drift, What: "the layout on the medium makes a swapfile that is smaller than the memory", Was: size, Is: sizeText(m.Memory),
				Do: `set swapfile.size = "ram" in the layout; then ` + s.rebuild(),
			})
		}
	}
	if m.System == nil {
		return list
	}
	switch f := m.System.Swapfile; {
	case f == nil:
		list = append(list, Finding{Kind: Memory, Severity: Drift, What: "this machine has no swapfile, and cannot hibernate", Was: l.Swapfile.Size, Do: anew})
	case f.Problem != "":
		list = append(list, Finding{Kind: Memory, Severity: Drift, What: "the kernel would not swap to the swapfile", Is: f.Problem, Do: anew})
	case f.Size < m.Memory:
		list = append(list, Finding{Kind: Memory, Severity: Drift, What: "the swapfile is smaller than the memory", Was: sizeText(f.Size), Is: sizeText(m.Memory), Do: anew})
	}
	return list
}

// sizeOf returns a size of a layout in bytes, 0 for "none" and for what is no size.
func sizeOf(text string) int64 {
	var n layouts.Size
	if n.UnmarshalText([]byte(text)) != nil {
		return 0
	}
	return int64(n)
}

// sizeText returns a number of bytes in MiB, or in GiB where that is exact.
func sizeText(n int64) string {
	if n%(1<<30) == 0 {
		return strconv.FormatInt(n>>30, 10) + " GiB"
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
