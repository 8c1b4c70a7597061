package keephome

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// planOf is the plan of a small system on a built-in layout, that a test may
// have changed.
func planOf(t testing.TB, layout string, change func(l *layouts.Layout)) *plan.Plan {
	t.Helper()
	l, _, err := layouts.Load().Resolve(layout, nil)
	must(t, err)
	if change != nil {
		change(&l)
	}
	profile := profiles.Profile{
		Name: "demo", Hostname: "demo", Source: "debian:trixie", Layout: layout, Boot: profiles.Boot{Loader: "systemd-boot"},
		Locale: profiles.Locale{Lang: "C.UTF-8", Timezone: "UTC", Keymap: "us"}, Units: profiles.Units{Target: "multi-user.target"},
		Swap: profiles.Swap{Policy: plan.SwapNone},
	}
	p, err := plan.Make(profile, l, plan.Options{Seed: &ids.Seed{1}, Epoch: time.Unix(1_700_000_000, 0)})
	must(t, err)
	return p
}

func run(t testing.TB, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
}

// newBtrfs makes an image with a new btrfs, and mounts it.
func newBtrfs(t testing.TB, size int64) (dir string) {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "mount")
	image := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, size))
	run(t, "mkfs.btrfs", "-q", image)
	return imgtest.Mount(t, image)
}

// write makes files, and the directories that they are in.
func write(t testing.TB, top string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(top, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o640))
	}
}

func list(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, listtree.List(&b, dir))
	return b.String()
}

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

// subvolumes makes those of a plan, and what is in a system that is on it.
func subvolumes(t testing.TB, top string, p *plan.Plan, files map[string]string) {
	t.Helper()
	for _, s := range p.Subvolumes {
		run(t, "btrfs", "subvolume", "create", filepath.Join(top, s.Path))
	}
	write(t, top, files)
	for _, s := range p.Snapshots {
		run(t, "btrfs", "subvolume", "snapshot", "-r", filepath.Join(top, s.Source), filepath.Join(top, s.Path))
	}
}

// twoSystems are a target with a system that was lived in, and a payload.
func twoSystems(t testing.TB, p *plan.Plan) *Install {
	t.Helper()
	old := map[string]string{
		"@/etc/fstab": "old fstab\n", "@/etc/machine-id": "0123\n", "@/etc/ssh/ssh_host_key": "host key", "@/etc/ssh/ssh_host_key.pub": "pub", "@/etc/ssh/sshd_config": "old",
		"@/etc/NetworkManager/system-connections/wifi": "password", "@/usr/old": "old", "@nix/store/old": "old", "@home/ada/letter": "dear reader\n",
		"@var/lib/sops-nix/key.txt": "AGE-SECRET-KEY-1", "@var/lib/bluetooth/AA/info": "pairing", "@var/lib/other": "mine", "@var/lib/left": "mine",
		"@var/lib/mkimage/firstboot.json": `{"version":1,"image":"old","restore":{"host":"demo","path":"/home"}}`,
		"@var/lib/mkimage/state.json":     `{"version":1,"steps":[{"name":"restore","result":"done","at":"2026-01-01T00:00:00Z","image":"old"}]}`,
		"@var/lib/mkimage/restore.json": `{"version":1,"image":"old","host":"demo","path":"/home","snapshot":"` + strings.Repeat("ab", 32) +
			`","phase":"done","staging":".mkimage-restore-abababab","more":[1]}`,
		"@var/log/old": "a log",
	}
	payload := map[string]string{
		"@/etc/fstab": "# what\nPARTUUID=aaaa /\nPARTUUID=bbbb /boot\n", "@/etc/ssh/sshd_config": "new", "@/etc/ssh/ssh_host_key": "to be replaced",
		"@/etc/machine-id": "uninitialized\n", "@/usr/new": strings.Repeat("new", 100_000), "@nix/store/new": "new", "@home/skel": "new",
		"@var/lib/mkimage/firstboot.json": `{"version":1,"image":"new","restore":{"host":"demo","path":"/home"}}`, "@var/lib/mkimage/bin/restic": "program",
		"@var/lib/bluetooth/BB/info": "of the builder",
	}
	if p.Layout.Persist.Subvolume != "" {
		for _, files := range []map[string]string{old, payload} {
			for name, text := range files {
				if rest, ok := strings.CutPrefix(name, "@var/"); ok {
					delete(files, name)
					files["@persist/var/"+rest] = text
				}
			}
		}
		old["@persist/etc/machine-id"] = old["@/etc/machine-id"]
	}
	in := &Install{Top: newBtrfs(t, 2<<30), Payload: newBtrfs(t, 512<<20), Plan: p, ID: "7f"}
	subvolumes(t, in.Top, p, old)
	subvolumes(t, in.Payload, p, payload)
	return in
}

// install does all the steps.
func install(t testing.TB, in *Install) {
	t.Helper()
	quiet := func(int64, int64) {}
	must(t, in.Stage(t.Context(), quiet))
	must(t, in.Fstab(map[string]string{"PARTUUID=aaaa": "PARTUUID=cccc", "PARTUUID=bbbb": "PARTUUID=dddd"}), in.Factory())
	must(t, in.Carry(t.Context(), time.Unix(1_790_000_000, 0)), in.Seal(t.Context(), quiet))
}
