package sshserver

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// root says where the server of TestLogin has its root directory, and port where it
// listens.
const (
	rootEnv = "MKIMAGE_TEST_SSH_ROOT"
	portEnv = "MKIMAGE_TEST_SSH_PORT"
)

// TestLogin: the owner of a key gets a shell of root, nobody else gets anything.
func TestLogin(t *testing.T) {
	imgtest.Need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen", "/bin/bash")
	imgtest.NeedRoot(t)
	if dir := os.Getenv(rootEnv); dir != "" {
		serve(t, dir, os.Getenv(portEnv))
		return
	}
	dir := t.TempDir()
	own, other := filepath.Join(dir, "own"), filepath.Join(dir, "other")
	for _, key := range []string{own, other} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	public, err := os.ReadFile(own + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	likeInitramfs(t, root)
	c := example(root)
	c.Keys, c.Shell, c.Port = []string{strings.TrimSpace(string(public))}, "/bin/bash", port
	if err := Write(c); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestLogin$", "-test.v")
	cmd.Env = append(os.Environ(), rootEnv+"="+root, fmt.Sprintf("%s=%d", portEnv, port))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and all that is in its namespace of processes
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the server:\n%s", &said)
		}
	})
	login := func(key, input string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "ssh", append([]string{
			"-F", "none", "-i", key, "-p", fmt.Sprint(port), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=" + filepath.Join(dir, "known"), "-o", "LogLevel=ERROR", "-o", "IdentityAgent=none"}, args...)...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for late := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(late) {
			t.Fatal("nobody listens")
		}
	}
	if out, err := login(own, "", "root@127.0.0.1", `echo "$HOME $PATH"; id -u`); err != nil || out != "/root /usr/bin:/bin\n0\n" {
		t.Errorf("own key: %q, %v", out, err)
	}
	if out, err := login(other, "", "root@127.0.0.1", "id"); err == nil || !strings.Contains(out, "Permission denied (publickey)") {
		t.Errorf("another key: %q, %v", out, err)
	}
	if out, err := login(own, "", "sshd@127.0.0.1", "id"); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("another account: %q, %v", out, err)
	}
	if out, err := login(own, "tty; exit\n", "-tt", "root@127.0.0.1"); err != nil || !strings.Contains(out, "welcome\r\n") || !strings.Contains(out, "rescue# ") || !strings.Contains(out, "/dev/pts/") {
		t.Errorf("terminal: %q, %v", out, err)
	}
}

// serve runs the server in a root directory that has the programs of this machine, and
// accounts of its own.
func serve(t *testing.T, root, port string) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"usr", "dev", "bin", "lib", "lib64", "sbin"} {
		at := filepath.Join(root, dir)
		if link, err := os.Readlink("/" + dir); err == nil {
			if err := os.Symlink(link, at); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("/"+dir, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chroot(root); err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir("/"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "/usr/sbin:/usr/bin")
	print, err := HostKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s on port %s", print, port)
	t.Log(Serve(context.Background(), os.Stdout, func(err error) { t.Log(err) }))
}
