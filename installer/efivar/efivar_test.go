package efivar_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/efivar"
)

func open(t *testing.T) (*efivar.Vars, string) {
	t.Helper()
	dir := t.TempDir()
	v, err := efivar.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return v, dir
}

// TestFolder uses a directory of the kernel.
func TestFolder(t *testing.T) {
	v, dir := open(t)
	const name = "BootNext" + global
	if _, _, err := v.Read(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if err := v.Delete(name); err != nil {
		t.Errorf("absent: %v", err)
	}
	for _, value := range []string{"\x01\x02\x03", "\x01"} { // the second must not leave an end of the first
		if err := v.Write(name, 7, []byte(value)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(data) != "\x07\x00\x00\x00"+value {
			t.Errorf("%q, %v", data, err)
		}
		if a, got, err := v.Read(name); err != nil || a != 7 || string(got) != value {
			t.Errorf("%d, %q, %v", a, got, err)
		}
	}
	if err := v.Delete(name); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, bad := range []string{"../x", "/x"} {
		if err := v.Write(bad, 7, []byte{1}); err == nil {
			t.Errorf("%s: written", bad)
		}
	}
	if _, err := v.AddEntry(fox(1)); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "Boot0005"+global), 0o700); err != nil {
		t.Fatal(err)
	}
	if p, err := v.AddEntry(fox(2)); err != nil || len(p.Warnings) > 0 {
		t.Errorf("with a directory among the files: %v, %v", p, err)
	}
}

func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		data  []byte
		value int
		want  string
	}{
		{"empty, as after a failed write", []byte{}, 0, "is not there"},
		{"short of its attributes", []byte{1, 2, 3}, 0, "3 bytes"},
		{"attributes alone", []byte{7, 0, 0, 0}, 0, ""},
		{"at the limit", make([]byte, 4+1<<16), 1 << 16, ""},
		{"beyond the limit", make([]byte, 4+1<<16+1), 0, "more than 65536"},
	} {
		m := newMemory()
		m.files["x"] = tt.data
		_, value, err := efivar.New(m).Read("x")
		if tt.want == "" && (err != nil || len(value) != tt.value) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %d bytes, %v", tt.name, len(value), err)
		}
	}
	for n, good := range map[int]bool{0: false, 1: true, 1 << 16: true, 1<<16 + 1: false} {
		if err := efivar.New(newMemory()).Write("x", 7, make([]byte, n)); (err == nil) != good {
			t.Errorf("write of %d bytes: %v", n, err)
		}
	}
}

// TestWriteOnlyWhatChanges spares the firmware's memory.
func TestWriteOnlyWhatChanges(t *testing.T) {
	m := newMemory()
	v := efivar.New(m)
	for i, tt := range []struct {
		attributes uint32
		value      byte
		changes    int
	}{{7, 1, 1}, {7, 1, 1}, {7, 2, 2}, {6, 2, 3}} {
		if err := v.Write("x", tt.attributes, []byte{tt.value}); err != nil || m.changes != tt.changes {
			t.Errorf("write %d: %v, %d changes; want %d", i, err, m.changes, tt.changes)
		}
	}
}

// TestFull writes where there is no space: what could not be written is not
// there, and what was there stays.
func TestFull(t *testing.T) {
	imgtest.NeedRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skipf("tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	v, err := efivar.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	hare := with(fox(2), func(e *efivar.Entry) { e.Description = "Hare" })
	if _, err := v.AddEntry(hare); err != nil { // a page for the entry, one for the order
		t.Fatal(err)
	}
	_, err = v.AddEntry(fox(1))
	var w *efivar.Warning
	if !errors.As(err, &w) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(w.Hint, "pstore") {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "Boot0001"+global)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an entry that could not be written: %v", err)
	}
	if p, err := v.Plan(hare); err != nil || len(p.Changes) > 0 {
		t.Errorf("what was there: %v, %v", p, err)
	}
}

