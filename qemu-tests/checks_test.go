package qemutests

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// laptop is a small plan by hand.
func laptop() *plan.Plan {
	partition := ids.UUID{0xab}
	return &plan.Plan{
		Profile: profiles.Profile{Name: "p", Tests: profiles.Tests{Promises: []string{"rescue", "boot", "mounts"}}},
		Layout:  layouts.Layout{ESP: layouts.ESP{Mount: "/boot", Label: "ESP"}},
		Disk:    plan.Disk{Partitions: []plan.Partition{{Role: "root", PARTUUID: partition}}},
		Mounts: []plan.Mount{
			{Target: "/", Type: "btrfs", What: "PARTUUID=" + partition.String(), Options: []string{"subvol=@", "compress=zstd:3", "noatime"}, Subvol: "@"},
			{Target: "/boot", Type: "vfat", What: "PARTUUID=22", Options: []string{"umask=0077", "nofail", "x-systemd.automount"}},
			{Target: "/persist", Type: "btrfs", What: "PARTUUID=" + partition.String(), Options: []string{"subvol=@persist"}, Subvol: "@persist"},
			{Target: "/var/log", Type: "none", What: "/persist/var/log", Options: []string{"bind", "x-initrd.mount"}},
		},
		Entries: []plan.Entry{
			{ID: "p", Cmdline: []string{"a"}}, {ID: "p-factory", Cmdline: []string{"a", plan.FactoryWord}}, {ID: "p-rescue", Cmdline: []string{plan.ShellWord, "a"}},
		},
	}
}

// mounted is what findmnt says in a system that is as laptop plans it.
func mounted() []found {
	id := ids.UUID{0xab}.String()
	return []found{
		{"/", "/dev/vda2[/@]", "btrfs", "rw,noatime,compress=zstd:3,discard=async,subvolid=256,subvol=/@", "/@", id},
		{"/boot", "systemd-1", "autofs", "rw,fd=1", "/", ""},
		{"/boot", "/dev/vda1", "vfat", "rw,relatime,fmask=0077,dmask=0077,codepage=437", "/", "22"},
		{"/persist", "/dev/vda2[/@persist]", "btrfs", "rw,subvol=/@persist", "/@persist", strings.ToUpper(id)},
		{"/var/log", "/dev/vda2[/@persist/var/log]", "btrfs", "rw,subvol=/@persist", "/@persist/var/log", id},
	}
}

