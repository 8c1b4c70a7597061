package qemutests

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/userland"
)

// repositoryOptions say what a repository has. The zero value is the good one.
type repositoryOptions struct {
	files       int    // in the home; homeFiles by default
	password    string // repositoryPassword by default
	host        string // of the snapshot; homeUser by default
	older       bool   // there is a snapshot before it, of the same host, with other files
	locked      bool   // a machine that died has locked it, for itself alone
	packMissing bool   // the largest file of data is gone
}

// repositoryPassword is what sopsFiles have.
const repositoryPassword = "correct horse, battery staple"

// repository is a repository of restic.
type repository struct {
	dir      string
	password string
	list     string // of what the last snapshot has below /home, see listHome
}

// olderFile is below /home in the older snapshot alone.
const olderFile = homeUser + "/only in the older snapshot"

// The times of the snapshots.
const (
	olderTime  = "2025-11-30 12:00:00"
	newestTime = "2025-12-24 18:00:00"
)

// deadHost is the machine that has left a lock.
const deadHost = "dead-laptop"

// makeRepository returns a repository with /home, made by Debian's restic. It is
// made once: a test gets a copy. It needs root.
func makeRepository(t testing.TB, o repositoryOptions) repository {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "unshare", "mount", "cp")
	if o.files == 0 {
		o.files = homeFiles
	}
	if o.password == "" {
		o.password = repositoryPassword
	}
	if o.host == "" {
		o.host = homeUser
	}
	key := []string{homeVersion, fmt.Sprint(o.files), o.password, o.host, fmt.Sprint(o.older), command(t, resticOfDebian(t), "version")}
	made := cached(t, "restic", key, func(dir string) { newRepository(t, dir, o) })
	list, err := os.ReadFile(filepath.Join(made, "list"))
	check(t, err)
	r := repository{dir: filepath.Join(t.TempDir(), "restic"), password: o.password, list: string(list)}
	command(t, "cp", "-a", filepath.Join(made, "repository"), r.dir)
	if o.packMissing {
		check(t, os.Remove(r.largestPack(t)))
	}
	if o.locked {
		r.lock(t)
	}
	return r
}

// newRepository makes a repository and the list of its last snapshot in dir.
func newRepository(t testing.TB, dir string, o repositoryOptions) {
	t.Helper()
	// Not below /home, which the mount would hide, as it may the cache.
	scratch := t.TempDir()
	r := repository{dir: filepath.Join(scratch, "repository"), password: o.password}
	makeHome(t, scratch, o.files)
	home := filepath.Join(scratch, "home")
	list := listHome(t, home)
	r.restic(t, home, "init")
	if o.older {
		file := filepath.Join(home, olderFile)
		info, err := os.Stat(filepath.Dir(file))
		check(t, err)
		check(t, os.WriteFile(file, []byte("older\n"), 0o644))
		r.restic(t, home, "backup", "/home", "--host", o.host, "--time", olderTime, "--quiet")
		check(t, os.Remove(file))
		check(t, os.Chtimes(filepath.Dir(file), info.ModTime(), info.ModTime()))
	}
	r.restic(t, home, "backup", "/home", "--host", o.host, "--time", newestTime, "--quiet")
	check(t, os.WriteFile(filepath.Join(dir, "list"), []byte(list), 0o644))
	command(t, "cp", "-a", r.dir, filepath.Join(dir, "repository"))
}

// resticOfDebian is the program of the reference userland, which backs up there.
func resticOfDebian(t testing.TB) string {
	return filepath.Join(userland.Reference(t).Dir, "usr/bin/restic")
}

// command returns restic with a folder mounted at /home, in a mount namespace of
// its own; "" mounts none.
func (r repository) command(t testing.TB, home string, args ...string) *exec.Cmd {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	check(t, os.WriteFile(password, []byte(r.password+"\n"), 0o600))
	script := `[ -z "$1" ] || mount --bind "$1" /home; shift; exec "$@"`
	words := append([]string{"-ec", script, "sh", home, resticOfDebian(t), "--repo", r.dir, "--password-file", password, "--no-cache"}, args...)
	cmd := exec.Command("sh", words...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

// restic runs restic, which must succeed, and returns what it prints.
func (r repository) restic(t testing.TB, home string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := r.command(t, home, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("restic %q: %v\n%s%s", args, err, out, &stderr)
	}
	return string(out)
}

// largestPack returns the largest file of data: one of a film.
func (r repository) largestPack(t testing.TB) (name string) {
	t.Helper()
	largest := int64(-1)
	check(t, filepath.WalkDir(filepath.Join(r.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > largest {
			name, largest = path, info.Size()
		}
		return err
	}))
	if name == "" {
		t.Fatalf("%s: no data", r.dir)
	}
	return name
}

// lock leaves the lock of a machine that dies while it has the repository for
// itself: restic has locked it when it asks for a new password.
func (r repository) lock(t testing.TB) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "new-password")
	check(t, unix.Mkfifo(fifo, 0o600))
	cmd := r.command(t, "", "key", "passwd", "--new-password-file", fifo)
	// A host of another name, in the namespace that it has anyway.
	cmd.Args = append([]string{"unshare", "--uts", "sh", "-ec", `hostname ` + deadHost + `; exec "$@"`, "sh"}, cmd.Args...)
	path, err := exec.LookPath("unshare")
	check(t, err)
	cmd.Path = path
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Opening it waits for the other end, which may never come.
	opened := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err == nil {
			_ = cmd.Process.Kill()
			err = f.Close()
		}
		opened <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case err = <-opened:
		<-ended
	case err = <-ended:
		err = fmt.Errorf("it ended before it asked: %w", errors.Join(err, errors.New(stderr.String())))
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		err = errors.Join(ctx.Err(), <-ended)
	}
	if err != nil {
		t.Fatalf("restic key passwd: %v", err)
	}
}

