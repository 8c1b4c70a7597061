package sshserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

func example(root string) Config {
	return Config{Root: root, Keys: []string{"ssh-ed25519 AAAA a", "ssh-rsa BBBB b"}, Shell: "/bin/sh", Path: "/usr/bin:/bin", Prompt: "rescue# ", Welcome: "welcome\n"}
}

// likeInitramfs gives a root directory the mode of that of an initramfs.
func likeInitramfs(t *testing.T, root string) {
	t.Helper()
	if err := os.Chmod(root, os.ModeSticky|0o777); err != nil {
		t.Fatal(err)
	}
}

func TestWrite(t *testing.T) {
	root := t.TempDir()
	likeInitramfs(t, root)
	// What was open before is not afterwards.
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/shadow"), []byte("root::::::::\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Write(example(root)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		path string
		mode os.FileMode
		text string // part of it
	}{
		{"etc/shadow", 0o600, "root:*:"}, {"etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n"}, {"etc/passwd", 0o644, "\nsshd:x:74:74:"},
		{"etc/ssh/authorized_keys", 0o600, "ssh-ed25519 AAAA a\nssh-rsa BBBB b\n"}, {"etc/motd", 0o644, "welcome\n"},
		{"etc/ssh/sshd_config", 0o600, "Port 22\n"}, {"etc/ssh/sshd_config", 0o600, "\nPasswordAuthentication no\n"}, {"etc/ssh/sshd_config", 0o600, `SetEnv "PATH=/usr/bin:/bin" "PS1=rescue# "`},
		{"", os.ModeDir | 0o755, ""}, {"run/sshd", os.ModeDir | 0o755, ""}, {"root", os.ModeDir | 0o700, ""}, {"var/empty", os.ModeDir | 0o755, ""},
	} {
		at := filepath.Join(root, want.path)
		if st, err := os.Stat(at); err != nil || st.Mode() != want.mode {
			t.Errorf("%s: %v, %v; want %v", want.path, st, err, want.mode)
		} else if text, err := os.ReadFile(at); !st.IsDir() && (err != nil || !strings.Contains(string(text), want.text)) {
			t.Errorf("%s: %v\n%s\nlacks %q", want.path, err, text, want.text)
		}
	}
}

func TestFingerprint(t *testing.T) {
	imgtest.Need(t, "ssh-keygen")
	path := filepath.Join(t.TempDir(), "key")
	got, err := hostKey(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh-keygen", "-l", "-f", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " "+got+" ") {
		t.Errorf("fingerprint %s, ssh-keygen: %v %s", got, err, out)
	}
	if again, err := hostKey(t.Context(), path); err != nil || again != got {
		t.Errorf("another key: %s, %v", again, err)
	}
	if err := os.Remove(path + ".pub"); err != nil { // as of a power cut, or half of it
		t.Fatal(err)
	}
	if again, err := hostKey(t.Context(), path); err != nil || again == got {
		t.Errorf("half a key is kept: %s, %v", again, err)
	}
	for _, line := range []string{"", "ssh-ed25519", "ssh-ed25519 !"} {
		if _, err := fingerprintOf(line); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
}