func TestMountProblems(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(m []found) []found
		want   []string
	}{
		{"as planned", func(m []found) []found { return m }, nil},
		{"missing", func(m []found) []found { return m[:4] }, []string{"/var/log: is not mounted"}},
		{"covered", func(m []found) []found {
			return append(m, found{"/persist", "tmpfs", "tmpfs", "rw,subvol=/@persist", "/", m[0].PARTUUID})
		},
			[]string{"/persist: file system tmpfs, expected btrfs"}},
		{"automount alone", func(m []found) []found { return slices.Delete(m, 2, 3) }, []string{
			"/boot: file system autofs, expected vfat", `/boot: partition "", expected "22"`,
			"/boot: options rw,fd=1, expected fmask=0077 among them", "/boot: options rw,fd=1, expected dmask=0077 among them",
		}},
		{"another disk", func(m []found) []found { m[0].PARTUUID = "33"; return m }, []string{
			`/: partition "33", expected "` + ids.UUID{0xab}.String() + `"`}},
		{"another subvolume", func(m []found) []found { m[0].Options = "rw,noatime,compress=zstd:3,subvol=/@x"; return m }, []string{
			"/: options rw,noatime,compress=zstd:3,subvol=/@x, expected subvol=/@ among them"}},
		{"another level", func(m []found) []found { m[0].Options = "rw,noatime,compress=zstd:1,subvol=/@"; return m }, []string{
			"/: options rw,noatime,compress=zstd:1,subvol=/@, expected compress=zstd:3 among them"}},
		{"bound from elsewhere", func(m []found) []found { m[4].FSRoot = "/@/var/log"; return m }, []string{
			`/var/log: shows "/@/var/log" of its file system, expected "/@persist/var/log"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mountProblems(laptop(), tt.change(mounted()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMountOfRootInMemory(t *testing.T) {
	p := laptop()
	p.Mounts = []plan.Mount{{Target: "/", Type: "tmpfs", What: "tmpfs", Options: []string{"size=2G"}, Subvol: "@"}}
	if got := mountProblems(p, []found{{Target: "/", Type: "overlay"}}); got != nil {
		t.Errorf("overlay: %q", got)
	}
	if got := mountProblems(p, mounted()); !slices.Equal(got, []string{"/: file system btrfs, expected an overlay"}) {
		t.Errorf("btrfs: %q", got)
	}
	p.Mounts = []plan.Mount{{Target: "/x", Type: "none", What: "/nowhere/x"}}
	if got := mountProblems(p, []found{{Target: "/x"}}); !slices.Equal(got, []string{`/x: "/nowhere/x" lies in no subvolume that is mounted`}) {
		t.Errorf("bind of nothing: %q", got)
	}
}

func TestShownOptions(t *testing.T) {
	for in, want := range map[string][]string{
		"subvol=@home": {"subvol=/@home"}, "subvol=/@": {"subvol=/@"}, "umask=0077": {"fmask=0077", "dmask=0077"},
		"size=2G": {"size=2097152k"}, "size=512m": {"size=524288k"}, "size=4k": {"size=4k"}, "size=50%": {"size=50%"}, "size=": {"size="},
		"size=99999999999G": {"size=99999999999G"},
		"noatime":           {"noatime"}, "x-initrd.mount": nil, "nofail": nil, "defaults": nil, "bind": nil,
	} {
		if got := shownOptions(in); !slices.Equal(got, want) {
			t.Errorf("shownOptions(%q) = %q; want %q", in, got, want)
		}
	}
}

func names(list []Check) (names []string) {
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}

func TestPromised(t *testing.T) {
	p := laptop()
	list, unknown := promised(p)
	if got := names(list); !slices.Equal(got, []string{"boot", "mounts", "rescue"}) || unknown != nil {
		t.Errorf("promised = %q, %q", got, unknown)
	}
	p.Layout.Tmpfs.Size = "2G"
	p.Profile.Tests.Promises = []string{"flying"}
	list, unknown = promised(p)
	if got := names(list); !slices.Equal(got, []string{impermanence}) || !slices.Equal(unknown, []string{"flying"}) {
		t.Errorf("promised = %q, %q", got, unknown)
	}
}

// TestMenuless leaves out, and names, what a unified kernel image cannot be
// asked. A menu that lacks a promised entry is no excuse.
func TestMenuless(t *testing.T) {
	for _, tt := range []struct {
		name, loader string
		promised     []string
		menuless     []string
	}{
		{"a menu of one entry", "systemd-boot", []string{"boot", "mounts", "rescue"}, nil},
		{"no menu", "uki", []string{"boot", "mounts"}, []string{"rescue"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := laptop()
			p.Profile.Boot.Loader, p.Entries = tt.loader, p.Entries[:1]
			list, unknown := promised(p)
			if got := names(list); !slices.Equal(got, tt.promised) || unknown != nil {
				t.Errorf("promised = %q, %q; want %q", got, unknown, tt.promised)
			}
			if got := Menuless(p); !slices.Equal(got, tt.menuless) {
				t.Errorf("Menuless = %q; want %q", got, tt.menuless)
			}
		})
	}
}

// TestEveryPromiseHasACheck holds the list of package profiles and the table
// of checks together.
func TestEveryPromiseHasACheck(t *testing.T) {
	p := laptop()
	p.Profile.Tests.Promises = profiles.Promises
	list, unknown := promised(p)
	if unknown != nil || len(list) != len(profiles.Promises) {
		t.Errorf("%d checks for %d promises; without one: %q", len(list), len(profiles.Promises), unknown)
	}
}

func TestEntryOf(t *testing.T) {
	p := laptop()
	for boot, want := range map[Boot]string{NormalBoot: "p", FactoryBoot: "p-factory", RescueBoot: "p-rescue"} {
		if got := entryOf(p, boot); got == nil || got.ID != want {
			t.Errorf("entryOf(%s) = %v; want %s", boot, got, want)
		}
	}
	p.Entries = p.Entries[:1]
	if got := entryOf(p, RescueBoot); got != nil {
		t.Errorf("entryOf = %v; want none", got)
	}
}

// TestSuiteRefused: nothing is started for what cannot be checked.
func TestSuiteRefused(t *testing.T) {
	p := laptop()
	p.Profile.Tests.Promises = []string{"flying"}
	if _, err := Test(soon(t), Suite{Plan: p}); err == nil || !strings.Contains(err.Error(), `["flying"]`) {
		t.Errorf("unknown promise: %v", err)
	}
	p.Profile.Tests.Promises = nil
	if _, err := Test(soon(t), Suite{Plan: p}); err == nil || !strings.Contains(err.Error(), "promises nothing") {
		t.Errorf("no promise: %v", err)
	}
}
