package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// epoch lies before the files of any package that is in an archive today, so
// that every time has to become it.
var epoch = time.Unix(1_500_000_000, 0)

func openDebian(t *testing.T, o source.Options) *source.Source {
	t.Helper()
	var log bytes.Buffer
	o.Log = &log
	o.Epoch = epoch
	s, err := source.Open(t.Context(), source.Spec{Kind: source.Debian, Value: "trixie"}, o)
	if err != nil {
		t.Fatalf("Open: %v\n%s", err, log.Bytes()[max(0, log.Len()-2000):])
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func digestOf(t *testing.T, s *source.Source) string {
	t.Helper()
	d, err := s.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDebian builds the smallest system once and takes it from the cache in all
// the ways there are.
func TestDebian(t *testing.T) {
	imgtest.NeedRoot(t) // an ordinary user needs ids in /etc/subuid, which TestDebianReproducible makes
	imgtest.Need(t, "mmdebstrap", "apt-get")
	cache := t.TempDir()
	o := source.Options{CacheDir: cache, Packages: []string{"openssh-server"}, Locales: []string{"de_AT.UTF-8"}}
	progress := &recorder{}
	o.Progress = progress
	first := openDebian(t, o)
	if len(progress.done) == 0 || !slices.IsSorted(progress.done) {
		t.Errorf("progress is not what grows: %v", progress.done)
	}
	t.Run("clean", func(t *testing.T) { checkClean(t, first.Tree) })
	t.Run("packages", func(t *testing.T) { checkPackages(t, first) })

	again := openDebian(t, o)
	if a, b := digestOf(t, first), digestOf(t, again); a != b {
		t.Errorf("digest from the cache is %s, was %s", b, a)
	}

	// The cache is as good as the archive for a lock that fits.
	o.Lock = first.Lock()
	o.Mirrors = source.Mirrors{Main: "http://127.0.0.1:1/debian", Security: "http://127.0.0.1:1/debian-security"}
	locked := openDebian(t, o)
	if a, b := digestOf(t, first), digestOf(t, locked); a != b {
		t.Errorf("digest by the lock is %s, was %s", b, a)
	}
}

// checkClean looks for what the host could have left.
func checkClean(t *testing.T, tree *fstree.Tree) {
	for _, path := range []string{"etc/resolv.conf", "etc/hostname", "var/log/dpkg.log", "var/lib/dpkg/status-old", "etc/ssh/ssh_host_rsa_key", "mkimage-packages"} {
		if tree.Lookup(path) != nil {
			t.Errorf("%s is there", path)
		}
	}
	for e := range tree.All() {
		if e.MTime().After(epoch) {
			t.Fatalf("%s has the time %v, after the epoch", e.Path(), e.MTime())
		}
	}
	for path, want := range map[string]string{
		"etc/apt/sources.list": "deb https://deb.debian.org/debian trixie main\n" +
			"deb https://deb.debian.org/debian trixie-updates main\n" +
			"deb https://deb.debian.org/debian-security trixie-security main\n",
		"etc/machine-id": "",
	} {
		if got := contentOf(t, tree, path); got != want {
			t.Errorf("%s holds %q; want %q", path, got, want)
		}
	}
	if e := tree.Lookup("usr/lib/locale/locale-archive"); e == nil || e.Size < 1<<20 {
		t.Errorf("the locale was not made")
	}
}

func checkPackages(t *testing.T, s *source.Source) {
	i := slices.IndexFunc(s.Packages, func(p source.Package) bool { return p.Name == "openssh-server" })
	if i < 0 {
		t.Fatalf("openssh-server is not among the %d packages", len(s.Packages))
	}
	p := s.Packages[i]
	if p.Source != "openssh" || len(p.SHA256) != 64 || p.Version == "" || !slices.Contains(p.Licenses, "OpenSSH") && !slices.Contains(p.Licenses, "BSD-2-clause") {
		t.Errorf("package = %+v", p)
	}
}

// TestDebianReproducible builds one system as root, as an ordinary user and
// after a lock, in caches of their own: the archives must be equal to the byte.
func TestDebianReproducible(t *testing.T) {
	imgtest.NeedRoot(t)
	if !imgtest.Full() {
		t.Skip("takes minutes, for MKIMAGE_FULL=1")
	}
	imgtest.Need(t, "mmdebstrap", "apt-get", "newuidmap", "useradd", "setpriv")
	o := source.Options{
		CacheDir: t.TempDir(), Locales: []string{"de_AT.UTF-8", "en_US.UTF-8"},
		Packages: []string{"linux-image-amd64", "systemd-sysv", "udev", "dbus", "openssh-server", "sudo", "python3-minimal", "btrfs-progs"},
	}
	first := openDebian(t, o)
	want := digestOf(t, first)

	o.CacheDir = t.TempDir()
	o.Lock = first.Lock()
	if got := digestOf(t, openDebian(t, o)); got != want {
		t.Errorf("build after the lock gives %s; want %s", got, want)
	}
	if got := buildAsUser(t, o.Packages, o.Locales); got != want {
		t.Errorf("build of an ordinary user gives %s; want %s", got, want)
	}
}

type recorder struct{ done []int64 }

func (r *recorder) Report(_ builder.Stage, done, _ int64) { r.done = append(r.done, done) }

func contentOf(t *testing.T, tree *fstree.Tree, path string) string {
	t.Helper()
	e := tree.Lookup(path)
	if e == nil || !e.IsRegular() {
		t.Errorf("%s is no regular file", path)
		return ""
	}
	if e.Content == nil {
		return strings.Repeat("\x00", int(e.Size))
	}
	f, err := e.Content.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, e.Size)
	if _, err := f.ReadAt(data, 0); err != nil && e.Size > 0 {
		t.Fatal(err)
	}
	return string(data)
}

// userEnv, when it is set, makes TestMain build in a cache directory of that
// name as the user that it runs as, and print the digest.
const userEnv = "MKIMAGE_TEST_SOURCE_AS_USER"

func TestMain(m *testing.M) {
	if cache := os.Getenv(userEnv); cache != "" {
		os.Exit(buildHere(cache, os.Args[1], os.Args[2]))
	}
	os.Exit(m.Run())
}

// buildHere builds the packages and locales, separated by commas.
func buildHere(cache, packages, locales string) int {
	s, err := source.Open(context.Background(), source.Spec{Kind: source.Debian, Value: "trixie"}, source.Options{
		CacheDir: cache, Packages: strings.Split(packages, ","), Locales: strings.Split(locales, ","), Epoch: epoch,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Close()
	d, err := s.Digest(context.Background())
	fmt.Print(d)
	if err != nil {
		return 1
	}
	return 0
}

// buildAsUser runs buildHere as an ordinary user, who is made for it, with
// another umask, language and time zone than the test has.
func buildAsUser(t *testing.T, packages, locales []string) string {
	t.Helper()
	const name = "mkimage-test"
	if out, err := exec.Command("useradd", "--no-create-home", "--add-subids-for-system", "--shell", "/bin/sh", name).CombinedOutput(); err != nil {
		t.Fatalf("useradd: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("userdel", name).CombinedOutput(); err != nil {
			t.Errorf("userdel: %v\n%s", err, out)
		}
	})
	dir, err := os.MkdirTemp("", "mkimage-test-source-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "program")
	self, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = errors.Join(os.WriteFile(program, self, 0o755), os.Chmod(dir, 0o755))
	}
	cache := filepath.Join(dir, "cache")
	if err := errors.Join(err, os.Mkdir(cache, 0o777), os.Chmod(cache, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "setpriv", "--reuid", name, "--regid", name, "--init-groups",
		"sh", "-c", `umask 077; exec "$0" "$@"`, program, strings.Join(packages, ","), strings.Join(locales, ","))
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), userEnv+"="+cache, "TZ=Asia/Tokyo", "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build as %s: %v\n%s", name, err, stderr.Bytes())
	}
	return string(out)
}
