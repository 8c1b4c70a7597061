package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/mediumtest"
	"github.com/6FaNcY9/mkimage/installer/signature"
	"github.com/6FaNcY9/mkimage/profiles"
)

// bench is a medium, its key and a place for targets.
type bench struct {
	t           *testing.T
	dir         string
	medium, key string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	secret, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := mediumtest.Write(t, filepath.Join(dir, "medium.img"), func(text []byte) ([]byte, error) { return secret.Sign(text, "test") })
	return &bench{t, dir, m.Name, secret.Public().String()}
}

// file makes a target.
func (b *bench) file(name string, size int64, content string) string {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		b.t.Fatal(err)
	}
	return name
}

// expect runs the program and wants a code and a text of its output.
func (b *bench) expect(code int, text string, args ...string) {
	b.t.Helper()
	var out bytes.Buffer
	if got := run(b.t.Context(), args, &out, &out); got != code || !strings.Contains(out.String(), text) {
		b.t.Errorf("mkimage-install %s: code %d; want %d and %q:\n%s", strings.Join(args, " "), got, code, text, &out)
	}
}

func partitions(t *testing.T, name string) int {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	table, _, err := gpt.Read(f, size)
	if err != nil {
		return 0
	}
	return len(table.Partitions)
}

// TestByHand installs from an image of a medium onto files.
func TestByHand(t *testing.T) {
	b := newBench(t)
	other, err := signature.Generate()
	if err != nil {
		t.Fatal(err)
	}
	empty, small, used := b.file("empty.img", 4<<30, ""), b.file("small.img", 100<<20, ""), b.file("used.img", 4<<30, strings.Repeat("data", 1000))
	before, err := os.ReadFile(small)
	if err != nil {
		t.Fatal(err)
	}
	b.expect(2, "--from is missing")
	b.expect(2, "unknown flag", "--no-such-flag")
	b.expect(4, "no such file", "--from", filepath.Join(b.dir, "none"), "--to", empty, "--key", b.key)
	b.expect(4, "public key", "--from", b.medium, "--to", empty, "--key", "nonsense")
	b.expect(4, "another key", "--from", b.medium, "--to", empty, "--key", other.Public().String())
	b.expect(5, "none.img", "--from", b.medium, "--to", filepath.Join(b.dir, "none.img"), "--key", b.key)
	b.expect(5, "large enough", "--from", b.medium, "--to", small, "--key", b.key)
	b.expect(5, "--erase used.img", "--from", b.medium, "--to", used, "--key", b.key)
	b.expect(5, "--erase says", "--from", b.medium, "--to", used, "--key", b.key, "--erase", "other.img")
	b.expect(0, "nothing was written", "--from", b.medium, "--to", empty, "--key", b.key, "--dry-run")
	b.expect(0, `"dry_run":true`, "--from", b.medium, "--to", empty, "--key", b.key, "--dry-run", "--json")
	b.expect(5, `"code":5`, "--from", b.medium, "--to", used, "--key", b.key, "--json")
	if n := partitions(t, empty); n != 0 {
		t.Errorf("after a dry run there are %d partitions", n)
	}
	if after, err := os.ReadFile(small); err != nil || !bytes.Equal(after, before) {
		t.Errorf("a refused target has changed: %v", err)
	}
	b.expect(0, "read everything back", "--from", b.medium, "--to", empty, "--key", b.key)
	b.expect(5, "--erase empty.img", "--from", b.medium, "--to", empty, "--key", b.key)
	b.expect(0, `{"event":"done"}`, "--from", b.medium, "--to", used, "--key", b.key, "--erase", "used.img", "--json")
	for _, name := range []string{empty, used} {
		if n := partitions(t, name); n != 2 {
			t.Errorf("%s: %d partitions, want 2", name, n)
		}
	}
	b.expect(5, "this was started from it", "--from", b.medium, "--to", b.medium, "--key", b.key, "--erase", "medium.img")
}

