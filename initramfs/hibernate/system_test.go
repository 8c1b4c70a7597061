package hibernate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// fakePower is a /sys/power that notes what is written to it.
type fakePower struct {
	files  map[string]string
	writes []string
	stuck  bool  // it takes writes and does nothing, as under lockdown
	err    error // of writes
}

func (p *fakePower) Read(name string) (string, error) {
	v, ok := p.files[name]
	if !ok {
		return "", os.ErrNotExist
	}
	return v, nil
}

func (p *fakePower) Write(name, value string) error {
	p.writes = append(p.writes, name+"="+value)
	if !p.stuck && p.err == nil {
		p.files[name] = value
	}
	return p.err
}

const (
	swapLine    = "/swap/swapfile file 1024000 0 -2\n"
	zramLine    = "/dev/zram0 partition 2048000 0 100\n"
	none        = "-" // nothing, where "" means the usual
	someMeminfo = "MemTotal: 2000000 kB\nActive(anon): 1000 kB\n"
)

var somePlace = Place{"/dev/vda2", 254, 2, 140544}

// proc makes a directory like /proc.
func proc(t *testing.T, swaps, meminfo string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"swaps": swapsTitle + swaps, "meminfo": meminfo} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheck(t *testing.T) {
	const told = ", which the kernel was told"
	tests := []struct {
		name, swaps, meminfo   string
		disk, resume, offset   string
		locate                 error
		stuck                  bool
		write                  error
		want, refused, written string
	}{
		{name: "all is well", want: "swapfile /swap/swapfile offset 140544 on /dev/vda2 (254:2)"},
		{name: "zram, too", swaps: zramLine + swapLine, want: "swapfile /swap/swapfile offset 140544 on /dev/vda2 (254:2)"},
		{name: "made anew", offset: "1959063", want: "swapfile /swap/swapfile offset 140544 on /dev/vda2 (254:2)" + told, written: "resume_offset=140544"},
		{name: "other device", resume: "259:2", want: "swapfile /swap/swapfile offset 140544 on /dev/vda2 (254:2)" + told, written: "resume=254:2"},
		{name: "nothing set", resume: "0:0", offset: "0", want: "swapfile /swap/swapfile offset 140544 on /dev/vda2 (254:2)" + told, written: "resume_offset=140544 resume=254:2"},
		{name: "no swap", swaps: none, refused: "/swap/swapfile is not in use as swap space; try: swapon /swap/swapfile"},
		{name: "only zram", swaps: zramLine, refused: "/swap/swapfile is not in use as swap space (/dev/zram0 is memory); try"},
		{name: "a partition", swaps: "/dev/vda3 partition 8 0 -2\n", refused: "(/dev/vda3 is not what the initramfs resumes from)"},
		{name: "a device of that name", swaps: "/swap/swapfile partition 8 0 -2\n", refused: "not in use"},
		{name: "another file", swaps: "/swap/other file 8 0 -2\n", refused: "(/swap/other is not what the initramfs resumes from)"},
		{name: "deleted", swaps: `/swap/swapfile\040(deleted) file 8 0 -2` + "\n", refused: "(/swap/swapfile was deleted)"},
		{name: "damaged list", swaps: "x\n", refused: "has 1 words"},
		{name: "locked down", disk: "[disabled]", refused: "hibernation disabled: by lockdown"},
		{name: "kernel without", disk: none, refused: "the kernel cannot hibernate"},
		{name: "not on btrfs", offset: "1", locate: errors.New("is on ext4"), refused: "/swap/swapfile: is on ext4"},
		{name: "kernel takes nothing", offset: "1", stuck: true, refused: `/sys/power/resume_offset: the kernel keeps "1", expected "140544"`, written: "resume_offset=140544"},
		{name: "kernel refuses", resume: "1:1", write: errors.New("no"), refused: `/sys/power/resume: got "1:1", expected "254:2": no`, written: "resume=254:2"},
		{name: "no offset file", offset: none, refused: "not exist"},
		{name: "fits just", meminfo: "Active(anon): 1003520 kB\n", want: "swapfile /swap/swapfile offset 140544 on /dev/vda2 (254:2)"},
		{name: "too small", meminfo: "Active(anon): 1003521 kB\n", refused: "/swap/swapfile has 1000.0 MiB free, programs use 980.0 MiB of memory"},
		{name: "full", swaps: "/swap/swapfile file 1024000 1023100 -2\n", refused: "/swap/swapfile has 0.9 MiB free"},
		{name: "no figures", meminfo: "x", refused: "Active(anon)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			power := &fakePower{files: map[string]string{}, stuck: tt.stuck, err: tt.write}
			for name, value := range map[string][2]string{"disk": {tt.disk, "[platform] shutdown"}, "resume": {tt.resume, "254:2"}, "resume_offset": {tt.offset, "140544"}} {
				if value[0] == "" {
					power.files[name] = value[1]
				} else if value[0] != none {
					power.files[name] = value[0]
				}
			}
			swaps, _ := strings.CutPrefix(or(tt.swaps, swapLine), none)
			s := &System{Swapfile: "/swap/swapfile", Power: power, Proc: proc(t, swaps, or(tt.meminfo, someMeminfo)),
				Locate: func(string) (Place, error) { return somePlace, tt.locate }}
			got, err := s.Check()
			if got != tt.want || !hasError(err, tt.refused) {
				t.Errorf("Check = %q, %v; want %q, %q", got, err, tt.want, tt.refused)
			}
			if written := strings.Join(power.writes, " "); written != tt.written {
				t.Errorf("written %q; want %q", written, tt.written)
			}
		})
	}
}

