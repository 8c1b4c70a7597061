package installed

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/6FaNcY9/mkimage/builder/btrfs/view"
	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
)

// twoGenerations are the files of a store with a profile of two systems.
func twoGenerations(t testing.TB) files {
	const first, second = "nixos-system-fox-1", "nixos-system-fox-2"
	f := files{
		"etc/NIXOS": "",
		"nix/var/nix/db/db.sqlite": database(t,
			object(first, 100, "hello-2.12", "units-1", first), object("hello-2.12", 5000), object("units-1", 10),
			object(second, 200, "hello-2.13", "hello-2.13-man", "system-path", "units-1"), object("hello-2.13", 6000), object("hello-2.13-man", 7), object("system-path", 3, "hello-2.13"),
			object("not-needed-1", 1)),
		"nix/var/nix/db/schema":                      "10",
		"nix/var/nix/profiles/system":                "-> system-2-link",
		"nix/var/nix/profiles/system-1-link":         "-> /" + in(first, ""),
		"nix/var/nix/profiles/system-2-link":         "-> /" + in(second, ""),
		"nix/var/nix/profiles/system-x-link":         "-> /",
		in("units-1", "system/sshd.service"):         "[Service]\n",
		in("units-1", "system/x.wants/sshd.service"): "-> ../sshd.service",
		in(first, "etc"):                             "-> /" + in("etc-1", "etc"),
		in("etc-1", "etc/systemd/system"):            "-> /" + in("units-1", "system"),
		in(first, "nixos-version"):                   "26.05",
		in(first, "kernel-params"):                   `loglevel=4  dyndbg="file x +p"`,
		in(first, "specialisation/game"):             "-> /" + in("nixos-system-fox-game", ""),
		in("nixos-system-fox-game", "kernel-params"): "quiet",
		in(first, "kernel-modules"):                  "-> /" + in("linux-6.12", ""),
		in("linux-6.12", "lib/modules/6.12.1/x"):     "",
		in(second, "nixos-version"):                  "26.11",
	}
	return f
}

func TestNixOS(t *testing.T) {
	path := func(name string) string { return nixcache.Path(name).String() }
	first := &diff.System{
		Kind: diff.NixOS, Generation: 1, Toplevel: path("nixos-system-fox-1"), Release: "NixOS 26.05",
		Packages: []diff.Package{
			{Name: "nixos-system-fox", Version: "1", ID: path("nixos-system-fox-1"), Size: 100},
			{Name: "hello", Version: "2.12", ID: path("hello-2.12"), Size: 5000},
			{Name: "units", Version: "1", ID: path("units-1"), Size: 10},
		},
		Kernels: []string{"6.12.1"},
		Entries: []diff.Entry{
			{ID: "system", Words: []string{"loglevel=4", `dyndbg="file x +p"`}},
			{ID: "specialisation:game", Words: []string{"quiet"}},
		},
		Units: []diff.Unit{{Name: "sshd.service", Text: diff.Digest("file [Service]\n"), Enabled: true}},
	}
	second := &diff.System{
		Kind: diff.NixOS, Generation: 2, Toplevel: path("nixos-system-fox-2"), Release: "NixOS 26.11",
		Packages: []diff.Package{
			{Name: "nixos-system-fox", Version: "2", ID: path("nixos-system-fox-2"), Size: 200},
			{Name: "hello", Version: "2.13", ID: path("hello-2.13"), Size: 6000, Selected: true},
			{Name: "hello", Version: "2.13", ID: path("hello-2.13-man"), Size: 7},
			{Name: "system-path", ID: path("system-path"), Size: 3},
			{Name: "units", Version: "1", ID: path("units-1"), Size: 10},
		},
	}
	// The same whatever the subvolumes: also where the store is not in that of the root.
	for _, subvolumes := range [][]string{nil, {"@="}, {"@=", "@nix=nix"}, {"@nix=nix"}, {"root=", "nix=nix"}} {
		image := twoGenerations(t).image(t, subvolumes...)
		for generation, want := range []*diff.System{second, first, second} {
			got, err := read(t, image, generation)
			if err != nil {
				t.Fatalf("%q, generation %d: %v", subvolumes, generation, err)
			}
			byID := cmpopts.SortSlices(func(a, b diff.Package) bool { return a.ID < b.ID })
			if d := cmp.Diff(want, got, byID, cmp.Comparer(func(a, b diff.Digests) bool { return a == b })); d != "" {
				t.Errorf("%q, generation %d (-want +got):\n%s", subvolumes, generation, d)
			}
		}
	}
}

