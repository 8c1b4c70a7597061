package mounted

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstab"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

const table = `PARTUUID=11 / btrfs subvol=@,compress=zstd:3,noatime 0 0
PARTUUID=11 /var/log btrfs subvol=@log,noatime 0 0
PARTUUID=11 /var btrfs subvol=@var 0 0
PARTUUID=11 /home btrfs subvol=@home 0 0
LABEL=stick /mnt/stick vfat nofail 0 0
nas:/x /nas nfs defaults 0 0
PARTUUID=11 /later btrfs subvol=@home,noauto 0 0
PARTUUID=11 none swap defaults 0 0
/var/state /state none bind 0 0
`

// laptop is a disk of a system; its files have the path they are seen at.
type laptop struct {
	image, node string
}

// files put a system into the subvolumes of table.
var files = map[string]string{
	"@/etc/hostname": "fox\n", "@var/log/x": "hidden", "@log/boot": "booted\n", "@var/state/id": "7\n", "@home/alice/notes": "mine\n", "@/etc/resolv.conf": "nameserver 192.0.2.1\n",
}

func newLaptop(t testing.TB, change func(top string)) *laptop {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "btrfs", "losetup", "sync")
	l := &laptop{image: filepath.Join(t.TempDir(), "disk.img")}
	check(t, os.WriteFile(l.image, nil, 0o600), os.Truncate(l.image, 512<<20))
	run(t, "mkfs.btrfs", "-q", l.image)
	m := imgtest.MountImage(t, l.image, imgtest.MountOptions{})
	for _, name := range []string{"@", "@var", "@home", "@log"} {
		run(t, "btrfs", "subvolume", "create", filepath.Join(m.Dir, name))
	}
	for _, dir := range []string{"@/home", "@/var", "@/mnt/stick", "@/state", "@var/log", "@/proc", "@/sys", "@/dev", "@/run", "@/tmp"} {
		check(t, os.MkdirAll(filepath.Join(m.Dir, dir), 0o755))
	}
	for name, text := range files {
		name = filepath.Join(m.Dir, name)
		check(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
	}
	if change != nil {
		change(m.Dir)
	}
	m.Unmount(t)
	l.plug(t)
	return l
}

func (l *laptop) plug(t testing.TB) {
	t.Helper()
	l.node = run(t, "losetup", "--find", "--show", l.image)
	t.Cleanup(func() { l.unplug(t) })
}

func (l *laptop) unplug(t testing.TB) {
	t.Helper()
	if l.node != "" {
		run(t, "losetup", "--detach", l.node)
		l.node = ""
	}
}

func (l *laptop) request(t testing.TB, text string) (Request, *[]string) {
	t.Helper()
	lines, err := fstab.Parse(text)
	check(t, err)
	var notes []string
	return Request{
		Dir: t.TempDir(), Lines: lines, Note: func(line string) { notes = append(notes, line) },
		Node: func(what string) (string, error) {
			if what == "PARTUUID=11" {
				return l.node, nil
			}
			return "", errors.New(what + ": no disk has it")
		},
	}, &notes
}

func (l *laptop) sum(t testing.TB) string {
	t.Helper()
	run(t, "sync", l.node)
	f, err := os.Open(l.image)
	check(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	check(t, err)
	return string(h.Sum(nil))
}

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	check(t, err)
	return string(text)
}

// noneBelow wants nothing to be mounted there.
func noneBelow(t testing.TB, dir string) {
	t.Helper()
	list, err := mountinfo.Self()
	check(t, err)
	for _, m := range list {
		if m.Point == dir || strings.HasPrefix(m.Point, dir+"/") {
			t.Errorf("%s is still mounted", m.Point)
		}
	}
}

