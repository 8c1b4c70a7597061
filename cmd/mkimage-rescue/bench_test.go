package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/keymedium/writer"
	"github.com/6FaNcY9/mkimage/installer/rescue/unlock/unlocktest"
)

// TestFirstBootProgram is mkimage-firstboot for the tests that start it.
func TestFirstBootProgram(*testing.T) { unlocktest.Main() }

// resticProgram is the one that is put into images; make programs builds it.
const resticProgram = "../../.cache/programs/restic"

const (
	repoPassword = "hunter2 of restic"
	secretsFile  = firstboot.SecretsDir + "/s.yaml"
)

// bench is a machine whose data is brought back: a laptop, its backup disk and its key
// medium, as images.
type bench struct {
	t                     *testing.T
	dir, root             string // root has what a stick brings
	laptop, backup, media string
	key                   *age.X25519Identity
	snapshots             map[string]string // IDs, of "old", "new" and "other"
}

// newBench makes one, whose system has a home of its own besides.
func newBench(t *testing.T) *bench {
	t.Helper()
	imgtest.NeedRoot(t)
	imgtest.Need(t, "mkfs.btrfs", "unshare", "mount", resticProgram)
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, root: filepath.Join(dir, "stick"), key: newAgeKey(t), laptop: filepath.Join(dir, "laptop.img")}
	made, err := madeBackup()
	must(t, err)
	b.backup, b.snapshots = made.image, made.ids
	b.tools()
	b.assemble(b.laptop)
	b.media = b.medium("keys.img", config.KeyFile, []byte(b.key.String()+"\n"))
	return b
}

func newAgeKey(t *testing.T) *age.X25519Identity {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	must(t, err)
	return key
}

// tools puts the programs of a stick where it has them.
func (b *bench) tools() {
	b.t.Helper()
	programs := filepath.Join(b.root, firstboot.ProgramsDir)
	restic, err := filepath.Abs(resticProgram)
	must(b.t, err, os.MkdirAll(programs, 0o755), os.Symlink(restic, filepath.Join(programs, "restic")))
	unlocktest.Program(b.t, filepath.Join(programs, firstboot.Program))
}

// config is what the system says of its first boot.
func (b *bench) config() []byte {
	b.t.Helper()
	text, err := json.Marshal(firstboot.Config{
		Version: firstboot.ConfigVersion, Image: "demo 00", Hostname: "demo",
		Age:     &firstboot.Age{Recipients: []string{b.key.Recipient().String()}, Path: config.KeyPath, ESP: "/boot"},
		Secrets: []firstboot.Secret{{Name: "password", File: secretsFile, Format: "yaml", Key: "restic", Owner: "root", Mode: 0o400}},
		Restore: &firstboot.Restore{Disk: "LABEL=backup", Repository: "restic/demo", Host: "demo", Path: "/home", Password: "password"},
	})
	must(b.t, err)
	return text
}

// assemble makes the image of a disk with the system.
func (b *bench) assemble(name string) {
	b.t.Helper()
	s, err := smalldisk.New(loader.SystemdBoot)
	must(b.t, err)
	for name, text := range map[string][]byte{
		"etc/hostname": []byte("demo\n"), firstboot.ConfigPath[1:]: b.config(),
		secretsFile[1:]: unlocktest.Encrypt(b.t, "restic: "+repoPassword+"\n", b.key.Recipient().String()),
	} {
		must(b.t, loader.Put(s.Source, name, text, s.Plan.Epoch))
	}
	s.Params = func(p *btrfs.Params) { p.Free = 500 << 20 }
	_, err = s.Assemble(b.t.Context(), name)
	must(b.t, err)
}

// medium makes a key medium.
func (b *bench) medium(name, file string, data []byte) string {
	b.t.Helper()
	m := writer.Medium{File: file, Data: data, Now: time.Unix(1e9, 0)}
	table, _, _, err := m.Plan(0, 512)
	must(b.t, err)
	f, err := os.Create(filepath.Join(b.dir, name))
	must(b.t, err, f.Truncate(table.DiskSize))
	defer f.Close()
	must(b.t, m.Write(b.t.Context(), name, fileDisk{f}, table.DiskSize, 512))
	return f.Name()
}

