package image

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/inspect"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/verify"
	"github.com/6FaNcY9/mkimage/docs"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// mediumOf returns the plan of a built-in installer.
func mediumOf(t testing.TB, name string) *plan.Plan {
	t.Helper()
	resolve := func(name string) (profiles.Profile, layouts.Layout) {
		p, _, err := profiles.Load().Resolve(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := layouts.Load().Resolve(p.Layout, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p, l
	}
	installer, layout := resolve(name)
	payload, below := resolve(installer.Payload)
	p, err := plan.MakeMedium(installer, layout, payload, below, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMedium makes a medium and finds in it what an installation takes from it,
// nothing of it amiss.
func TestMedium(t *testing.T) {
	p := mediumOf(t, "bandit-installer")
	second := &Installer{Program: []byte("\x7fELF of mkimage-install"), Key: []byte("the maker's key"), Rescue: ownRescue()}
	var signed []byte
	name, r, err := writeSmall(t, p, Inputs{Installer: second, Sign: func(m []byte) ([]byte, error) {
		signed = bytes.Clone(m)
		return []byte("a signature"), nil
	}}, withPrograms(t, "btrfs"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	report, err := verify.Image(t.Context(), f, r.Size, verify.Options{Manifest: r.Manifest, Data: true})
	if err != nil || !report.Clean() {
		var text strings.Builder
		_ = report.Text(&text)
		t.Errorf("verify: %v\n%s", err, text.String())
	}
	if image, err := inspect.Read(t.Context(), f, r.Size); err != nil || len(image.Unread) > 0 || len(image.Subvolumes) != len(p.Subvolumes)+len(p.Snapshots) {
		t.Errorf("inspect: %+v, %v", image, err)
	}
	esp := readESP(t, f, r)
	want := map[string][]byte{manifest.SignaturePath: []byte("a signature"), manifest.ESPPath: signed}
	for path, data := range want {
		if got, err := esp.ReadAtMost(path, 1<<20); err != nil || !bytes.Equal(got, data) {
			t.Errorf("/%s: %v, %d bytes; want %d", path, err, len(got), len(data))
		}
	}
	if got, err := esp.ReadAtMost(RecoveryPath, 1<<20); err != nil || !bytes.Equal(got, docs.Recovery) {
		t.Errorf("/%s: %v, %d bytes; want docs/recovery.md", RecoveryPath, err, len(got))
	}
	hasInstaller(t, esp, second)
	hasRescue(t, p, esp, r.Rescue, second)
	m, err := manifest.Decode(signed)
	if err != nil {
		t.Fatal(err)
	}
	listed := func(path string) bool {
		return slices.ContainsFunc(m.Files, func(f manifest.File) bool { return f.Path == path })
	}
	if !listed(loader.InstallerPath) || !listed(loader.RescuePath) || listed(manifest.SignaturePath) || m.Omits == nil || m.Swapfile != nil {
		t.Errorf("manifest: files %v, omits %v, swapfile %v", m.Files, m.Omits, m.Swapfile)
	}
	checkInstalls(t, f, m, esp)
	checkLog(t, name, r, esp)
}

// checkLog writes the log of a medium, as an installation does: verify takes the
// medium for sound then, and takes nothing else for it.
func checkLog(t *testing.T, name string, r *Result, esp *espreader.FS) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at, err := mediumlog.Find(esp)
	if err != nil {
		t.Fatal(err)
	}
	at += r.Manifest.Partition(plan.RoleESP).Start
	found := func() int64 {
		report, err := verify.Image(t.Context(), f, r.Size, verify.Options{Manifest: r.Manifest})
		if err != nil {
			t.Fatal(err)
		}
		return report.Found()
	}
	if err := mediumlog.Write(f, at, mediumlog.Add(mediumlog.Made(), "an installation")); err != nil {
		t.Fatal(err)
	}
	if n := found(); n != 0 {
		t.Errorf("verify finds %d problems after the log was written", n)
	}
	if _, err := f.WriteAt([]byte("!"), at+mediumlog.Size); err != nil {
		t.Fatal(err)
	}
	if found() == 0 {
		t.Error("verify finds nothing where the byte behind the log differs")
	}
}

func readESP(t *testing.T, f *os.File, r *Result) *espreader.FS {
	t.Helper()
	part := r.Manifest.Partition(plan.RoleESP)
	esp, err := espreader.Open(io.NewSectionReader(f, part.Start, part.Size), part.Size)
	if err != nil {
		t.Fatal(err)
	}
	return esp
}

// hasInstaller checks the second archive of a medium.
func hasInstaller(t *testing.T, esp *espreader.FS, in *Installer) {
	t.Helper()
	packed, err := esp.ReadAtMost(loader.InstallerPath, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	plain, err := d.DecodeAll(bytes.TrimRight(packed, "\x00"), nil)
	if err != nil || !bytes.Contains(plain, in.Program) || !bytes.Contains(plain, in.Key) || !bytes.HasPrefix(plain, []byte("070701")) {
		t.Errorf("/%s: %v, %d bytes; want an archive with the program and the key", loader.InstallerPath, err, len(plain))
	}
}

// checkInstalls makes of a medium what an installer does, with the identities of
// a target.
func checkInstalls(t *testing.T, f *os.File, m *manifest.Manifest, esp *espreader.FS) {
	t.Helper()
	target, err := plan.Target(m.Plan, ids.Seed{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loader.Installed(target, m, func(path string) ([]byte, error) { return esp.ReadAtMost(path, 1<<30) }); err != nil {
		t.Errorf("ESP of the target: %v", err)
	}
	part := m.Partition(plan.RoleRoot)
	root, err := reader.Open(io.NewSectionReader(f, part.Start, part.Size), part.Size)
	if err != nil {
		t.Fatal(err)
	}
	top, err := root.Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	fstab, err := top.ReadFile("@/etc/fstab")
	if err != nil || string(fstab) != adjust.Fstab(m.Plan) || len(fstab) != len(adjust.Fstab(target)) {
		t.Errorf("fstab: %v\n%s\nwant\n%s", err, fstab, adjust.Fstab(m.Plan))
	}
	if _, err := top.Stat("@swap/swapfile"); err == nil {
		t.Error("the payload has a swapfile")
	}
	table, _, err := gpt.Read(f, m.Image.Size)
	if err != nil || table.Partitions[1].Type != plan.TypePayload || table.Partitions[1].Attributes != 0 {
		t.Errorf("payload partition: %+v, %v", table.Partitions[1], err)
	}
}

// TestMediumRefuses ends before the long part where something is missing, and
// when nobody can sign.
func TestMediumRefuses(t *testing.T) {
	medium, system := mediumOf(t, "bandit-installer"), planOf(t, "bandit-minimal", "")
	second := &Installer{Program: []byte("x"), Key: []byte("k"), Rescue: ownRescue()}
	no := errors.New("no key")
	tests := []struct {
		name  string
		plan  *plan.Plan
		in    Inputs
		want  string
		class fault.Class
	}{
		{"no archive", medium, Inputs{}, "program of an installer: given: false", fault.Internal},
		{"archive of a system", system, Inputs{Installer: second}, "program of an installer: given", fault.Internal},
		{"signature", medium, Inputs{Installer: second, Sign: func([]byte) ([]byte, error) { return nil, fault.New(fault.Input, "", "%w", no) }}, "signature of the manifest: no key", fault.Input},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := writeSmall(t, test.plan, test.in, withPrograms(t, "btrfs"))
			if err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != test.class {
				t.Errorf("Write: %v of class %d; want %q of class %d", err, fault.ClassOf(err), test.want, test.class)
			}
		})
	}
}
