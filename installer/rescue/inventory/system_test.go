package inventory

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	espwriter "github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// put makes a file of the source another one; "" takes it away.
func put(t testing.TB, s *smalldisk.Parts, name, text string) {
	t.Helper()
	if e := s.Source.Lookup(name); e != nil {
		e.Parent().Remove(e)
	}
	if text != "" {
		must(t, loader.Put(s.Source, name, []byte(text), s.Plan.Epoch))
	}
}

// TestSystem changes files of a system.
func TestSystem(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *smalldisk.Parts)
		want   string // of the problems, which are none where it is ""
	}{
		{"no init", func(s *smalldisk.Parts) { put(t, s, "sbin/init", "") }, "boot laptop.img#2: there is no init in subvolume @: what was in it is gone"},
		{"no fstab", func(s *smalldisk.Parts) { put(t, s, "etc/fstab", "") }, "note laptop.img#2: there is no /etc/fstab"},
		{"fstab that mount does not take", func(s *smalldisk.Parts) { put(t, s, "etc/fstab", "x\n") }, "boot laptop.img#2: /etc/fstab: line 1: got 1 fields"},
		{"subvolume that is not there", func(s *smalldisk.Parts) { put(t, s, "etc/fstab", "LABEL=system /srv btrfs subvol=@srv 0 0\n") }, "boot laptop.img#2: subvolume @srv: is not there, and fstab mounts it at /srv"},
		{"device that is not there", func(s *smalldisk.Parts) {
			put(t, s, "etc/fstab", "UUID=1-2 /a ext4 defaults 0 0\nUUID=1-2 /b ext4 ro 0 0\nLABEL=x none swap defaults 0 0\n")
		}, "boot laptop.img#2: fstab: UUID=1-2, for /a, /b, is on no disk that was read\nboot laptop.img#2: fstab: LABEL=x, for none, is on no disk that was read\n"},
		{"device that may be away", func(s *smalldisk.Parts) {
			put(t, s, "etc/fstab", "UUID=1-2 /a ext4 nofail 0 0\nUUID=1-2 /b ext4 noauto 0 0\n/dev/mapper/x /c ext4 defaults 0 0\ntmpfs /tmp tmpfs defaults 0 0\n")
		}, ""},
		{"by all names", func(s *smalldisk.Parts) {
			root, esp := s.Plan.Partition(plan.RoleRoot), s.Plan.Partition(plan.RoleESP)
			put(t, s, "etc/fstab", fmt.Sprintf("LABEL=system / btrfs subvol=/@ 0 0\nUUID=%s /home btrfs subvol=@home 0 0\nPARTLABEL=system /var btrfs subvol=@var 0 0\n/dev/disk/by-partuuid/%s /a btrfs defaults 0 0\nUUID=%s /boot vfat defaults 0 0\n", strings.ToUpper(root.FSID), root.PARTUUID, esp.FSID))
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parts(t, loader.SystemdBoot)
			s.Params = nil
			tt.change(s)
			i := assemble(t, s)
			inv := take(t, Options{Plan: i.plan}, i.name)
			if got := texts(inv); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("problems:\n%swant %q", got, tt.want)
			}
			if inv.Mine == "" || inv.Systems[0].Hostname != "demo" {
				t.Errorf("systems: %+v", inv.Systems)
			}
		})
	}
}

// TestMounts: what fstab says counts more than what the image had.
func TestMounts(t *testing.T) {
	s := parts(t, loader.SystemdBoot)
	put(t, s, "etc/fstab", "LABEL=system / btrfs subvol=@ 0 0\nLABEL=system /data btrfs subvol=/@home 0 0\nLABEL=system /home btrfs subvol=@log 0 0\n")
	i := assemble(t, s)
	roles := map[string]string{}
	for _, v := range take(t, Options{Plan: i.plan}, i.name).Systems[0].Subvolumes {
		roles[v.Path] = string(v.Role) + " " + v.Mount
	}
	for path, want := range map[string]string{"@": "root /", "@log": "home /home"} {
		if roles[path] != want {
			t.Errorf("%s is %q; want %q", path, roles[path], want)
		}
	}
	// @home is mounted twice: where its image had it is another one now.
	if got := roles["@home"]; got != "mounted /data" {
		t.Errorf("@home is %q; want it mounted at /data", got)
	}
}

