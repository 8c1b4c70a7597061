package nixfixture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
)

// machine is a root directory for the programs of a system: its store is the fixture's, and
// /boot a file system.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T) *machine {
	imgtest.Need(t, "unshare", "chroot", "mount")
	m := &machine{t, t.TempDir()}
	for _, dir := range []string{"boot", "dev", "proc", "tmp", "nix/store", "nix/var/nix/profiles"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// link makes a generation.
func (m *machine) link(number int, toplevel string) {
	if err := os.Symlink(toplevel, m.generation(number)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) generation(number int) string {
	return fmt.Sprintf("%s/nix/var/nix/profiles/system-%d-link", m.root, number)
}

// switchTo runs the system's switch-to-configuration boot, on an ESP with these files, and
// returns what is there then.
func (m *machine) switchTo(f Fixture, esp map[string]string) map[string]string {
	m.t.Helper()
	files := filepath.Join(m.t.TempDir(), "esp")
	writeFiles(m.t, files, esp)
	const script = `mount --bind "$1" "$2/nix/store" && mount -t tmpfs esp "$2/boot" && mount -t proc proc "$2/proc" && mount --bind /dev "$2/dev" &&
		cp -r "$3/." "$2/boot/" && chroot "$2" "$4/bin/switch-to-configuration" boot && rm -r "$3" && cp -r "$2/boot" "$3"`
	cmd := exec.Command("unshare", "-m", "sh", "-c", script, "sh", f.Store+"/nix/store", m.root, files, f.Toplevel)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("switch-to-configuration: %v\n%s", err, out)
	}
	return readFiles(m.t, files)
}

// TestSwitch: the system makes the boot menu that package bootspec makes of the same
// generations, and removes what no generation needs.
func TestSwitch(t *testing.T) {
	one, two := Make(t, Options{}), Make(t, Options{Stage1: Systemd})
	esp := map[string]string{
		"EFI/systemd/systemd-bootx64.efi":        "#### LoaderInfo: systemd-boot 252.39 ####",
		"EFI/Linux/mkimage-rescue.efi":           "ours",
		"loader/entries/mkimage.conf":            "ours",
		"loader/entries/nixos-generation-7.conf": "gone",
		"EFI/nixos/gone-bzImage.efi":             "gone",
	}
	want := func(current int, systems map[int]Fixture) map[string]string {
		out := map[string]string{}
		for _, name := range []string{"EFI/systemd/systemd-bootx64.efi", "EFI/Linux/mkimage-rescue.efi", "loader/entries/mkimage.conf"} {
			out[name] = esp[name]
		}
		addMenu(t, out, current, systems)
		return out
	}
	m := newMachine(t)
	m.link(1, one.Toplevel)
	esp = m.checked(one, esp, want(1, map[int]Fixture{1: one}))
	m.link(2, two.Toplevel)
	esp = m.checked(two, esp, want(2, map[int]Fixture{1: one, 2: two}))
	if err := os.Remove(m.generation(1)); err != nil {
		t.Fatal(err)
	}
	m.checked(two, esp, want(2, map[int]Fixture{2: two}))
}

// checked is switchTo, and compares.
func (m *machine) checked(f Fixture, esp, want map[string]string) map[string]string {
	m.t.Helper()
	got := m.switchTo(f, esp)
	if diff := cmp.Diff(short(want), short(got)); diff != "" {
		m.t.Errorf("ESP (-want +got)\n%s", diff)
	}
	return got
}

// addMenu adds the files of the boot menu, as package bootspec has them.
func addMenu(t *testing.T, esp map[string]string, current int, systems map[int]Fixture) {
	t.Helper()
	for number, f := range systems {
		name := f.Toplevel + "/" + bootspec.FileName
		text, err := os.ReadFile(f.Store + name)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := bootspec.Decode(name, text)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := bootspec.Entries([]bootspec.Generation{{Number: number, Built: changed(t, f.Store+f.Toplevel), Spec: spec}}, bootspec.EntryOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			esp[bls.EntriesDir+"/"+e.FileName] = string(e.Text())
			if number == current && e.Specialisation == "" {
				conf, err := bootspec.LoaderConf(bootspec.LoaderOptions{Timeout: 5, Default: e.FileName, Editor: true})
				if err != nil {
					t.Fatal(err)
				}
				esp["loader/loader.conf"] = string(conf)
			}
		}
		for _, c := range bootspec.Copies(entries) {
			text, err := os.ReadFile(f.Store + c.From.String())
			if err != nil {
				t.Fatal(err)
			}
			esp[c.To] = string(text)
		}
	}
}

// changed returns when an inode was changed, which NixOS takes for when a system was built.
func changed(t *testing.T, name string) time.Time {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	return time.Unix(st.Ctim.Unix())
}

// short leaves the beginning of long files.
func short(files map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range files {
		if len(text) > 4096 {
			text = fmt.Sprintf("%d bytes, %q...", len(text), text[:32])
		}
		out[name] = text
	}
	return out
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		files[name[len(dir)+1:]] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
