package qemutests

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// lostRounds is how often BenchmarkRescue recovers, each time in the other order.
const lostRounds = 3

// BenchmarkRescue compares in one guest what it takes to bring a lost laptop back with
// what a copy of the payload's partition and plain restic take, in turns and each until
// all is synced, from cold caches. "ratio" is that of ours to theirs, of which an
// installation proves its payload and reads it back, and a restore compares all
// that it has written. "menu-s" is from the start of the boot loader until the menu
// shows. All are medians of the rounds.
func BenchmarkRescue(b *testing.B) {
	l := newLostLaptop(b, repositoryOptions{})
	for b.Loop() {
		r, menu := l.start(b)
		var ours []lostTimes
		var copies, restores, sums, ratios []float64
		for round := range lostRounds {
			var t lostTimes
			if round%2 == 0 {
				t = r.recovers(b)
			}
			copied, restored := r.plain(b)
			if round%2 != 0 {
				t = r.recovers(b)
			}
			b.Logf("plain copy %.1f s, restic %.1f s; recover %.1f s: %v", copied, restored, t.whole, t.steps)
			ours, copies, restores = append(ours, t), append(copies, copied), append(restores, restored)
			sums, ratios = append(sums, t.whole), append(ratios, t.whole/(copied+restored))
		}
		check(b, r.Quit(step(b)))
		check(b, r.Close())
		b.ReportMetric(menu.Seconds(), "menu-s")
		b.ReportMetric(median(copies), "copy-s")
		b.ReportMetric(median(restores), "restic-s")
		b.ReportMetric(median(sums), "recover-s")
		for _, name := range []string{"install", "key", "home"} {
			var list []float64
			for _, t := range ours {
				list = append(list, t.steps[name])
			}
			b.ReportMetric(median(list), name+"-s")
		}
		b.ReportMetric(median(ratios), "ratio")
	}
}

// lostLaptop is what is left of a machine: a stick, a key, and a backup disk; and two
// new disks, one for the stick to bring it back on, and one to do it by hand on.
type lostLaptop struct{ config Config }

func newLostLaptop(t testing.TB, o repositoryOptions) lostLaptop {
	t.Helper()
	r := newPatient(t, o)
	m := newMedium(t, "patient", "", "--profile-dir", r.dir, "--set", `rescue.programs=["mkfs.btrfs"]`)
	backup := r.backup(t)
	backup.Write = true
	plain := Disk{File: emptyDisk(t, installedSize), Bus: NVMe, Serial: "PLAIN", Write: true}
	c := m.config(t, emptyDisk(t, installedSize), medium(t, r.key), backup, plain)
	m.rescueFirst(t, c.Disks[0].File)
	c.Agent = false
	return lostLaptop{c}
}

// start starts the stick's rescue environment, and returns how long that took from the
// start of its boot loader until the menu.
func (l lostLaptop) start(t testing.TB) (*rescued, time.Duration) {
	t.Helper()
	imgtest.Need(t, Binary, "qemu-img")
	r := &rescued{VM: startVM(t, l.config)}
	expect(t, r.VM, `BdsDxe: starting Boot`)
	began := time.Now()
	r.menu(t)
	took := time.Since(began)
	r.shell(t)
	r.must(t, plainSetUp)
	return r, took
}

// lostTimes is what a recovery took, in seconds.
type lostTimes struct {
	whole float64 // of the command, with looking around
	steps map[string]float64
}

// recovers brings all back on the disk TARGET, whose table is destroyed before.
func (r *rescued) recovers(t testing.TB) lostTimes {
	t.Helper()
	r.must(t, "dd if=/dev/zero of=$(nvme TARGET) bs=1048576 count=128")
	whole := r.seconds(t, "mkimage-rescue recover --json --to $(nvme TARGET) --erase TARGET </dev/null >/tmp/recovered 2>/tmp/log")
	var made struct {
		Steps []struct {
			Title   string
			Seconds float64
		}
	}
	check(t, json.Unmarshal([]byte(r.must(t, "cat /tmp/recovered")), &made))
	r.must(t, "cat /tmp/log")
	times := lostTimes{whole, map[string]float64{}}
	for _, s := range made.Steps {
		times.steps[s.Title] = s.Seconds
	}
	return times
}

// plain does the same by hand, and returns what the copy took, and restic.
func (r *rescued) plain(t testing.TB) (copied, restored float64) {
	t.Helper()
	copied = r.seconds(t, "p=$(grep -l PARTNAME=payload /sys/class/block/*/uevent) && p=${p%/uevent} && dd if=/dev/${p##*/} of=$(nvme PLAIN) bs=4194304 2>/tmp/log")
	r.must(t, "mkfs.btrfs --quiet --force $(nvme PLAIN) && mount -t btrfs -o compress=zstd:3,noatime $(nvme PLAIN) /mnt/plain")
	r.must(t, "for d in /dev/sd?; do mount -t btrfs -o ro $d /mnt/backup && break; done")
	restored = r.seconds(t, config.StateDir+"/bin/restic --no-lock --no-cache --quiet --repo /mnt/backup/"+repositoryPath+
		" --password-file /tmp/password restore latest:/home --target /mnt/plain --sparse >/tmp/log 2>&1")
	r.must(t, "umount /mnt/plain && umount /mnt/backup")
	return copied, restored
}

// seconds runs a command from cold caches and returns how long it took by the guest's
// clock, until all is synced. What the command prints goes to /tmp/log.
func (r *rescued) seconds(t testing.TB, command string) float64 {
	t.Helper()
	r.must(t, "sync && echo 3 >/proc/sys/vm/drop_caches")
	const now = "cat /proc/uptime"
	out, status := r.runFor(t, now+" && "+command+" && sync && "+now, recoverLimit)
	if status != 0 {
		t.Fatalf("%s: status %d\n%s", command, status, r.must(t, "cat /tmp/log"))
	}
	list := seconds(t, out) // with the idle time behind each
	return list[2] - list[0]
}

// plainSetUp makes a function that says which device a disk of NVMe is.
const plainSetUp = `nvme() { for d in /sys/block/nvme?n1; do grep -q $1 $d/device/serial && echo /dev/${d##*/}; done; }
mkdir -p /mnt/backup /mnt/plain && printf '%s' '` + repositoryPassword + `' >/tmp/password && nvme PLAIN`
