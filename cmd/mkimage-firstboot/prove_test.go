package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/preflight"
	"github.com/6FaNcY9/mkimage/profiles"
)

const allWell = "key+ secrets+ backup disk+ repository+ password+ snapshot+ space+ sample+"

// noKey is what is found without a key that opens, but for that finding.
const noKey = " secrets=20 backup disk+ repository+ password=25"

// TestProve breaks one thing at a time. What does not depend on it is found all
// the same.
func TestProve(t *testing.T) {
	other, err := age.GenerateX25519Identity()
	must(t, err)
	passphrase, err := agekey.Encrypt([]byte(other.String()), []byte("pass"))
	must(t, err)
	keyIs := func(text string) func(*candidate) string { return func(*candidate) string { return text } }
	changed := func(change func(p *candidate)) func(*candidate) string {
		return func(p *candidate) string { change(p); return p.key.String() + "\n" }
	}
	tests := []struct {
		name   string
		change func(p *candidate) (input string)
		told   string
		text   string // of what is found, somewhere
	}{
		{"no key", func(p *candidate) string { p.args = p.args[2:]; return "" }, "key=20" + noKey, "there is none"},
		{"empty key", keyIs(""), "key=20" + noKey, "there is none in the input"},
		{"no file of a key", changed(func(p *candidate) { p.args[1] = "/nowhere/key" }), "key=20" + noKey, "/nowhere/key"},
		{"other key", keyIs(other.String()), "key=21" + noKey, other.Recipient().String()},
		{"no key at all", keyIs("AGE-SECRET-KEY-1"), "key=22" + noKey, "line 1"},
		{"locked key", keyIs(string(passphrase)), "key=22" + noKey, "its passphrase is needed"},
		{"file of another key", changed(func(p *candidate) {
			p.write("@"+secretsFile, string(encrypted(t, "restic: hunter2\n", other.Recipient().String())))
		}), "key+ secrets=21 backup disk+ repository+ password=25", "not decrypted"},
		{"no file of secrets", changed(func(p *candidate) { must(t, os.Remove(p.root+secretsFile)) }), "key+ secrets=25 backup disk+ repository+ password=25", "no such file"},
		{"a secret missing", changed(func(p *candidate) { p.c.Secrets[0].Key = "a/none" }), "key+ secrets=25 backup disk+ repository+ password+ snapshot+ space+ sample+", "secret other: a/none"},
		{"wrong password", changed(func(p *candidate) { p.secrets("hunter2 else") }), "key+ secrets+ backup disk+ repository+ password=12", "is not its password"},
		{"empty password", changed(func(p *candidate) { p.secrets("") }), "key+ secrets+ backup disk+ repository+ password=12", "is empty"},
		{"no disk", changed(func(p *candidate) { p.args[3] = "/nowhere/disk" }), "key+ secrets+ backup disk=30", "is not there"},
		{"no disk of the label", changed(func(p *candidate) { p.args = p.args[:2] }), "key+ secrets+ backup disk=30", "LABEL=no such disk"},
		{"no repository", changed(func(p *candidate) { must(t, os.RemoveAll(p.disk+"/restic/demo")) }), "key+ secrets+ backup disk+ repository=10", "has no repository"},
		{"no snapshot", changed(func(p *candidate) { p.c.Restore.Host = "laptop" }), "key+ secrets+ backup disk+ repository+ password+ snapshot=32 sample+", "it has those of demo:"},
		{"a pack missing, too small", changed(func(p *candidate) { must(t, os.Remove(pack(t, p))); p.args[5] = "1" }), "key+ secrets+ backup disk+ repository+ password+ snapshot+ space=33 sample=34", "does not exist"},
		{"a pack damaged, space is not judged", changed(func(p *candidate) { damage(t, pack(t, p)); p.args = p.args[:4] }), "key+ secrets+ backup disk+ repository+ password+ snapshot+ sample=34", "contains"},
		{"NixOS", changed(func(p *candidate) { p.c.NixOS, p.c.Secrets = true, nil }), "key+ secrets? backup disk+ repository+ password=25", "in its store"},
		{"secrets alone", changed(func(p *candidate) { p.c.Restore = nil }), "key+ secrets+", "all 2"},
		{"nothing", changed(func(p *candidate) { p.c.Restore, p.c.Age, p.c.Secrets = nil, nil, nil }), "recovery+", "nothing is to be proved"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newCandidate(t)
			input := tt.change(p)
			p.config("@" + firstboot.ConfigPath)
			list := p.prove(input)
			all := fmt.Sprint(list)
			if got := told(list); got != tt.told || !strings.Contains(all, tt.text) {
				t.Errorf("%s\nwant %s and %q\n%s", got, tt.told, tt.text, all)
			}
		})
	}
}

// pack is the largest pack of the repository.
func pack(t *testing.T, p *candidate) (name string) {
	t.Helper()
	most := int64(0)
	names, err := filepath.Glob(p.disk + "/restic/demo/data/*/*")
	must(t, err)
	for _, n := range names {
		if info, err := os.Stat(n); err == nil && info.Size() > most {
			name, most = n, info.Size()
		}
	}
	return name
}

func damage(t *testing.T, name string) {
	t.Helper()
	must(t, os.Chmod(name, 0o600))
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, 50000)
	must(t, err)
	_, err = f.WriteAt([]byte{b[0] ^ 1}, 50000)
	must(t, err)
}

// TestProveSpace: what is needed fits, and a byte less does not.
func TestProveSpace(t *testing.T) {
	const need = 300 << 20
	for space, want := range map[int64]string{need - 1: "space=33", need: "space+", need + 1: "space+"} {
		p := &prover{system: &system{}, o: proveOptions{space: space}}
		p.compareSpace(need)
		if got := told(p.list); got != want {
			t.Errorf("%d bytes: %s; want %s", space, got, want)
		}
	}
}

