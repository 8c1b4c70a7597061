package backup

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// What is named is copied, and nothing else: also where a name is a pattern.
func TestCopyOut(t *testing.T) {
	o := open(t)
	to := filepath.Join(o.dir, "out")
	must(t, os.Mkdir(to, 0o750))
	var done, total int64
	got, err := o.CopyOut(context.Background(), Copying{
		Snapshot: o.ids["new"], To: to,
		Paths:    []string{o.in("alice/photos/*"), o.in("alice/[x]?"), o.in(`alice/a\b`), o.in("alice/notes"), o.in("bob"), o.in("bob/notes")},
		Progress: func(d, t int64) { done, total = d, t },
	})
	must(t, err)
	if got.Dir != to || done != total || total == 0 || got.Files < 7 {
		t.Errorf("CopyOut: %+v, progress %d of %d; expected all of it in %s", got, done, total, to)
	}
	o.same("bob", filepath.Join(to, o.in("bob")))
	at := filepath.Join(to, o.in("alice"))
	if got, want := names(t, at), `[x]? a\b notes photos`; got != want {
		t.Errorf("alice has %s, expected %s", got, want)
	}
	if got := names(t, filepath.Join(at, "photos")); got != "*" {
		t.Errorf("photos has %s, expected *", got)
	}
	if got := text(t, filepath.Join(at, "notes")); got != "new notes\n" {
		t.Errorf("notes: %q", got)
	}
	info, err := os.Stat(at)
	must(t, err)
	if info.Mode().Perm() != 0o710 { // or what is private would be everybody's
		t.Errorf("alice has mode %v, expected 0710", info.Mode())
	}
	if info, err = os.Stat(to); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("out: mode %v, %v; expected 0750, as before", info.Mode(), err)
	}
	if got := names(t, o.dir); got != "out" {
		t.Errorf("%s: is left, expected out alone", got)
	}
}

// A name that is not UTF-8 is one as any other.
func TestCopyOutNotUTF8(t *testing.T) {
	o := open(t)
	to := filepath.Join(o.dir, "out")
	got, err := o.CopyOut(context.Background(), Copying{Snapshot: o.ids["new"], To: to, Paths: []string{o.in("bob/\xff"), o.in("bob/caf\xe9")}})
	must(t, err)
	at := filepath.Join(to, o.in("bob"))
	if got.Files != 3 || names(t, at) != "caf\xe9 \xff" || text(t, at+"/\xff") != "no UTF-8" || text(t, at+"/caf\xe9/menu") != "of Latin-1" {
		t.Errorf("CopyOut: %+v, bob has %q; expected both", got, names(t, at))
	}
}

func TestCopyOutAll(t *testing.T) {
	o := open(t)
	to := filepath.Join(o.dir, "out")
	_, err := o.CopyOut(context.Background(), Copying{Snapshot: o.ids["old"], Paths: []string{"/"}, To: to})
	must(t, err)
	o.same("bob", filepath.Join(to, o.in("bob")))
	if got := text(t, filepath.Join(to, o.in("alice/notes"))); got != "old notes\n" {
		t.Errorf("notes: %q", got)
	}
}

