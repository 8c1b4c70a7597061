package rehearsal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Subject is what is rehearsed, resolved.
type Subject struct {
	Installer    profiles.Profile // of the stick
	System       profiles.Profile // its payload
	SystemLayout layouts.Layout
	SystemRef    string // by which a profile extends System, such as "builtin:fox"; its name if empty
	InstallerRef string // the same of Installer
	assumed      bool   // what System restores from is not the profile's, see Assume
}

// Suffix is behind the names of profiles that are made for a rehearsal.
const Suffix = "-rehearsal"

// Names of what is attached to the machine.
const (
	targetSerial = "REHEARSAL"
	backupLabel  = "rehearsal"
)

// Check returns why a machine cannot be rehearsed, an error of class fault.Config, or nil.
func (s *Subject) Check() error {
	switch name := s.Installer.Name; {
	case !s.Installer.Rescue.Enabled():
		return fault.New(fault.Config, "in [rescue] of the profile: enable = true", "profile %s: its stick has no rescue environment, which is what is rehearsed", name)
	case s.System.Boot.Loader != "systemd-boot":
		return fault.New(fault.Config, "", "profile %s: boot.loader is %q, and a rehearsal can choose an entry of systemd-boot only", s.System.Name, s.System.Boot.Loader)
	case strings.HasPrefix(s.System.Source, "nix:"), strings.HasPrefix(s.System.Source, "cache:"):
		return fault.New(fault.Config, "", "profile %s: source %s: its secrets are in its Nix store, encrypted to the real key, which a rehearsal does not have", s.System.Name, s.System.Source)
	case s.System.Restore == profiles.Restore{}:
		return fault.New(fault.Config, "add [restore] to the profile of the system", "profile %s: restores nothing, so there is nothing to get back", s.System.Name)
	case len(s.users()) == 0:
		return fault.New(fault.Config, "", "profile %s: has no users, so that nobody has a home", s.System.Name)
	}
	return nil
}

// users are those to whom the sample home belongs. Without root it is one: files cannot be
// given away.
func (s *Subject) users() []User {
	var list []User
	for _, u := range s.System.Users {
		list = append(list, User{u.Name, u.UID})
	}
	if !isRoot() && len(list) > 1 {
		list = list[:1]
	}
	return list
}

// restore is what the machine restores from, with all values.
func (s *Subject) restore() profiles.Restore {
	r := s.System.Restore
	r.Path, r.Host = cmp.Or(r.Path, "/home"), cmp.Or(r.Host, s.System.Hostname)
	return r
}

// label is that of the backup disk. A disk that the profile knows by its UUID gets a label
// instead.
func (s *Subject) label() string {
	if label, ok := strings.CutPrefix(s.System.Restore.Disk, "LABEL="); ok {
		return label
	}
	return backupLabel
}

// override is a line of a profile that is made for the rehearsal.
type override struct{ table, key, value string }

// profileText is the profile that extends another and has other values.
func profileText(extends string, top, rest []override) string {
	var b strings.Builder
	fmt.Fprintf(&b, "extends = %s\n", quote(extends))
	for _, o := range top {
		fmt.Fprintf(&b, "%s = %s\n", o.key, o.value)
	}
	table := ""
	for _, o := range rest {
		if o.table != table || strings.HasPrefix(o.table, "[[") && o.key == "name" {
			fmt.Fprintf(&b, "\n%s\n", o.table)
			table = o.table
		}
		fmt.Fprintf(&b, "%s = %s\n", o.key, o.value)
	}
	return b.String()
}

// quote returns text as TOML has it: every string of JSON is one.
func quote(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic("rehearsal: a text is none: " + err.Error())
	}
	return string(data)
}

// serialConsole is the parameter without which nothing can be typed.
const serialConsole = "console=ttyS0,115200"

