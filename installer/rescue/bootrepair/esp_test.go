package bootrepair

import (
	"context"
	"fmt"
	"io"
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

// names are those of files, with how many bytes each has.
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
	if err := os.WriteFile(name, m.disk.read(t, p.Start, p.Size), 0o600); err != nil {
		t.Fatal(err)
	}
	do(name)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m.disk.put(t, p.Start, data...)
}

// mount copies the files of the ESP to a folder, and back.
func (m made) mount(t testing.TB) func(context.Context, gpt.Partition) (durable.FS, func() error, error) {
	return func(context.Context, gpt.Partition) (durable.FS, func() error, error) {
		dir := t.TempDir()
		m.onESP(t, func(file string) { run(t, "mcopy", "-s", "-n", "-i", file, "::/*", dir) })
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
				if diff := cmp.Diff(tt.want, kinds); diff != "" {
					t.Fatalf("findings (-want +got):\n%s\n%+v\n%q", diff, found.List, found.Notes)
				}
				r, err := Repair(t.Context(), found, Choices{Mount: m.mount(t)}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Done) != len(found.List) || len(r.Left) > 0 {
					t.Errorf("done %v, left %v", r.Done, r.Left)
				}
				got := m.esp(t)
				if diff := cmp.Diff(sizes(want), sizes(got)); diff != "" {
					t.Errorf("files (-want +got):\n%s\nnotes: %q", diff, found.Notes)
				}
				for file, text := range want {
					if got[file] != text && strings.HasSuffix(file, ".conf") {
						t.Errorf("%s (-want +got):\n%s", file, cmp.Diff(text, got[file]))
					} else if got[file] != text {
						t.Errorf("%s: %d bytes differ", file, len(text))
					}
				}
				m.checked(t)
				again, err := Diagnose(t.Context(), m.system(stick), nil)
				if err != nil || len(again.List) > 0 {
					t.Errorf("afterwards: %+v, %v", again, err)
				}
			})
		}
	}
}

var _ io.ReaderAt = memDisk{}
