package signature_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/signature"
)

// folder is where the real program works.
type folder struct {
	t   *testing.T
	dir string
}

func (f folder) write(name string, data []byte) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f folder) read(name string) []byte {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		f.t.Fatal(err)
	}
	return data
}

func (f folder) minisign(passphrase string, args ...string) (string, error) {
	cmd := exec.Command("minisign", args...)
	cmd.Dir, cmd.Stdin = f.dir, strings.NewReader(passphrase)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (f folder) must(passphrase string, args ...string) string {
	f.t.Helper()
	out, err := f.minisign(passphrase, args...)
	if err != nil {
		f.t.Fatalf("minisign %q: %v\n%s", args, err, out)
	}
	return out
}

// TestMinisignVerifies has what is made here verified by the real program.
func TestMinisignVerifies(t *testing.T) {
	imgtest.Need(t, "minisign")
	f, key := folder{t, t.TempDir()}, newKey(t)
	f.write("m", message)
	f.write("k.pub", key.Public().Text())
	f.write("m.minisig", sign(t, key, "für den Fuchs"))
	if out := f.must("", "-V", "-H", "-p", "k.pub", "-m", "m"); !strings.Contains(out, "Trusted comment: für den Fuchs") {
		t.Errorf("%s", out)
	}
	f.must("", "-V", "-P", key.Public().String(), "-m", "m")
	f.write("m", message[1:])
	if out, err := f.minisign("", "-V", "-p", "k.pub", "-m", "m"); err == nil {
		t.Errorf("verifies what is changed: %s", out)
	}
	f.write("m", message)
	f.write("k.pub", newKey(t).Public().Text())
	out, err := f.minisign("", "-V", "-p", "k.pub", "-m", "m")
	if err == nil || !strings.Contains(out, key.Public().ID()) {
		t.Errorf("another key: %v, %s; want its number, %s", err, out, key.Public().ID())
	}
}

// TestMinisignSigns verifies what the real program made, of both kinds.
func TestMinisignSigns(t *testing.T) {
	imgtest.Need(t, "minisign")
	f := folder{t, t.TempDir()}
	f.write("m", message)
	f.must("", "-G", "-W", "-p", "k.pub", "-s", "k.key")
	public, err := signature.ParsePublic(f.read("k.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(public.Text()), string(f.read("k.pub")); got != want {
		t.Errorf("public key %q; want %q", got, want)
	}
	for _, kind := range []string{"-l", "-H"} {
		f.must("", "-S", kind, "-W", "-s", "k.key", "-m", "m", "-t", "kind "+kind)
		if comment, err := signature.Verify(public, message, f.read("m.minisig")); err != nil || comment != "kind "+kind {
			t.Errorf("%s: %q, %v", kind, comment, err)
		}
	}
	key, err := signature.ParseSecret(f.read("k.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signature.Verify(public, message, sign(t, key, "")); err != nil || !key.Public().Equal(public) {
		t.Errorf("signed with its key: %v", err)
	}
	plain, err := key.Plain()
	if err != nil {
		t.Fatal(err)
	}
	f.write("k.key", plain)
	f.must("", "-S", "-W", "-s", "k.key", "-m", "m")
	if _, err := signature.Verify(public, message, f.read("m.minisig")); err != nil {
		t.Errorf("signed with the key as it is written here: %v", err)
	}
}

// TestMinisignOpensEncrypted opens with the real program a key that is
// encrypted here, and here one that it encrypted.
func TestMinisignOpensEncrypted(t *testing.T) {
	if !imgtest.Full() { // each opening needs 1 GiB
		t.Skip("takes minutes")
	}
	imgtest.Need(t, "minisign")
	f, key := folder{t, t.TempDir()}, newKey(t)
	sealed, err := key.Encrypt([]byte("korrekt Pferd"))
	if err != nil {
		t.Fatal(err)
	}
	f.write("m", message)
	f.write("k.key", sealed)
	f.must("korrekt Pferd\n", "-S", "-s", "k.key", "-m", "m")
	if _, err := signature.Verify(key.Public(), message, f.read("m.minisig")); err != nil {
		t.Error(err)
	}
	if !signature.IsEncrypted(sealed) {
		t.Error("not encrypted")
	}
	if _, err := signature.ParseSecret(sealed, []byte("korrekt pferd")); err == nil || !strings.Contains(err.Error(), "passphrase does not open it") {
		t.Errorf("another passphrase: %v", err)
	}
	f.must("korrekt Pferd\nkorrekt Pferd\n", "-G", "-f", "-p", "k.pub", "-s", "k.key")
	opened, err := signature.ParseSecret(f.read("k.key"), []byte("korrekt Pferd"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(opened.Public().Text()), string(f.read("k.pub")); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
