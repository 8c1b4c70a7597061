package imgtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecord(t *testing.T) {
	tests := []struct {
		name, in string
		want     record
		device   string
		alarming bool
	}{
		{"info", "6,1009,3641388687,-;BTRFS info (device loop0): turning on async discard\n", record{6, "BTRFS info (device loop0): turning on async discard"}, "loop0", false},
		{"warning", "4,10,1,-;BTRFS warning (device loop12): checksum error", record{4, "BTRFS warning (device loop12): checksum error"}, "loop12", true},
		{"error with a state", "3,10,1,-;BTRFS error (device loop1 state EA): x", record{3, "BTRFS error (device loop1 state EA): x"}, "loop1", true},
		{"abort", "2,10,1,-;BTRFS: error (device loop1) in f:1: errno=-28", record{2, "BTRFS: error (device loop1) in f:1: errno=-28"}, "loop1", true},
		{"facility", "28,10,1,-;btrfs of user space", record{4, "btrfs of user space"}, "", true},
		{"device of a scan", "4,1,1,-;BTRFS warning: duplicate device /dev/loop7 devid 1", record{4, "BTRFS warning: duplicate device /dev/loop7 devid 1"}, "loop7", true},
		{"disk", "3,1,1,-;I/O error, dev loop3, sector 8 op 0x0", record{3, "I/O error, dev loop3, sector 8 op 0x0"}, "loop3", true},
		{"kernel warning", "4,1,1,-;WARNING: CPU: 0 PID: 1 at fs/x.c:1\n SUBSYSTEM=x", record{4, "WARNING: CPU: 0 PID: 1 at fs/x.c:1"}, "", true},
		{"suppressed", "4,1,1,-;_btrfs_printk: 9 callbacks suppressed", record{4, "_btrfs_printk: 9 callbacks suppressed"}, "", false},
		{"another's warning", "4,1,1,-;EXT4-fs (loop2): something", record{4, "EXT4-fs (loop2): something"}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parseRecord(tt.in)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(record{})); diff != "" || !ok {
				t.Errorf("parseRecord (-want +got), %v:\n%s", ok, diff)
			}
			if got.device() != tt.device || got.alarming() != tt.alarming {
				t.Errorf("device %q, alarming %v; want %q, %v", got.device(), got.alarming(), tt.device, tt.alarming)
			}
		})
	}
	for _, in := range []string{"", ";", "x,1;text", "6 no commas; text"} {
		if _, ok := parseRecord(in); ok {
			t.Errorf("parseRecord(%q) succeeds", in)
		}
	}
}

func TestUnexpected(t *testing.T) {
	rs := []record{{6, "BTRFS info: a"}, {4, "BTRFS warning: b"}, {3, "BTRFS error: c"}}
	tests := []struct {
		name   string
		expect []string
		bad    int
		unmet  []string
	}{
		{"none", nil, 2, nil}, {"one", []string{"warning: b"}, 1, nil}, {"all", []string{"b$", "c$"}, 0, nil},
		{"not logged", []string{"d"}, 2, []string{"d"}}, {"information may be expected", []string{"a$"}, 2, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad, unmet := unexpected(rs, tt.expect)
			if diff := cmp.Diff(tt.unmet, unmet); len(bad) != tt.bad || diff != "" {
				t.Errorf("%d bad, unmet:\n%s; want %d", len(bad), diff, tt.bad)
			}
		})
	}
}

