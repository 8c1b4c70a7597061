package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/terminal/terminaltest"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/agekey/agekeytest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/keymedium"
)

// at runs the program on a terminal, and returns what waits for its exit code.
func (b *bench) at(c *terminaltest.Console, args ...string) (wait func() int) {
	b.t.Helper()
	tty, err := os.OpenFile(c.Node, os.O_RDWR, 0)
	must(b.t, err)
	for _, image := range []string{b.laptop, b.backup, b.media} {
		if image != "" {
			args = append(args, "--image", image)
		}
	}
	done := make(chan int, 1)
	go func() {
		p := &program{stdin: tty, stdout: tty, stderr: tty, root: b.root}
		done <- p.run(context.Background(), args)
	}()
	return func() int {
		code := <-done
		tty.Close()
		return code
	}
}

// TestKey brings the key back: from a file, from a medium by its passphrase, typed.
func TestKey(t *testing.T) {
	b := newBench(t)
	const passphrase = "hunter2 of the key"
	other, err := age.GenerateX25519Identity()
	must(t, err)
	sealed := agekeytest.Encrypted(t, b.key.String()+"\n", passphrase)
	b.media = b.medium("sealed.img", config.KeyFileEncrypted, sealed)
	file := filepath.Join(b.dir, "key.txt")

	must(t, os.WriteFile(file, []byte(other.String()), 0o600))
	b.expect(int(firstboot.CodeOtherKey), other.Recipient().String(), "key", "--yes", "--from", file)
	b.expect(int(fault.Input), "no such file", "key", "--yes", "--from", file+"x")
	b.expect(int(firstboot.CodeNoKey), "nobody can be asked", "key", "--yes")
	b.look(b.laptop, func(dir string) {
		if _, err := os.Lstat(filepath.Join(dir, config.KeyPath)); !os.IsNotExist(err) {
			t.Errorf("a refusal has left a key: %v", err)
		}
	})

	c := terminaltest.New(t)
	wait := b.at(c, "key")
	c.See("Passphrase of the key on the key medium")
	c.Press("wrong\n")
	c.See("Passphrase of the key on the key medium")
	c.Press(passphrase + "\n")
	c.See("Go on?")
	c.Press("y\n")
	if code := wait(); code != 0 {
		t.Fatalf("code %d:\n%s", code, c.All())
	}
	c.See("installed as /var/lib/sops-nix/key.txt")
	c.Left(passphrase, b.key.String())
	b.keyIs()

	must(t, os.WriteFile(file, []byte(b.key.String()), 0o600))
	b.expect(0, "kept as", "key", "--yes", "--from", file)
	b.keyIs()
	b.media = ""
	b.expect(0, "kept as", "key", "--yes") // from the system itself
	b.expect(0, "has the backup", "home", "--yes")
}

// keyIs looks at the key of the laptop.
func (b *bench) keyIs() {
	b.t.Helper()
	b.look(b.laptop, func(dir string) {
		name := filepath.Join(dir, config.KeyPath)
		info, err := os.Stat(name)
		must(b.t, err)
		if info.Mode() != 0o600 || !contains(text(b.t, name), b.key.String()) {
			b.t.Errorf("key of mode %v", info.Mode())
		}
	})
}

// TestKeyMedium makes a key medium of a stick, from the key that is typed.
func TestKeyMedium(t *testing.T) {
	b := newBench(t)
	b.media = b.empty("stick.img", 64<<20)
	const passphrase = "a long one of hunter2"
	c := terminaltest.New(t)
	wait := b.at(c, "key", "--to-medium", b.media)
	c.See("The secret key itself")
	c.Press("AGE-SECRET-KEY-1\n")
	c.See("The secret key itself")
	c.Press(b.key.String() + "\n")
	for _, question := range []string{"New passphrase", "The same again"} {
		c.See(question)
		c.Press(passphrase + "\n")
	}
	if code := wait(); code != 0 {
		t.Fatalf("code %d:\n%s", code, c.All())
	}
	c.Left(passphrase, b.key.String())

	f, err := os.Open(b.media)
	must(t, err)
	defer f.Close()
	table, _, err := gpt.Read(f, 64<<20)
	must(t, err)
	at := table.Partitions[0]
	name, sealed, err := keymedium.Read(io.NewSectionReader(f, at.Start, at.Size), at.Size)
	must(t, err)
	plain, err := agekey.Decrypt(sealed, []byte(passphrase), 1<<40)
	if err != nil || name != config.KeyFileEncrypted || !contains(string(plain), b.key.String()) {
		t.Errorf("%s: %v", name, err)
	}
	b.expect(int(fault.Target), "has a system", "key", "--to-medium", b.laptop)
	b.expect(int(fault.Target), "has a backup", "key", "--to-medium", b.backup)
	b.expect(int(fault.Target), "has a key", "key", "--to-medium", b.media)
	media := b.empty("stick.img", 64<<20)
	must(t, os.WriteFile(media, bytes.Repeat([]byte("photos"), 1<<20), 0o600))
	b.media = b.medium("keys.img", config.KeyFile, []byte(b.key.String()))
	b.expect(int(fault.Target), "--erase stick.img", "key", "--to-medium", media, "--image", media)
	b.expect(int(fault.Target), "--erase says", "key", "--to-medium", media, "--image", media, "--erase", "other")
	b.expect(int(fault.Usage), "nobody can be asked for a passphrase", "key", "--to-medium", media, "--image", media, "--erase", "stick.img")
}
