package verify

import (
	"fmt"
	"io"
	"slices"

	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// checkTable reads the partition table and finds the two partitions. Whether there must be
// a root partition only the manifest says: see wantRoot.
func (v *run) checkTable() error {
	c := v.check("table", "GUID partition table")
	table, problems, err := gpt.Read(v.r, v.size)
	for _, p := range problems {
		c.problem("partition table, "+string(p.Part), "%s", p.Text)
	}
	if err != nil {
		c.problem("partition table", "%v", err)
		return nil
	}
	v.table = table
	c.Subject = fmt.Sprintf("GUID partition table %s, %d partitions", table.GUID, len(table.Partitions))
	v.espPart = findPartition(c, table, plan.TypeESP, "ESP")
	if v.espPart == nil {
		c.problem("partition table", "no partition has the type of the ESP (%s)", plan.TypeESP)
	}
	v.rootPart = findPartition(c, table, v.rootType(), "root partition")
	return nil
}

// rootType returns the type of the partition with the root file system.
func (v *run) rootType() ids.UUID {
	return plan.SystemType(func(kind ids.UUID) bool {
		return slices.ContainsFunc(v.table.Partitions, func(p gpt.Partition) bool { return p.Type == kind })
	})
}

// wantRoot wants a root partition in the table, unless the manifest says that the disk
// has none: so does only that of a medium which starts in memory.
func (v *run) wantRoot() error {
	if v.table != nil && v.rootPart == nil && !v.withoutRoot() {
		v.report.Checks[0].problem("partition table", "no partition has the type of the root partition (%s)", v.rootType())
	}
	return nil
}

// withoutRoot reports whether the disk is planned without a root file system.
func (v *run) withoutRoot() bool {
	return v.manifest != nil && v.manifest.Plan != nil && v.manifest.Plan.Partition(plan.RoleRoot) == nil
}

// findPartition returns the only partition of a type, nil where there is none.
func findPartition(c *Check, t *gpt.Table, kind ids.UUID, name string) *gpt.Partition {
	var found *gpt.Partition
	for i := range t.Partitions {
		switch {
		case t.Partitions[i].Type != kind:
		case found != nil:
			c.problem("partition table", "partitions %d and %d both have the type of the %s", found.Number, t.Partitions[i].Number, name)
		default:
			found = &t.Partitions[i]
		}
	}
	return found
}

// span names a partition and its place.
func span(p *gpt.Partition) string {
	return fmt.Sprintf("partition %d, bytes %d to %d", p.Number, p.Start, p.Start+p.Size)
}

// section returns the bytes of a partition.
func (v *run) section(p *gpt.Partition) *io.SectionReader {
	return io.NewSectionReader(v.r, p.Start, p.Size)
}

// checkESP checks the file system that the firmware reads.
func (v *run) checkESP() error {
	c := v.check("ESP", "FAT32 file system")
	if v.espPart == nil {
		c.Skipped = "no ESP in the partition table"
		return nil
	}
	c.Subject = "FAT32 file system, " + span(v.espPart)
	fsys, err := espreader.Open(v.section(v.espPart), v.espPart.Size)
	if err != nil {
		c.problem(span(v.espPart), "%v", err)
		return nil
	}
	v.esp = fsys
	problems := fsys.Check(v.ctx)
	for _, p := range problems {
		c.problem(fmt.Sprintf("ESP, partition %d", v.espPart.Number), "%s", p)
	}
	v.espSound = len(problems) == 0
	return nil
}
