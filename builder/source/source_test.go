package source

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// write puts files below a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var sampleRoot = map[string]string{
	"var/lib/dpkg/status":            sampleStatus,
	"usr/share/doc/tzdata/copyright": copyrightFormat + "\nFiles: *\nLicense: public-domain\n",
	"usr/lib/modules/6.9/vmlinuz":    "kernel",
}

var sampleInstalled = []Package{{Name: "tzdata", Version: "2025b", Architecture: "all", Licenses: []string{"public-domain"}}}

func TestOpenDir(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, sampleRoot)
	s, err := Open(t.Context(), Spec{Dir, dir}, Options{Owner: &fstree.Owner{UID: 3, GID: 4}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if d := cmp.Diff(sampleInstalled, s.Packages); d != "" {
		t.Errorf("packages (-want +got):\n%s", d)
	}
	if e := s.Tree.Lookup("usr/lib"); e.UID != 3 || e.GID != 4 {
		t.Errorf("owner %d:%d; want 3:4", e.UID, e.GID)
	}
	if k, err := Kernels(s.Tree); err != nil || len(k) != 1 {
		t.Errorf("Kernels = %v, %v", k, err)
	}
	if s.Lock() != nil {
		t.Error("a directory has a lock")
	}
	d, err := s.Digest(t.Context())
	if err != nil || !strings.HasPrefix(d, "tree-sha256:") {
		t.Errorf("Digest = %q, %v", d, err)
	}
}

func TestOpenTar(t *testing.T) {
	var members []member
	for _, name := range []string{"usr/lib/modules/6.9/vmlinuz", "usr/share/doc/tzdata/copyright", "var/lib/dpkg/status"} {
		members = append(members, member{name: name, content: sampleRoot[name]})
	}
	data := archiveOf(t, members)
	path := filepath.Join(t.TempDir(), "root.tar")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Spec{Tar, path}, Options{CacheDir: filepath.Join(t.TempDir(), "new")})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sampleInstalled, s.Packages); d != "" {
		t.Errorf("packages (-want +got):\n%s", d)
	}
	sum := sha256.Sum256(data)
	if d, err := s.Digest(t.Context()); d != "sha256:"+hex.EncodeToString(sum[:]) || err != nil {
		t.Errorf("Digest = %q, %v; want that of sha256sum", d, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	broken := t.TempDir()
	write(t, broken, map[string]string{"var/lib/dpkg/status": "Package: x y\nStatus: install ok installed\n"})
	missing := filepath.Join(t.TempDir(), "none")
	tests := []struct {
		name  string
		spec  Spec
		o     Options
		want  string
		class fault.Class
	}{
		{"packages for an archive", Spec{Tar, "x"}, Options{Packages: []string{"sudo"}}, "source tar:x: packages cannot be added to it", fault.Config},
		{"lock for a directory", Spec{Dir, "x"}, Options{Lock: sampleLock()}, "source dir:x: has no lock", fault.Config},
		{"no kind", Spec{}, Options{}, `source ":": names nothing after the colon`, fault.Config},
		{"missing directory", Spec{Dir, missing}, Options{}, "open " + missing + ": no such file or directory", fault.Input},
		{"missing archive", Spec{Tar, missing}, Options{}, "open " + missing + ": no such file or directory", fault.Input},
		{"broken database", Spec{Dir, broken}, Options{}, `/var/lib/dpkg/status: package "x y": not a name of a Debian package`, fault.Input},
		{"no cache", Spec{Debian, "trixie"}, Options{Epoch: time.Unix(0, 0)}, "source debian:trixie: needs a cache directory", fault.Config},
		{"mirror", Spec{Debian, "trixie"}, Options{Epoch: time.Unix(0, 0), Mirrors: Mirrors{Main: "x"}}, `mirror "x": expected http, https or file, got ""`, fault.Config},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(t.Context(), tt.spec, tt.o)
			if !strings.HasSuffix(errorText(err), strings.TrimPrefix(tt.want, "open ")) || fault.ClassOf(err) != tt.class {
				t.Errorf("error %v of class %d; want %q of class %d", err, fault.ClassOf(err), tt.want, tt.class)
			}
		})
	}
}

// TestTreeDigest changes one thing after the other: each has to count.
func TestTreeDigest(t *testing.T) {
	base := func() *fstree.Tree {
		return treeOf(t, "dir/file", "dir/link -> file", "dir/zero 0", "other")
	}
	sum := func(tree *fstree.Tree) string {
		d, err := treeDigest(t.Context(), tree)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	seen := map[string]string{sum(base()): "the base"}
	if seen[sum(base())] == "" {
		t.Fatal("equal trees have different digests")
	}
	changes := map[string]func(*fstree.Tree){
		"content":    func(tr *fstree.Tree) { tr.Lookup("dir/file").Content = fstree.Bytes("y") },
		"mode":       func(tr *fstree.Tree) { tr.Lookup("dir/file").Mode ^= 1 },
		"user":       func(tr *fstree.Tree) { tr.Lookup("dir/file").UID = 1 },
		"group":      func(tr *fstree.Tree) { tr.Lookup("dir/file").GID = 1 },
		"seconds":    func(tr *fstree.Tree) { tr.Lookup("dir/file").Sec = 1 },
		"nanosecond": func(tr *fstree.Tree) { tr.Lookup("dir/file").Nsec = 1 },
		"target":     func(tr *fstree.Tree) { tr.Lookup("dir/link").Link = "elif" },
		"size":       func(tr *fstree.Tree) { tr.Lookup("dir/zero").Size = 1 },
		"attribute":  func(tr *fstree.Tree) { tr.Lookup("dir").Xattrs = []fstree.Xattr{{Name: "user.x", Value: []byte("1")}} },
		"name":       func(tr *fstree.Tree) { addTo(t, tr, "dir/new", &fstree.Inode{Mode: fstree.TypeFIFO}) },
		"removal":    func(tr *fstree.Tree) { d := tr.Lookup("dir"); d.Remove(d.Child("zero")) },
		"hard link": func(tr *fstree.Tree) {
			tr.Root().Remove(tr.Lookup("other"))
			addTo(t, tr, "other", tr.Lookup("dir/file").Inode)
		},
		"device": func(tr *fstree.Tree) {
			addTo(t, tr, "dir/new", &fstree.Inode{Mode: fstree.TypeChar, Rdev: fstree.MakeRdev(1, 3)})
		},
	}
	for name, change := range changes {
		tree := base()
		change(tree)
		d := sum(tree)
		if other, ok := seen[d]; ok {
			t.Errorf("%s: has the digest of %s", name, other)
		}
		seen[d] = name
	}
}

func TestOpenEntry(t *testing.T) {
	tree := fstree.New()
	addTo(t, tree, "hole", &fstree.Inode{Mode: fstree.TypeRegular, Size: 5})
	addTo(t, tree, "file", &fstree.Inode{Mode: fstree.TypeRegular, Size: 3, Content: fstree.Bytes("abc")})
	for path, want := range map[string]string{"hole": "\x00\x00\x00\x00\x00", "file": "abc"} {
		r, closer, err := openEntry(tree.Lookup(path))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); string(got) != want || err != nil {
			t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
		}
		if err := closer(); err != nil {
			t.Error(err)
		}
	}
}
