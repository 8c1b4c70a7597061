package repository

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// changed is a change of what was restored that has to be found.
type changed struct {
	name   string
	change func(in func(string) string) error
	wrong  []string // entries
	gone   []string // of these, what has to be removed
	odd    []string // of the first
}

// keepTime changes a path and puts its times back, and those of its directory.
func keepTime(path string, change func() error) error {
	var times [2]unix.Stat_t
	paths := []string{path, filepath.Dir(path)}
	for i := range paths {
		if err := unix.Lstat(paths[i], &times[i]); err != nil {
			return err
		}
	}
	if err := change(); err != nil {
		return err
	}
	for i := range paths {
		if err := touch(paths[i], times[i].Mtim.Nano()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// overwrite changes bytes of a file.
func overwrite(path, text string, at int64) error {
	return keepTime(path, func() error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return writeAt(f, text, at)
	})
}

// replace removes a path and makes something in its place.
func replace(path string, make func() error) error {
	return keepTime(path, func() error {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		return make()
	})
}

func remove(path string) error { return replace(path, func() error { return nil }) }

// moved moves a directory away and puts a symlink to it in its place.
func moved(path, to string) error {
	return keepTime(path, func() error {
		if err := os.Rename(path, to); err != nil {
			return err
		}
		return os.Symlink(to, path)
	})
}

var contentChanges = []changed{
	{name: "nothing", change: func(in func(string) string) error { return nil }},
	{name: "more files", change: func(in func(string) string) error {
		return keepTime(in("bob/d/e"), func() error { return os.WriteFile(in("bob/d/more"), []byte("more"), 0o600) })
	}},
	{
		name:   "first byte",
		change: func(in func(string) string) error { return overwrite(in("alice/big"), "!", 0) },
		wrong:  []string{"/alice/big"}, gone: []string{"/alice/big"},
	},
	{
		name:   "last byte",
		change: func(in func(string) string) error { return overwrite(in("alice/big"), "!", 3<<20-1) },
		wrong:  []string{"/alice/big"}, gone: []string{"/alice/big"},
	},
	{
		name:   "a byte of a hole",
		change: func(in func(string) string) error { return overwrite(in("alice/sparse"), "!", 15<<20) },
		wrong:  []string{"/alice/sparse"}, gone: []string{"/alice/sparse"},
	},
	{
		name: "one byte less",
		change: func(in func(string) string) error {
			return keepTime(in("alice/small"), func() error { return os.Truncate(in("alice/small"), 4) })
		},
		wrong: []string{"/alice/small"}, gone: []string{"/alice/small"},
	},
	{
		name:   "one byte more",
		change: func(in func(string) string) error { return overwrite(in("alice/small"), "smaller", 0) },
		wrong:  []string{"/alice/small"}, gone: []string{"/alice/small"},
	},
	{
		name:   "empty file with a byte",
		change: func(in func(string) string) error { return overwrite(in("alice/empty"), "x", 0) },
		wrong:  []string{"/alice/empty"}, gone: []string{"/alice/empty"},
	},
	{
		name:   "name that is not UTF-8",
		change: func(in func(string) string) error { return overwrite(in("alice/not \xff\xfe UTF-8"), "y", 0) },
		wrong:  []string{"/alice/not \uFFFD UTF-8"}, gone: []string{"/alice/not \xff\xfe UTF-8"},
	},
	{
		name:   "name with what stands for no UTF-8",
		change: func(in func(string) string) error { return overwrite(in("alice/U+FFFD \uFFFD"), "y", 0) },
		wrong:  []string{"/alice/U+FFFD \uFFFD"}, gone: []string{"/alice/U+FFFD \uFFFD"},
	},
	{
		name:   "name that restic quotes",
		change: func(in func(string) string) error { return overwrite(in("alice/quo\"te\\"), "y", 0) },
		wrong:  []string{"/alice/quo\"te\\"}, gone: []string{"/alice/quo\"te\\"},
	},
	{
		name:   "missing file",
		change: func(in func(string) string) error { return remove(in("alice/small")) },
		wrong:  []string{"/alice/small"},
	},
	{
		name: "file is a directory",
		change: func(in func(string) string) error {
			return replace(in("alice/small"), func() error { return os.Mkdir(in("alice/small"), 0o700) })
		},
		wrong: []string{"/alice/small"},
	},
	{
		name:   "file is a symlink to what it should be",
		change: func(in func(string) string) error { return moved(in("alice/small"), in("elsewhere")) },
		wrong:  []string{"/alice/small"},
	},
	{
		name:   "missing directory",
		change: func(in func(string) string) error { return remove(in("bob/d")) },
		wrong:  []string{"/bob/d", "/bob/d/e", "/bob/d/e/f"},
	},
	{
		name:   "directory is a symlink to what it should be",
		change: func(in func(string) string) error { return moved(in("bob/d"), in("elsewhere")) },
		wrong:  []string{"/bob/d", "/bob/d/e", "/bob/d/e/f"},
	},
	{
		name:   "missing directory that is empty",
		change: func(in func(string) string) error { return remove(in("void")) },
		wrong:  []string{"/void"},
	},
	{
		name: "directory is a file",
		change: func(in func(string) string) error {
			return replace(in("void"), func() error { return os.WriteFile(in("void"), nil, 0o600) })
		},
		wrong: []string{"/void"}, gone: []string{"/void"},
	},
	{
		name: "target of a symlink",
		change: func(in func(string) string) error {
			return replace(in("alice/link"), func() error { return os.Symlink("/nowhere", in("alice/link")) })
		},
		wrong: []string{"/alice/link"},
	},
	{
		name: "target that is not UTF-8",
		change: func(in func(string) string) error {
			return replace(in("alice/raw link"), func() error { return os.Symlink("no \xfe UTF-8", in("alice/raw link")) })
		},
		wrong: []string{"/alice/raw link"},
	},
	{
		name: "symlink is a file",
		change: func(in func(string) string) error {
			return replace(in("alice/link"), func() error { return os.WriteFile(in("alice/link"), []byte("/nowhere/at all"), 0o600) })
		},
		wrong: []string{"/alice/link"}, gone: []string{"/alice/link"},
	},
	{
		name: "FIFO is a file",
		change: func(in func(string) string) error {
			return replace(in("alice/fifo"), func() error { return os.WriteFile(in("alice/fifo"), nil, 0o600) })
		},
		wrong: []string{"/alice/fifo"}, gone: []string{"/alice/fifo"},
	},
	{
		name:   "file of several names",
		change: func(in func(string) string) error { return overwrite(in("bob/third name"), "!", 1<<15) },
		wrong:  []string{"/alice/first name", "/bob/second name", "/bob/third name"},
		gone:   []string{"/alice/first name", "/bob/second name", "/bob/third name"},
	},
	{
		name:   "file of several names, and its size",
		change: func(in func(string) string) error { return overwrite(in("bob/third name"), "!", 1<<16) },
		wrong:  []string{"/alice/first name", "/bob/second name", "/bob/third name"},
		gone:   []string{"/alice/first name", "/bob/second name", "/bob/third name"},
	},
	{
		name:   "first of several names is missing",
		change: func(in func(string) string) error { return remove(in("alice/first name")) },
		wrong:  []string{"/alice/first name"},
	},
	{
		name: "name of its own, with other content",
		change: func(in func(string) string) error {
			return replace(in("bob/second name"), func() error { return os.WriteFile(in("bob/second name"), random(1<<16, 3), 0o640) })
		},
		wrong: []string{"/bob/second name"}, gone: []string{"/bob/second name"},
	},
	{
		name: "one in the other's place",
		change: func(in func(string) string) error {
			return keepTime(in("alice/small"), func() error {
				return errors.Join(os.Rename(in("alice/small"), in("x")), os.Rename(in("alice/big"), in("alice/small")), os.Rename(in("x"), in("alice/big")))
			})
		},
		wrong: []string{"/alice/big", "/alice/small"}, gone: []string{"/alice/big", "/alice/small"},
	},
}

var rootContentChanges = []changed{
	{
		name: "number of a device",
		change: func(in func(string) string) error {
			return replace(in("bob/null"), func() error { return unix.Mknod(in("bob/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) })
		},
		wrong: []string{"/bob/null"},
	},
	{
		name: "large number of a device",
		change: func(in func(string) string) error {
			return replace(in("bob/loop"), func() error { return unix.Mknod(in("bob/loop"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 44))) })
		},
		wrong: []string{"/bob/loop"},
	},
	{
		name: "kind of a device",
		change: func(in func(string) string) error {
			return replace(in("bob/null"), func() error { return unix.Mknod(in("bob/null"), unix.S_IFBLK|0o666, int(unix.Mkdev(1, 3))) })
		},
		wrong: []string{"/bob/null"},
	},
}

// Each change of content is found, and nothing else; what is wrong of files is
// removed.
func TestVerifyContent(t *testing.T) {
	m := wholeRepository(t)
	changes := contentChanges
	if os.Geteuid() == 0 {
		changes = slices.Concat(changes, rootContentChanges)
	}
	for _, tt := range changes {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, m) })
	}
}

func (tt *changed) check(t *testing.T, m *made) {
	dir := m.copied(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	must(t, tt.change(in))
	before := listed(t, dir)
	got, err := m.verify(dir)
	must(t, err)
	want := Verdict{Wrong: len(tt.wrong), First: tt.wrong, Odd: len(tt.odd)}
	if want.Odd > 0 {
		want.FirstOdd = tt.odd[0]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	left := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(tt.gone, name) })
	if diff := cmp.Diff(left, listed(t, dir)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

// listed returns the paths below a directory.
func listed(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(name, dir))
		return err
	}))
	return names
}

// Where root is, what an ordinary user cannot make was compared as well.
func TestVerifyRoot(t *testing.T) {
	imgtest.NeedRoot(t)
	m := wholeRepository(t)
	for _, name := range []string{"bob/null", "bob/loop"} {
		if _, err := os.Lstat(filepath.Join(m.restored, name)); err != nil {
			t.Error(err)
		}
	}
}
