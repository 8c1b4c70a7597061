package nixfixture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/imgtest/projectcache"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// suite is that of the systemd, 252, and the kernel that the scripts know.
const suite = "bookworm"

// packages are the programs of the system. The kernel is not the one for clouds, which has
// no disks on USB.
var packages = []string{
	"login", "passwd", "kmod", "udev", "systemd", "systemd-sysv", "systemd-boot-efi", "dbus", "procps",
	"btrfs-progs", "dosfstools", "linux-image-amd64", "busybox-static", "nix-bin", "sqlite3",
}

// excluded are files that are not unpacked: they would be left out later. Without the last
// one an initrd would be made, for nothing.
var excluded = []string{
	"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*",
	"/lib/modules/*/kernel/drivers/gpu/*", "/lib/modules/*/kernel/drivers/net/*", "/lib/modules/*/kernel/drivers/media/*",
	"/lib/modules/*/kernel/drivers/staging/*", "/lib/modules/*/kernel/sound/*",
	"/etc/kernel/postinst.d/initramfs-tools",
}

// version changes when this package makes something else of the same inputs.
const version = "2"

// settings are those of Nix for a store of its own, as root: no daemon, no users for
// builds, no substituters. Nix insists on a sandbox there, into which the host's programs
// are let.
const settings = `experimental-features = nix-command
build-users-group =
substituters =
sandbox = true
sandbox-fallback = false
filter-syscalls = false
sandbox-paths = /bin=/usr/bin /sbin=/usr/sbin /usr /lib=/usr/lib /lib64=/usr/lib64 /etc/alternatives
`

// folder returns the folder with all that belongs to the fixture.
func folder(ctx context.Context, log io.Writer) (string, error) {
	key, err := fixtureKey()
	if err != nil {
		return "", err
	}
	return projectcache.Folder("nixfixture", key, func(dir string) error {
		userland, err := projectcache.Folder("nixfixture-userland", userlandKey(), func(dir string) error {
			m := &maker{ctx: ctx, log: log, dir: dir}
			m.userland()
			return m.err
		})
		if err != nil {
			return err
		}
		m := &maker{ctx: ctx, log: log, dir: dir}
		m.fixture(filepath.Join(userland, userlandName))
		return m.err
	})
}

func userlandKey() string {
	in := append(append([]string{suite, runtime.GOARCH}, packages...), excluded...)
	return digest([]byte(strings.Join(in, "\n")))
}

// fixtureKey is made of all that the fixture is made of. The programs of the host are not
// among that.
func fixtureKey() (string, error) {
	in := bytes.NewBufferString(strings.Join([]string{version, userlandKey(), runtime.Version(), publicKey(), settings, string(secrets)}, "\n"))
	for _, files := range []embed.FS{system, programs} {
		err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := files.ReadFile(name)
			fmt.Fprintf(in, "%s %d\n%s", name, len(text), text)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	sops, err := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Version}}", sopsModule).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", sopsModule, err)
	}
	in.Write(sops)
	return digest(in.Bytes()), nil
}

func digest(in []byte) string {
	sum := sha256.Sum256(in)
	return hex.EncodeToString(sum[:8])
}

// maker fills a folder, up to the first error.
type maker struct {
	ctx context.Context
	log io.Writer
	dir string
	err error
}

func (m *maker) at(name string) string { return filepath.Join(m.dir, name) }

// run runs a program in the folder and returns its output without the last newline.
func (m *maker) run(env []string, argv ...string) string {
	if m.err != nil {
		return ""
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(m.ctx, argv[0], argv[1:]...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, io.MultiWriter(&stderr, m.log)
	if err := cmd.Run(); err != nil {
		said := stderr.Bytes()
		m.err = fmt.Errorf("%s: %w: %s", argv[0], err, said[max(0, len(said)-maxSaid):])
	}
	return strings.TrimSuffix(stdout.String(), "\n")
}

// maxSaid is how much of what a program said an error has, in bytes.
const maxSaid = 2000

func (m *maker) write(name, text string) {
	if m.err == nil {
		m.err = os.WriteFile(m.at(name), []byte(text), 0o644)
	}
}

const userlandName = "userland.tar"

func (m *maker) userland() {
	argv := []string{"mmdebstrap", "--variant=essential", "--mode=root", "--format=tar", "--include=" + strings.Join(packages, ","), `--aptopt=APT::Install-Recommends "false"`}
	for _, pattern := range excluded {
		argv = append(argv, "--dpkgopt=path-exclude="+pattern)
	}
	m.run(nil, append(argv, suite, m.at(userlandName), "deb "+source.HostMirrors(m.ctx).Main+" "+suite+" main")...)
}

const sopsModule = "github.com/getsops/sops/v3"

// commands are the programs of ours.
const commands = "github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture/cmd/"

// program builds a static program.
func (m *maker) program(name, from string) {
	m.run([]string{"CGO_ENABLED=0", "GOFLAGS=", "GOAMD64=v1"}, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", m.at(name), from)
}

// fixture makes the cache and the store, and files with the toplevels.
func (m *maker) fixture(userland string) {
	m.program("sops", sopsModule+"/cmd/sops")
	m.program("etcimage", commands+"etcimage")
	m.program("init", commands+"init")
	if m.err == nil {
		m.err = os.CopyFS(m.dir, system)
	}
	m.write("secrets.yaml", string(secrets))
	m.write("key.sec", secretKey())
	nix := []string{"NIX_CONFIG=" + settings + "trusted-public-keys = " + publicKey()}
	built := m.run(nix, "nix-build", "--no-out-link", "--store", m.at("build"), m.at("system/fixture.nix"),
		"--arg", "userlandTar", userland, "--arg", "sops", m.at("sops"), "--arg", "etcImage", m.at("etcimage"), "--arg", "nixosInit", m.at("init"), "--arg", "secrets", m.at("secrets.yaml"), "--argstr", "trustedKey", publicKey(),
		"-A", string(Scripted), "-A", string(Systemd), "-A", string(NixosInit))
	tops := strings.Fields(built)
	if m.err == nil && len(tops) != len(stages) {
		m.err = fmt.Errorf("nix-build: printed %q, expected %d paths", built, len(stages))
	}
	m.run(nix, append([]string{"nix", "copy", "--no-check-sigs", "--from", m.at("build"), "--to", "file://" + m.at("cache") + "?compression=zstd&parallel-compression=true&secret-key=" + m.at("key.sec")}, tops...)...)
	// Out of the cache, so that there is nothing that the builds alone needed.
	m.run(nix, append([]string{"nix", "copy", "--from", "file://" + m.at("cache"), "--to", m.at("store")}, tops...)...)
	if m.err != nil {
		return
	}
	for i, stage := range stages {
		m.write(string(stage), tops[i]+"\n")
	}
	for _, scrap := range []string{"build", "system", "sops", "etcimage", "init", "secrets.yaml", "key.sec"} {
		m.run(nil, "rm", "-rf", m.at(scrap))
	}
}
