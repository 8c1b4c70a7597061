package verify

import (
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// checkIdentity wants every identity to be there once: two of a kind make it a
// matter of luck which disk or file system is mounted.
func (v *run) checkIdentity() error {
	c := v.check("identity", "UUIDs and labels")
	if v.table == nil {
		c.Skipped = "the partition table cannot be read"
		return nil
	}
	uuids := newUnique(c, "UUID")
	uuids.add(v.table.GUID.String(), "the disk")
	labels := newUnique(c, "partition label")
	for _, p := range v.table.Partitions {
		name := fmt.Sprintf("partition %d", p.Number)
		uuids.add(p.GUID.String(), name)
		labels.add(p.Label, name)
	}
	fsLabels := newUnique(c, "file system label")
	if v.esp != nil {
		uuids.add(v.esp.UUID(), "the ESP's file system")
		fsLabels.add(v.esp.Label(), "the ESP")
		v.compareFS(c, plan.RoleESP, v.esp.UUID(), v.esp.Label())
	}
	if v.root != nil {
		super := v.root.Super()
		uuids.add(ids.UUID(super.FSID).String(), "the root file system")
		uuids.add(ids.UUID(super.DevItem.UUID).String(), "the root file system's device")
		fsLabels.add(super.Label, "the root file system")
		v.compareFS(c, plan.RoleRoot, ids.UUID(super.FSID).String(), super.Label)
		if list, err := v.root.Subvolumes(); err == nil {
			for _, s := range list {
				uuids.add(s.UUID.String(), "subvolume "+s.Path)
			}
		}
	}
	return nil
}

// compareFS compares a file system's own identity with the plan.
func (v *run) compareFS(c *Check, role, fsid, label string) {
	if v.manifest == nil {
		return
	}
	want := v.manifest.Plan.Partition(role)
	if want == nil {
		c.problem("manifest", "its plan has no partition %q", role)
		return
	}
	if !strings.EqualFold(fsid, want.FSID) {
		c.problem("file system of partition "+role, "identity %s, the plan says %s", fsid, want.FSID)
	}
	if label != want.Label {
		c.problem("file system of partition "+role, "label %q, the plan says %q", label, want.Label)
	}
}

// unique finds values that are there twice.
type unique struct {
	check *Check
	kind  string
	owner map[string]string
}

func newUnique(c *Check, kind string) *unique { return &unique{c, kind, map[string]string{}} }

// add takes note of a value and of who has it; "" is no value.
func (u *unique) add(value, owner string) {
	if value == "" {
		return
	}
	if first, ok := u.owner[value]; ok {
		u.check.problem(owner, "%s %s is that of %s too", u.kind, value, first)
		return
	}
	u.owner[value] = owner
}
