package boot

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseCmdline(t *testing.T) {
	d := func(change func(*Cmdline)) Cmdline {
		c := Cmdline{Timeout: DefaultTimeout}
		change(&c)
		return c
	}
	tests := []struct {
		name, in string
		want     Cmdline
		err      string // "" means none
	}{
		{"empty", "", d(func(*Cmdline) {}), ""},
		{"of the plan", "root=PARTUUID=ab rootfstype=btrfs rootflags=subvol=@,compress=zstd:3 rw quiet\n",
			d(func(c *Cmdline) {
				c.Root, c.RootFSType, c.RootFlags = "PARTUUID=ab", "btrfs", "subvol=@,compress=zstd:3"
			}), ""},
		{"last wins", "root=a ro root=b rw ro", d(func(c *Cmdline) { c.Root, c.ReadOnly = "b", true }), ""},
		{"root of ours", "root=fstab mkimage.root=PARTUUID=ab root=x", d(func(c *Cmdline) { c.Root = "PARTUUID=ab" }), ""},
		{"rw after ro", "ro rw", d(func(*Cmdline) {}), ""},
		{"bare flags", "mkimage.shell mkimage.factory", d(func(c *Cmdline) { c.Shell, c.Factory = true, true }), ""},
		{"rescue", "mkimage.rescue mkimage.install", d(func(c *Cmdline) { c.Rescue, c.Install = true, true }), ""},
		{"systems", "mkimage.switch=7f mkimage.back=0a", d(func(c *Cmdline) { c.Switch, c.Back = "7f", "0a" }), ""},
		{"no system", "mkimage.switch=../x", d(func(*Cmdline) {}), "mkimage.switch"},
		{"flags off", "mkimage.shell mkimage.shell=0 mkimage.factory=1", d(func(c *Cmdline) { c.Factory = true }), ""},
		{"flag with a value", "mkimage.shell=maybe", d(func(*Cmdline) {}), "parameter mkimage.shell"},
		{"all others", "init=/x panic=-1 mkimage.subvol=@b mkimage.timeout=5",
			d(func(c *Cmdline) { c.Init, c.Panic, c.Subvolume, c.Timeout = "/x", -1, "@b", 5*time.Second }), ""},
		{"after --", "root=a -- root=b", d(func(c *Cmdline) { c.Root = "a" }), ""},
		{"timeout 0", "mkimage.timeout=0", d(func(*Cmdline) {}), "from 1 to 86400"},
		{"timeout 1", "mkimage.timeout=1", d(func(c *Cmdline) { c.Timeout = time.Second }), ""},
		{"timeout of a day", "mkimage.timeout=86400", d(func(c *Cmdline) { c.Timeout = 24 * time.Hour }), ""},
		{"timeout of more", "mkimage.timeout=86401", d(func(*Cmdline) {}), "from 1 to 86400"},
		{"timeout bare", "mkimage.timeout", d(func(*Cmdline) {}), "from 1 to 86400"},
		{"unknown of ours", "mkimage.fcatory root=x", d(func(c *Cmdline) { c.Root = "x" }), "parameter mkimage.fcatory: unknown"},
		{"foreign", "systemd.unit=rescue.target nvme.x=1", d(func(*Cmdline) {}), ""},
		{"noresume", "resume=PARTUUID=ab resume_offset=140544 noresume",
			d(func(c *Cmdline) { c.NoResume, c.Resume, c.ResumeOffset = true, "PARTUUID=ab", pages(140544) }), ""},
		{"hibernate=noresume", "hibernate=noresume hibernate=nocompress", d(func(c *Cmdline) { c.NoResume = true }), ""},
		{"hibernate for the kernel", "hibernate=no", d(func(*Cmdline) {}), ""},
		{"offset 0", "resume_offset=0", d(func(c *Cmdline) { c.ResumeOffset = pages(0) }), ""},
		{"largest offset", "resume_offset=2251799813685247", d(func(c *Cmdline) { c.ResumeOffset = pages(1<<51 - 1) }), ""},
		{"larger offset", "resume_offset=2251799813685248", d(func(*Cmdline) {}), "parameter resume_offset"},
		{"offset below 0", "resume_offset=-1", d(func(*Cmdline) {}), "from 0 to 2251799813685247"},
		{"no offset", "resume_offset=", d(func(*Cmdline) {}), `got ""`},
		{"wrong after right", "resume_offset=5 resume_offset=x", d(func(*Cmdline) {}), `got "x"`},
		{"empty root", "root=", d(func(*Cmdline) {}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCmdline(tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseCmdline(%q) (-want +got):\n%s", tt.in, diff)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseCmdline(%q) error %v; want %q", tt.in, err, tt.err)
			}
		})
	}
}

func pages(n int64) *int64 { return &n }

func TestSplitParams(t *testing.T) {
	tests := []struct {
		name, in string
		want     []Param
	}{
		{"quoted value", `a="b c" d`, []Param{{"a", "b c", true}, {"d", "", false}}},
		{"quoted whole", `"a=b c" d=`, []Param{{"a", "b c", true}, {"d", "", true}}},
		{"quote inside", `a=b"c d"e`, []Param{{"a", `b"c d"e`, true}}},
		{"open quote", `a="b c`, []Param{{"a", "b c", true}}},
		{"two signs", "root=UUID=1", []Param{{"root", "UUID=1", true}}},
		{"white space", "\t a \n b\v", []Param{{"a", "", false}, {"b", "", false}}},
		{"end of ours", "a -- b", []Param{{"a", "", false}}},
		{"only quotes", `""`, []Param{{"", "", false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, SplitParams(tt.in)); diff != "" {
				t.Errorf("SplitParams(%q) (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

func FuzzSplitParams(f *testing.F) {
	for _, s := range []string{"", `a="b c" d`, "root=x -- y", `"`, "a=\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		n := 0
		for _, p := range SplitParams(line) {
			n += len(p.Name) + len(p.Value)
		}
		if n > len(line) {
			t.Errorf("SplitParams(%q) has %d bytes", line, n)
		}
		_, _ = ParseCmdline(line)
	})
}
