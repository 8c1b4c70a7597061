package profiles

import (
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// The kinds of profile.
const (
	KindSystem    = "system"    // of the image of a system; "" means it too
	KindInstaller = "installer" // of a medium that installs a system
	KindRescue    = "rescue"    // of a medium that brings one back
)

// The words that a profile of an installer can choose from.
var (
	// Kinds are what a profile can be of.
	Kinds = []string{KindSystem, KindInstaller, KindRescue}
	// Buses are the ways that a disk can be connected, as disks are described.
	Buses = []string{"nvme", "sata", "usb", "scsi", "virtio", "mmc"}
	// Modes are what an installation can do with what is on the target.
	Modes = []string{"auto", "fresh", "keep-home"}
	// HibernatedRules are what can be done with a session that sleeps on the target.
	HibernatedRules = []string{"refuse", "drop"}
	// Proofs are those before an installation that may be allowed to fail.
	Proofs = []string{"key", "backup"}
	// Afters are what a machine can do when it is installed.
	Afters = []string{"reboot", "poweroff"}
)

// Bounds of the countdown in seconds: long enough to reach for a key, and not
// so long that somebody takes the machine for stuck.
const (
	minCountdown = 5
	maxCountdown = 300
)

// maxPattern is the length of a pattern in bytes; what firmware and disks say of
// themselves is shorter.
const maxPattern = 128

// ofMedium are the keys that the profile of a medium has, [installer] that of an
// installer only; all others are its payload's.
var ofMedium = map[string]bool{"description": true, "kind": true, "payload": true, "layout": true, "installer": true, "rescue": true}

// checkKind checks what kind of profile it is, on which all else depends, and
// reports whether that is known.
func checkKind(p *Profile, f *strict.Findings) bool {
	if p.Kind != "" {
		checkWord("kind", p.Kind, Kinds, f)
	}
	switch p.Kind {
	case "", KindSystem:
		if p.Payload != "" {
			f.Add("payload", `%q: only a medium has one: set kind = "installer" or "rescue", or leave it out`, p.Payload)
		}
		if !p.Installer.IsZero() {
			f.Add("installer", `only an installer has it: set kind = "installer" and payload, or leave it out`)
		}
		if !p.Rescue.IsZero() {
			f.Add("rescue", `only a medium has it: set kind = "installer" or "rescue", and payload, or leave it out`)
		}
		return true
	}
	return p.IsMedium()
}

// checkInstaller checks a profile of an installer.
func checkInstaller(p *Profile, f *strict.Findings) {
	checkLayout(p, f)
	if !isName(p.Payload) {
		f.Add("payload", "expected the name of the profile that is installed, found %q", p.Payload)
	}
	checkNoSystem(p, "an installer installs", f)
	checkRescue(p, f)
	i := &p.Installer
	checkDiskRules(i.Disk, f)
	for n, label := range i.Backup {
		if label == "" || len(label) > maxDisk || hasControl(label) {
			f.Add(strict.Index("installer.backup", n), "expected the label of a file system, found %q", label)
		}
	}
	checkPattern("installer.machine.product", i.Machine.Product, f)
	checkPattern("installer.machine.serial", i.Machine.Serial, f)
	for _, v := range []struct {
		key, got string
		known    []string
	}{
		{"installer.mode", i.Mode, Modes}, {"installer.hibernated", i.Hibernated, HibernatedRules}, {"installer.after", i.After, Afters},
	} {
		if v.got != "" {
			checkWord(v.key, v.got, v.known, f)
		}
	}
	checkKeep(i, f)
	checkWords("installer.missing", i.Missing, Proofs, f)
	if n := i.Countdown; n != 0 && (n < minCountdown || n > maxCountdown) {
		f.Add("installer.countdown", "expected %d to %d seconds, found %d", minCountdown, maxCountdown, n)
	}
}

// checkNoSystem refuses what is for the payload's profile to say, of which what says what
// the medium does with it.
func checkNoSystem(p *Profile, what string, f *strict.Findings) {
	refused := map[string]bool{}
	for _, v := range strict.Values(*p, nil) {
		key, _, _ := strings.Cut(v.Key, ".")
		key, _, _ = strings.Cut(key, "[")
		switch v.Text {
		case `""`, "0", "false", "[]":
			continue
		}
		if ofMedium[key] || refused[key] {
			continue
		}
		refused[key] = true
		f.Add(key, "%s a system that another profile describes: say it in the payload, %q", what, p.Payload)
	}
}

func checkDiskRules(d DiskRules, f *strict.Findings) {
	least := checkDiskSize("installer.disk.min_size", d.MinSize, f)
	most := checkDiskSize("installer.disk.max_size", d.MaxSize, f)
	if least > 0 && most > 0 && least > most {
		f.Add("installer.disk.max_size", "%s is less than min_size, %s: no disk has both", d.MaxSize, d.MinSize)
	}
	checkWords("installer.disk.bus", d.Bus, Buses, f)
	for i, bus := range d.Bus {
		if bus == "usb" && len(d.Serial) == 0 {
			f.Add(strict.Index("installer.disk.bus", i), "a disk on USB is a target only by its serial number: set installer.disk.serial")
		}
	}
	for _, list := range []struct {
		key      string
		patterns []string
	}{{"installer.disk.model", d.Model}, {"installer.disk.serial", d.Serial}, {"installer.disk.wwid", d.WWID}} {
		for i, pattern := range list.patterns {
			key := strict.Index(list.key, i)
			if pattern == "" {
				f.Add(key, "expected a pattern, found nothing: it would match disks that do not say what they are")
				continue
			}
			checkPattern(key, pattern, f)
		}
	}
}

// checkPattern refuses a pattern that is none, and one that matches whatever
// there is: who writes that means a rule, and it would be none.
func checkPattern(key, pattern string, f *strict.Findings) {
	if pattern == "" {
		return
	}
	_, err := path.Match(pattern, "")
	switch {
	case err != nil || len(pattern) > maxPattern || hasControl(pattern):
		f.Add(key, "expected a glob pattern of at most %d printable bytes, found %q", maxPattern, pattern)
	case strings.Trim(pattern, "*?") == "":
		f.Add(key, "%q matches anything: leave it out, or say more", pattern)
	}
}

// checkDiskSize returns a size in bytes, 0 when there is none.
func checkDiskSize(key, text string, f *strict.Findings) int64 {
	if text == "" {
		return 0
	}
	n, ok := parseSize(text)
	if !ok || n == 0 {
		f.Add(key, "expected a size such as 200GiB, found %q", text)
		return 0
	}
	return n
}

// units are the suffixes of a size, powers of 1024; the long ones first.
var units = []struct {
	suffix string
	shift  int
}{
	{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"K", 10}, {"M", 20}, {"G", 30}, {"T", 40}, {"", 0},
}

// parseSize reads a number of bytes in the form that layouts have: a profile
// knows no layouts.
func parseSize(text string) (int64, bool) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		return int64(n << u.shift), err == nil && n <= math.MaxInt64>>u.shift
	}
	return 0, false
}

// checkKeep checks what survives an installation. /home does in any case; what
// the kernel makes anew at every boot cannot.
func checkKeep(i *Installer, f *strict.Findings) {
	if i.Mode == "fresh" && len(i.Keep) > 0 {
		f.Add("installer.keep", `nothing survives mode = "fresh": leave it out, or set another mode`)
	}
	var seen []string
	for n, name := range i.Keep {
		key := strict.Index("installer.keep", n)
		folder := inside(name, append([]string{"/run"}, kernelFolders...))
		switch {
		case !isPath(name):
			f.Add(key, "expected an absolute path below / without . and .., such as /etc/ssh, found %q", name)
			continue
		case inside(name, []string{"/home"}) != "":
			f.Add(key, "%s: /home survives as a whole", name)
		case folder != "":
			f.Add(key, "%s: %s does not outlast the boot", name, folder)
		case inside(name, seen) != "":
			f.Add(key, "%s is kept with %s", name, inside(name, seen))
		}
		for _, other := range seen {
			if inside(other, []string{name}) != "" && other != name {
				f.Add(key, "%s is kept with it: leave that out", other)
			}
		}
		seen = append(seen, name)
	}
}