// TestImmutable writes and deletes what the kernel protects.
func TestImmutable(t *testing.T) {
	imgtest.NeedRoot(t)
	v, dir := open(t)
	const name = "LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
	path := filepath.Join(dir, name)
	if err := v.Write(name, 7, []byte{1}); err != nil {
		t.Fatal(err)
	}
	flags := func(change func(uint32) uint32) uint32 {
		t.Helper()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		old, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err != nil {
			t.Skipf("no flags on this file system: %v", err)
		}
		if change != nil {
			if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(change(old))); err != nil {
				t.Skipf("no immutable files on this file system: %v", err)
			}
		}
		return old
	}
	const immutable = 0x10
	t.Cleanup(func() { _ = v.Delete(name) }) // else the directory stays
	flags(func(f uint32) uint32 { return f | immutable })
	if err := os.WriteFile(path, []byte{7, 0, 0, 0, 1}, 0o600); !errors.Is(err, unix.EPERM) {
		t.Skipf("immutable files can be written: %v", err)
	}
	if err := v.Write(name, 7, []byte{2}); err != nil {
		t.Fatal(err)
	}
	if got := flags(nil); got&immutable == 0 {
		t.Errorf("flags %#x; want %#x again", got, immutable)
	}
	if err := v.Delete(name); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "efivars"), "/sys/kernel"} {
		_, err := efivar.Open(dir)
		var w *efivar.Warning
		if !errors.As(err, &w) || !strings.Contains(w.Error(), "started by a BIOS, or efivarfs is not mounted") || w.Hint == "" {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestWarnings says what the kernel's numbers mean.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
		hint bool
	}{
		{unix.ENOSPC, "memory for variables is full", true},
		{unix.EROFS, "mounted read-only, or the firmware has locked", true},
		{unix.EINVAL, "the firmware refuses it", true},
		{unix.EIO, "memory for variables is broken", true},
		{unix.EPERM, "only root may", false},
		{unix.EACCES, "only root may", false},
		{unix.ENOSYS, "does not let a running system", true},
		{unix.EINTR, "cannot write (interrupted system call)", false},
	} {
		m := newMemory()
		m.fail[0] = tt.err
		err := efivar.New(m).Write(efivar.BootOrder, 7, []byte{0, 0})
		var w *efivar.Warning
		if !errors.As(err, &w) || !errors.Is(err, tt.err) || w.Name != efivar.BootOrder || (w.Hint != "") != tt.hint {
			t.Errorf("%v: %#v", tt.err, err)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, "BootOrder: cannot write") || !strings.Contains(text, tt.want) {
			t.Errorf("%v: %q; want %q", tt.err, text, tt.want)
		}
	}
}

func TestClearHibernateLocation(t *testing.T) {
	m := newMemory()
	v := efivar.New(m)
	if err := v.ClearHibernateLocation(); err != nil {
		t.Errorf("absent: %v", err)
	}
	const name = "HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"
	m.files[name] = []byte{7, 0, 0, 0, 1}
	if err := v.ClearHibernateLocation(); err != nil || m.files[name] != nil {
		t.Errorf("%v, %v", err, m.files)
	}
	m.files[name], m.fail[m.changes] = []byte{7, 0, 0, 0, 1}, unix.EROFS
	if err := v.ClearHibernateLocation(); !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
}

// text is what systemd writes of a text.
func text(s string) []byte {
	var b bytes.Buffer
	b.WriteString("\x06\x00\x00\x00")
	for _, u := range utf16.Encode([]rune(s)) {
		b.Write([]byte{byte(u), byte(u >> 8)})
	}
	return b.Bytes()
}

func TestLoaderDevicePartUUID(t *testing.T) {
	const name = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
	good := uuid(1).String()
	for _, tt := range []struct {
		name string
		data []byte
		want string // of the error
	}{
		{"small letters", text(good + "\x00"), ""},
		{"as systemd-boot writes it", text(strings.ToUpper(good) + "\x00"), ""},
		{"no end", text(good), "text without an end"},
		{"half a character", text(good + "\x00")[:len(text(good))+1], "text without an end"},
		{"more behind it", text(good + "\x00x"), "2 bytes behind the text"},
		{"no UUID", text("fox\x00"), "fox"},
		{"nothing", []byte{6, 0, 0, 0}, "text without an end"},
	} {
		m := newMemory()
		m.files[name] = tt.data
		id, err := efivar.New(m).LoaderDevicePartUUID()
		if tt.want == "" && (err != nil || id != uuid(1)) {
			t.Errorf("%s: %v, %v", tt.name, id, err)
		}
		var w *efivar.Warning
		if tt.want != "" && (!errors.As(err, &w) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	if _, err := efivar.New(newMemory()).LoaderDevicePartUUID(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func FuzzLoaderDevicePartUUID(f *testing.F) {
	f.Add(text(uuid(1).String() + "\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMemory()
		m.files["LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"] = data
		if id, err := efivar.New(m).LoaderDevicePartUUID(); err == nil && !strings.EqualFold(fmt.Sprintf("%x", text(id.String())[4:]), fmt.Sprintf("%x", bytes.ToLower(data[4:len(data)-2]))) {
			t.Errorf("%q is not %v", data, id)
		}
	})
}
