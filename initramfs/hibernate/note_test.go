package hibernate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/rawdisk"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// TestNoteOnDisk has the note come and go while the file system stays mounted,
// and looks for it as the initramfs does, on the device.
func TestNoteOnDisk(t *testing.T) {
	for _, compress := range []string{"none", "zstd", "zlib", "lzo"} {
		t.Run(compress, func(t *testing.T) {
			m := mounted(t)
			sh(t, "mount", "-o", "remount,compress-force="+compress, m.Dir)
			file := filepath.Join(m.Dir, "swapfile")
			makeSwapfile(t, file)
			imgtest.Swapon(t, file)
			defer imgtest.Swapoff(t, file)
			s := noting(t, file)
			for range 2 { // the second finds it there
				if text, err := s.Prepare(); !strings.HasPrefix(text, "swapfile "+file) || strings.Contains(text, "no note") || err != nil {
					t.Fatalf("Prepare = %q, %v", text, err)
				}
			}
			place, err := Locate(file)
			if err != nil {
				t.Fatal(err)
			}
			header, err := readPage(place.Device, place.Offset*page)
			if err != nil {
				t.Fatal(err)
			}
			h, err := swaparea.Decode(header)
			if err != nil {
				t.Fatal(err)
			}
			if r, err := noteOnDisk(t, m.Device); !r.Of(place.Offset, h.UUID.String()) || r.Kernel != "6.12" || r.Swap == "" || r.Disk != "" || err != nil {
				t.Errorf("note on the disk: %+v, %v; want one of %v, swap space %s", r, err, place, h.UUID)
			}
			if err := s.Woken(); err != nil {
				t.Error(err)
			}
			if r, err := noteOnDisk(t, m.Device); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("note on the disk once awake: %+v, %v; want none", r, err)
			}
		})
	}
}

// noting is a system that can hibernate to a swapfile, as far as memory and the
// kernel matter.
func noting(t *testing.T, file string) *System {
	t.Helper()
	s := Running(file)
	s.Proc = proc(t, file+" file 1024000 0 -2\n", someMeminfo)
	release := filepath.Join(s.Proc, "sys/kernel/osrelease")
	if err := errors.Join(os.MkdirAll(filepath.Dir(release), 0o755), os.WriteFile(release, []byte("6.12\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	s.Power = &fakePower{files: map[string]string{"disk": "[platform]", "resume": "0:0", "resume_offset": "0"}}
	return s
}

// noteOnDisk reads the note from a device, past what the kernel keeps in memory.
func noteOnDisk(t *testing.T, device string) (record.Record, error) {
	t.Helper()
	d, err := rawdisk.Open(device, os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f, err := reader.Open(d, d.Size())
	if err != nil {
		t.Fatal(err)
	}
	top, err := f.Subvolume("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := top.ReadFile("swapfile" + record.Suffix)
	if err != nil {
		return record.Record{}, err
	}
	return record.Parse(text)
}