// TestProveUsage: what cannot be looked at is an error, and no proof.
func TestProveUsage(t *testing.T) {
	p := newCandidate(t)
	root := p.root
	for name, tt := range map[string]struct {
		root string
		args []string
		code int
		text string
	}{
		"no system":       {filepath.Dir(root), nil, 2, "is not a system"},
		"no directory":    {"/nowhere", nil, 2, "is not a system"},
		"a mount of none": {root, []string{"--mount", "var=/x"}, 2, "expected TARGET=DIR"},
		"a word too much": {root, []string{"x"}, 2, "unknown command"},
		"no config":       {root, nil, 0, "nothing is to be proved"},
	} {
		p.root = tt.root
		if code, out := p.run("", tt.args...); code != tt.code || !strings.Contains(out, tt.text) {
			t.Errorf("%s: %d\n%s\nwant %d and %q", name, code, out, tt.code, tt.text)
		}
	}
	p.root = root
	p.write("@"+firstboot.ConfigPath, "{")
	if code, out := p.run(""); code != 3 || !strings.Contains(out, "firstboot.json") {
		t.Errorf("a damaged configuration: %d\n%s", code, out)
	}
}

// TestProveProgram goes the whole way from the installer: the program below the
// payload's subvolumes, with the key in its input.
func TestProveProgram(t *testing.T) {
	imgtest.Need(t, "/bin/sh")
	p := newCandidate(t)
	top := filepath.Dir(p.root)
	p.config("@var/lib/mkimage/firstboot.json") // as NixOS has it
	self, err := os.Executable()
	must(t, err)
	pl := &plan.Plan{Profile: profiles.Profile{Secrets: []profiles.Secret{{}}, Restore: profiles.Restore{Disk: "LABEL=x"}}}
	pl.Mounts = []plan.Mount{{Target: "/", Subvol: "@"}, {Target: "/var", Subvol: "@var"}}
	r := preflight.Recovery{Plan: pl, Tree: preflight.TreeOf(pl, top), Key: []byte(p.key.String()), Backup: p.disk, Space: 1 << 40}
	r.Program = r.Tree.Programs()[1]
	p.write("@var/lib/mkimage/bin/mkimage-firstboot", "#!/bin/sh\n"+asProgram+"=1 exec "+self+` "$@"`+"\n")
	must(t, os.Chmod(r.Program, 0o755))
	list, err := preflight.Prove(context.Background(), r)
	if got := told(list); err != nil || got != allWell {
		t.Errorf("%s, %v; want %s", got, err, allWell)
	}
	r.Key, r.Backup = nil, ""
	list, err = preflight.Prove(context.Background(), r)
	if got := told(list); err != nil || got != "key=20 secrets=20 backup disk=30" || preflight.Refused(list) == nil {
		t.Errorf("without anything: %s, %v", got, err)
	}
	r.Tree.Root = top
	if list, err = preflight.Prove(context.Background(), r); err == nil || !strings.Contains(err.Error(), "is not a system") {
		t.Errorf("a wrong root: %v, %s", err, told(list))
	}
}

// TestProveDevice mounts a disk that was not unmounted cleanly: it is read, not
// a byte of it changes, and it is unmounted again.
func TestProveDevice(t *testing.T) {
	imgtest.NeedRoot(t)
	for _, kind := range []string{"ext4", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			imgtest.Need(t, "mkfs."+kind, "losetup", "mount", "umount", "cp")
			p := newCandidate(t)
			p.config("@" + firstboot.ConfigPath)
			device, image := dirtyDisk(t, kind, p.disk)
			before := digest(t, image)
			p.args[3] = device
			if got := told(p.prove(p.key.String())); got != allWell {
				t.Errorf("%s; want %s", got, allWell)
			}
			if digest(t, image) != before {
				t.Error("the backup disk has changed")
			}
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			must(t, err)
			if strings.Contains(string(mounts), device+" ") {
				t.Errorf("%s is still mounted:\n%s", device, mounts)
			}
			if left, _ := filepath.Glob("/run/mkimage-backup-*"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			p.args[3] = "/dev/null"
			if got := told(p.prove(p.key.String())); got != "key+ secrets+ backup disk=30" {
				t.Errorf("no block device: %s", got)
			}
		})
	}
}

// dirtyDisk returns a loop device of a file system with what is in a directory,
// as it is when the power fails while its journal is in use.
func dirtyDisk(t *testing.T, kind, from string) (device, image string) {
	t.Helper()
	command := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	live, dir := filepath.Join(t.TempDir(), "live.img"), t.TempDir()
	image = filepath.Join(t.TempDir(), "disk.img")
	must(t, os.WriteFile(live, nil, 0o600), os.Truncate(live, 200<<20))
	command("mkfs."+kind, "-q", map[string]string{"ext4": "-d", "btrfs": "--rootdir"}[kind], from, live)
	command("mount", "-o", "loop", live, dir)
	f, err := os.Create(dir + "/written last")
	if err == nil {
		_, err = f.WriteString("x")
	}
	if err == nil {
		err = f.Sync() // into the journal, or the log tree
	}
	f.Close()
	command("cp", "--sparse=always", live, image)
	command("umount", dir)
	must(t, err)
	device = command("losetup", "--find", "--show", image)
	t.Cleanup(func() { command("losetup", "--detach", device) })
	return device, image
}

func digest(t *testing.T, name string) [32]byte {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	must(t, err)
	return [32]byte(h.Sum(nil))
}
