package profiles

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/layouts"
)

// TestInstaller holds what the built-in installer promises.
func TestInstaller(t *testing.T) {
	p, _, err := Load().Resolve("bandit-installer", nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, _, err := Load().Resolve(p.Payload, nil)
	if err != nil || payload.IsInstaller() || payload.Name != "bandit-full" {
		t.Errorf("payload %q is of kind %q: %v", p.Payload, payload.Kind, err)
	}
	i := p.Installer
	if !p.IsInstaller() || i.Mode != "auto" || i.Countdown != 15 || i.Hibernated != "refuse" || i.After != "reboot" ||
		i.Unattended || i.Erase || !slices.Equal(i.Disk.Bus, []string{"nvme"}) || i.Disk.MinSize == "" {
		t.Errorf("%+v", p)
	}
}

// TestInstallerDefaults wants what is not said to be what is safe, and the JSON
// to give the same profile.
func TestInstallerDefaults(t *testing.T) {
	p, _, err := resolveText(t, "kind = 'installer'\npayload = 'builtin:bandit-full'\nlayout = 'usb-installer'")
	if err != nil {
		t.Fatal(err)
	}
	want := Installer{Mode: "auto", Countdown: 15, Hibernated: "refuse", After: "reboot"}
	got := p.Installer
	got.Backup, got.Keep, got.Missing, got.Disk = nil, nil, nil, DiskRules{MinSize: got.Disk.MinSize}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again Profile
	if err := json.Unmarshal(data, &again); err != nil || again.Kind != KindInstaller || again.Payload != p.Payload {
		t.Errorf("%v; the JSON gives %+v", err, again)
	}
	if diff := cmp.Diff(p.Installer, again.Installer); diff != "" {
		t.Errorf("-before +after\n%s", diff)
	}
}

// TestSystemKind wants a profile that calls itself a system to be the same as
// one that says nothing.
func TestSystemKind(t *testing.T) {
	p, _, err := resolveText(t, "extends = 'bandit-minimal'\nkind = 'system'\ninstaller = {}")
	if err != nil {
		t.Fatal(err)
	}
	plain, _, err := resolveText(t, "extends = 'bandit-minimal'")
	if diff := cmp.Diff(plain, p); err != nil || diff != "" {
		t.Errorf("%v; -plain +system\n%s", err, diff)
	}
}

// TestInstallerIsZero wants each field to count.
func TestInstallerIsZero(t *testing.T) {
	if !(Installer{Backup: []string{}, Disk: DiskRules{Bus: []string{}, Serial: []string{}}}).IsZero() {
		t.Error("empty lists count")
	}
	one := []string{"x"}
	for n, i := range []Installer{
		{Backup: one}, {Keep: one}, {Missing: one}, {Mode: "x"}, {After: "x"}, {Hibernated: "x"}, {Unattended: true}, {Erase: true}, {Countdown: 1},
		{Machine: Machine{Product: "x"}}, {Machine: Machine{Serial: "x"}}, {Disk: DiskRules{MinSize: "1"}}, {Disk: DiskRules{MaxSize: "1"}},
		{Disk: DiskRules{Bus: one}}, {Disk: DiskRules{Model: one}}, {Disk: DiskRules{Serial: one}}, {Disk: DiskRules{WWID: one}}, {Disk: DiskRules{Layout: true}},
	} {
		if i.IsZero() {
			t.Errorf("%d: %+v is zero", n, i)
		}
	}
}

// TestExtendsInstaller changes an installer in a child.
func TestExtendsInstaller(t *testing.T) {
	p, _, err := resolveText(t, "extends = 'bandit-installer'\npayload = 'bandit-dev'\n[installer.disk]\nbus = ['!nvme', 'sata']")
	if err != nil || p.Payload != "bandit-dev" || !slices.Equal(p.Installer.Disk.Bus, []string{"sata"}) || p.Installer.Disk.MinSize == "" {
		t.Errorf("%+v: %v", p, err)
	}
}

// TestCheckInstaller changes one thing of bandit-installer.
func TestCheckInstaller(t *testing.T) {
	long := strings.Repeat("x", 128)
	tests := []struct {
		change, want string // want "" means that it is valid
	}{
		{"", ""},
		{"kind = 'instaler'", `kind: expected one of system, installer, rescue, found "instaler"; did you mean installer?`},
		{"kind = 'system'", `payload: "bandit-full": only a medium has one: set kind = "installer" or "rescue"`},
		{"payload = ''", `payload: expected the name of the profile that is installed, found ""`},
		{"payload = '../x'", "payload: expected the name of the profile"},
		{"payload = 'builtin:bandit-full'", ""},
		{"layout = ''", "layout: expected the name of a layout"},
		{"hostname = 'fox'", `hostname: an installer installs a system that another profile describes: say it in the payload, "bandit-full"`},
		{"packages = ['vim']", `packages: an installer installs a system`},
		{"kernel.parameters = ['quiet']", `kernel: an installer installs a system`},
		{"users = [{name = 'eve', uid = 1001}]", `users: an installer installs a system`},
		{"restore.disk = 'LABEL=x'", `restore: an installer installs a system`},
		{"boot.timeout = 1", `boot: an installer installs a system`},
		{"zram.enable = true", `zram: an installer installs a system`},
		{"installer.mode = 'keep'", `installer.mode: expected one of auto, fresh, keep-home, found "keep"`},
		{"installer.mode = 'fresh'", ""},
		{"installer.hibernated = 'resume'", `installer.hibernated: expected one of refuse, drop`},
		{"installer.hibernated = 'drop'", ""},
		{"installer.after = 'halt'", `installer.after: expected one of reboot, poweroff`},
		{"installer.after = 'poweroff'", ""},
		{"installer.missing = ['backup', 'key']", ""},
		{"installer.missing = ['disk']", `installer.missing[0]: expected one of key, backup, found "disk"`},
		{"installer.countdown = 4", "installer.countdown: expected 5 to 300 seconds, found 4"},
		{"installer.countdown = 5", ""},
		{"installer.countdown = 6", ""},
		{"installer.countdown = 299", ""},
		{"installer.countdown = 300", ""},
		{"installer.countdown = 301", "installer.countdown: expected 5 to 300 seconds, found 301"},
		{"installer.countdown = -1", "installer.countdown: expected 5 to 300 seconds, found -1"},
		{"installer.countdown = 0", ""},
		{"installer.disk.min_size = '10 GiB'", `installer.disk.min_size: expected a size such as 200GiB, found "10 GiB"`},
		{"installer.disk.min_size = '0'", "installer.disk.min_size: expected a size"},
		{"installer.disk.min_size = '-1GiB'", "installer.disk.min_size: expected a size"},
		{"installer.disk.max_size = '9999999T'", "installer.disk.max_size: expected a size"},
		{"installer.disk = {min_size = '2GiB', max_size = '2048MiB'}", ""},
		{"installer.disk = {min_size = '2049MiB', max_size = '2GiB'}", "installer.disk.max_size: 2GiB is less than min_size, 2049MiB"},
		{"installer.disk.bus = ['ide']", "installer.disk.bus[1]: expected one of nvme, sata,"},
		{"installer.disk.bus = ['usb']", "installer.disk.bus[1]: a disk on USB is a target only by its serial number"},
		{"installer.disk = {bus = ['usb'], serial = ['S3Z*']}", ""},
		{"installer.disk.model = ['WD*', 'Samsung SSD 9[89]0 ?*']", ""},
		{"installer.disk.model = ['']", "installer.disk.model[0]: expected a pattern, found nothing"},
		{"installer.disk.model = ['*']", `installer.disk.model[0]: "*" matches anything`},
		{"installer.disk.serial = ['?*']", `installer.disk.serial[0]: "?*" matches anything`},
		{"installer.disk.wwid = ['a[']", "installer.disk.wwid[0]: expected a glob pattern"},
		{"installer.disk.wwid = ['" + long + "']", ""},
		{"installer.disk.wwid = ['" + long + "x']", "installer.disk.wwid[0]: expected a glob pattern of at most 128"},
		{`installer.disk.model = ["a\nb"]`, "installer.disk.model[0]: expected a glob pattern"},
		{"installer.disk.layout = true", ""},
		{"installer.machine.product = 'Laptop 13 *'", ""},
		{"installer.machine.product = '*'", `installer.machine.product: "*" matches anything`},
		{"installer.machine.serial = '[a-'", "installer.machine.serial: expected a glob pattern"},
		{"installer.backup = ['backup disk']", ""},
		{"installer.backup = ['']", `installer.backup[0]: expected the label of a file system, found ""`},
		{`installer.backup = ["a\tb"]`, "installer.backup[0]: expected the label"},
		{"installer.keep = ['/etc/ssh', '/etc/machine-id']", ""},
		{"installer.keep = ['etc/ssh']", "installer.keep[0]: expected an absolute path below /"},
		{"installer.keep = ['/']", "installer.keep[0]: expected an absolute path below /"},
		{"installer.keep = ['/etc/../home']", "installer.keep[0]: expected an absolute path below /"},
		{"installer.keep = ['/home']", "installer.keep[0]: /home: /home survives as a whole"},
		{"installer.keep = ['/home/eve']", "installer.keep[0]: /home/eve: /home survives as a whole"},
		{"installer.keep = ['/homes']", ""},
		{"installer.keep = ['/run/x']", "installer.keep[0]: /run/x: /run does not outlast the boot"},
		{"installer.keep = ['/dev/sda']", "installer.keep[0]: /dev/sda: /dev does not outlast the boot"},
		{"installer.keep = ['/etc/ssh', '/etc/ssh/x']", "installer.keep[1]: /etc/ssh/x is kept with /etc/ssh"},
		{"installer.keep = ['/etc/ssh/x', '/etc/ssh']", "installer.keep[1]: /etc/ssh/x is kept with it"},
		{"installer = {mode = 'fresh', keep = ['/etc/ssh']}", `installer.keep: nothing survives mode = "fresh"`},
	}
	for _, test := range tests {
		t.Run(test.change, func(t *testing.T) {
			_, _, err := resolveText(t, "extends = 'bandit-installer'\n"+test.change)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s: %v", test.change, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != fault.Config):
				t.Errorf("%s:\n%v\nwant\n%s", test.change, err, test.want)
			}
		})
	}
	_, _, err := resolveText(t, "extends = 'bandit-minimal'\ninstaller.erase = true")
	if err == nil || !strings.Contains(err.Error(), `installer: only an installer has it: set kind = "installer"`) {
		t.Errorf("[installer] of a system: %v", err)
	}
}

// TestSizes wants sizes to be those of layouts.
func TestSizes(t *testing.T) {
	for _, text := range []string{"0", "1", "512K", "64MiB", "1G", "2TiB", "8388607TiB", "8388608TiB", "9223372036854775807", "9223372036854775808", "", "K", "-1", "1.5GiB", "1 GiB", "1gib", "1B", "1_0", "+1"} {
		var want layouts.Size
		err := want.UnmarshalText([]byte(text))
		got, ok := parseSize(text)
		if ok != (err == nil) || ok && got != int64(want) {
			t.Errorf("parseSize(%s) = %d, %v; layouts have %d, %v", strconv.Quote(text), got, ok, want, err)
		}
	}
}
