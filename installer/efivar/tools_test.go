package efivar_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/efivar"
)

// efibootmgr runs the program on a directory of ours: libefivar takes any that
// EFIVARFS_PATH names.
func efibootmgr(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("efibootmgr", args...)
	cmd.Env = append(os.Environ(), "EFIVARFS_PATH="+dir+"/", "LIBEFIVAR_OPS=efivarfs")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("efibootmgr %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestEfibootmgrReads has what is written here read by another program.
func TestEfibootmgrReads(t *testing.T) {
	imgtest.Need(t, "efibootmgr")
	v, dir := open(t)
	hare := with(fox(2), func(e *efivar.Entry) { e.Description = "Häre" })
	for _, e := range []efivar.Entry{hare, with(fox(1), func(e *efivar.Entry) { e.Next = true })} {
		if _, err := v.AddEntry(e); err != nil {
			t.Fatal(err)
		}
	}
	out := efibootmgr(t, dir, "-v")
	for _, want := range []string{
		"BootNext: 0001\n", "BootOrder: 0001,0000\n", "Boot0000* H",
		"Boot0001* Fox\tHD(1,GPT,00112233-4455-6677-8899-aabbccddee01,0x800,0x100000)/File(" + loader + ")\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	// What it changes is read here.
	efibootmgr(t, dir, "-N")
	efibootmgr(t, dir, "-o", "0000,0001")
	if p, err := v.AddEntry(hare); err != nil || len(p.Changes) > 0 {
		t.Errorf("%v, %v", p, err)
	}
}

// TestEfibootmgrWrites compares what is written here of a partition, byte for
// byte, with what the program writes of it.
func TestEfibootmgrWrites(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "efibootmgr", "sfdisk", "losetup")
	v, dir := open(t)
	image := filepath.Join(dir, "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	table := exec.Command("sfdisk", "-q", image)
	table.Stdin = strings.NewReader("label: gpt\nstart=2048,size=2048\nstart=4096,size=65536,uuid=" + strings.ToUpper(uuid(1).String()) + "\n")
	if out, err := table.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command("losetup", "-f", "--show", "-r", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	disk := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", disk).Run() })
	efibootmgr(t, dir, "-c", "-d", disk, "-p", "2", "-L", "Fox", "-l", loader)
	want, err := os.ReadFile(filepath.Join(dir, "Boot0000"+global))
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	e := fox(1)
	e.Partition = efivar.Partition{Number: 2, Start: 4096, Size: 65536, GUID: uuid(1)}
	if _, err := efivar.New(m).AddEntry(e); err != nil {
		t.Fatal(err)
	}
	if got := m.files["Boot0000"+global]; !bytes.Equal(got, want) {
		t.Errorf("%x; want %x", got, want)
	}
	if p, err := v.Plan(e); err != nil || len(p.Changes) > 0 {
		t.Errorf("of what it wrote: %v, %v", p, err)
	}
}