func TestMount(t *testing.T) {
	l := newLaptop(t, nil)
	r, notes := l.request(t, table)
	s, err := Mount(t.Context(), r)
	check(t, err)
	for name, want := range map[string]string{"/etc/hostname": "fox\n", "/var/log/boot": "booted\n", "/state/id": "7\n", "/home/alice/notes": "mine\n"} {
		if got := read(t, s.Path(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	check(t, os.WriteFile(s.Path("/home/alice/new"), []byte("written"), 0o600), s.Close())
	noneBelow(t, r.Dir)
	if got := strings.Join(*notes, "\n"); strings.Count(got, "\n") != 2 || !strings.Contains(got, "/nas: nfs") || !strings.Contains(got, "/mnt/stick: is left out: LABEL=stick: no disk") || !strings.Contains(got, "/later") {
		t.Errorf("notes:\n%s", got)
	}
	s, err = Mount(t.Context(), r)
	check(t, err)
	if got := read(t, s.Path("/home/alice/new")); got != "written" {
		t.Errorf("after another mount: %q", got)
	}
	check(t, s.Close())
}

// TestReadOnly mounts a file system that the power has failed of: there is a log
// that any other mount would replay, and no byte of the disk may change.
func TestReadOnly(t *testing.T) {
	l := newLaptop(t, nil)
	r, _ := l.request(t, table)
	s, err := Mount(t.Context(), r)
	check(t, err)
	f, err := os.Create(s.Path("/home/alice/late"))
	check(t, err)
	_, err = f.WriteString("only in the log")
	check(t, err, f.Sync(), f.Close())
	cut := &laptop{image: filepath.Join(t.TempDir(), "cut.img")}
	run(t, "cp", "--sparse=always", l.image, cut.image)
	check(t, s.Close())
	l.unplug(t) // the kernel takes two devices of one UUID for the same
	cut.plug(t)
	if !logDirty(t, cut.image) {
		t.Fatal("the image has no log to be replayed")
	}
	before := cut.sum(t)
	r, _ = cut.request(t, table)
	r.ReadOnly, r.Sleeps = true, true
	s, err = Mount(t.Context(), r)
	check(t, err)
	if err := os.WriteFile(s.Path("/home/alice/new"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write: %v, want EROFS", err)
	}
	if got := read(t, s.Path("/home/alice/notes")); got != "mine\n" {
		t.Errorf("notes: %q", got)
	}
	check(t, s.Close())
	if cut.sum(t) != before {
		t.Error("the disk was changed")
	}
	r.ReadOnly = false
	if _, err := Mount(t.Context(), r); fault.ClassOf(err) != fault.Usage || !strings.Contains(err.Error(), "a session sleeps") {
		t.Errorf("for writing: %v", err)
	}
	noneBelow(t, r.Dir)
}

func logDirty(t testing.TB, image string) bool {
	t.Helper()
	f, err := os.Open(image)
	check(t, err)
	defer f.Close()
	info, err := f.Stat()
	check(t, err)
	fs, err := reader.Open(f, info.Size())
	check(t, err)
	return fs.LogDirty()
}

func TestRefused(t *testing.T) {
	l := newLaptop(t, func(top string) {
		check(t, os.Remove(filepath.Join(top, "@/home")), os.Symlink("/etc", filepath.Join(top, "@/home")))
	})
	for _, tt := range []struct {
		name, table string
		class       fault.Class
		want        string
	}{
		{"no root", "PARTUUID=11 /home btrfs subvol=@home 0 0\n", fault.Input, "none is mounted at /"},
		{"no disk", "PARTUUID=11 / btrfs subvol=@ 0 0\nPARTUUID=12 /boot vfat defaults 0 2\n", fault.Target, "/boot: PARTUUID=12: no disk"},
		{"no subvolume", "PARTUUID=11 / btrfs subvol=@ 0 0\nPARTUUID=11 /nix btrfs subvol=@nix 0 0\n", fault.Target, "/nix: mount btrfs from "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := l.request(t, tt.table)
			_, err := Mount(t.Context(), r)
			if err == nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, class %v; want %q, class %v", err, fault.ClassOf(err), tt.want, tt.class)
			}
			noneBelow(t, r.Dir)
		})
	}
	r, _ := l.request(t, table) // its /home leads to /etc: of the system, not of this machine
	s, err := Mount(t.Context(), r)
	check(t, err)
	if got := read(t, s.Path("/etc/alice/notes")); got != "mine\n" {
		t.Errorf("notes: %q", got)
	}
	check(t, s.Close())
}

// putShell copies a shell and its libraries into a root.
func putShell(t testing.TB, root string) {
	t.Helper()
	for _, name := range append([]string{"/bin/sh", "/bin/mkdir", "/bin/cat"}, strings.Fields(run(t, "ldd", "/bin/sh")+run(t, "ldd", "/bin/mkdir")+run(t, "ldd", "/bin/cat"))...) {
		if info, err := os.Stat(name); err != nil || !strings.HasPrefix(name, "/") || info.IsDir() {
			continue
		}
		text, err := os.ReadFile(name)
		to := filepath.Join(root, name)
		check(t, err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o755))
	}
}

func TestEnter(t *testing.T) {
	imgtest.Need(t, "ldd")
	for name, change := range map[string]func(root string) error{
		"own list":     func(string) error { return nil },
		"link to /run": func(root string) error { return relink(root, "/run/systemd/resolve/stub-resolv.conf") },
		"relative":     func(root string) error { return relink(root, "../run/resolvconf/resolv.conf") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t, func(top string) {
				putShell(t, filepath.Join(top, "@"))
				check(t, change(filepath.Join(top, "@")))
			})
			r, _ := l.request(t, table)
			s, err := Mount(t.Context(), r)
			check(t, err)
			var log bytes.Buffer
			var notes []string
			check(t, s.Enter(t.Context(), &log, func(line string) { notes = append(notes, line) }))
			check(t, s.Enter(t.Context(), &log, nil)) // once is enough
			shell, err := s.Shell()
			check(t, err)
			out, err := s.Command(t.Context(), shell, "-c", "cat /etc/hostname /etc/resolv.conf; test -e /proc/1/stat && test -c /dev/null && test -d /sys/block && echo special; echo $HOME").Output()
			check(t, err)
			if want := "fox\n" + read(t, resolvConf) + "special\n/root\n"; string(out) != want || shell != "/bin/sh" {
				t.Errorf("%s: %q, want %q; notes %q", shell, out, want, notes)
			}
			check(t, s.Close())
			noneBelow(t, r.Dir)
		})
	}
}

