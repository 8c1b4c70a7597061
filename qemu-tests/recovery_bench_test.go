package qemutests

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkRestore compares in one guest what a restore takes with what plain
// restic takes for the same snapshot, onto the same disk, until it is synced.
// "rate" is ours until all is synced, over restic's; "whole" is with the proof
// that follows, which reads everything again from both disks.
func BenchmarkRestore(b *testing.B) {
	r := newRecovered(b, repositoryOptions{})
	for b.Loop() {
		vm := startVM(b, r.config(b, medium(b, r.key)))
		check(b, vm.WaitAgent(step(b)))
		running(b, vm)
		check(b, vm.Attach(step(b), "backup", r.backup(b)))
		expect(b, vm, `/home is restored from snapshot`)
		ours := seconds(b, vm, restoreTimes)
		plain := seconds(b, vm, plainRestore)
		check(b, vm.Close())
		b.ReportMetric(plain[0], "restic-s")
		b.ReportMetric(plain[0]/ours[0], "rate")
		b.ReportMetric(plain[0]/ours[1], "whole")
	}
}

// restoreTimes prints the seconds of a restore until it was synced, and in all:
// the journal has the first line of what comes after the sync, and the last.
const restoreTimes = `journalctl -b -u mkimage-restore.service -o short-monotonic --no-hostname | tr -d '[]' |
awk -v a=$(systemctl show -P ExecMainStartTimestampMonotonic mkimage-restore.service) '/ verify: / && !b {b=$1} / is restored / {c=$1} END {print b-a/1e6, c-a/1e6}'`

// plainRestore prints the seconds of the same by restic alone.
const plainRestore = `mount -o ro LABEL=backup /mnt/backup && sync && echo 3 >/proc/sys/vm/drop_caches &&
a=$(date +%s.%N) && /usr/lib/mkimage/restic --no-lock --no-cache --quiet --repo /mnt/backup/` + repositoryPath + ` \
--password-file /run/secrets/restic-password restore latest:/home --target /home/plain --sparse >&2 && sync -f /home &&
echo $a $(date +%s.%N) | awk '{print $2-$1}'`

func seconds(t testing.TB, vm *VM, script string) (list []float64) {
	t.Helper()
	out, err := vm.Output(step(t), script)
	check(t, err)
	for _, field := range strings.Fields(out) {
		s, err := strconv.ParseFloat(field, 64)
		check(t, err)
		list = append(list, s)
	}
	return list
}

// secondBoots is how often BenchmarkSecondBoot starts each machine, in turns.
const secondBoots = 3

// BenchmarkSecondBoot compares how long a machine boots that has its secrets and
// home back with how long one does that has nothing to bring back, until all
// units are started. Both have the same disks plugged in. "ratio" is of the
// medians; the restored machine decrypts its secrets at each boot.
func BenchmarkSecondBoot(b *testing.B) {
	r := newRecovered(b, repositoryOptions{files: cutHome})
	plain := &recovered{image: buildImage(b, bootCase{profile: "bandit-minimal"})}
	for b.Loop() {
		key, backup := medium(b, r.key), r.backup(b)
		machines := []Config{plain.config(b, key, backup), r.config(b, key, backup)}
		took := make([][]float64, len(machines))
		for i := range secondBoots + 1 {
			for m, c := range machines {
				vm := startVM(b, c)
				check(b, vm.WaitAgent(step(b)))
				running(b, vm)
				if i > 0 { // the first brings all back
					took[m] = append(took[m], seconds(b, vm, bootTime)...)
				}
				check(b, vm.PowerDown(step(b)))
				check(b, vm.Close())
			}
		}
		b.Logf("nothing to recover: %v s, recovered: %v s", took[0], took[1])
		b.ReportMetric(median(took[0]), "plain-s")
		b.ReportMetric(median(took[1])/median(took[0]), "ratio")
	}
}

// bootTime prints the seconds from the kernel's start until all is started.
const bootTime = `systemctl show -P FinishTimestampMonotonic | awk '{print $1/1e6}'`

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
