package decrypt

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/mountinfo"
)

// TestMountKinds refuses one kind of memory after the other.
func TestMountKinds(t *testing.T) {
	tests := []struct {
		name         string
		ramfs, tmpfs error
		calls        string
		note         string
		err, hint    string
	}{
		{"ramfs", nil, nil, "ramfs mode=0751", "", "", ""},
		{"no ramfs", unix.ENODEV, nil, "ramfs mode=0751, tmpfs mode=0751,noswap", "/d: ramfs cannot be mounted (no such device); the secrets are in tmpfs with the option noswap", "", ""},
		{"old kernel", unix.ENODEV, unix.EINVAL, "ramfs mode=0751, tmpfs mode=0751,noswap", "", "/d: no memory that is never swapped can be mounted: ramfs: no such device; tmpfs with the option noswap: invalid argument", ""},
		{"not root", unix.EPERM, unix.EPERM, "ramfs mode=0751, tmpfs mode=0751,noswap", "", "operation not permitted", "run it as root"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var calls []string
			note, err := mount(func(source, target, fstype string, flags uintptr, data string) error {
				calls = append(calls, fstype+" "+data)
				if target != "/d" || flags != unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC {
					t.Errorf("mounted at %s with flags %#x", target, flags)
				}
				return map[string]error{"ramfs": tt.ramfs, "tmpfs": tt.tmpfs}[fstype]
			}).on("/d")
			if got := strings.Join(calls, ", "); got != tt.calls {
				t.Errorf("mounts %q; want %q", got, tt.calls)
			}
			if note != tt.note {
				t.Errorf("note %q; want %q", note, tt.note)
			}
			if tt.err == "" {
				check(t, err)
				return
			}
			wantProblem(t, err, firstboot.CodeSecret, tt.err)
			if got := firstboot.HintOf(err); got != tt.hint {
				t.Errorf("hint %q; want %q", got, tt.hint)
			}
		})
	}
}