// What is refused is refused before anything is written.
func TestCopyOutRefused(t *testing.T) {
	o := open(t)
	tests := []struct {
		name   string
		path   string
		change func(to string)
		class  fault.Class
		want   string
	}{
		{"no such file", o.in("alice/fotos"), nil, fault.Input, "is not in snapshot " + o.ids["new"][:8] + ", where " + o.in("alice") + " has what is near it: notes, photos"},
		{"no such directory", o.in("alcie/photos/big"), nil, fault.Input, "has what is near it: alice"},
		{"nothing near", o.in("alice/photos/zzzzzzzzzz"), nil, fault.Input, "has *, big, other name and others"},
		{"in one that is named", o.in("alice/notes/x"), nil, fault.Input, "alice/notes/x: is not in snapshot"},
		{"below a file", o.in("bob/notes/x"), nil, fault.Input, "is not in snapshot"},
		{"no UTF-8", o.in("bob/\xfe"), nil, fault.Input, "bob/\uFFFD: is not in snapshot"},
		{"no path", "", nil, fault.Usage, "expected one of a file or directory"},
		{"not empty", o.in("bob"), func(to string) { write(t, to+"/precious", "p") }, fault.Target, "is not empty, it has precious"},
		{"a file", o.in("bob"), func(to string) { write(t, to, "p") }, fault.Target, "is there, and no directory"},
		{"a symlink", o.in("bob"), func(to string) { must(t, os.Symlink("/tmp", to)) }, fault.Target, "is there, and no directory"},
		{"no parent", o.in("bob"), func(to string) { must(t, os.Remove(filepath.Dir(to))) }, fault.Target, "there is no "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "parent")
			to := filepath.Join(parent, "out")
			must(t, os.Mkdir(parent, 0o755))
			if tt.change != nil {
				tt.change(to)
			}
			before := list(t, filepath.Dir(parent))
			_, err := o.CopyOut(context.Background(), Copying{Snapshot: o.ids["new"], Paths: []string{o.in("alice/notes"), tt.path}, To: to})
			if err == nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("CopyOut: class %d, %v; expected %d, %s", fault.ClassOf(err), err, tt.class, tt.want)
			}
			if after := list(t, filepath.Dir(parent)); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
	_, err := o.CopyOut(context.Background(), Copying{Snapshot: strings.Repeat("ab", 32), Paths: []string{"/"}, To: filepath.Join(o.dir, "out")})
	if firstboot.CodeOf(err) != firstboot.CodeNoSnapshot || !strings.Contains(err.Error(), "no longer there") {
		t.Errorf("CopyOut of no snapshot: %v", err)
	}
}

// The top of a file system cannot get a name, and a small one is full before.
func TestCopyOutPlaces(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mount")
	o := open(t)
	dir := filepath.Join(o.dir, "mnt")
	must(t, os.Mkdir(dir, 0o755))
	for _, tt := range []struct {
		name, to, want string
		mount          []string
	}{
		{"top", "", "is the top of a file system", []string{"-t", "tmpfs", "-o", "size=100m", "none"}},
		{"little room", "out", "needs 42 MiB more, and ", []string{"-t", "tmpfs", "-o", "size=40m", "none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			command(t, "mount", append(tt.mount, dir)...)
			defer func() { must(t, unix.Unmount(dir, 0)) }()
			_, err := o.CopyOut(context.Background(), Copying{Snapshot: o.ids["new"], Paths: []string{o.in("alice")}, To: filepath.Join(dir, tt.to)})
			if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
				t.Errorf("CopyOut: %v, hint %q; expected %s", err, fault.HintOf(err), tt.want)
			}
			if got := names(t, dir); got != "" {
				t.Errorf("%s: is there, expected nothing", got)
			}
			if tt.name == "little room" { // what is copied has less than what stays free beside it
				_, err := o.CopyOut(context.Background(), Copying{Snapshot: o.ids["new"], Paths: []string{o.in("alice")}, To: filepath.Join(dir, tt.to), AnySize: true})
				must(t, err)
				o.same("alice", filepath.Join(dir, tt.to, o.in("alice")))
			}
		})
	}
}

// The root of an initramfs is a file system without a size.
func TestCopyOutInMemory(t *testing.T) {
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mount")
	o := open(t)
	dir := filepath.Join(o.dir, "mnt")
	must(t, os.Mkdir(dir, 0o755))
	command(t, "mount", "-t", "ramfs", "none", dir)
	defer func() { must(t, unix.Unmount(dir, 0)) }()
	_, err := o.CopyOut(context.Background(), Copying{Snapshot: o.ids["new"], Paths: []string{o.in("alice")}, To: filepath.Join(dir, "out")})
	must(t, err)
	o.same("alice", filepath.Join(dir, "out", o.in("alice")))
}

