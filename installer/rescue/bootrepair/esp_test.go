package bootrepair

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/nixcache"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/initramfs"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// run runs a program.
func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

// esp returns the files of the ESP by their paths, but for the manifest.
func (m made) esp(t testing.TB) map[string]string {
	t.Helper()
	p := m.table.Partitions[0]
	files, err := espreader.Open(section(m.disk, p.Start, p.Size), p.Size)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == manifest.ESPPath {
			return err
		}
		data, err := files.ReadFile(name)
		list[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// sizes are the names of files, with how many bytes each has.
func sizes(files map[string]string) (list []string) {
	for name, text := range files {
		list = append(list, fmt.Sprintf("%s %d", name, len(text)))
	}
	slices.Sort(list)
	return list
}

// onESP has a test change the ESP as a file of its own.
func (m made) onESP(t testing.TB, do func(file string)) {
	t.Helper()
	p := m.table.Partitions[0]
	name := filepath.Join(t.TempDir(), "esp")
	f, err := os.Create(name)
	if err == nil {
		err = f.Truncate(p.Size)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	was := m.disk.read(t, p.Start, p.Size)
	zeros := make([]byte, 64<<10)
	for at := 0; at < len(was); at += len(zeros) {
		if page := was[at : at+len(zeros)]; !bytes.Equal(page, zeros) {
			if _, err := f.WriteAt(page, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	do(name)
	for at := 0; at < len(was); at += len(zeros) {
		page := make([]byte, len(zeros))
		if _, err := f.ReadAt(page, int64(at)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(page, was[at:at+len(page)]) {
			m.disk.put(t, p.Start+int64(at), page...)
		}
	}
}

// mount copies the files of the ESP to a folder, and back.
func (m made) mount(t testing.TB) func(context.Context, gpt.Partition) (durable.FS, func() error, error) {
	return func(context.Context, gpt.Partition) (durable.FS, func() error, error) {
		dir := t.TempDir()
		if len(m.esp(t)) > 0 {
			m.onESP(t, func(file string) { run(t, "mcopy", "-s", "-n", "-i", file, "::/*", dir) })
		}
		return durable.OS(dir), func() error {
			m.onESP(t, func(file string) {
				names, err := filepath.Glob(dir + "/*")
				if err != nil {
					t.Fatal(err)
				}
				run(t, append([]string{"mcopy", "-s", "-o", "-i", file}, append(names, "::/")...)...)
			})
			return nil
		}, nil
	}
}

// stick returns one that was made for a disk, with other identities.
func (m made) stick(t testing.TB) Stick {
	t.Helper()
	return Stick{
		Plan: plan.Adopt(m.plan, plan.Identity{Disk: seed.UUID("a"), ESP: seed.UUID("b"), Root: seed.UUID("c"), ESPSerial: "AAAA-AAAA", SectorSize: 512}),
		Initramfs: func(ctx context.Context, tree *fstree.Tree, p *plan.Plan, k source.Kernel) ([]byte, error) {
			a, err := initramfs.Build(ctx, image.InitramfsParams(tree, p, k, nil))
			if err != nil {
				return nil, err
			}
			return a.Data, nil
		},
	}
}

// withKernel gives a stick what is on the ESP.
func (s Stick) withKernel(files map[string]string) Stick {
	for name, text := range files {
		dir, ok := strings.CutSuffix(name, "/linux")
		if ok && strings.HasPrefix(name, "mkimage/") {
			version := dir[len("mkimage/"):strings.LastIndexByte(dir, '-')]
			s.Kernels = append(s.Kernels, Kernel{version, []byte(text), []byte(files[dir+"/initramfs"])})
		}
	}
	return s
}

func (m made) system(s Stick) System {
	return System{Name: "the disk", Disk: m.disk, Pin: func() error { return nil }, Stick: s, Seed: seed}
}

// checked runs the programs that everybody uses over a disk.
func (m made) checked(t testing.TB) {
	t.Helper()
	name := m.disk.File(t)
	if out := run(t, "sgdisk", "--verify", name); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
	m.onESP(t, func(file string) { run(t, "fsck.fat", "-n", file) })
}

// damages are what happens to an ESP, with what the findings are about.
var damages = []struct {
	name string
	do   func(t testing.TB, m made)
	want []Kind
}{
	{"none", func(testing.TB, made) {}, nil},
	{"formatted", func(t testing.TB, m made) { m.disk.wipe(t, m.table.Partitions[0].Start, 4*mib) }, []Kind{KindESP}},
	{"formatted, empty", func(t testing.TB, m made) {
		m.onESP(t, func(file string) { run(t, "mkfs.fat", "-F", "32", "-n", "ESP", file) })
	}, []Kind{KindFiles}},
	{"loader deleted", func(t testing.TB, m made) {
		m.onESP(t, func(file string) { run(t, "mdeltree", "-i", file, "::/EFI/BOOT", "::/EFI/systemd") })
	}, []Kind{KindFiles}},
	{"entries deleted", func(t testing.TB, m made) {
		m.onESP(t, func(file string) { run(t, "mdeltree", "-i", file, "::/loader") })
	}, []Kind{KindFiles}},
	{"kernel cut short", func(t testing.TB, m made) {
		m.onESP(t, func(file string) {
			empty := filepath.Join(t.TempDir(), "linux")
			if err := os.WriteFile(empty, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			for name := range m.esp(t) {
				if strings.HasSuffix(name, "/linux") || strings.HasSuffix(name, "bzImage.efi") {
					run(t, "mcopy", "-o", "-i", file, empty, "::/"+name)
				}
			}
		})
	}, []Kind{KindFiles}},
	{"all of it", func(t testing.TB, m made) {
		m.disk.wipe(t, 0, 5*mib)
		m.disk.wipe(t, m.disk.Size()-mib, mib)
	}, []Kind{KindTable, KindESP}},
}

// TestRepair damages the ESP of both systems, and wants it as it was.
func TestRepair(t *testing.T) {
	imgtest.Need(t, "mcopy", "mdeltree", "mkfs.fat", "fsck.fat", "sgdisk")
	for name, make := range map[string]func(testing.TB) made{"small": smallDisk, "NixOS": nixosDisk} {
		for _, tt := range damages {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				m := make(t)
				want := m.esp(t)
				stick := m.stick(t).withKernel(want)
				tt.do(t, m)
				m.repaired(t, stick, tt.want)
				if got := m.esp(t); name == "NixOS" && tt.name == "all of it" {
					wantRebuilt(t, got)
				} else {
					wantFiles(t, want, got)
				}
			})
		}
	}
}

// TestOthers formats the ESP of systems of other kinds, and deletes a part of it.
func TestOthers(t *testing.T) {
	imgtest.Need(t, "mcopy", "mdeltree", "fsck.fat", "sgdisk")
	imgtest.NeedGRUB(t)
	for _, tt := range []struct{ name, layout, loader, part string }{
		{"GRUB", "btrfs-laptop", loader.GRUB, "mkimage/6.1.0-*"},
		{"unified", "btrfs-laptop", loader.UKI, "EFI/BOOT/BOOTX64.EFI"},
		{"root in memory", "impermanence", loader.SystemdBoot, "loader/entries/*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := otherDisk(t, tt.layout, tt.loader)
			want := m.esp(t)
			stick := m.stick(t).withKernel(want)
			if tt.loader == loader.UKI {
				stick.Kernels = []Kernel{{Version: "6.1.0", Image: smallKernel(t)}}
			}
			if tt.loader == loader.GRUB {
				stick.Loader = []byte(want["EFI/BOOT/BOOTX64.EFI"])
			}
			m.onESP(t, func(file string) { run(t, "mdeltree", "-i", file, "::/"+tt.part) })
			m.repaired(t, stick, []Kind{KindFiles})
			m.disk.wipe(t, m.table.Partitions[0].Start, mib)
			m.repaired(t, stick, []Kind{KindESP})
			wantFiles(t, want, m.esp(t))
		})
	}
}

// smallKernel is what the small system of imgtest has for a kernel.
func smallKernel(t testing.TB) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "system")
	if err := imgtest.System(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "boot/vmlinuz-6.1.0"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// repaired wants findings of some kinds, has them repaired, and wants none afterwards.
func (m made) repaired(t *testing.T, stick Stick, want []Kind) {
	t.Helper()
	found, err := Diagnose(t.Context(), m.system(stick), nil)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []Kind
	for _, f := range found.List {
		if !slices.Contains(kinds, f.Kind) {
			kinds = append(kinds, f.Kind)
		}
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Fatalf("findings (-want +got):\n%s\n%+v\n%q", diff, found.List, found.Notes)
	}
	r, err := Repair(t.Context(), found, Choices{Mount: m.mount(t)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Done) != len(found.List) || len(r.Left) > 0 {
		t.Errorf("done %v, left %v", r.Done, r.Left)
	}
	m.checked(t)
	again, err := Diagnose(t.Context(), m.system(stick), nil)
	if err != nil || len(again.List) > 0 {
		t.Errorf("afterwards: %+v, %v", again, err)
	}
}

func wantFiles(t *testing.T, want, got map[string]string) {
	t.Helper()
	if diff := cmp.Diff(sizes(want), sizes(got)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for file, text := range want {
		if got[file] != text && strings.HasSuffix(file, ".conf") {
			t.Errorf("%s (-want +got):\n%s", file, cmp.Diff(text, got[file]))
		} else if got[file] != text {
			t.Errorf("%s: %d bytes differ", file, len(text))
		}
	}
}

// wantRebuilt wants the menu that a nixos-rebuild leaves, with the entries of ours.
func wantRebuilt(t *testing.T, got map[string]string) {
	t.Helper()
	for i, label := range []string{"25.11", "26.05"} {
		e, err := bls.ParseEntry([]byte(got[fmt.Sprintf("loader/entries/nixos-generation-%d.conf", i+1)]))
		if err != nil {
			t.Fatal(err)
		}
		initrd := ""
		if len(e.Initrd) == 1 {
			initrd = got[strings.TrimPrefix(e.Initrd[0], "/")]
		}
		if want := "init=" + nixcache.Path(nixcache.Toplevel(label)).String() + "/init loglevel=4 quiet"; e.Options != want || initrd != "an initrd" {
			t.Errorf("generation %d: options %q, initrd %q, expected %q and its own", i+1, e.Options, initrd, want)
		}
	}
	for _, name := range []string{"factory", "rescue"} {
		e, err := bls.ParseEntry([]byte(got["loader/entries/mkimage-bandit-minimal-"+name+".conf"]))
		if err != nil || len(e.Initrd) != 1 || got[strings.TrimPrefix(e.Initrd[0], "/")] == "" || !strings.Contains(e.Options, "root=PARTUUID="+seed.UUID(nameRoot).String()) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

// writeTo writes a file of an ESP.
func writeTo(t testing.TB, file, name, text string) {
	t.Helper()
	from := filepath.Join(t.TempDir(), "from")
	if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-o", "-i", file, from, "::/"+name)
}