func TestMountedIn(t *testing.T) {
	const table = "22 1 0:20 / / rw,relatime shared:1 - btrfs /dev/sda2 rw\n" +
		"30 22 0:25 / /run rw,nosuid - tmpfs tmpfs rw,size=10k\n" +
		"31 30 0:26 / /run/secrets.d rw,nosuid shared:5 master:2 - ramfs ramfs rw,mode=751\n" +
		"32 30 0:27 / /run/t rw - tmpfs tmpfs rw,noswap\n" +
		"33 30 0:28 / /run/u rw - tmpfs tmpfs rw,noswapping\n" +
		"34 30 0:29 / /run/twice rw - ramfs ramfs rw\n35 34 0:30 / /run/twice rw - tmpfs tmpfs rw\n" +
		"36 30 0:31 / /run/a\\040b\\134 rw - ramfs ramfs rw\n" +
		"37 30 0:32 / /run/short rw - tmpfs\n"
	for dir, want := range map[string]string{
		"/": "btrfs", "/run": "tmpfs", "/run/secrets.d": "ramfs", "/run/t": noswap, "/run/u": "tmpfs", "/run/twice": "tmpfs", `/run/a b\`: "ramfs",
		"/run/secrets": "", "/home": "",
	} {
		if got := mountedIn(mountinfo.Parse(table), dir); got != want {
			t.Errorf("mountedIn(%s) = %q; want %q", dir, got, want)
		}
	}
}

func FuzzMountedIn(f *testing.F) {
	f.Add("31 30 0:26 / /run/secrets.d rw - ramfs ramfs rw\n", "/run/secrets.d")
	f.Add("31 30 0:26 / /a\\040b rw - tmpfs tmpfs rw,noswap\n", "/a b")
	f.Fuzz(func(t *testing.T, table, dir string) {
		if kind := mountedIn(mountinfo.Parse(table), dir); kind != "" && kind != noswap && !strings.Contains(table, kind) {
			t.Errorf("kind %q", kind)
		}
	})
}

// inNamespace names the environment variable of the process that has mounts of
// its own.
const inNamespace = "MKIMAGE_TEST_NAMESPACE"

// TestRealMemory mounts what a running system mounts, in a process whose mounts
// nobody else sees.
func TestRealMemory(t *testing.T) {
	imgtest.NeedRoot(t)
	if os.Getenv(inNamespace) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRealMemory$", "-test.v")
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestRealMemory/") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	t.Run("ramfs", realRamfs)
	t.Run("tmpfs", realTmpfs)
	t.Run("swapped", realSwapped)
}

// memoryMachine is a machine with real mounts, which is taken apart in the end.
func memoryMachine(t *testing.T) *machine {
	m := newMachine(t, restic, token)
	m.dirs.Mount = nil
	check(t, os.MkdirAll(m.at("/run/secrets.d"), 0o755))
	t.Cleanup(func() {
		for unix.Unmount(m.at("/run/secrets.d"), unix.MNT_DETACH) == nil {
		}
	})
	return m
}

// wantMounted wants one file system at /run/secrets.d, of a kind.
func (m *machine) wantMounted(magic int64, kind string) {
	m.t.Helper()
	var st unix.Statfs_t
	check(m.t, unix.Statfs(m.at("/run/secrets.d"), &st))
	if int64(st.Type) != magic || st.Flags&(unix.ST_NODEV|unix.ST_NOSUID|unix.ST_NOEXEC) != unix.ST_NODEV|unix.ST_NOSUID|unix.ST_NOEXEC {
		m.t.Errorf("type %#x, flags %#x; want %#x, nodev nosuid noexec", st.Type, st.Flags, magic)
	}
	if got, err := mountedAt(m.at("/run/secrets.d")); err != nil || got != kind {
		m.t.Errorf("mountedAt = %q, %v; want %q", got, err, kind)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	check(m.t, err)
	if n := strings.Count(string(table), " "+m.at("/run/secrets.d")+" "); n != 1 {
		m.t.Errorf("%d file systems are mounted; want 1", n)
	}
	info, err := os.Stat(m.at("/run/secrets.d"))
	check(m.t, err)
	if info.Mode().Perm() != dirMode {
		m.t.Errorf("mode %o; want %o", info.Mode().Perm(), dirMode)
	}
}

func realRamfs(t *testing.T) {
	m := memoryMachine(t)
	for n := 1; n <= 2; n++ {
		if r := m.install(); len(r.Notes) > 0 {
			t.Errorf("notes %q; want none", r.Notes)
		}
		m.wantMounted(unix.RAMFS_MAGIC, "ramfs")
		m.wantGeneration(n)
		m.wantValue("/run/secrets/restic", "hunter2 of restic")
	}
	m.c.Secrets[1].Key = "none"
	m.refuse(firstboot.CodeSecret, "secret token")
	m.wantGeneration(2)
}

// realTmpfs is a kernel that has no ramfs.
func realTmpfs(t *testing.T) {
	m := memoryMachine(t)
	m.dirs.Mount = mount(func(source, target, fstype string, flags uintptr, data string) error {
		if fstype == "ramfs" {
			return unix.ENODEV
		}
		return unix.Mount(source, target, fstype, flags, data)
	}).on
	r, err := Install(&m.c, m.key, m.dirs)
	if errors.Is(err, unix.EINVAL) {
		t.Skip("this kernel's tmpfs has no option noswap")
	}
	check(t, err)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "ramfs cannot be mounted") {
		t.Errorf("notes %q; want that ramfs cannot be mounted", r.Notes)
	}
	m.dirs.Mount = nil // it is there now
	m.install()
	m.wantMounted(unix.TMPFS_MAGIC, noswap)
	m.wantGeneration(2)
}

// realSwapped has other memory mounted there already.
func realSwapped(t *testing.T) {
	m := memoryMachine(t)
	check(t, unix.Mount("tmpfs", m.at("/run/secrets.d"), "tmpfs", 0, ""))
	m.refuse(firstboot.CodeSecret, "tmpfs is mounted there, expected memory that is never swapped")
	m.wantGeneration(0)
}