// TestSleeping: sessions with a note, without one, and a note without a session.
func TestSleeping(t *testing.T) {
	for _, tt := range []struct {
		name          string
		note, session bool
		offset        int64 // that the note is wrong by
		want, kernel  string
	}{
		{"awake", false, false, 0, "", ""},
		{"asleep", true, true, 0, "danger laptop.img#2: a session of Linux 6.12.7 sleeps in @swap/swapfile", "6.12.7"},
		{"without a note", false, true, 0, "danger laptop.img#2: a session sleeps in @swap/swapfile", ""},
		{"note of another swapfile", true, true, 1, "danger laptop.img#2: a session sleeps in @swap/swapfile", ""},
		{"session that is not there", true, false, 0, "note laptop.img#2: the system hibernated with Linux 6.12.7, and its session is not in @swap/swapfile", ""},
		{"old note", true, false, 1, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			make := func(offset int64) *testDisk {
				s := parts(t, loader.SystemdBoot)
				s.Params = func(p *btrfs.Params) {
					for i := range p.Subvolumes {
						if p.Subvolumes[i].Path == "@swap" && tt.note {
							p.Subvolumes[i].Empty, p.Subvolumes[i].Source = false, "swap"
						}
					}
				}
				if tt.note {
					data, err := json.Marshal(record.Record{Kernel: "6.12.7", Offset: offset})
					must(t, err)
					put(t, s, "swap/swapfile"+record.Suffix, fmt.Sprintf("%-200s", data))
				}
				return assemble(t, s)
			}
			i := make(make(0).made.Swapfile.ResumeOffset + tt.offset)
			if tt.session {
				i.sleep()
			}
			inv := take(t, Options{Plan: i.plan}, i.name)
			if got := texts(inv); strings.TrimSpace(got) != tt.want {
				t.Errorf("problems:\n%swant %q", got, tt.want)
			}
			if s := inv.Systems[0]; s.Hibernated != tt.session {
				t.Errorf("hibernated: %v", s.Hibernated)
			}
			if !tt.session {
				return
			}
			want := []Session{{Place: inv.Systems[0].Root, System: inv.Mine, File: "@swap/swapfile", Offset: i.made.Swapfile.ResumeOffset, Kernel: tt.kernel}}
			if diff := cmp.Diff(want, inv.Sessions); diff != "" {
				t.Errorf("sessions (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSleepingSwapPartition: a session in a swap partition is one, too.
func TestSleepingSwapPartition(t *testing.T) {
	name := disk(t, "swap.img", "swap", func(f *os.File, p gpt.Partition) {
		_, err := f.WriteAt([]byte("S1SUSPEND\x00"), p.Start+4086)
		must(t, err)
	})
	inv := take(t, Options{}, name)
	if len(inv.Sessions) != 1 || inv.Sessions[0].Number != 1 || texts(inv) != "danger swap.img#1: a session sleeps in this swap area\n" {
		t.Errorf("sessions %+v, problems:\n%s", inv.Sessions, texts(inv))
	}
}

// foreign is a disk with an ESP and a btrfs that others have made.
func foreign(t testing.TB, rootdir string, subvolumes ...string) string {
	t.Helper()
	imgtest.Need(t, "mkfs.btrfs")
	imgtest.Need(t, "mkfs.vfat")
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	name, root, esp := filepath.Join(dir, "foreign.img"), filepath.Join(dir, "root"), filepath.Join(dir, "esp")
	for file, size := range map[string]int64{name: 300 << 20, root: 200 << 20, esp: 64 << 20} {
		must(t, os.WriteFile(file, nil, 0o600))
		must(t, os.Truncate(file, size))
	}
	run(append([]string{"mkfs.btrfs", "-q", "-L", "fedora", "--rootdir", rootdir}, append(subvolumes, root)...)...)
	run("mkfs.vfat", "-F", "32", "-n", "EFI", esp)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	seed := ids.Seed{3}
	table, err := gpt.Place(gpt.Table{GUID: seed.UUID("disk"), SectorSize: 512, DiskSize: 300 << 20, Partitions: []gpt.Partition{
		{Type: plan.TypeESP, GUID: seed.UUID("1"), Size: 64 << 20}, {Type: plan.TypePayload, GUID: seed.UUID("2")},
	}})
	must(t, err)
	must(t, gpt.Write(f, table))
	for i, file := range []string{esp, root} {
		data, err := os.ReadFile(file)
		must(t, err)
		_, err = f.WriteAt(data, table.Partitions[i].Start)
		must(t, err)
	}
	return name
}

// TestForeign: a system that others have made, in the top level.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"usr/lib/os-release": "NAME=Other\n", "etc/hostname": "elsewhere\n", "etc/fstab": "LABEL=fedora / btrfs defaults 0 1\n", "usr/lib/systemd/systemd": "x", "home/ada/letter": "dear",
	} {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	inv := take(t, Options{Plan: laptopPlan(t)}, foreign(t, dir))
	if len(inv.Systems) != 1 {
		t.Fatalf("systems: %+v; problems:\n%s", inv.Systems, texts(inv))
	}
	s := inv.Systems[0]
	if s.Release != "Other" || s.Hostname != "elsewhere" || s.Label != "fedora" || s.ESP == nil || s.ESP.Label != "EFI" || inv.Mine != "" || len(s.Matches) > 0 {
		t.Errorf("system: %+v, mine %q", s, inv.Mine)
	}
	want := "boot foreign.img#1: there is no boot loader at /EFI/BOOT/BOOTX64.EFI\nboot foreign.img#1: the boot menu has no entries\n"
	if got := texts(inv); got != want {
		t.Errorf("problems:\n%swant\n%s", got, want)
	}
}

// TestNoSystem: a btrfs with data is no system.
func TestNoSystem(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "letter"), []byte("dear"), 0o644))
	if inv := take(t, Options{Plan: laptopPlan(t)}, foreign(t, dir)); len(inv.Systems) != 0 || inv.Mine != "" {
		t.Errorf("systems: %+v", inv.Systems)
	}
}

func laptopPlan(t testing.TB) *plan.Plan {
	t.Helper()
	s, err := smalldisk.New(loader.SystemdBoot)
	must(t, err)
	return s.Plan
}

// TestUsualNames: without a manifest and a table, subvolumes are known by their names.
func TestUsualNames(t *testing.T) {
	name := filepath.Join(t.TempDir(), "whole.img")
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	tree := treeOf(t, map[string]string{"root/etc/os-release": "NAME=Bare\n", "root/sbin/init": "x", "home/x": "", "keep/x": ""})
	res, err := btrfs.Write(t.Context(), f, tree, btrfs.Params{Label: "bare", Subvolumes: []btrfs.Subvolume{
		{Path: "@rootfs", Source: "root"}, {Path: "home", Source: "home"}, {Path: "keep", Source: "keep"},
	}, Snapshots: []btrfs.Snapshot{{Source: "@rootfs", Path: "keep/@rootfs.20250303"}}})
	must(t, err)
	must(t, f.Truncate(res.Size))
	inv := take(t, Options{}, name)
	var got []string
	for _, v := range inv.Systems[0].Subvolumes {
		got = append(got, fmt.Sprintf("%s %s %s of %q", v.Path, v.Role, v.Mount, v.Of))
	}
	want := []string{`@rootfs root / of ""`, `home home /home of ""`, `keep other  of ""`, `keep/@rootfs.20250303 snapshot  of "@rootfs"`}
	if !slices.Equal(got, want) || inv.Systems[0].Root.Number != 0 || inv.Systems[0].ID != name {
		t.Errorf("subvolumes %q of %s; want %q", got, inv.Systems[0].ID, want)
	}
}

// TestMenuLimit has as many entries as a menu may have, and one more.
func TestMenuLimit(t *testing.T) {
	for n, want := range map[int]int{maxEntries - 1: maxEntries - 1, maxEntries: maxEntries, maxEntries + 1: maxEntries} {
		files := map[string]string{}
		for i := range n {
			files[fmt.Sprintf("loader/entries/e%d.conf", i)] = "title x\nlinux /x\n"
		}
		name := filepath.Join(t.TempDir(), "esp.img")
		f, err := os.Create(name)
		must(t, err)
		defer f.Close()
		_, err = espwriter.Write(t.Context(), f, treeOf(t, files), espwriter.Params{Size: 64 << 20, Label: "ESP", Serial: 1})
		must(t, err)
		l := look{node: &node{ReaderAt: f, size: 64 << 20}}
		e := l.readESP(&volume{Place: Place{Disk: "x", Size: 64 << 20}})
		if len(e.Entries) != want {
			t.Errorf("%d entries: got %d; want %d", n, len(e.Entries), want)
		}
	}
}
