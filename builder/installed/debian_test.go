package installed

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
)

func stanza(name, version, arch, size string) string {
	return "Package: " + name + "\nStatus: install ok installed\nVersion: " + version + "\nArchitecture: " + arch + "\nInstalled-Size: " + size + "\n\n"
}

// debianFiles are those of a system with a package of another machine.
func debianFiles() files {
	const own, packaged = "etc/systemd/system/", "usr/lib/systemd/system/"
	return files{
		"etc/os-release": "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n", "lib": "-> usr/lib", "usr/lib/modules/6.12.1-amd64/x": "",
		"var/lib/dpkg/status":             stanza("dpkg", "1.22", "amd64", "10") + stanza("libc6", "2.41", "amd64", "4") + stanza("libc6", "2.41", "i386", "3") + stanza("tzdata", "2025b", "all", "1"),
		packaged + "ssh.service":          "[Service]\n",
		packaged + "ssh.service.d/a.conf": "a", packaged + "ssh.service.d/README": "x", own + "ssh.service.d/a.conf": "own", own + "ssh.service.d/b.conf": "b",
		packaged + "getty@.service": "[Service]\n", own + "getty.target.wants/getty@tty1.service": "-> /lib/systemd/system/getty@.service",
		packaged + "basic.target.wants/tmp.mount": "-> ../tmp.mount", packaged + "tmp.mount": "[Mount]\n",
		packaged + "sleep.target": "[Unit]\n", own + "sleep.target": "-> /dev/null",
		packaged + "cron.service": "[Service]\n", own + "cron.service": "[Service]\n#own\n", own + "multi-user.target.wants/cron.service": "-> /etc/systemd/system/cron.service",
		own + "default.target": "-> /lib/systemd/system/multi-user.target", own + "dead.service": "-> /run/dead.service",
		own + "service.d/all.conf": "x", own + "x.requires/y.mount": "-> ../y.mount", own + "not a unit": "", own + "dir.service/x": "",
	}
}

func TestDebian(t *testing.T) {
	want := &diff.System{
		Kind: diff.Debian, Release: "Debian GNU/Linux 13 (trixie)", Kernels: []string{"6.12.1-amd64"},
		Packages: []diff.Package{
			{Name: "dpkg", Version: "1.22", ID: "dpkg:amd64=1.22", Size: 10 << 10}, {Name: "libc6", Version: "2.41", ID: "libc6:amd64=2.41", Size: 4 << 10},
			{Name: "libc6:i386", Version: "2.41", ID: "libc6:i386=2.41", Size: 3 << 10}, {Name: "tzdata", Version: "2025b", ID: "tzdata:all=2025b", Size: 1 << 10},
		},
		Units: []diff.Unit{
			{Name: "cron.service", Text: diff.Digest("file [Service]\n#own\n"), Enabled: true},
			{Name: "dead.service", Text: diff.Digest("link to /run/dead.service")},
			{Name: "default.target", Text: diff.Digest("alias of multi-user.target")},
			{Name: "dir.service", Text: diff.Digest("file ")},
			{Name: "getty@.service", Text: diff.Digest("file [Service]\n")},
			{Name: "getty@tty1.service", Enabled: true},
			{Name: "service.d", Text: diff.Digest("\x00all.conf\x00x")},
			{Name: "sleep.target", Text: diff.Digest("file [Unit]\n"), Masked: true},
			{Name: "ssh.service", Text: diff.Digest("file [Service]\n\x00a.conf\x00own\x00b.conf\x00b")},
			{Name: "tmp.mount", Text: diff.Digest("file [Mount]\n")},
			{Name: "y.mount", Enabled: true},
		},
	}
	for _, subvolumes := range [][]string{nil, {"@="}, {"@=", "@var=var"}, {"@rootfs=", "@home=var/cache"}} {
		f := debianFiles()
		f["var/cache/x"] = ""
		got, err := read(t, f.image(t, subvolumes...), 0)
		if err != nil {
			t.Fatalf("%q: %v", subvolumes, err)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b diff.Digests) bool { return a == b })); d != "" {
			t.Errorf("%q (-want +got):\n%s", subvolumes, d)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct {
		name       string
		change     func(files)
		subvolumes []string
		generation int
		want       string
	}{
		{"no system", func(f files) { delete(f, "var/lib/dpkg/status") }, nil, 0, "holds neither a profile of NixOS"},
		{"generation", nil, nil, 1, "generation 1: a system of Debian has no generations"},
		{"damaged database", func(f files) { f["var/lib/dpkg/status"] = "x" }, nil, 0, `/var/lib/dpkg/status: line 1: "x"`},
		{"two systems", func(f files) { f["home/var/lib/dpkg/status"] = "" }, []string{"@=", "@home=home"}, 0, "2 directories could be mounted at /var, and no manifest says which is: @/var, @home/var"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := debianFiles()
			if tt.change != nil {
				tt.change(f)
			}
			_, err := read(t, f.image(t, tt.subvolumes...), tt.generation)
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v of class %v; want %q", err, fault.ClassOf(err), tt.want)
			}
		})
	}
	empty, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	must(t, err)
	defer empty.Close()
	must(t, empty.Truncate(1<<20))
	if _, err := read(t, empty, 0); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "no btrfs") {
		t.Errorf("a file of zeros: %v", err)
	}
}

// TestDisk reads a disk with a boot menu, with its manifest and without.
func TestDisk(t *testing.T) {
	for _, tt := range []struct {
		name   string
		esp    func(*fstree.Tree)
		unread string
	}{
		{"ours", nil, ""},
		{"of somebody else", func(e *fstree.Tree) { d := e.Lookup("mkimage"); d.Remove(d.Child("manifest.json")) }, ""},
		{"damaged manifest", func(e *fstree.Tree) {
			m := e.Lookup("mkimage/manifest.json")
			m.Size, m.Content = 1, fstree.Bytes("x")
		}, "/mkimage/manifest.json: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parts, err := smalldisk.New("systemd-boot")
			must(t, err)
			parts.ESP = tt.esp
			must(t, loader.Put(parts.Source, "var/lib/dpkg/status", []byte(stanza("dpkg", "1.22", "amd64", "10")), epoch))
			must(t, loader.Put(parts.Source, "usr/lib/systemd/system/x.service", []byte("x"), epoch))
			name := filepath.Join(t.TempDir(), "disk")
			_, err = parts.Assemble(t.Context(), name)
			must(t, err)
			f, err := os.Open(name)
			must(t, err)
			defer f.Close()
			got, err := read(t, f, 0)
			must(t, err)
			var ids []string
			for _, e := range got.Entries {
				ids = append(ids, e.ID)
			}
			slices.Sort(ids)
			if want := []string{"entry:mkimage-demo", "entry:mkimage-demo-factory", "entry:mkimage-demo-rescue"}; !slices.Equal(ids, want) {
				t.Errorf("entries %q; want %q", ids, want)
			}
			if len(got.Packages) != 1 || len(got.Units) != 1 || got.Release != "Demo" {
				t.Errorf("found %+v", got)
			}
			if tt.unread == "" && len(got.Unread) > 0 || tt.unread != "" && (len(got.Unread) != 1 || !strings.HasPrefix(got.Unread[0], tt.unread)) {
				t.Errorf("unread %q; want %q", got.Unread, tt.unread)
			}
		})
	}
}