func TestMadeFor(t *testing.T) {
	disk := disks.Disk{Serial: "S3Z9"}
	tests := []struct {
		name            string
		in              profiles.Installer
		product, serial string
		want            bool
	}{
		{"nobody", profiles.Installer{}, "Laptop 13", "FRAN", false},
		{"unattended", profiles.Installer{Unattended: true}, "", "", true},
		{"this disk", profiles.Installer{Disk: profiles.DiskRules{Serial: []string{"other", "s3z9"}}}, "", "", true},
		{"a pattern of disks", profiles.Installer{Disk: profiles.DiskRules{Serial: []string{"S3*"}}}, "", "", false},
		{"this machine", profiles.Installer{Machine: profiles.Machine{Product: "laptop*", Serial: "FRAN"}}, "Laptop 13", "FRAN", true},
		{"another serial number", profiles.Installer{Machine: profiles.Machine{Product: "laptop*", Serial: "FRAN"}}, "Laptop 13", "FRAX", false},
		{"a bad pattern", profiles.Installer{Machine: profiles.Machine{Product: "["}}, "[", "", false},
		{"firmware that says nothing", profiles.Installer{Machine: profiles.Machine{Serial: "FRAN"}}, "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := madeFor(&tt.in, disk, tt.product, tt.serial); got != tt.want {
				t.Errorf("madeFor = %v; want %v", got, tt.want)
			}
		})
	}
	if madeFor(&profiles.Installer{Disk: profiles.DiskRules{Serial: []string{""}}}, disks.Disk{}, "", "") {
		t.Error("a disk without a serial number matches a rule of none")
	}
}

func TestEdit(t *testing.T) {
	tests := []struct {
		keys, want string
		answer     answer
	}{
		{"erase X\r", "erase X", given},
		{"erasee\x7f X\n", "erase X", given},
		{"\x7f\x08a", "a", unanswered},
		{"er\x1b[A", "er", refused},
		{"er\x03", "er", refused},
		{"\xff\x00a", "a", unanswered},
		{strings.Repeat("x", maxTyped+1), strings.Repeat("x", maxTyped), unanswered},
	}
	for _, tt := range tests {
		if got, a := edit("", []byte(tt.keys)); got != tt.want || a != tt.answer {
			t.Errorf("edit(%q) = %q, %v; want %q, %v", tt.keys, got, a, tt.want, tt.answer)
		}
	}
}

// TestWithPartition waits for the kernel, which shows a disk before its partitions.
func TestWithPartition(t *testing.T) {
	medium := func(node string) disks.Disk {
		return disks.Disk{Path: "/dev/sdb", Partitions: []disks.Partition{{GUID: "one", Name: "sdb1"}, {GUID: "TWO", Name: node}}}
	}
	other := disks.Disk{Path: "/dev/sda", Partitions: []disks.Partition{{GUID: "three", Name: "sda1"}}}
	for _, tt := range []struct {
		name, path string
		list       []disks.Disk
		ready      bool
	}{
		{"there", "/dev/sdb", []disks.Disk{other, medium("sdb2")}, true},
		{"not scanned by the kernel", "/dev/sdb", []disks.Disk{other, medium("")}, false},
		{"absent", "", []disks.Disk{other}, false},
		{"no disk", "", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d, ready := withPartition(tt.list, "two"); d.Path != tt.path || ready != tt.ready {
				t.Errorf("%q, ready: %v; want %q, %v", d.Path, ready, tt.path, tt.ready)
			}
		})
	}
}

func TestPayloadOf(t *testing.T) {
	for line, want := range map[string]string{
		"initrd=x mkimage.install root=PARTUUID=abc-1 quiet\n": "abc-1", "root=/dev/sda1": "", "root=PARTUUID=": "", "": "",
	} {
		if got, err := payloadOf(line); got != want || (err == nil) != (want != "") {
			t.Errorf("payloadOf(%q) = %q, %v; want %q", line, got, err, want)
		}
	}
}
