package adjust

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

// The defaults of a backup.
const (
	backupSchedule = "*-*-* 00:03:00"
	backupDelay    = "1h"
	secretsLink    = "/run/secrets"
)

// The units of a backup. What the profile restores must be restored before it
// is backed up: a home that is still empty would become the newest snapshot,
// which is what the next restore takes. A new repository is made where there
// is none; where there is one that does not open, init refuses. A disk that is
// not there is no failure: with a dependency on its mount instead, every night
// without it would be one.
const (
	backupService = `[Unit]
Description=Back up to %[1]s
After=mkimage-secrets.service sops-install-secrets.service mkimage-restore.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
Nice=10
IOSchedulingClass=idle
CacheDirectory=mkimage-restic
CacheDirectoryMode=0700
Environment=%[3]s %[4]s RESTIC_CACHE_DIR=/var/cache/mkimage-restic
%[5]s%[2]sExecCondition=` + firstBootProgram + ` ready
ExecStartPre=/bin/sh -c "` + resticProgram + ` cat config >/dev/null || ` + resticProgram + ` init"
ExecStart=` + resticProgram + ` backup %[6]s
%[7]s%[8]s`
	mountDisk = `ExecCondition=@system@/test -e %[1]s
ExecStartPre=@system@/systemctl start %[2]s
`
	// Not waited for: a system that shuts down has other things to do first.
	unmountDisk = "ExecStopPost=-@system@/systemctl stop --no-block %s\n"
	backupTimer = `[Unit]
Description=Back up to %[1]s

[Timer]
OnCalendar=%[2]s
RandomizedDelaySec=%[3]s
Persistent=yes

[Install]
WantedBy=timers.target
`
	backupMount = `[Unit]
Description=Disk of backups

[Mount]
What=%[1]s
Where=%[2]s
Options=nosuid,nodev,noexec,noatime
`
)

// backups adds a service and a timer for each backup, and a mount for each
// disk: the disk is mounted while something is backed up, and at no other time.
func (e *editor) backups() error {
	at, disks := e.place(), newBackupDisks(e.plan.Profile.Backup)
	for i := range disks.names {
		where := disks.where(disks.names[i])
		text := fmt.Sprintf(backupMount, unitText(firstboot.DevicePath(disks.names[i])), where)
		if err := e.writeUnit(unitOfPath(where)+".mount", text); err != nil {
			return err
		}
	}
	for i := range e.plan.Profile.Backup {
		b := &e.plan.Profile.Backup[i]
		name := "mkimage-backup-" + b.Name
		if err := e.writeUnit(name+".service", at.backupText(b, disks)); err != nil {
			return err
		}
		timer := fmt.Sprintf(backupTimer, unitText(b.Name), unitText(cmp.Or(b.Schedule, backupSchedule)), unitText(cmp.Or(b.RandomDelay, backupDelay)))
		if err := e.pulledIn(name+".timer", timer, "timers.target"); err != nil {
			return err
		}
	}
	return nil
}

// backupDisks are the disks of backups, in the order of the profile.
type backupDisks struct{ names []string }

func newBackupDisks(backups []profiles.Backup) backupDisks {
	var d backupDisks
	for _, b := range backups {
		if b.Disk != "" && !slices.Contains(d.names, b.Disk) {
			d.names = append(d.names, b.Disk)
		}
	}
	return d
}

// where returns the mount point of a disk. The first one has that of the
// restore.
func (d backupDisks) where(disk string) string {
	if i := slices.Index(d.names, disk); i > 0 {
		return fmt.Sprintf("%s-%d", firstboot.BackupDir, i+1)
	}
	return firstboot.BackupDir
}

func (p place) backupText(b *profiles.Backup, disks backupDisks) string {
	repository, mount, unmount := b.Repository, "", ""
	if b.Disk != "" {
		where := disks.where(b.Disk)
		repository = path.Join(where, b.Repository)
		unit := unitWord(unitOfPath(where) + ".mount")
		mount, unmount = fmt.Sprintf(p.fill(mountDisk), unitWord(firstboot.DevicePath(b.Disk)), unit), fmt.Sprintf(p.fill(unmountDisk), unit)
	}
	environment := ""
	if b.Environment != "" {
		environment = "EnvironmentFile=" + unitText(path.Join(secretsLink, b.Environment)) + "\n"
	}
	return fmt.Sprintf(p.fill(backupService), unitText(b.Name), mount, assignment("RESTIC_REPOSITORY="+repository),
		assignment("RESTIC_PASSWORD_FILE="+path.Join(secretsLink, b.Password)), environment, backupWords(b), p.fill(forget(b.Keep)), unmount)
}

// backupWords are the arguments of "restic backup". Without --exclude-caches a
// browser's cache would be most of a home.
func backupWords(b *profiles.Backup) string {
	words := []string{"--exclude-caches"}
	for _, pattern := range b.Exclude {
		words = append(words, unitWord("--exclude="+pattern))
	}
	words = append(words, "--")
	paths := b.Paths
	if len(paths) == 0 {
		paths = []string{restorePath}
	}
	for _, p := range paths {
		words = append(words, unitWord(p))
	}
	return strings.Join(words, " ")
}

// forget returns the line that removes old snapshots, "" when all are kept.
func forget(k profiles.Keep) string {
	var words []string
	for _, kind := range []struct {
		flag  string
		count int
	}{{"daily", k.Daily}, {"weekly", k.Weekly}, {"monthly", k.Monthly}, {"yearly", k.Yearly}} {
		if kind.count > 0 {
			words = append(words, fmt.Sprintf("--keep-%s %d", kind.flag, kind.count))
		}
	}
	if words == nil {
		return ""
	}
	return "ExecStart=" + resticProgram + " forget --prune " + strings.Join(words, " ") + "\n"
}
