package qemutests

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A host may do half as much in one minute as in the next. So BenchmarkRestore restores
// a home that takes a part of a minute, and often.
const (
	benchHome = 2000 // files
	rounds    = 10
)

// BenchmarkRestore compares in one guest what a restore takes with what plain
// restic takes for the same snapshot, onto the same disk and until it is synced, in
// turns, and each second time in the other order. "rate" is that of the restore
// itself, over restic's; "unit" is from the start of the unit until all is synced, and
// "whole" with the proof that follows, which reads everything again from both disks.
// All are medians of the ratios of a round.
func BenchmarkRestore(b *testing.B) {
	r := newRecovered(b, repositoryOptions{files: benchHome})
	for b.Loop() {
		vm := startVM(b, r.config(b, medium(b, r.key)))
		check(b, vm.WaitAgent(step(b)))
		running(b, vm)
		run := func(script string) []float64 {
			out, err := vm.Output(step(b), script)
			check(b, err)
			return seconds(b, out)
		}
		run(restoreLater)
		check(b, vm.Attach(step(b), "backup", r.backup(b)))
		run("udevadm wait /dev/disk/by-label/backup")
		ours := func() []float64 {
			run(restoreNow)
			expect(b, vm, `/home is restored from snapshot`)
			times := run(restoreTimes)
			run(restoreNever)
			return times
		}
		var took []float64
		var ratios [3][]float64
		for round := range rounds {
			var plain, times []float64
			if round%2 == 0 {
				plain, times = run(plainRestore), ours()
			} else {
				times = ours()
				plain = run(plainRestore)
			}
			b.Logf("restic: %v s; ours itself, from the start, in all: %v s", plain, times)
			took = append(took, plain[0])
			for i, t := range times {
				ratios[i] = append(ratios[i], plain[0]/t)
			}
		}
		check(b, vm.Close())
		b.ReportMetric(median(took), "restic-s")
		b.ReportMetric(median(ratios[0]), "rate")
		b.ReportMetric(median(ratios[1]), "unit")
		b.ReportMetric(median(ratios[2]), "whole")
	}
}

// restoreLater keeps the disk from starting a restore, and what a restore changes.
const restoreLater = `mkdir -p /mnt/backup /run/systemd/system/mkimage-restore.service.d &&
printf '[Unit]\nConditionPathExists=/run/restore-now\n' >/run/systemd/system/mkimage-restore.service.d/later.conf && systemctl daemon-reload &&
cp -a /home /root/home && cp -a /var/lib/mkimage /root/state`

// restoreNow begins one from cold caches.
const restoreNow = `touch /run/restore-now && sync && echo 3 >/proc/sys/vm/drop_caches && systemctl start --no-block mkimage-restore.service`

// restoreNever undoes one.
const restoreNever = `systemctl is-active --quiet mkimage-restore.service && exit 1
rm -f /run/restore-now && btrfs subvolume delete /home/.snapshots/restored-* >&2 && rm -rf /var/lib/mkimage && cp -a /root/state /var/lib/mkimage &&
find /home -mindepth 1 -maxdepth 1 ! -name .snapshots -exec rm -rf {} + && cp -a /root/home/. /home/ && sync -f /home`

// restoreTimes prints the seconds of a restore itself, from the start of its unit
// until it was synced, and of the unit. The caches are dropped after the sync.
const restoreTimes = `at() { journalctl -b -o short-monotonic --no-hostname --grep "$1" | tr -d '[]' | awk 'END {print $1}'; }
echo $(systemctl show -P ExecMainStartTimestampMonotonic mkimage-restore.service) $(at '/home: restores snapshot') $(at 'mkimage-firstbo.*drop_caches: 3') \
$(at '/home is restored from snapshot') | awk '{print $3-$2, $3-$1/1e6, $4-$1/1e6}'`

// plainRestore prints the seconds of the same by restic alone, and leaves nothing.
const plainRestore = `mount -o ro LABEL=backup /mnt/backup && sync && echo 3 >/proc/sys/vm/drop_caches &&
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