// TestPrepare leaves a note and takes it away.
func TestPrepare(t *testing.T) {
	power := &fakePower{files: map[string]string{"disk": "[platform]", "resume": "254:2", "resume_offset": "140544"}}
	dir, sys := proc(t, "", someMeminfo), t.TempDir()
	swapfile := filepath.Join(dir, "swapfile")
	for name, text := range map[string]string{
		swapfile: string(swaparea.New(1<<20, [16]byte{7}, "")), filepath.Join(dir, "swaps"): swapsTitle + strings.Replace(swapLine, "/swap/swapfile", swapfile, 1),
		filepath.Join(dir, "sys/kernel/osrelease"): "6.12\n", filepath.Join(sys, "devices/pci0000:00/0000:00:04.0/virtio2/block/vda/vda2/dev"): "254:2\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	s := &System{Swapfile: swapfile, Power: power, Proc: dir, Sys: sys, Locate: func(string) (Place, error) { return somePlace, nil }}
	const well = " offset 140544 on /dev/vda2 (254:2)"
	if text, err := s.Prepare(); text != "swapfile "+swapfile+well+"; no note of that: lstat "+sys+"/dev: no such file or directory" || err != nil {
		t.Errorf("Prepare without a device = %q, %v", text, err)
	}
	link := filepath.Join(sys, "dev/block/254:2")
	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink("../../devices/pci0000:00/0000:00:04.0/virtio2/block/vda/vda2", link)); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Prepare(); text != "swapfile "+swapfile+well || err != nil {
		t.Errorf("Prepare = %q, %v", text, err)
	}
	text, err := os.ReadFile(swapfile + record.Suffix)
	if err != nil {
		t.Fatal(err)
	}
	want := record.Record{Disk: "pci-0000:00:04.0-virtio", Kernel: "6.12", Offset: 140544, Swap: "07000000-0000-0000-0000-000000000000"}
	if r, err := record.Parse(text); r != want || err != nil {
		t.Errorf("note: %+v, %v; want %+v", r, err, want)
	}
	if err := os.Rename(swapfile, swapfile+".moved"); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Prepare(); !strings.Contains(text, well+"; no note of that: open "+swapfile) || err != nil {
		t.Errorf("Prepare where no note can be made = %q, %v", text, err)
	}
	if _, err := os.Stat(swapfile + record.Suffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("note of before, where none can be made: %v; want none", err)
	}
	if err := os.Rename(swapfile+".moved", swapfile); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(); err != nil {
		t.Error(err)
	}
	power.files["disk"] = "[disabled]"
	if text, err := s.Prepare(); text != "" || !hasError(err, "disabled") {
		t.Errorf("Prepare where it is disabled = %q, %v", text, err)
	}
	if err := s.Woken(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(swapfile + record.Suffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("note once awake: %v; want none", err)
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// TestSetNeverBeforeLocate: a device with an image on it would be resumed from.
func TestSetNeverBeforeLocate(t *testing.T) {
	power := &fakePower{files: map[string]string{"disk": "[platform]", "resume": "0:0", "resume_offset": "0"}}
	s := &System{Swapfile: "/swap/swapfile", Power: power, Proc: proc(t, swapLine, someMeminfo)}
	s.Locate = func(string) (Place, error) {
		if len(power.writes) > 0 {
			t.Errorf("written before the header was seen: %q", power.writes)
		}
		return Place{}, errors.New("ends in S1SUSPEND")
	}
	if text, changed := s.look(); !strings.HasPrefix(text, "no hibernation: /swap/swapfile: ends in") || changed || power.writes != nil {
		t.Errorf("look = %q, %v, wrote %q; want nothing written", text, changed, power.writes)
	}
}

func TestPowerDir(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "resume")
	if err := os.WriteFile(file, []byte("0:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := PowerDir(dir)
	if got, err := d.Read("resume"); got != "0:0" || err != nil {
		t.Errorf("Read = %q, %v; want 0:0", got, err)
	}
	if err := d.Write("resume", "254:2"); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); string(text) != "254:2\n" || err != nil {
		t.Errorf("file is %q, %v; want one line", text, err)
	}
	if err := d.Write("none", "1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Write to a file that is not there: %v", err)
	}
}
