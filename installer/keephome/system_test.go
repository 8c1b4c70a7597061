package keephome

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/beside"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/firstboot/restore"
	"github.com/6FaNcY9/mkimage/installer/subvolume"
)

// top renames in a top level.
type top string

func (d top) Rename(old, new string) error {
	return unix.Renameat2(unix.AT_FDCWD, filepath.Join(string(d), old), unix.AT_FDCWD, filepath.Join(string(d), new), unix.RENAME_NOREPLACE)
}

func names(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestInstall(t *testing.T) {
	p := planOf(t, "btrfs-laptop", nil)
	in := twoSystems(t, p)
	in.Keep = []string{"/var/lib/other", "/var/lib/none", "/usr/old"}
	var notes []string
	in.Note = func(line string) { notes = append(notes, line) }
	before := map[string]string{}
	for _, name := range names(t, in.Top) {
		before[name] = list(t, filepath.Join(in.Top, name))
	}
	medium := list(t, in.Payload)
	install(t, in)

	at := func(name string) string { return filepath.Join(in.Top, name) }
	for name, want := range map[string]string{
		"@.new-7f/etc/fstab": "# what\nPARTUUID=cccc /\nPARTUUID=dddd /boot\n", "@factory.new-7f/etc/fstab": "# what\nPARTUUID=cccc /\nPARTUUID=dddd /boot\n",
		"@.new-7f/etc/machine-id": "0123\n", "@.new-7f/etc/ssh/ssh_host_key": "host key", "@.new-7f/etc/ssh/ssh_host_key.pub": "pub", "@.new-7f/etc/ssh/sshd_config": "new",
		"@factory.new-7f/etc/ssh/ssh_host_key":                "to be replaced",
		"@.new-7f/etc/NetworkManager/system-connections/wifi": "password",
		"@var.new-7f/lib/sops-nix/key.txt":                    "AGE-SECRET-KEY-1",
		"@var.new-7f/lib/bluetooth/AA/info":                   "pairing",
		"@var.new-7f/lib/other":                               "mine",
		"@var.new-7f/lib/mkimage/bin/restic":                  "program",
		"@.new-7f/usr/old":                                    "old",
		"@nix.new-7f/store/new":                               "new",
	} {
		if got := read(t, at(name)); got != want {
			t.Errorf("%s: %.60q; want %.60q", name, got, want)
		}
	}
	for _, name := range []string{"@var.new-7f/lib/left", "@var.new-7f/log", "@var.new-7f/lib/bluetooth/BB", "@home.new-7f", "@nix.new-7f/store/old", "@factory-var.new-7f/lib/sops-nix"} {
		if _, err := os.Lstat(at(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v; want it not to be there", name, err)
		}
	}
	for name, want := range before {
		if diff := cmp.Diff(want, list(t, at(name))); diff != "" {
			t.Errorf("%s of the old system (-before +after):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(medium, list(t, in.Payload)); diff != "" {
		t.Errorf("payload (-before +after):\n%s", diff)
	}
	var missing []string
	for _, n := range notes {
		missing = append(missing, strings.SplitN(n, ":", 2)[0])
	}
	if want := []string{"/var/lib/NetworkManager", "/var/lib/iwd", "/var/lib/fprint", "/var/lib/nixos/*-map", "/var/lib/none"}; !slices.Equal(missing, want) {
		t.Errorf("notes about %q; want %q", missing, want)
	}
	var flags unix.Statfs_t
	must(t, unix.Statfs(at("@factory.new-7f"), &flags))
	if err := os.WriteFile(at("@factory.new-7f/x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write to the factory snapshot: %v; want that it is read-only", err)
	}

	must(t, beside.Switch(top(in.Top), names(t, in.Top), "7f"))
	restoresNothing(t, in)
	listed, err := List(in.Top)
	want := []Beside{{ID: "7f", Old: []string{"@", "@factory", "@factory-var", "@nix", "@var"}}}
	if diff := cmp.Diff(want, listed); diff != "" || err != nil {
		t.Errorf("List: %v (-want +got):\n%s", err, diff)
	}

	// The second one, on what the first has made.
	again := &Install{Top: in.Top, Payload: in.Payload, Plan: p, ID: "80"}
	install(t, again)
	must(t, beside.Switch(top(in.Top), names(t, in.Top), "80"))
	if got := read(t, at("@/etc/machine-id")) + read(t, at("@home/ada/letter")) + read(t, at("@var/lib/sops-nix/key.txt")); got != "0123\ndear reader\nAGE-SECRET-KEY-1" {
		t.Errorf("after a second installation: %q", got)
	}
	restoresNothing(t, again)
	must(t, Expire(in.Top, "7f"), Expire(in.Top, "80"), Expire(in.Top, "80"))
	if got := names(t, in.Top); !slices.Equal(got, []string{"@", "@factory", "@factory-var", "@home", "@nix", "@swap", "@var"}) {
		t.Errorf("at the end there are %q", got)
	}
}

// restoresNothing runs the restore of the new system, which has no backup disk
// and no restic.
func restoresNothing(t testing.TB, in *Install) {
	t.Helper()
	root := t.TempDir()
	for _, m := range []struct{ name, at string }{{"@", ""}, {"@var", "var"}, {"@home", "home"}} {
		must(t, os.MkdirAll(filepath.Join(root, m.at), 0o755), unix.Mount(filepath.Join(in.Top, m.name), filepath.Join(root, m.at), "", unix.MS_BIND, ""))
		defer unix.Unmount(filepath.Join(root, m.at), unix.MNT_DETACH)
	}
	before := list(t, filepath.Join(root, "home"))
	c := &firstboot.Config{Version: 1, Image: "new", Restore: &firstboot.Restore{Host: "demo", Path: "/home"}}
	if err := restore.Run(t.Context(), c, restore.System{Root: root}); err != nil {
		t.Errorf("the new system restores: %v; want that it is done", err)
	}
	state, err := firstboot.ReadState(durable.OS(root))
	must(t, err)
	if last, ok := state.Last(firstboot.StepRestore); !ok || last.Result != firstboot.Done || last.Image != "new" || !strings.Contains(last.Message, "kept") {
		t.Errorf("journal: %+v; want that /home was kept", last)
	}
	if list(t, filepath.Join(root, "home")) != before {
		t.Error("/home has changed")
	}
}

// TestFirstBoot: what the new system is told of the restore depends on what the
// old one has done.
func TestFirstBoot(t *testing.T) {
	in := twoSystems(t, planOf(t, "btrfs-laptop", nil))
	quiet := func(int64, int64) {}
	state := filepath.Join(in.Top, "@var/lib/mkimage")
	begun := strings.Replace(read(t, state+"/restore.json"), `"phase":"done"`, `"phase":"placing"`, 1)
	waits := read(t, state+"/firstboot.json")
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // of the phase in the new restore.json; "" for none
		image string
	}{
		{"begun", map[string]string{"restore.json": begun, "firstboot.json": waits}, "placing", "old"},
		{"waits", map[string]string{"firstboot.json": waits}, "", ""},
		{"waits, damaged", map[string]string{"firstboot.json": waits, "state.json": "{"}, "", ""},
		{"no restore", map[string]string{"firstboot.json": `{"version":1,"image":"old"}`}, phaseDone, "new"},
		{"not of mkimage", nil, phaseDone, "new"},
		{"done long ago", map[string]string{"firstboot.json": waits, "state.json": `{"version":1,"steps":[{"name":"restore","result":"done"}]}`}, phaseDone, "new"},
	} {
		must(t, os.RemoveAll(state))
		for name, text := range tt.files {
			write(t, state, map[string]string{name: text})
		}
		must(t, in.Stage(t.Context(), quiet), in.Carry(t.Context(), time.Unix(0, 0)), in.Seal(t.Context(), quiet))
		text, err := durable.Read(in.newFS(), restorePath, maxRestore)
		got := string(text)
		switch {
		case tt.want == "":
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s, %v; want none", tt.name, got, err)
			}
		case !strings.Contains(strings.ReplaceAll(got, ": ", ":"), `"phase":"`+tt.want+`"`) || !strings.Contains(strings.ReplaceAll(got, ": ", ":"), `"image":"`+tt.image+`"`):
			t.Errorf("%s: %s, %v; want phase %s of image %s", tt.name, got, err, tt.want, tt.image)
		}
		must(t, Discard(in.Top, in.ID))
		in.copies = nil
	}
}

// TestLinksOut: a symlink in the old system leads to nothing of the machine that
// installs, nor into another subvolume.
func TestLinksOut(t *testing.T) {
	in := twoSystems(t, planOf(t, "btrfs-laptop", nil))
	outside := t.TempDir()
	write(t, outside, map[string]string{"secret": "of the installer"})
	at := func(name string) string { return filepath.Join(in.Top, name) }
	must(t, os.Symlink(outside, at("@var/lib/link")), os.Symlink("../../@home", at("@var/lib/up")), os.Symlink("loop", at("@var/lib/loop")))
	must(t, os.Symlink("/etc/shadow", at("@var/lib/last")))
	in.Keep = []string{"/var/lib/link/secret", "/var/lib/up/ada/letter", "/var/lib/loop/x", "/var/lib/last"}
	var notes []string
	in.Note = func(line string) { notes = append(notes, line) }
	install(t, in)
	for _, name := range []string{"link", "up", "loop"} {
		if _, err := os.Lstat(at("@var.new-7f/lib/" + name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was kept", name)
		}
		if !slices.ContainsFunc(notes, func(n string) bool { return strings.HasPrefix(n, "/var/lib/"+name+"/") }) {
			t.Errorf("%s: no note: %q", name, notes)
		}
	}
	if target, err := os.Readlink(at("@var.new-7f/lib/last")); target != "/etc/shadow" {
		t.Errorf("last: %q, %v; want the symlink itself", target, err)
	}
}

// TestCancelled: an installation that was cut short is discarded, and done again
// under the same ID.
func TestCancelled(t *testing.T) {
	in := twoSystems(t, planOf(t, "impermanence", nil))
	before := list(t, in.Top)
	ctx, cancel := context.WithCancel(t.Context())
	if err := in.Stage(ctx, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Fatalf("Stage = %v; want that it was cancelled", err)
	}
	again := &Install{Top: in.Top, Payload: in.Payload, Plan: in.Plan, ID: in.ID}
	if err := again.Stage(t.Context(), func(int64, int64) {}); fault.ClassOf(err) != fault.Target {
		t.Errorf("Stage over one that was begun = %v; want it refused", err)
	}
	must(t, Discard(in.Top, in.ID))
	if diff := cmp.Diff(before, list(t, in.Top)); diff != "" {
		t.Errorf("after Discard (-before +after):\n%s", diff)
	}
	install(t, again)
	if got := read(t, filepath.Join(in.Top, "@persist.new-7f/etc/machine-id")); got != "0123\n" {
		t.Errorf("machine-id: %q; want that of the old system", got)
	}
}

// TestSealFinds: what is not as it was copied is found.
func TestSealFinds(t *testing.T) {
	for name, change := range map[string]string{
		"content": "@nix.new-7f/store/new", "carried": "@var.new-7f/lib/other", "fstab": "@.new-7f/etc/fstab", "new": "@.new-7f/etc/added",
	} {
		in := twoSystems(t, planOf(t, "btrfs-laptop", nil))
		in.Keep = []string{"/var/lib/other"}
		install(t, in)
		must(t, os.WriteFile(filepath.Join(in.Top, change), []byte("MKI"), 0o640))
		err := in.Seal(t.Context(), func(int64, int64) {})
		if fault.ClassOf(err) != fault.Mismatch || !strings.Contains(err.Error(), filepath.Base(change)) {
			t.Errorf("%s: Seal = %v; want a difference", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	in := twoSystems(t, planOf(t, "btrfs-laptop", nil))
	if _, err := in.Check(); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(in.Top, name) }
	run(t, "btrfs", "subvolume", "delete", at("@swap"))
	must(t, os.Mkdir(at("@swap"), 0o755), os.Rename(at("@home"), at("home")), os.Rename(filepath.Join(in.Payload, "@nix"), filepath.Join(in.Payload, "nix")))
	run(t, "btrfs", "subvolume", "create", at("@var.new-7f"))
	run(t, "fallocate", "-l", "1400M", at("full"))
	_, err := in.Check()
	for _, want := range []string{"@swap: a directory", "target: @home: no such file", "payload: @nix: no such file", "@var.new-7f is there already", "bytes are free"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check = %v; want %q", err, want)
		}
	}
	in.ID = "NO"
	if _, err := in.Check(); err == nil || !strings.Contains(err.Error(), `"NO"`) {
		t.Errorf("Check of ID NO = %v", err)
	}
}

// TestRemove: subvolumes that are nested go too, be they read-only, and none
// that is mounted.
func TestRemove(t *testing.T) {
	dir := newBtrfs(t, 256<<20)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"@.old-1", "@.old-1/a", "@.old-1/a/b", "@.old-1/d", "@.old-1/d/in", "@.new-1", "@.old-2", "@"} {
		run(t, "btrfs", "subvolume", "create", at(name))
	}
	must(t, os.MkdirAll(at("@.old-1/deep/er"), 0o755))
	in, err := os.Open(at("@.old-1/deep/er"))
	must(t, err)
	defer in.Close()
	for i := range 300 { // more than one call tells
		must(t, subvolume.Create(int(in.Fd()), strings.Repeat("n", i%50+1)+string(rune('a'+i/50))))
	}
	must(t, in.Close())
	run(t, "btrfs", "property", "set", at("@.old-1/d"), "ro", "true")
	must(t, os.Mkdir(at("@x.old-1"), 0o755))
	if err := Expire(dir, "1"); err == nil || !strings.Contains(err.Error(), "@x.old-1: a directory") {
		t.Errorf("Expire of a directory = %v", err)
	}
	must(t, os.Remove(at("@x.old-1")), Expire(dir, "1"))
	if got := names(t, dir); !slices.Equal(got, []string{"@", "@.new-1", "@.old-2"}) {
		t.Errorf("left are %q", got)
	}
	running := t.TempDir()
	run(t, "mount", "-o", "subvol=@.old-2", deviceOf(t, dir), running)
	if err := Expire(dir, "2"); fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "mounted at "+running) {
		t.Errorf("Expire of the running system = %v; want it refused", err)
	}
	must(t, unix.Unmount(running, 0), Expire(dir, "2"), Discard(dir, "1"))
	if got := names(t, dir); !slices.Equal(got, []string{"@"}) {
		t.Errorf("left are %q", got)
	}
	if err := Expire(dir, ""); err == nil {
		t.Error("Expire without an ID succeeded")
	}
}

// deviceOf is what is mounted somewhere.
func deviceOf(t testing.TB, dir string) string {
	t.Helper()
	for _, line := range strings.Split(read(t, "/proc/self/mounts"), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[1] == dir {
			return f[0]
		}
	}
	t.Fatalf("%s: nothing is mounted", dir)
	return ""
}
