package qemutests

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

const (
	installCuts = 20 // of each kind of installation

	targetDisk = 1 // among those of an installMedium's config
)

// installEnded is the last thing that an installation does, or the first that a
// medium does which meets its finished work.
var installEnded = regexp.MustCompile(`is installed|this medium installed that disk`)

// allocated returns how many bytes of a file are no holes: about what an
// installation of that image writes.
func allocated(t testing.TB, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	check(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// TestInstallCut cuts the power at random points of an installation onto an empty
// disk. The disk then has nothing that a firmware would start, or all of it; and
// the stick, which is met in every state that the cut before has left, begins
// anew and comes to its end.
func TestInstallCut(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.Need(t, Binary, "qemu-img", "sgdisk")
	m := newMedium(t, "bandit-minimal", "")
	most := allocated(t, m.image)
	target := emptyDisk(t, installedSize)
	c := m.config(t, target)
	random := rand.New(rand.NewPCG(6, 20))
	ends := 0
	for i := range installCuts {
		vm := startVM(t, c)
		expect(t, vm, `\[ >> \] (erase the disk|copy the system)`)
		at := random.Int64N(most)
		ended := written(t, vm, targetDisk, at, installEnded)
		vm.PowerCut()
		check(t, vm.Close())
		t.Logf("cut %d after %d of %d MiB; the installation had ended: %v", i, at>>20, most>>20, ended)
		if n := partitionCount(t, target); ended && n != 2 || !ended && n != 0 {
			t.Errorf("cut %d: %d partitions on the disk", i, n)
		}
		if ended {
			ends++
			bootsAlone(t, target)
			check(t, os.Truncate(target, 0))
			check(t, os.Truncate(target, installedSize))
		}
	}
	if ends > installCuts/2 {
		t.Errorf("%d of %d installations had ended before the cut", ends, installCuts)
	}
	vm := startVM(t, c)
	expect(t, vm, `is installed`)
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)
}

// partitionCount returns how many partitions sgdisk finds on a disk whose table
// it takes for sound.
func partitionCount(t testing.TB, disk string) int {
	t.Helper()
	if out := command(t, "sgdisk", "-v", disk); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v %s:\n%s", disk, out)
	}
	_, table, found := strings.Cut(command(t, "sgdisk", "-p", disk), "Number ")
	if !found {
		return 0
	}
	return strings.Count(strings.TrimSpace(table), "\n")
}

// bootsAlone starts what is on a disk, without the stick, and ends it.
func bootsAlone(t *testing.T, target string, scripts ...func(*VM)) {
	t.Helper()
	vm := startVM(t, Config{
		Name: "alone", Agent: true, Keep: keepDir(t), Memory: 1024,
		Disks: []Disk{{File: target, Bus: NVMe, Serial: "TARGET", Write: true}},
	})
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	for _, s := range scripts {
		s(vm)
	}
	check(t, vm.PowerDown(step(t)))
	rawDisk(target).intact(t)
}

// TestKeepHomeCut cuts the power while the system of a disk is replaced: at random
// points, and as each of the last steps begins. Whatever is started then, the
// stick or the disk alone, the home is as it was, and the replacement comes to
// its end.
func TestKeepHomeCut(t *testing.T) {
	k := newKept(t)
	m := newMedium(t, "bandit-minimal", "")
	most := allocated(t, m.image)
	base := filepath.Join(t.TempDir(), "base.img")
	rawDisk(k.target).copyTo(t, base, 0)
	random := rand.New(rand.NewPCG(6, 21))
	c := m.config(t, k.target)
	at := []string{"name the partitions", "take the factory snapshots", "carry over what is kept", "read everything back", "change the boot menu", "remove what was before that"}
	for i := range installCuts {
		vm := startVM(t, c)
		begins := "copy the system"
		if last := i - installCuts + len(at); last >= 0 {
			begins = at[last]
		}
		expect(t, vm, `\[ >> \] `+begins+`|`+installEnded.String())
		ended, n := vm.Console.Seen(installEnded) != nil, int64(0)
		if !ended && begins == "copy the system" {
			n = random.Int64N(most)
			ended = written(t, vm, targetDisk, n, installEnded)
		}
		vm.PowerCut()
		check(t, vm.Close())
		t.Logf("cut %d at %q, %d of %d MiB; ended: %v", i, begins, n>>20, most>>20, ended)
		k.homeIsThere(t)
		if ended || i%5 == 4 {
			bootsAlone(t, k.target, func(vm *VM) { output(t, vm, identityOfSystem, k.before) })
		}
		if ended {
			rawDisk(base).copyTo(t, k.target, 0)
			c.Dir = t.TempDir() // the firmware must not know that disk as the next to start
		}
	}
	vm := startVM(t, c)
	expect(t, vm, installEnded.String())
	check(t, vm.WaitAgent(step(t)))
	running(t, vm)
	output(t, vm, identityOfSystem, k.before)
	output(t, vm, marks, "0")
	output(t, vm, "btrfs subvolume list / | grep -c 'path @.new-'; true", "0")
	check(t, vm.PowerDown(step(t)))
	rawDisk(k.target).intact(t)
}
