package plan

import (
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/profiles"
)

// medium prints what a medium installs, onto which disk, and who must agree, or what it
// brings back; nothing for a system.
func (t *printer) medium(p *Plan) {
	if p.Medium == nil {
		return
	}
	field := func(label, text string) { t.field(label, strings.Fields(printable(text))...) }
	if p.IsRescue() {
		t.section("What it brings back")
		field("system", fmt.Sprintf("%s on layout %s, %s", p.Profile.Name, p.Medium.Layout.Name, p.Medium.Layout.Root.Label))
		field("rescue", rescueText(p.Medium.Rescue))
		return
	}
	i := p.Medium.Installer
	t.section("What it installs")
	field("system", fmt.Sprintf("%s on layout %s, ESP %v, the rest %s", p.Profile.Name, p.Medium.Layout.Name, p.Medium.Layout.ESP.Size, p.Medium.Layout.Root.Label))
	field("onto", "the one disk that is "+diskText(i.Disk))
	field("never", neverText(p))
	field("on", machineText(i.Machine))
	field("consent", consentText(i))
	field("mode", modeText(i))
	other := "a disk with other data is refused"
	if i.Erase {
		other = "a disk with other data may be erased"
	}
	field("other data", other)
	hibernated := "a session that is asleep on the disk is refused"
	if i.Hibernated == "drop" {
		hibernated = "a session that is asleep on the disk is lost"
	}
	field("hibernated", hibernated)
	if len(i.Missing) > 0 {
		field("missing", "goes on without "+strings.Join(i.Missing, ", "))
	}
	field("after", i.After)
	field("rescue", rescueText(p.Medium.Rescue))
}

// diskText says which disk is chosen: all rules hold.
func diskText(d profiles.DiskRules) string {
	rules := []string{}
	add := func(what string, list []string) {
		if len(list) > 0 {
			rules = append(rules, what+" "+strings.Join(list, " or "))
		}
	}
	add("on", d.Bus)
	if d.MinSize != "" {
		rules = append(rules, "of at least "+d.MinSize)
	}
	if d.MaxSize != "" {
		rules = append(rules, "of at most "+d.MaxSize)
	}
	add("of model", d.Model)
	add("of serial number", d.Serial)
	add("of identifier", d.WWID)
	if d.Layout {
		rules = append(rules, "laid out like the system already")
	}
	if len(rules) == 0 {
		return "inside of the machine"
	}
	return strings.Join(rules, ", ")
}

// neverText says which disks are not touched whatever the rules are.
func neverText(p *Plan) string {
	text := "the medium itself"
	if len(p.Medium.Installer.Disk.Serial) == 0 {
		text += ", a disk on USB"
	}
	text += ", one with a restic repository"
	if labels := p.Medium.Protected(p.Profile); len(labels) > 0 {
		text += " or with " + strings.Join(labels, ", ")
	}
	return text
}

// Protected returns the file systems whose disks an installation never erases,
// as LABEL=… or UUID=…: those that the installer names, and those that its
// payload, profile, restores from and backs up to.
func (m *Medium) Protected(profile profiles.Profile) []string {
	var list []string
	seen := map[string]bool{"": true}
	add := func(disk string) {
		if !seen[disk] {
			seen[disk] = true
			list = append(list, disk)
		}
	}
	for _, label := range m.Installer.Backup {
		add("LABEL=" + label)
	}
	add(profile.Restore.Disk)
	for _, b := range profile.Backup {
		add(b.Disk)
	}
	return list
}

func machineText(m profiles.Machine) string {
	var words []string
	if m.Product != "" {
		words = append(words, "product "+m.Product)
	}
	if m.Serial != "" {
		words = append(words, "serial number "+m.Serial)
	}
	if len(words) == 0 {
		return "any machine"
	}
	return "the machine of " + strings.Join(words, ", ")
}

// consentText says who must agree. One machine is named by itself or by its disk.
func consentText(i profiles.Installer) string {
	if i.Unattended || len(i.Disk.Serial) > 0 || i.Machine != (profiles.Machine{}) {
		return fmt.Sprintf("unattended, %d seconds in which any key stops it", i.Countdown)
	}
	return "somebody types a phrase"
}

// rescueText says what the entry of the menu that brings a machine back can do besides.
func rescueText(r profiles.Rescue) string {
	if !r.Enabled() {
		return "no rescue environment"
	}
	text := "an entry of the menu"
	if r.Network.Wired != nil && *r.Network.Wired {
		text += ", wired networks"
	}
	if r.Network.WiFi.SSID != "" {
		text += ", the wireless network " + r.Network.WiFi.SSID
	}
	if n := len(r.SSHKeys); n > 0 {
		text += fmt.Sprintf(", SSH with %d keys", n)
	}
	return text
}

func modeText(i profiles.Installer) string {
	keep := "/home"
	if len(i.Keep) > 0 {
		keep += ", " + strings.Join(i.Keep, ", ")
	}
	switch i.Mode {
	case "fresh":
		return "fresh: the whole disk is erased"
	case "keep-home":
		return "keep-home: the system is replaced, but for " + keep
	}
	return "auto: where this system is already it is replaced, but for " + keep + "; else the whole disk is erased"
}
