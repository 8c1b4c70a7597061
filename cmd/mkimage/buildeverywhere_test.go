package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestSameImageEverywhere builds one image in other folders, with other time
// zones, file masks, locales, users and numbers of processors: image, manifest
// and bill of materials must be equal. Days are TestSameImageOnAnotherDay's.
func TestSameImageEverywhere(t *testing.T) {
	b := newSmallBuild(t)
	for dir := b.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.program = program(t, b.dir)
	here, there := filepath.Join(b.dir, "here"), filepath.Join(b.dir, "there", "far")
	for _, dir := range []string{here, there} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "tar", "-C", filepath.Join(b.dir, "system"), "--sort=name", "--mtime=2020-02-02 00:00Z",
			"--owner=0", "--group=0", "--numeric-owner", "-cf", filepath.Join(dir, "system.tar"), ".").CombinedOutput()
		if err != nil {
			t.Fatalf("tar: %v: %s", err, out)
		}
	}
	tests := []struct {
		name, source, cwd, umask string
		env                      []string
		uid                      int
	}{
		{"plain", "tar:system.tar", here, "022", nil, os.Geteuid()},
		{"folder", "tar:system.tar", there, "022", nil, os.Geteuid()},
		{"absolute path", "tar:" + here + "/system.tar", "/", "022", nil, os.Geteuid()},
		{"time zone", "tar:system.tar", here, "022", []string{"TZ=Pacific/Chatham"}, os.Geteuid()},
		{"umask", "tar:system.tar", here, "077", nil, os.Geteuid()},
		{"locale", "tar:system.tar", here, "022", []string{"LC_ALL=tr_TR.UTF-8", "LANG=C"}, os.Geteuid()},
		{"one processor", "tar:system.tar", here, "022", []string{"GOMAXPROCS=1"}, os.Geteuid()},
		{"three processors", "tar:system.tar", here, "022", []string{"GOMAXPROCS=3"}, os.Geteuid()},
		{"user", "tar:system.tar", here, "022", []string{"HOME=/nowhere", "USER=other"}, nobody},
	}
	want := map[string]string{}
	for _, test := range tests {
		if test.uid != os.Geteuid() && os.Geteuid() != 0 {
			continue // only root can be another user; the suite also runs as an ordinary one
		}
		dir := outputDir(t, b.dir, test.uid)
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `umask "$1" && shift && exec "$@"`, "sh", test.umask, b.program, "build", "bandit-minimal",
			"--quiet", "--source", test.source, "--cache-dir", dir+"/cache", "--lock", dir+"/lock", "-o", dir+"/disk.img")
		cmd.Dir, cmd.Env = test.cwd, append([]string{"PATH=" + os.Getenv("PATH")}, test.env...)
		if test.uid != os.Geteuid() {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", test.name, err, stderr.Bytes())
		}
		for _, file := range []string{"disk.img", "disk.img.manifest.json", "disk.img.spdx.json"} {
			name, err := filepath.Rel(b.dir, filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			got := b.digest(name)
			if test.name == "plain" {
				want[file] = got
			} else if got != want[file] || got == "" {
				t.Errorf("%s: %s differs from the plain build's", test.name, file)
			}
		}
	}
}

// TestOtherImages changes what must change an image.
func TestOtherImages(t *testing.T) {
	imgtest.Need(t, "sh")
	b := newSmallBuild(t)
	b.build("disk.img")
	plain := b.digest("disk.img")
	for _, change := range [][]string{
		{"--seed", "01"}, {"--set", "hostname=other"}, {"--timestamp", "2030-01-01T00:00:00Z"}, {"--set", "boot.loader=uki"},
	} {
		cmd := b.command(t.Context(), "other.img")
		cmd.Args = append(cmd.Args, change...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", change, err, out)
		}
		if b.digest("other.img") == plain {
			t.Errorf("%v: gives the same image", change)
		}
	}
}