// locks returns the names of the repository's locks.
func (r repository) locks(t testing.TB) []string {
	t.Helper()
	return strings.Fields(r.restic(t, "", "list", "locks", "--no-lock"))
}

// cached returns a folder that make fills the first time that a key is asked
// for. Processes that want the same make it once.
func cached(t testing.TB, name string, key []string, make func(dir string)) string {
	t.Helper()
	sum := sha256.Sum256([]byte(strings.Join(key, "\x00")))
	root, err := filepath.Abs(filepath.Join("..", ".cache", "recovery"))
	check(t, err)
	check(t, os.MkdirAll(root, 0o755))
	dir := filepath.Join(root, name+"-"+hex.EncodeToString(sum[:8]))
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	check(t, err)
	defer lock.Close()
	check(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	half := dir + ".partial"
	check(t, os.RemoveAll(half))
	check(t, os.Mkdir(half, 0o755))
	make(half)
	command(t, "sync", "-f", half)
	check(t, os.Rename(half, dir))
	return dir
}

// smallHome is the number of files where a test needs none of them.
const smallHome = 100

func TestRepositoryFixture(t *testing.T) {
	o := repositoryOptions{files: smallHome, older: true}
	if imgtest.Full() {
		o.files = homeFiles
	}
	r := makeRepository(t, o)
	if locks := r.locks(t); len(locks) > 0 {
		t.Errorf("locks %q; want none", locks)
	}
	wantSnapshots(t, r, homeUser, olderTime, newestTime)
	r.restic(t, "", "check", "--read-data", "--no-lock")
	if out := r.restic(t, "", "cat", "config"); !strings.Contains(out, `"version": 2`) {
		t.Errorf("config %s; want a repository that is compressed", out)
	}
	dir := t.TempDir()
	r.restic(t, "", "restore", "latest", "--target", dir, "--no-lock")
	wantHome(t, r.list, listHome(t, filepath.Join(dir, "home")))
	out := r.restic(t, "", "ls", "--no-lock", snapshots(t, r)[0].ID, "/home/"+homeUser)
	if !strings.Contains(out, "/home/"+olderFile+"\n") {
		t.Errorf("the older snapshot has no %s:\n%s", olderFile, out)
	}
}

// snapshot is what restic says of one.
type snapshot struct {
	ID, Hostname string
	Paths        []string
	Time         time.Time
}

func snapshots(t *testing.T, r repository) (list []snapshot) {
	t.Helper()
	check(t, json.Unmarshal([]byte(r.restic(t, "", "snapshots", "--json", "--no-lock")), &list))
	return list
}

func wantSnapshots(t *testing.T, r repository, host string, times ...string) {
	t.Helper()
	list := snapshots(t, r)
	if len(list) != len(times) {
		t.Fatalf("snapshots %+v; want %d", list, len(times))
	}
	for i, s := range list {
		if s.Hostname != host || strings.Join(s.Paths, " ") != "/home" || s.Time.Format(time.DateTime) != times[i] {
			t.Errorf("snapshot %+v; want /home of %s at %s", s, host, times[i])
		}
	}
}

func TestRepositoryFaults(t *testing.T) {
	t.Run("another host", func(t *testing.T) {
		wantSnapshots(t, makeRepository(t, repositoryOptions{files: smallHome, host: "tower"}), "tower", newestTime)
	})
	t.Run("another password", func(t *testing.T) {
		r := makeRepository(t, repositoryOptions{files: smallHome, password: "another"})
		wantSnapshots(t, r, homeUser, newestTime)
		r.password = repositoryPassword
		if out, err := r.command(t, "", "snapshots", "--no-lock").CombinedOutput(); err == nil || !strings.Contains(string(out), "wrong password") {
			t.Errorf("with the usual password: %v\n%s", err, out)
		}
	})
	t.Run("locked", func(t *testing.T) {
		r := makeRepository(t, repositoryOptions{files: smallHome, locked: true})
		locks := r.locks(t)
		if len(locks) != 1 {
			t.Fatalf("locks %q; want one", locks)
		}
		out := r.restic(t, "", "cat", "lock", locks[0], "--no-lock")
		var lock struct {
			Exclusive bool
			Hostname  string
		}
		check(t, json.Unmarshal([]byte(out), &lock))
		if !lock.Exclusive || lock.Hostname != deadHost {
			t.Errorf("lock %s; want an exclusive one of %s", out, deadHost)
		}
		if out, err := r.command(t, "", "snapshots").CombinedOutput(); err == nil || !strings.Contains(string(out), "already locked exclusively") {
			t.Errorf("without --no-lock: %v\n%s", err, out)
		}
		wantSnapshots(t, r, homeUser, newestTime)
	})
	t.Run("pack missing", func(t *testing.T) {
		r := makeRepository(t, repositoryOptions{files: smallHome, packMissing: true})
		wantSnapshots(t, r, homeUser, newestTime)
		if out, err := r.command(t, "", "check", "--no-lock").CombinedOutput(); err == nil || !strings.Contains(string(out), "does not exist") {
			t.Errorf("check: %v\n%s", err, out)
		}
	})
}