// systemProfile returns the profile of the stand-in, and what of the real one it changes.
func (s *Subject) systemProfile(key *testKey, secrets []standIn) (text string, changed []string) {
	changed = []string{
		"the age key and the values of all secrets, which are made for the rehearsal",
		"the home and its backup: a sample of files of every kind",
	}
	o := []override{{"[age]", "recipient", quote(key.recipient)}}
	if !slices.Contains(s.System.Age.Sources, "medium") {
		o = append(o, override{"[age]", "sources", `["medium"]`})
		changed = append(changed, "the key is on a key medium, which the profile does not name")
	}
	assumed, why := s.assumptions()
	o, changed = append(o, assumed...), append(changed, why...)
	if label := s.label(); s.System.Restore.Disk != "LABEL="+label {
		o = append(o, override{"[restore]", "disk", quote("LABEL=" + label)})
		changed = append(changed, "the backup disk, which is known by its label")
	}
	if s.System.Boot.Timeout == 0 {
		o = append(o, override{"[boot]", "timeout", "3"})
		changed = append(changed, "the boot menu, which the profile hides")
	}
	if !slices.ContainsFunc(s.System.Kernel.Parameters, func(p string) bool { return strings.HasPrefix(p, "console=ttyS0") }) {
		o = append(o, override{"[kernel]", "parameters", `[` + quote(serialConsole) + `]`})
		changed = append(changed, "the kernel's parameters: "+serialConsole+", by which a rehearsal types")
	}
	for _, m := range secrets {
		const table = "[[secrets]]"
		o = append(o, override{table, "name", quote(m.secret.Name)}, override{table, "file", quote(m.secret.File)})
	}
	return profileText(cmp.Or(s.SystemRef, s.System.Name), nil, o), changed
}

// installerProfile returns the profile of the stand-in's stick, and what of the real one
// it changes: rules that no virtual disk fulfils.
func (s *Subject) installerProfile() (text string, changed []string) {
	const disk, machine = "[installer.disk]", "[installer.machine]"
	d := s.Installer.Installer.Disk
	var o []override
	for _, list := range []struct {
		key  string
		have []string
	}{{"model", d.Model}, {"serial", d.Serial}, {"wwid", d.WWID}} {
		if len(list.have) > 0 {
			o = append(o, override{disk, list.key, `["!*"]`})
			changed = append(changed, fmt.Sprintf("the rule for the disk's %s, %q", list.key, list.have))
		}
	}
	if len(d.Bus) > 0 && !slices.Contains(d.Bus, "nvme") {
		o = append(o, override{disk, "bus", `["nvme"]`})
		changed = append(changed, fmt.Sprintf("the rule for the disk's bus, %q: it is an NVMe disk", d.Bus))
	}
	if d.Layout {
		o = append(o, override{disk, "layout", "false"})
		changed = append(changed, "the rule that the disk has the layout already: it is empty")
	}
	m := s.Installer.Installer.Machine
	for _, name := range []struct{ key, have string }{{"product", m.Product}, {"serial", m.Serial}} {
		if name.have != "" {
			o = append(o, override{machine, name.key, `""`})
			changed = append(changed, fmt.Sprintf("the rule for the machine's %s, %q", name.key, name.have))
		}
	}
	return profileText(cmp.Or(s.InstallerRef, s.Installer.Name), []override{{"", "payload", quote(s.System.Name + Suffix)}}, o), changed
}

// minDisk is the size of the laptop's disk, in bytes, unless the profile wants more. It is
// a file with a hole: only what is written takes room.
const minDisk = 32 << 30

// notRehearsed is what no virtual machine can show.
func (s *Subject) notRehearsed() []string {
	list := []string{
		"the firmware of the real machine, its boot order and Secure Boot",
		"the real key, its passphrase, the real secrets and the real backup: mkimage keys check proves those",
		"the real stick, key medium and backup disk: that they can be read, and are where you look for them",
		"drivers of the real machine: its disk, keyboard, screen and network",
	}
	if s.Installer.Rescue.Network.WiFi.SSID != "" {
		list = append(list, "Wi-Fi")
	}
	for _, b := range s.System.Backup {
		if b.Disk == "" {
			list = append(list, "the backup "+b.Name+", which is on a server")
		}
	}
	if n := len(s.System.Users); n > len(s.users()) {
		list = append(list, fmt.Sprintf("the owners of files of %d other users: without root the sample home has one", n-len(s.users())))
	}
	return list
}
