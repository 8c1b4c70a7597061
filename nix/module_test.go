package nix_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// TestChecks: what is said before anything is built.
func TestChecks(t *testing.T) {
	const root = "/dev/disk/by-partlabel/nixos (btrfs)"
	tests := []struct {
		name, in       string
		errors, warned []string
	}{
		{"fits", "{ mkimage.resumeOffset = 63408; }", nil, nil},
		{"file systems by label", `{ mkimage.resumeOffset = 1; fileSystems."/" = { device = "/dev/disk/by-label/nixos"; options = [ "subvol=/@" "noatime" ]; }; }`, nil, nil},
		{"more file systems and swap", `{ mkimage.resumeOffset = 1; fileSystems."/data" = { device = "/dev/sdb1"; fsType = "ext4"; }; swapDevices = [ { device = "/dev/disk/by-label/swap"; } ]; }`, nil, nil},
		{"root in memory", `{ mkimage.layout = "impermanence"; mkimage.resumeOffset = 1; fileSystems."/".device = "none"; }`, nil, nil},
		{"no offset", "{ }", nil, []string{"mkimage.resumeOffset is not set"}},
		{"no offset, systemd", "{ boot.initrd.systemd.enable = true; }", nil, nil},
		{"no offset, our own initramfs", "{ mkimage.initramfs.enable = true; }", nil, nil},
		{"no hibernation", `{ mkimage.swap = "swapfile"; }`, nil, nil},
		{"policy of the profile", `{ mkimage.profile.swap.policy = "swapfile"; }`, nil, nil},
		{"layout without a swapfile", `{ mkimage.layout = "btrfs-server"; }`, nil, nil},
		{"not enabled", `{ mkimage.enable = stub.lib.mkForce false; boot.initrd.secrets.a = "b"; }`, nil, nil},
		{"secrets", `{ mkimage.swap = "none"; boot.initrd.secrets."/key" = "/key"; }`, []string{"boot.initrd.secrets: an initrd that needs secrets cannot be in an image"}, nil},
		{"nixos-init", `{ mkimage.swap = "none"; system.nixos-init.enable = true; }`, nil, nil},
		{"GRUB", `{ mkimage.swap = "none"; boot.loader.systemd-boot.enable = false; }`, []string{"boot.loader.systemd-boot.enable is false"}, nil},
		{"GRUB of the profile", `{ mkimage.swap = "none"; boot.loader.systemd-boot.enable = false; mkimage.profile.boot.loader = "grub"; }`, nil, nil},
		{"encrypted", `{ mkimage.swap = "none"; boot.initrd.luks.devices.crypt.device = "/dev/sda2"; }`, []string{"boot.initrd.luks.devices: an image has no encrypted partition, and a rebuilt system would wait for crypt"}, nil},
		{"swap without a swapfile", `{ mkimage.layout = "btrfs-server"; mkimage.swap = "swapfile"; }`, []string{`mkimage.swap is "swapfile", and the layout has no swapfile`}, nil},
		{"another swapfile", `{ mkimage.resumeOffset = 1; swapDevices = [ { device = "/swapfile"; } ]; }`, []string{"swapDevices: a file that the image does not have: expected /swap/swapfile"}, nil},
		{"swapfile of no layout", `{ mkimage.swap = "none"; swapDevices = [ { device = "/swap/swapfile"; } ]; }`, []string{"swapDevices: a file that the image does not have: expected none"}, nil},
		{"device", `{ mkimage.swap = "none"; fileSystems."/home".device = "/dev/disk/by-uuid/12-ab"; }`, []string{
			`fileSystems."/home" is @home of /dev/disk/by-uuid/12-ab (btrfs), expected @home of ` + root + " by the layout: leave it to the module",
		}, nil},
		{"subvolume", `{ mkimage.swap = "none"; fileSystems."/home".options = [ "subvol=home" ]; }`, []string{
			`fileSystems."/home" is home of ` + root + ", expected @home of " + root,
		}, nil},
		{"no subvolume", `{ mkimage.swap = "none"; fileSystems."/home".options = [ "noatime" ]; }`, []string{`fileSystems."/home" is of ` + root + ", expected @home of "}, nil},
		{"type", `{ mkimage.swap = "none"; fileSystems."/boot".fsType = "ext4"; }`, []string{`fileSystems."/boot" is of /dev/disk/by-partlabel/ESP (ext4), expected of /dev/disk/by-partlabel/ESP (vfat)`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got struct{ Errors, Warned []string }
			evaluate(t, `let c = system (`+tt.in+`); in {
  errors = map (a: a.message) (builtins.filter (a: !a.assertion) c.assertions); warned = c.warnings;
}`, &got)
			for _, list := range []struct{ got, want []string }{{got.Errors, tt.errors}, {got.Warned, tt.warned}} {
				same := slices.EqualFunc(list.got, list.want, func(g, w string) bool { return strings.HasPrefix(strings.TrimPrefix(g, "mkimage: "), w) })
				if !same {
					t.Errorf("says %q; want what begins with %q", list.got, list.want)
				}
			}
		})
	}
}

