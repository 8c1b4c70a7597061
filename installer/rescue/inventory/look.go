package inventory

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/disks"
)

// look is what a second look at a disk has found, beyond what a scan tells.
type look struct {
	disk     *disks.Disk
	host     *plan.Plan // nil where nobody said
	node     disks.Node
	problems problems
	esps     []*esp
	systems  []System
	sessions []Session
	backups  []Backup
	keys     []KeyMedium
	medium   *Medium
	plan     *plan.Plan // of the medium
}

// volume is a piece of a disk that may hold a file system.
type volume struct {
	Place
	kind     string // type GUID of the partition, "" where no table says
	contents []disks.Content
}

// holds returns the content of a type, or nil.
func (v *volume) holds(kind string) *disks.Content {
	for i := range v.contents {
		if v.contents[i].Type == kind {
			return &v.contents[i]
		}
	}
	return nil
}

// isESP reports whether it is an ESP: by the table, or, where that is gone, by its file
// system.
func (v *volume) isESP() bool {
	return strings.EqualFold(v.kind, plan.TypeESP.String()) || v.kind == "" && v.Start > 0 && v.holds("vfat") != nil
}

// lookAt looks at all disks at the same time.
func lookAt(ctx context.Context, o Options, found []disks.Disk) []look {
	looks := make([]look, len(found))
	var all sync.WaitGroup
	for i := range found {
		l := &looks[i]
		l.disk, l.host = &found[i], o.Plan
		all.Go(func() {
			defer func() { // of one disk's content the others must not suffer
				if p := recover(); p != nil {
					l.problems.add(Damage, l.disk.Path, "", "bug: %v", p)
				}
			}()
			l.run(ctx, o.Scanner)
		})
	}
	all.Wait()
	return looks
}

// run looks at one disk.
func (l *look) run(ctx context.Context, s disks.Scanner) {
	d := l.disk
	if d.Problem != "" {
		l.problems.add(Damage, d.Path, "what is not told of it may be there all the same; copy it before you try anything else", "%s", d.Problem)
	}
	if d.Size == 0 {
		return
	}
	node, err := s.Open(d.Path)
	if err != nil {
		if d.Problem == "" {
			l.problems.add(Damage, d.Path, "", "%v", err)
		}
		return
	}
	l.node = node
	defer node.Close()
	volumes := l.volumes()
	l.table(volumes)
	l.readESPs(volumes)
	for i := range volumes {
		if ctx.Err() != nil {
			return
		}
		l.volume(ctx, &volumes[i])
	}
}

// volumes returns what the disk is divided into.
func (l *look) volumes() []volume {
	var list []volume
	if len(l.disk.Contents) > 0 {
		list = append(list, volume{Place: Place{Disk: l.disk.Path, Size: l.disk.Size}, contents: l.disk.Contents})
	}
	for _, p := range l.disk.Partitions {
		list = append(list, volume{placeOf(l.disk, p), p.Type, p.Contents})
	}
	if len(l.disk.Partitions) == 0 {
		list = append(list, l.lost()...)
	}
	return list
}

// table says what is wrong with the partition table.
func (l *look) table(volumes []volume) {
	d, lost := l.disk, 0
	problem := strings.TrimPrefix(d.TableProblem, "partition table: ")
	for _, v := range volumes {
		if v.Number == 0 && v.Start > 0 {
			lost++
		}
	}
	const repair = "the firmware and the system find nothing on it; repairing the boot makes it anew"
	switch {
	case lost > 0 && d.TableProblem != "":
		l.problems.add(Boot, d.Path, repair, "partition table: %s; %s", problem, plural(lost, "file system is still there", "file systems are still there"))
	case lost > 0:
		l.problems.add(Boot, d.Path, repair, "partition table: is gone; %s", plural(lost, "file system is still there", "file systems are still there"))
	case d.TableProblem != "" && len(d.Partitions) == 0:
		l.problems.add(Damage, d.Path, "what was on it can only be found by searching all of it", "partition table: %s", problem)
	case d.TableProblem != "":
		l.problems.add(Note, d.Path, "one copy of it is whole, and is used; repairing the boot puts the other right", "partition table: %s", problem)
	}
}

// section returns the bytes of a place.
func (l *look) section(p Place) *io.SectionReader {
	return io.NewSectionReader(l.node, p.Start, p.Size)
}

// volume looks at a piece of the disk, but for ESPs.
func (l *look) volume(ctx context.Context, v *volume) {
	l.keyMedium(v)
	l.repositories(v)
	l.sleeps(v)
	isRoot := strings.EqualFold(v.kind, plan.TypeRootX86_64.String())
	switch {
	case isRoot && len(v.contents) == 0:
		l.problems.add(Damage, v.String(), "what was on it can only be found by searching all of it", "the partition of a system holds nothing that is known")
	case v.holds("btrfs") != nil && !l.isPayload(v):
		l.system(ctx, v)
	}
}

// isPayload reports whether a partition is what an installer medium installs: that is
// nobody's system.
func (l *look) isPayload(v *volume) bool {
	return l.medium != nil && strings.EqualFold(v.kind, plan.TypePayload.String())
}

// readESPs reads the ESPs of the disk, and finds out whether it is a medium.
func (l *look) readESPs(volumes []volume) {
	for i := range volumes {
		v := &volumes[i]
		if !v.isESP() {
			continue
		}
		e := l.readESP(v)
		l.esps = append(l.esps, e)
		if e.plan == nil || e.plan.Medium == nil || l.medium != nil {
			continue
		}
		l.plan = e.plan
		l.medium = &Medium{Disk: l.disk.Path, Profile: e.plan.Medium.Name, Payload: e.plan.Profile.Name, Hostname: e.plan.Profile.Hostname, Made: e.plan.Epoch.UTC()}
	}
	for _, e := range l.esps {
		if l.medium == nil {
			l.encryptedKey(e)
		}
	}
}

// text bounds and cuts a text that came from a disk.
func text(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxLine {
		s = s[:maxLine]
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// maxLine bounds a text that is shown, in bytes.
const maxLine = 4096

// plural writes a number of things.
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
