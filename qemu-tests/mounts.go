package qemutests

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/plan"
)

// found is one line of findmnt.
type found struct {
	Target   string `json:"target"`
	Source   string `json:"source"`
	Type     string `json:"fstype"`
	Options  string `json:"options"`
	FSRoot   string `json:"fsroot"`
	PARTUUID string `json:"partuuid"`
}

// checkMounts wants every mount of the plan, with its options.
func checkMounts(ctx context.Context, s *session) error {
	out, err := s.vm.Output(ctx, "ls "+s.plan.Layout.ESP.Mount+" >/dev/null; findmnt --json --list -o TARGET,SOURCE,FSTYPE,OPTIONS,FSROOT,PARTUUID")
	if err != nil {
		return err
	}
	var table struct {
		Mounts []found `json:"filesystems"`
	}
	if err := json.Unmarshal([]byte(out), &table); err != nil {
		return fmt.Errorf("findmnt: %w", err)
	}
	problems := mountProblems(s.plan, table.Mounts)
	if len(problems) > 0 {
		return fmt.Errorf("%s", strings.Join(problems, "\n"))
	}
	return nil
}

// mountProblems compares what is mounted with the plan.
func mountProblems(p *plan.Plan, mounted []found) (problems []string) {
	for _, want := range p.Mounts {
		// The last one on a target covers the others.
		i := -1
		for j, m := range mounted {
			if m.Target == want.Target {
				i = j
			}
		}
		if i < 0 {
			problems = append(problems, want.Target+": is not mounted")
			continue
		}
		for _, problem := range compareMount(p, want, mounted[i]) {
			problems = append(problems, want.Target+": "+problem)
		}
	}
	return problems
}

func compareMount(p *plan.Plan, want plan.Mount, got found) (problems []string) {
	switch {
	case want.Type == "none":
		return compareBind(p, want, got)
	case want.Type == "tmpfs" && want.Target == "/":
		// The layer in memory has no mount of its own any more.
		if got.Type != "overlay" {
			problems = append(problems, fmt.Sprintf("file system %s, expected an overlay", got.Type))
		}
		return problems
	case got.Type != want.Type:
		problems = append(problems, fmt.Sprintf("file system %s, expected %s", got.Type, want.Type))
	}
	if id, ok := strings.CutPrefix(want.What, "PARTUUID="); ok && !strings.EqualFold(id, got.PARTUUID) {
		problems = append(problems, fmt.Sprintf("partition %q, expected %q", got.PARTUUID, id))
	}
	have := strings.Split(got.Options, ",")
	for _, o := range want.Options {
		for _, shown := range shownOptions(o) {
			if !slices.Contains(have, shown) {
				problems = append(problems, fmt.Sprintf("options %s, expected %s among them", got.Options, shown))
			}
		}
	}
	return problems
}

// compareBind wants a mount of the same path in the subvolume that holds it.
func compareBind(p *plan.Plan, want plan.Mount, got found) []string {
	for _, m := range p.Mounts {
		rest, below := strings.CutPrefix(want.What, m.Target+"/")
		if m.Type != "btrfs" || m.Target == "/" || !below {
			continue
		}
		if root := path.Join("/", m.Subvol, rest); got.FSRoot != root {
			return []string{fmt.Sprintf("shows %q of its file system, expected %q", got.FSRoot, root)}
		}
		return nil
	}
	return []string{fmt.Sprintf("%q lies in no subvolume that is mounted", want.What)}
}

// shownOptions returns how the kernel shows an option of fstab: none for one
// that only programs read.
func shownOptions(o string) []string {
	name, value, _ := strings.Cut(o, "=")
	switch {
	case strings.HasPrefix(o, "x-"):
		return nil
	case slices.Contains([]string{"defaults", "auto", "noauto", "nofail", "bind", "_netdev", "user", "nouser"}, o):
		return nil
	case name == "subvol":
		return []string{"subvol=" + path.Join("/", value)}
	case name == "umask": // of FAT, which has one for files and one for directories
		return []string{"fmask=" + value, "dmask=" + value}
	case name == "size":
		return []string{"size=" + kibibytes(value)}
	}
	return []string{o}
}

// kibibytes writes a size as tmpfs shows it: "2G" is 2097152k.
func kibibytes(size string) string {
	if size == "" {
		return size
	}
	shift := map[byte]int{'k': 0, 'm': 10, 'g': 20}
	unit, known := shift[size[len(size)-1]|0x20]
	n, err := strconv.ParseInt(size[:len(size)-1], 10, 32)
	if !known || err != nil {
		return size
	}
	return fmt.Sprintf("%dk", n<<unit)
}