func relink(root, to string) error {
	name := filepath.Join(root, resolvConf)
	return errors.Join(os.Remove(name), os.Symlink(to, name))
}

// TestEnterNixOS runs the activation of the generation that the profile names, in
// the way of nixos-enter.
func TestEnterNixOS(t *testing.T) {
	imgtest.Need(t, "ldd")
	activate := "#!/bin/sh\necho activating $IN_NIXOS_ENTER\nmkdir -p /run/current-system/sw/bin && cat /bin/sh >/run/current-system/sw/bin/bash\n"
	for name, want := range map[string]struct{ extra, log, notes string }{
		"works": {"", "activating 1\n", ""},
		"fails": {"exit 3\n", "activating 1\n", "its activation failed, which is no wonder where it is damaged: exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLaptop(t, func(top string) {
				putShell(t, filepath.Join(top, "@"))
				at := filepath.Join(top, "@", nixProfile)
				check(t, os.MkdirAll(at, 0o755), os.WriteFile(filepath.Join(at, "activate"), []byte(activate+want.extra), 0o755))
			})
			r, _ := l.request(t, table)
			s, err := Mount(t.Context(), r)
			check(t, err)
			var log bytes.Buffer
			var notes []string
			check(t, s.Enter(t.Context(), &log, func(line string) { notes = append(notes, line) }))
			shell, err := s.Shell()
			check(t, err)
			if log.String() != want.log || strings.Join(notes, "\n") != want.notes || shell != "/run/current-system/sw/bin/bash" {
				t.Errorf("log %q, notes %q, shell %s", &log, notes, shell)
			}
			check(t, s.Close())
			noneBelow(t, r.Dir)
		})
	}
}