func TestLayoutUnknown(t *testing.T) {
	_, err := tryEvaluate(t, `(system { mkimage.layout = "btrfs-labtop"; }).fileSystems`)
	if err == nil || !strings.Contains(err.Error(), "extends: btrfs-labtop: expected one of btrfs-laptop btrfs-server impermanence usb-installer") {
		t.Error(err)
	}
}

// command is what a command of the module runs.
type command struct {
	line              string // without the folders
	profiles, layouts map[string]map[string]any
}

func commandOf(t *testing.T, definitions, name string) command {
	t.Helper()
	var got struct{ Name, Text string }
	evaluate(t, "(system ("+definitions+")).system.build.mkimage."+name, &got)
	if got.Name != "mkimage-"+name {
		t.Errorf("name %s", got.Name)
	}
	line, rest, _ := strings.Cut(got.Text, " --profile-dir ")
	p, rest, _ := strings.Cut(rest, " --layout-dir ")
	l, rest, _ := strings.Cut(rest, ` "$@"`)
	if rest != "\n" {
		t.Fatalf("command %s", got.Text)
	}
	return command{line, documents(t, p), documents(t, l)}
}

// documents reads what the stub has for the path of a folder.
func documents(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	var list []struct {
		Name  string
		Value map[string]any
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	all := map[string]map[string]any{}
	for _, e := range list {
		all[e.Name] = e.Value
	}
	return all
}

// save writes documents as TOML and returns their folder.
func save(t *testing.T, all map[string]map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	for name, d := range all {
		var b strings.Builder
		for _, key := range slices.Sorted(maps.Keys(d)) {
			fmt.Fprintf(&b, "%q = %s\n", key, tomlOf(t, d[key]))
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tomlOf writes a value on one line.
func tomlOf(t *testing.T, v any) string {
	t.Helper()
	var parts []string
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, fmt.Sprintf("%q = %s", key, tomlOf(t, v[key])))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, e := range v {
			parts = append(parts, tomlOf(t, e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const custom = `{
  networking.hostName = "fox";
  mkimage.layout = { extends = "btrfs-laptop"; root.label = "fox"; swapfile.image = "32MiB"; };
  mkimage.profile = { kernel.parameters = [ "quiet" ]; boot.timeout = 0; };
  mkimage.profiles.mine = { extends = "bandit-full"; description = "mine"; kernel.parameters = [ "!console=tty0" ]; };
  mkimage.profiles.bare = { };
  mkimage.profiles.stick = { kind = "installer"; payload = "mine"; layout = "usb-installer"; installer.disk.bus = [ "nvme" ]; };
  mkimage.profiles.back = { kind = "rescue"; payload = "mine"; layout = "usb-rescue"; };
}`

// TestCommands: mkimage makes of the files of a command what the configuration says.
func TestCommands(t *testing.T) {
	got := commandOf(t, custom, "mine")
	if got.line != "exec /mkimage/bin/mkimage build 'mine'" {
		t.Errorf("command %s", got.line)
	}
	if diff := cmp.Diff([]string{"back.toml", "bandit-dev.toml", "bandit-full.toml", "bandit-minimal.toml", "bare.toml", "mine.toml", "stick.toml"}, slices.Sorted(maps.Keys(got.profiles))); diff != "" {
		t.Error(diff)
	}
	if source := got.profiles["mine.toml"]["source"]; source != "nix:/nix/store/00000000000000000000000000000000-nixos-system-fox" {
		t.Errorf("source %v", source)
	}
	if _, has := got.profiles["stick.toml"]["source"]; has {
		t.Error("the installer has a source")
	}
	for _, p := range got.profiles {
		if p["source"] != nil {
			p["source"] = "dir:/root"
		}
	}
	set := profiles.Load(save(t, got.profiles))
	for _, name := range []string{"bandit-minimal", "bandit-full", "bandit-dev", "mine", "bare"} {
		p, _, err := set.Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		tty0 := slices.Contains(p.Kernel.Parameters, "console=tty0")
		if p.Hostname != "fox" || p.Layout != "nixos" || p.Swap.Policy != "hibernate" || p.Boot.Timeout != 0 || !slices.Contains(p.Kernel.Parameters, "quiet") || tty0 == (name == "mine") {
			t.Errorf("%s: %+v", name, p)
		}
		if desktop := name != "bandit-minimal" && name != "bare"; slices.Contains(p.Roles, "desktop") != desktop {
			t.Errorf("%s: roles %q", name, p.Roles)
		}
	}
	if p, _, err := set.Resolve("back", nil); err != nil || p.Payload != "mine" || !p.IsRescue() {
		t.Errorf("rescue medium %+v, %v", p, err)
	}
	if p, _, err := set.Resolve("stick", nil); err != nil || p.Payload != "mine" {
		t.Errorf("installer %+v, %v", p, err)
	}
	l, _, err := layouts.Load(save(t, got.layouts)).Resolve("nixos", nil)
	if err != nil || l.Root.Label != "fox" || l.Swapfile.Image != 32<<20 || len(l.Subvolumes) != 5 {
		t.Errorf("layout %+v, %v", l, err)
	}
}

// TestInitramfs: the initramfs comes in the place of NixOS's when it is asked for.
func TestInitramfs(t *testing.T) {
	var got struct {
		Before, Script string
		Params         []string
	}
	evaluate(t, `let c = system { mkimage.initramfs.enable = true; mkimage.layout = { extends = "btrfs-laptop"; root.label = "fox"; }; boot.kernelParams = [ "root=fstab" ]; }; in {
  before = (system { }).system.build.initialRamdisk; inherit (c.system.build.initialRamdisk) script; params = c.boot.kernelParams;
}`, &got)
	if got.Before != "NixOS's" {
		t.Errorf("unasked: %s", got.Before)
	}
	if want := "root=fstab root=PARTLABEL=fox rootfstype=btrfs rw"; strings.Join(got.Params, " ") != want {
		t.Errorf("parameters %q; want %s", got.Params, want)
	}
	for _, want := range []string{
		"cp -rL /made/modules/lib/modules/6.18.1 root/lib/modules/\n", "/mkimage/bin/mkimage initramfs nixos --source dir:root ",
		`"extends":"builtin:bandit-minimal"`, `"layout":"nixos"`, "cat /made/microcode.img initrd > $out/initrd\n",
	} {
		if !strings.Contains(got.Script, want) {
			t.Errorf("script lacks %q:\n%s", want, got.Script)
		}
	}
	if strings.Contains(got.Script, "nix:/nix/store") {
		t.Error("the initramfs needs the system that it is a part of")
	}
}

// TestInitramfsEtcImage: what an /etc that is an image takes is in the initramfs.
func TestInitramfsEtcImage(t *testing.T) {
	const modules = `"modules":["thunderbolt","erofs","loop","overlay"]`
	for _, tt := range []struct {
		definitions string
		want        bool
	}{{"system.etc.overlay.enable = true;", true}, {"system.etc.overlay.enable = false;", false}, {"", false}} {
		var script string
		evaluate(t, `(system { mkimage.initramfs.enable = true; mkimage.profile.initramfs.modules = [ "thunderbolt" ]; `+tt.definitions+` }).system.build.initialRamdisk.script`, &script)
		if got := strings.Contains(script, modules); got != tt.want {
			t.Errorf("%q: modules %s in the profile: %v; want %v\n%s", tt.definitions, modules, got, tt.want, script)
		}
	}
}
