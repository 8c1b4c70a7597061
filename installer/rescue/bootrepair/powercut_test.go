package bootrepair

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/durable/cut"
)

// recorder is a disk that keeps what is written, with nil for each sync.
type recorder struct {
	memDisk
	writes []*piece
	failAt int // number of the call from 1 on that fails; 0 for none
	calls  int
}

var errCut = errors.New("the power is cut")

func (r *recorder) call() error {
	if r.calls++; r.calls == r.failAt {
		return errCut
	}
	return nil
}

func (r *recorder) WriteAt(b []byte, off int64) (int, error) {
	if err := r.call(); err != nil {
		return 0, err
	}
	r.writes = append(r.writes, &piece{off, bytes.Clone(b)})
	return r.memDisk.WriteAt(b, off)
}

func (r *recorder) Sync() error {
	r.writes = append(r.writes, nil)
	return r.call()
}

// record repairs a clone of a disk, and returns what was written.
func (m made) record(t *testing.T, stick Stick) []*piece {
	t.Helper()
	r := &recorder{memDisk: m.disk.clone()}
	s := m.system(stick)
	s.Disk = r
	found, err := Diagnose(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.writes) > 0 {
		t.Errorf("Diagnose wrote %d times", len(r.writes))
	}
	if _, err := Repair(t.Context(), found, Choices{}, nil); err != nil {
		t.Fatal(err)
	}
	return r.writes
}

// TestPowerCut stops a repair of all of the disk behind every write. Until the ESP is
// whole, nobody recognises a file system there; the table is none, or the one that is to
// be; and another repair ends the same.
func TestPowerCut(t *testing.T) {
	m := smallDisk(t)
	want := m.esp(t)
	stick := m.stick(t).withKernel(want)
	m.disk.wipe(t, 0, 5*mib)
	m.disk.wipe(t, m.disk.Size()-mib, mib)
	writes := m.record(t, stick)
	part := m.table.Partitions[0]
	states := map[string]int{}
	for i, w := range writes {
		if w == nil {
			continue
		}
		m.disk.put(t, w.at, w.data...)
		table, _, err := gpt.Read(m.disk, m.disk.Size())
		if err == nil && (len(table.Partitions) != 2 || table.Partitions[0].Start != part.Start || table.Partitions[1].Size != m.table.Partitions[1].Size) {
			t.Fatalf("after write %d: table %+v", i, table)
		}
		files, espErr := espreader.Open(section(m.disk, part.Start, part.Size), part.Size)
		if espErr == nil && (len(files.Check(t.Context())) > 0 || len(m.esp(t)) != len(want)) {
			t.Fatalf("after write %d: a file system with %d files and %v", i, len(m.esp(t)), files.Check(t.Context()))
		}
		state := fmt.Sprintf("table %v, ESP %v", err == nil, espErr == nil)
		if states[state]++; states[state] == 2 || i == len(writes)-2 {
			again := made{m.disk.clone(), m.plan, m.table}
			for _, w := range again.record(t, stick) {
				if w != nil {
					again.disk.put(t, w.at, w.data...)
				}
			}
			wantFiles(t, want, again.esp(t))
		}
	}
	if last := writes[len(writes)-2]; last == nil || last.at != part.Start || writes[len(writes)-3] != nil {
		t.Errorf("the last write is not that of the boot sector, behind a sync")
	}
	if len(states) != 3 {
		t.Errorf("states %v, expected no table, a table without an ESP, both", states)
	}
	t.Logf("%d writes and syncs, states %v", len(writes), states)
}

// TestWriteErrors has writes and syncs fail: the error is handed on.
func TestWriteErrors(t *testing.T) {
	m := smallDisk(t)
	stick := m.stick(t).withKernel(m.esp(t))
	m.disk.wipe(t, 0, 5*mib)
	for n := 1; ; n += 3 { // a write, a sync, and so on
		r := &recorder{memDisk: m.disk.clone(), failAt: n}
		s := m.system(stick)
		s.Disk = r
		found, err := Diagnose(t.Context(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Repair(t.Context(), found, Choices{}, nil)
		if err == nil && r.calls < n {
			return
		}
		if !errors.Is(err, errCut) {
			t.Fatalf("call %d fails: %v; want the cause", n, err)
		}
	}
}

// TestWriteFilesCut cuts the power at every write of files that an ESP lacks.
func TestWriteFilesCut(t *testing.T) {
	list := []file{{path: "mkimage/6.1-x/linux", data: []byte("kernel")}, {path: bls.EntriesDir + "/a.conf", data: []byte("entry")}, {path: bls.FallbackPath, data: []byte("loader")}}
	for _, fat := range []bool{false, true} {
		start := cut.New()
		start.Put("/EFI/Microsoft/bootmgfw.efi", "theirs", 0o644, 0)
		start.Put("/"+bls.FallbackPath, "half", 0o644, 0)
		if fat {
			start.FAT()
		}
		whole := func(f *cut.FS, all bool) error {
			entry, there := f.Text("/" + list[1].path)
			kernel, _ := f.Text("/" + list[0].path)
			if there && entry != "" && kernel != "kernel" {
				return fmt.Errorf("entry %q with kernel %q", entry, kernel)
			}
			if text, _ := f.Text("/EFI/Microsoft/bootmgfw.efi"); text != "theirs" {
				return fmt.Errorf("theirs: %q", text)
			}
			for _, x := range list {
				text, _ := f.Text("/" + x.path)
				if !slices.Contains([]string{"", "half", string(x.data)}, text) || all && text != string(x.data) {
					return fmt.Errorf("%s: %q", x.path, text)
				}
			}
			if all && slices.ContainsFunc(f.Names(), func(n string) bool { return strings.HasSuffix(n, ".new") }) {
				return fmt.Errorf("left: %q", f.Names())
			}
			return nil
		}
		states, err := cut.Run{
			Start: start, Check: func(f *cut.FS) error { return whole(f, false) }, Done: func(f *cut.FS) error { return whole(f, true) },
			Do: func(f *cut.FS) error { return writeFiles(t.Context(), f, list, nil) },
		}.Explore()
		if err != nil || states < 40 {
			t.Errorf("FAT %v: %d states, %v", fat, states, err)
		}
	}
}
