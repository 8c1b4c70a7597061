package qemutests

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkRestore compares in one guest what a restore takes with what plain
// restic takes for the same snapshot, onto the same disk, until it is synced: before
// it and after it, since the second of two is not as the first. "rate" is ours from
// the start of the unit until all is synced, over the mean of restic's; "whole" is
// with the proof that follows, which reads everything again from both disks.
func BenchmarkRestore(b *testing.B) {
	r := newRecovered(b, repositoryOptions{})
	for b.Loop() {
		vm := startVM(b, r.config(b, medium(b, r.key)))
		check(b, vm.WaitAgent(step(b)))
		running(b, vm)
		run := func(script string) string {
			out, err := vm.Output(step(b), script)
			check(b, err)
			return out
		}
		run(restoreLater)
		check(b, vm.Attach(step(b), "backup", r.backup(b)))
		run("udevadm wait /dev/disk/by-label/backup")
		before := seconds(b, run(plainRestore))
		run("touch /run/restore-now && echo 3 >/proc/sys/vm/drop_caches && systemctl start --no-block mkimage-restore.service")
		expect(b, vm, `/home is restored from snapshot`)
		ours := seconds(b, run(restoreTimes))
		after := seconds(b, run(plainRestore))
		check(b, vm.Close())
		b.Logf("restic: %v s, ours until synced and in all: %v s, restic: %v s", before, ours, after)
		plain := (before[0] + after[0]) / 2
		b.ReportMetric(plain, "restic-s")
		b.ReportMetric(plain/ours[0], "rate")
		b.ReportMetric(plain/ours[1], "whole")
	}
}

// restoreLater keeps the disk from starting a restore.
const restoreLater = `mkdir -p /run/systemd/system/mkimage-restore.service.d &&
printf '[Unit]\nConditionPathExists=/run/restore-now\n' >/run/systemd/system/mkimage-restore.service.d/later.conf && systemctl daemon-reload`

// restoreTimes prints the seconds of a restore until it was synced, and in all: the
// caches are dropped after the one, and the unit ends after the other.
const restoreTimes = `a=$(systemctl show -P ExecMainStartTimestampMonotonic mkimage-restore.service)
b=$(journalctl -k -b -o short-monotonic --no-hostname --grep 'mkimage-firstbo.*drop_caches: 1' | tr -d '[]' | awk 'END {print $1}')
c=$(systemctl show -P ExecMainExitTimestampMonotonic mkimage-restore.service)
echo $a $b $c | awk '{print $2-$1/1e6, ($3-$1)/1e6}'`

// plainRestore prints the seconds of the same by restic alone, and leaves nothing.
const plainRestore = `mkdir -p /mnt/backup && mount -o ro LABEL=backup /mnt/backup && sync && echo 3 >/proc/sys/vm/drop_caches &&
a=$(date +%s.%N) && /usr/lib/mkimage/restic --no-lock --no-cache --quiet --repo /mnt/backup/` + repositoryPath + ` \
--password-file /run/secrets/restic-password restore latest:/home --target /root/plain --sparse >&2 && sync -f /root &&
echo $a $(date +%s.%N) | awk '{print $2-$1}' && rm -rf /root/plain && sync -f /root && umount /mnt/backup`

// seconds reads the numbers that a script printed.
func seconds(t testing.TB, out string) (list []float64) {
	t.Helper()
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
					out, err := vm.Output(step(b), bootTime)
					check(b, err)
					took[m] = append(took[m], seconds(b, out)...)
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
