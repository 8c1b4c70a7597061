package resticrepo

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

const password = "correct horse"

func restic(t *testing.T, repo, word string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("restic", append([]string{"--no-cache", "--repo", repo}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+word)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The repository is the same to restic, and opened by the same password alone.
func TestCheapKey(t *testing.T) {
	imgtest.Need(t, "restic")
	repo := filepath.Join(t.TempDir(), "repo")
	if out, err := restic(t, repo, password, "init"); err != nil {
		t.Fatal(err, out)
	}
	want, err := restic(t, repo, password, "cat", "masterkey")
	if err != nil {
		t.Fatal(err, want)
	}
	if err := CheapKey(repo, "wrong"); err == nil || !strings.HasSuffix(err.Error(), "the password does not open it") {
		t.Errorf("with a wrong password: %v", err)
	}
	for range 2 { // the second time it is cheap already
		if err := CheapKey(repo, password); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := restic(t, repo, password, "cat", "masterkey"); err != nil || got != want {
		t.Errorf("master key %s, %v; want %s", got, err, want)
	}
	if out, err := restic(t, repo, "wrong", "cat", "masterkey"); err == nil || !strings.Contains(out, "wrong password") {
		t.Errorf("with a wrong password: %v, %s", err, out)
	}
	if out, err := restic(t, repo, password, "check"); err != nil {
		t.Errorf("restic check: %v, %s", err, out)
	}
	names, err := filepath.Glob(filepath.Join(repo, "keys/*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("keys %q, %v; want one", names, err)
	}
	if text, err := os.ReadFile(names[0]); err != nil || !strings.Contains(string(text), `"N":2,"r":1,"p":1,`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestCheapKeyRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no repository", nil, ": 0 keys, expected one"},
		{"two keys", map[string]string{"a": "", "b": ""}, ": 2 keys, expected one"},
		{"no JSON", map[string]string{"a": "x"}, "/a: invalid character"},
		{"other function", map[string]string{"a": `{"kdf":"argon2"}`}, `/a: kdf "argon2", 0 bytes of data: expected scrypt, at least 32`},
		{"31 bytes", map[string]string{"a": `{"kdf":"scrypt","data":"` + strings.Repeat("AAAA", 10) + `AA=="}`}, `/a: kdf "scrypt", 31 bytes of data: expected scrypt`},
		{"32 bytes", map[string]string{"a": `{"kdf":"scrypt","N":2,"r":1,"p":1,"data":"` + strings.Repeat("AAAA", 10) + `AAA="}`}, "/a: the password does not open it"},
		{"no cost", map[string]string{"a": `{"kdf":"scrypt","data":"` + strings.Repeat("AAAA", 11) + `"}`}, "/a: scrypt:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "keys"), 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, "keys", name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := CheapKey(dir, password); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %s", err, tt.want)
			}
		})
	}
}

// The example of RFC 8439, section 2.5.2.
func TestPoly1305(t *testing.T) {
	key, err := hex.DecodeString("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
	if err != nil {
		t.Fatal(err)
	}
	got := hex.EncodeToString(poly1305(key[:16], key[16:], []byte("Cryptographic Forum Research Group")))
	if want := "a8061dc1305136c6c22b8baf0c0127a9"; got != want {
		t.Errorf("tag %s; want %s", got, want)
	}
}