func TestNixOSRefuses(t *testing.T) {
	for _, tt := range []struct {
		name       string
		change     func(files)
		generation int
		want       string
	}{
		{"no such generation", nil, 3, "generation 3: is not there, found 1, 2"},
		{"current one not there", func(f files) { f["nix/var/nix/profiles/system"] = "-> system-7-link" }, 0, "generation 7: is not there, found 1, 2"},
		{"profile leads elsewhere", func(f files) { f["nix/var/nix/profiles/system"] = "-> /nix/store" }, 0, `leads to "/nix/store", expected system-NUMBER-link`},
		{"profile is a file", func(f files) { f["nix/var/nix/profiles/system"] = "x" }, 0, `leads to "", expected system-NUMBER-link`},
		{"generation is no store path", func(f files) { f["nix/var/nix/profiles/system-1-link"] = "-> /tmp" }, 1, `generation 1: store path "/tmp"`},
		{"toplevel is not valid", func(f files) { f["nix/var/nix/profiles/system-1-link"] = "-> /" + in("other", "") }, 1, "other is not valid in the store"},
		{"no database", func(f files) { delete(f, "nix/var/nix/db/db.sqlite") }, 1, "/nix/var/nix/db: store database: "},
		{"database is a link that leads nowhere", func(f files) { f["nix/var/nix/db/db.sqlite"] = "-> x" }, 1, "/nix/var/nix/db: store database: "},
		{"database is damaged", func(f files) { f["nix/var/nix/db/db.sqlite"] = "SQLite format 3\x00" + strings.Repeat("x", 4080) }, 1, "damaged: "},
		{"old schema", func(f files) { f["nix/var/nix/db/schema"] = "9" }, 1, `says schema "9", expected "10"`},
		{"change under way", func(f files) { f["nix/var/nix/db/db.sqlite-journal"] = "x" }, 1, "its -journal file has content"},
		{"parameters too long", func(f files) { f[in("nixos-system-fox-1", "kernel-params")] = strings.Repeat("x", view.MaxText+1) }, 1, "kernel-params: 1048577 bytes, expected at most 1048576"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := twoGenerations(t)
			if tt.change != nil {
				tt.change(f)
			}
			_, err := read(t, f.image(t), tt.generation)
			if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v of class %v; want %q", err, fault.ClassOf(err), tt.want)
			}
		})
	}
}

// TestNixOSRunning has a database whose last change is not carried over yet, as a running
// system has.
func TestNixOSRunning(t *testing.T) {
	f := twoGenerations(t)
	name := filepath.Join(t.TempDir(), "db.sqlite")
	must(t, os.WriteFile(name, []byte(f["nix/var/nix/db/db.sqlite"]), 0o600))
	db, err := sql.Open("sqlite", name)
	must(t, err)
	defer db.Close()
	for _, text := range []string{"pragma journal_mode = wal", "pragma wal_autocheckpoint = 0", "update ValidPaths set narSize = 777 where path like '%-hello-2.13'"} {
		_, err := db.Exec(text)
		must(t, err)
	}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(name + suffix)
		must(t, err)
		f["nix/var/nix/db/db.sqlite"+suffix] = string(data)
	}
	got, err := read(t, f.image(t, "@nix=nix"), 0)
	must(t, err)
	for _, p := range got.Packages {
		if p.ID == nixcache.Path("hello-2.13").String() && p.Size != 777 {
			t.Errorf("hello has %d bytes; want the 777 of the last change", p.Size)
		}
	}
}

// TestNixOSMasked: a unit with enable = false is a link to one in an object of its own,
// which is a link to /dev/null.
func TestNixOSMasked(t *testing.T) {
	f := twoGenerations(t)
	f[in("units-1", "system/off.service")] = "-> /" + in("unit-off.service-disabled", "off.service")
	f[in("unit-off.service-disabled", "off.service")] = "-> /dev/null"
	f[in("units-1", "system/late.service")] = "-> /run/late.service"
	got, err := read(t, f.image(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	masked := map[string]bool{}
	for _, u := range got.Units {
		masked[u.Name] = u.Masked
	}
	want := map[string]bool{"off.service": true, "late.service": false, "sshd.service": false}
	if d := cmp.Diff(want, masked); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestReadCancelled(t *testing.T) {
	image := twoGenerations(t).image(t)
	info, err := image.Stat()
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, image, info.Size(), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v; want the end of the context", err)
	}
}

// size is a file of a size and a mode.
type size struct {
	n    int64
	mode fs.FileMode
}

func (size) Name() string        { return "" }
func (s size) Size() int64       { return s.n }
func (s size) Mode() fs.FileMode { return s.mode }
func (size) ModTime() time.Time  { return epoch }
func (s size) IsDir() bool       { return s.mode.IsDir() }
func (size) Sys() any            { return nil }

func TestDatabaseLimit(t *testing.T) {
	for _, tt := range []struct {
		in size
		ok bool
	}{
		{size{maxDatabase - 1, 0}, true}, {size{maxDatabase, 0}, true}, {size{maxDatabase + 1, 0}, false}, {size{0, fs.ModeNamedPipe}, false},
	} {
		if err := checkDatabase("db", tt.in); (err == nil) != tt.ok {
			t.Errorf("%+v: %v; want none: %v", tt.in, err, tt.ok)
		}
	}
}
