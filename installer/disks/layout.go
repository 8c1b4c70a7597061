package disks

import (
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/layouts"
)

// Layout is what a disk of a layout is known by. The zero value is on no disk.
type Layout struct {
	Partitions []LayoutPartition `json:"partitions"`
}

// LayoutPartition is a partition of a layout.
type LayoutPartition struct {
	Type       string   `json:"type"`    // GUID of its type; "" is any
	Label      string   `json:"label"`   // PARTLABEL
	Content    string   `json:"content"` // type of the file system
	Subvolumes []string `json:"subvolumes,omitempty"`
}

// Types of partitions of the UEFI Specification 2.10, table 5.7, and of the
// Discoverable Partitions Specification.
const (
	typeESP        = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	typeRootX86_64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
)

// LayoutOf returns what disks of a layout are known by: an ESP and a root
// partition with their labels, and the subvolumes of the root file system.
func LayoutOf(l layouts.Layout) Layout {
	root := LayoutPartition{Type: typeRootX86_64, Label: l.Root.Label, Content: "btrfs"}
	for _, s := range l.Subvolumes {
		root.Subvolumes = append(root.Subvolumes, s.Name)
	}
	return Layout{[]LayoutPartition{{Type: typeESP, Label: l.ESP.Label, Content: "vfat"}, root}}
}

// On reports whether a disk has the layout: a GPT with these partitions in this
// order and no others, and at least these subvolumes.
func (l Layout) On(d Disk) bool {
	if d.Table != "gpt" || len(l.Partitions) == 0 || len(l.Partitions) != len(d.Partitions) {
		return false
	}
	for i, want := range l.Partitions {
		if !want.is(d.Partitions[i]) {
			return false
		}
	}
	return true
}

func (want LayoutPartition) is(p Partition) bool {
	if want.Label != p.Label || want.Type != "" && !strings.EqualFold(want.Type, p.Type) {
		return false
	}
	return slices.ContainsFunc(p.Contents, func(c Content) bool {
		return c.Type == want.Content && !slices.ContainsFunc(want.Subvolumes, func(s string) bool { return !slices.Contains(c.Subvolumes, s) })
	})
}