// run runs the program on the images.
func (b *bench) run(stdin *os.File, args ...string) (code int, out, errs string) {
	b.t.Helper()
	for _, image := range []string{b.laptop, b.backup, b.media} {
		if image != "" {
			args = append(args, "--image", image)
		}
	}
	var stdout, stderr bytes.Buffer
	p := &program{stdout: &stdout, stderr: &stderr, root: b.root}
	if p.stdin = os.Stdin; stdin != nil {
		p.stdin = stdin
	}
	code = p.run(b.t.Context(), args)
	for _, secret := range []string{"hunter2", b.key.String()} {
		if strings.Contains(stdout.String()+stderr.String(), secret) {
			b.t.Errorf("it prints a secret:\n%s%s", &stdout, &stderr)
		}
	}
	return code, stdout.String(), stderr.String()
}

// expect runs the program and wants a code and a text.
func (b *bench) expect(code int, text string, args ...string) string {
	b.t.Helper()
	got, out, errs := b.run(nil, args...)
	if got != code || !strings.Contains(out+errs, text) {
		b.t.Fatalf("%q: code %d; want %d and %q:\n%s%s", args, got, code, text, out, errs)
	}
	return out
}

// look mounts the system of an image read-only and calls a function with where.
func (b *bench) look(image string, do func(dir string)) {
	b.t.Helper()
	b.mount(image, true, do)
}

// mount mounts the system of an image and calls a function with where.
func (b *bench) mount(image string, readOnly bool, do func(dir string)) {
	b.t.Helper()
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	m, err := p.look(b.t.Context(), &where{images: []string{image}})
	must(b.t, err)
	defer func() {
		for i := len(p.after) - 1; i >= 0; i-- {
			must(b.t, p.after[i]())
		}
	}()
	s, err := m.System("")
	must(b.t, err)
	sys, err := m.Mount(b.t.Context(), withoutESP(s), readOnly, nil)
	must(b.t, err)
	do(sys.Dir)
}

// made is a backup disk, made once for all tests.
type made struct {
	image string
	ids   map[string]string
}

// benchDir is what the tests share, which TestMain removes.
var benchDir string

// madeBackup backs up homes of /home, which is another directory in a mount namespace of
// its own.
var madeBackup = sync.OnceValues(func() (m made, err error) {
	dir, err := os.MkdirTemp("", "rescue-test")
	if err != nil {
		return m, err
	}
	benchDir = dir
	home, repo := filepath.Join(dir, "home"), filepath.Join(dir, "disk/restic/demo")
	restic, err := filepath.Abs(resticProgram)
	if err != nil {
		return m, err
	}
	m = made{filepath.Join(dir, "backup.img"), map[string]string{}}
	err = errors.Join(os.MkdirAll(home+"/alice/Documents", 0o755), os.MkdirAll(repo, 0o755),
		os.WriteFile(home+"/alice/caf\xe9", []byte("of Latin-1\n"), 0o640),
		os.WriteFile(home+"/alice/Documents/letter", []byte("dear\n"), 0o640), os.Chown(home+"/alice/Documents/letter", 1000, 1000))
	if err != nil {
		return m, err
	}
	inside := func(args ...string) (string, error) {
		script := `mount --bind "$0" /home && exec "$@"`
		cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-ec", script, home, restic, "--repo=" + repo, "--no-cache", "--json"}, args...)...)
		cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+repoPassword)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = errors.Join(err, errors.New(string(out)))
		}
		return string(out), err
	}
	if _, err := inside("init"); err != nil {
		return m, err
	}
	for _, s := range []struct{ name, host, time string }{
		{"old", "demo", "2026-11-18 10:00:00"}, {"other", "wolf", "2026-11-21 08:00:00"}, {"new", "demo", "2026-11-20 18:30:40"},
	} {
		if err := os.WriteFile(home+"/alice/notes", []byte(s.name+" notes\n"), 0o640); err != nil {
			return m, err
		}
		out, err := inside("backup", "--host="+s.host, "--time="+s.time, "/home")
		if err != nil {
			return m, err
		}
		_, after, _ := strings.Cut(out, `"snapshot_id":"`)
		m.ids[s.name], _, _ = strings.Cut(after, `"`)
	}
	out, err := exec.Command("mkfs.btrfs", "-q", "--label", "backup", "--rootdir", filepath.Join(dir, "disk"), "--byte-count", "256M", m.image).CombinedOutput()
	if err != nil {
		err = errors.Join(err, errors.New(string(out)))
	}
	return m, err
})