// TestKernelLogGlobal writes into the kernel's log as a kernel would.
func TestKernelLogGlobal(t *testing.T) {
	NeedRoot(t)
	w, err := watchKernel()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	say := func(level, text string) {
		t.Helper()
		if err := os.WriteFile("/dev/kmsg", []byte("<"+level+">"+text+"\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
	say("6", "btrfs imgtest: information")
	say("4", "btrfs imgtest: (device loop99): about a device")
	say("4", "btrfs imgtest: warning of a test")
	rs, err := w.records()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"kernel: btrfs imgtest: warning of a test"}
	if diff := cmp.Diff(want, only(globalProblems(rs, nil), "imgtest")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if got := only(globalProblems(rs, []string{"warning of a test"}), "imgtest"); got != nil {
		t.Errorf("an expected message is a problem: %q", got)
	}
	if got := only(globalProblems(rs, []string{"warning of", "imgtest: never"}), "imgtest"); len(got) != 1 {
		t.Errorf("a message that did not come is no problem: %q", got)
	}
}

func only(lines []string, with string) (out []string) {
	for _, l := range lines {
		if strings.Contains(l, with) {
			out = append(out, l)
		}
	}
	return out
}

// TestMountSeesKernelErrors damages a file's data and reads it.
func TestMountSeesKernelErrors(t *testing.T) {
	NeedRoot(t)
	image := mkfs(t, 256<<20)
	m := MountImage(t, image, MountOptions{})
	const text = "the data that will be damaged "
	if err := os.WriteFile(m.Dir+"/f", []byte(strings.Repeat(text, 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Unmount(t)
	whole, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, image, int64(strings.Index(string(whole), text)))
	m = MountImage(t, image, MountOptions{Options: []string{"ro"}, Expect: []string{`csum failed root 5 ino 257`, `bdev .* errs: .* corrupt \d+`}})
	if _, err := os.ReadFile(m.Dir + "/f"); err == nil {
		t.Error("damaged data reads without an error")
	}
	m.Unmount(t)

	m = MountImage(t, image, MountOptions{Options: []string{"ro"}, Expect: []string{"never said"}})
	if _, err := os.ReadFile(m.Dir + "/f"); err == nil {
		t.Error("damaged data reads without an error")
	}
	c := &complaints{TB: t}
	m.Unmount(c)
	for _, want := range []string{"csum failed root 5 ino 257", `logged nothing about ` + m.Device + ` that matches "never said"`} {
		if !strings.Contains(strings.Join(c.lines, "\n"), want) {
			t.Errorf("unmount complains of %q; want %q among it", c.lines, want)
		}
	}
}

// complaints keeps the failures of a test instead of failing it.
type complaints struct {
	testing.TB
	lines []string
}

func (c *complaints) Helper()                   {}
func (c *complaints) Errorf(f string, a ...any) { c.lines = append(c.lines, fmt.Sprintf(f, a...)) }

func TestMountRefused(t *testing.T) {
	NeedRoot(t)
	image := mkfs(t, 256<<20)
	flip(t, image, 64<<10+100) // the superblock
	MountRefused(t, image, `superblock checksum mismatch`)
}

// TestOlderImageOfSameUUID mounts an image that has the UUID of one that was
// changed since. It cannot fail from Linux 6.7 on.
func TestOlderImageOfSameUUID(t *testing.T) {
	NeedRoot(t)
	image := mkfs(t, 256<<20)
	old := image + ".old"
	mustRun(t, "cp", "--sparse=always", image, old)
	for range 3 {
		m := MountImage(t, image, MountOptions{})
		if err := os.WriteFile(m.Dir+"/f", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		m.Unmount(t)
	}
	// With the device in other use the old image gets another one.
	other, err := attachLoop(mkfs(t, 128<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	Mount(t, old)
}

func TestLiveInIt(t *testing.T) {
	NeedRoot(t)
	KernelLog(t)
	image := mkfs(t, 256<<20)
	m := MountImage(t, image, MountOptions{})
	mustRun(t, "btrfs", "subvolume", "create", m.Dir+"/@")
	Materialize(t, Cases()[0].Tree().Root(), m.Dir+"/@")
	m.Unmount(t)
	LiveInIt(t, image, "@")
	BtrfsCheck(t, image)
	LiveInIt(t, mkfs(t, 128<<20), "")
}

func TestScrubProblems(t *testing.T) {
	const clean = "scrub done\nStatus:           finished\n\tread_errors: 0\n\tcsum_errors: 0\n\tno_csum: 7\n"
	tests := []struct {
		name, in string
		want     int
	}{
		{"clean", clean, 0}, {"an error", strings.Replace(clean, "csum_errors: 0", "csum_errors: 3", 1), 1},
		{"nothing said", "", 1}, {"aborted", strings.Replace(clean, "finished", "aborted", 1), 1},
	}
	for _, tt := range tests {
		if got := scrubProblems(tt.in); len(got) != tt.want {
			t.Errorf("%s: %q; want %d problems", tt.name, got, tt.want)
		}
	}
}

func TestSwapfile(t *testing.T) {
	NeedRoot(t)
	dir := Mount(t, mkfs(t, 256<<20))
	file := dir + "/swapfile"
	mustRun(t, "btrfs", "filesystem", "mkswapfile", "-s", "16M", file)
	if got := SwapfileOffset(t, file); got <= 0 {
		t.Errorf("SwapfileOffset = %d; want a page behind the superblock", got)
	}
	Swapon(t, file)
	if err := exec.Command("swapon", file).Run(); err == nil {
		t.Error("a second swapon of the same file succeeds")
	}
	Swapoff(t, file)
}