// A pack is gone: what can be read is copied, what cannot is named, and nothing
// looks whole. With a repository that has it the same copying goes on.
func TestCopyOutDamaged(t *testing.T) {
	o := openWith(t, withoutLargest(t))
	c := Copying{Snapshot: o.ids["new"], Paths: []string{o.in("alice")}, To: filepath.Join(o.dir, "out")}
	_, err := o.CopyOut(context.Background(), c)
	staging := incomplete(t, c.To)
	if firstboot.CodeOf(err) != firstboot.CodeDamaged || !strings.Contains(err.Error(), o.in("alice/photos/big")) || !strings.Contains(err.Error(), staging) {
		t.Errorf("CopyOut: code %d, %v; expected %d, the file and %s", firstboot.CodeOf(err), err, firstboot.CodeDamaged, staging)
	}
	if _, err := os.Lstat(c.To); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v; expected that it is not there", c.To, err)
	}
	if got := text(t, filepath.Join(staging, o.in("alice/notes"))); got != "new notes\n" { // in another pack
		t.Errorf("notes: %q", got)
	}
	whole := open(t)
	_, err = whole.CopyOut(context.Background(), c)
	must(t, err)
	o.same("alice", filepath.Join(c.To, o.in("alice")))
	if _, err := os.Lstat(staging); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v; expected that it is not there", staging, err)
	}
}

// A copying that was cut short in either half has no name, and goes on.
func TestCopyOutCancelled(t *testing.T) {
	for name, at := range map[string]int64{"restore": 1 << 20, "proof": 10 << 20} {
		t.Run(name, func(t *testing.T) {
			o := open(t)
			ctx, cancel := context.WithCancel(context.Background())
			c := Copying{Snapshot: o.ids["new"], Paths: []string{o.in("alice")}, To: filepath.Join(o.dir, "out")}
			c.Progress = func(done, _ int64) {
				if done >= at {
					cancel()
				}
			}
			if _, err := o.CopyOut(ctx, c); !errors.Is(err, context.Canceled) {
				t.Errorf("CopyOut: %v, expected %v", err, context.Canceled)
			}
			if _, err := os.Lstat(c.To); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v; expected that it is not there", c.To, err)
			}
			staged := filepath.Join(incomplete(t, c.To), o.in("alice"))
			if whole := list(t, staged) == list(t, o.in("alice")); whole != (name == "proof") {
				t.Errorf("%s is complete: %t", staged, whole)
			}
			c.Progress = nil
			_, err := o.CopyOut(context.Background(), c)
			must(t, err)
			o.same("alice", filepath.Join(c.To, o.in("alice")))
			if got := names(t, o.dir); got != "out" {
				t.Errorf("%s: is left, expected out alone", got)
			}
		})
	}
}

// What the disk does not have as it was written is found before it has its name.
func TestCopyOutProved(t *testing.T) {
	o := open(t)
	to := filepath.Join(o.dir, "out")
	damaged := errors.New("not all was restored")
	c := Copying{Snapshot: o.ids["new"], Paths: []string{o.in("alice")}, To: to}
	c.Progress = func(done, total int64) {
		if damaged != nil && done == total/2 {
			found, _ := filepath.Glob(to + ".incomplete-*")
			damaged = os.WriteFile(filepath.Join(strings.Join(found, " "), o.in("alice/xy")), []byte("zz"), 0)
		}
	}
	_, err := o.CopyOut(context.Background(), c)
	must(t, damaged)
	if firstboot.CodeOf(err) != firstboot.CodeIncomplete || !strings.Contains(err.Error(), "1 entries on the disk are not as in the snapshot: "+o.in("alice/xy")) {
		t.Errorf("CopyOut: %v, expected that xy is wrong", err)
	}
	if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v; expected that it is not there", to, err)
	}
	_, err = o.CopyOut(context.Background(), c)
	must(t, err)
	o.same("alice", filepath.Join(to, o.in("alice")))
}

// command runs a program that has to succeed.
func command(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// incomplete returns the one staging directory of a destination.
func incomplete(t testing.TB, to string) string {
	t.Helper()
	found, err := filepath.Glob(to + ".incomplete-*")
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("staging directories %q, expected one", found)
	}
	return found[0]
}
