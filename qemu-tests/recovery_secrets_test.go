package qemutests

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// sopsFiles are files that sops encrypted, and what is in them.
type sopsFiles struct {
	dir    string // with .sops.yaml
	yaml   string // the path of one with the keys backup/restic/password and web/token
	binary string // the path of one that is not a text
}

// The values. That of the repository's password is repositoryPassword.
const (
	sopsToken  = "token: \"quoted\" #\nsecond line\n"
	sopsBinary = "\x00\x01\xff no text\r\n\x00"
)

// The keys of the values in the YAML file.
const (
	sopsPasswordKey = "backup/restic/password"
	sopsTokenKey    = "web/token"
)

// plainSecrets is the YAML file before it is encrypted.
const plainSecrets = "# of the tests\nbackup:\n    restic:\n        password: " + repositoryPassword + "\nweb:\n    port: 8080\n    token: |\n        token: \"quoted\" #\n        second line\n"

// makeSops makes files of secrets for recipients of age, with the program sops.
func makeSops(t testing.TB, recipients ...string) sopsFiles {
	t.Helper()
	dir := t.TempDir()
	f := sopsFiles{dir, filepath.Join(dir, "secrets.yaml"), filepath.Join(dir, "token.bin")}
	check(t, os.WriteFile(filepath.Join(dir, ".sops.yaml"), []byte("creation_rules:\n    - age: "+strings.Join(recipients, ",")+"\n"), 0o644))
	check(t, os.WriteFile(f.yaml, []byte(plainSecrets), 0o600))
	check(t, os.WriteFile(f.binary, []byte(sopsBinary), 0o600))
	for _, name := range []string{f.yaml, f.binary} {
		sops(t, dir, "", "encrypt", "--in-place", name)
	}
	return f
}

// sops runs the program in a folder, with a key file or none, and returns what
// it prints.
func sops(t testing.TB, dir, key string, args ...string) string {
	t.Helper()
	cmd := exec.Command(imgtest.Sops(t), append([]string{"--config", filepath.Join(dir, ".sops.yaml")}, args...)...)
	cmd.Env = append(os.Environ(), "SOPS_AGE_KEY_FILE="+key, "XDG_CONFIG_HOME="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sops %q: %v\n%s", args, err, &stderr)
	}
	return string(out)
}

// makeKey returns a key of age as a key file has it, and its recipient.
func makeKey(t testing.TB) (text, recipient string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	check(t, err)
	recipient = id.Recipient().String()
	return "# public key: " + recipient + "\n" + id.String() + "\n", recipient
}

// Sizes of a key medium. FAT32 begins at 65,525 clusters.
const (
	mediumStart = 1 << 20
	mediumSize  = 48 << 20 // of the partition
)

// keyMedium makes a disk as a stick with a key is: one partition of the label,
// and in it FAT32 with files in its top folder. The tools are those of others.
func keyMedium(t testing.TB, files map[string]string) string {
	t.Helper()
	return labelledMedium(t, config.KeyLabel, files)
}

// labelledMedium is keyMedium with another label.
func labelledMedium(t testing.TB, label string, files map[string]string) string {
	t.Helper()
	imgtest.Need(t, "sgdisk", "mformat", "mcopy")
	disk := filepath.Join(t.TempDir(), "medium.img")
	makeFile(t, disk, mediumStart+mediumSize+1<<20)
	command(t, "sgdisk", "--new", fmt.Sprintf("1:%dM:+%dM", mediumStart>>20, mediumSize>>20), "--typecode=1:0700", "--change-name=1:"+label, disk)
	at := fmt.Sprintf("%s@@%d", disk, mediumStart)
	command(t, "mformat", "-i", at, "-F", "-c", "1", "-T", fmt.Sprint(mediumSize/512), "-h", "64", "-s", "32", "-v", "KEYS", "::")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		putFAT(t, at, name, files[name])
	}
	return disk
}

// putESP puts a file onto the ESP of an image, in place of one of the name.
func putESP(t *testing.T, image, name, text string) {
	t.Helper()
	imgtest.Need(t, "mcopy")
	putFAT(t, rawDisk(image).esp(t), name, text)
}

// putFAT puts a file into a FAT file system, which at names for mtools.
func putFAT(t testing.TB, at, name, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, []byte(text), 0o600))
	command(t, "mcopy", "-o", "-i", at, file, "::/"+name)
}

// fromFAT is the other way round.
func fromFAT(t *testing.T, at, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	command(t, "mcopy", "-i", at, "::/"+name, file)
	text, err := os.ReadFile(file)
	check(t, err)
	return string(text)
}

// TestSopsFixture decrypts with each of two keys, by the program.
func TestSopsFixture(t *testing.T) {
	keys, recipients := make([]string, 2), make([]string, 2)
	for i := range keys {
		text, recipient := makeKey(t)
		keys[i], recipients[i] = filepath.Join(t.TempDir(), "key.txt"), recipient
		check(t, os.WriteFile(keys[i], []byte(text), 0o600))
	}
	f := makeSops(t, recipients...)
	for _, name := range []string{f.yaml, f.binary} {
		data, err := os.ReadFile(name)
		check(t, err)
		for _, value := range []string{repositoryPassword, "second line", "no text"} {
			if bytes.Contains(data, []byte(value)) {
				t.Errorf("%s has %q in it: it is not encrypted", name, value)
			}
		}
	}
	for _, key := range keys {
		extract := func(path string) string {
			return sops(t, f.dir, key, "decrypt", "--extract", `["`+strings.ReplaceAll(path, "/", `"]["`)+`"]`, f.yaml)
		}
		if got := extract(sopsPasswordKey); got != repositoryPassword {
			t.Errorf("%s = %q; want %q", sopsPasswordKey, got, repositoryPassword)
		}
		if got := extract(sopsTokenKey); got != sopsToken {
			t.Errorf("%s = %q; want %q", sopsTokenKey, got, sopsToken)
		}
		if got := sops(t, f.dir, key, "decrypt", f.binary); got != sopsBinary {
			t.Errorf("%s = %q; want %q", f.binary, got, sopsBinary)
		}
	}
}

// TestKeyMediumFixture wants a disk that others find nothing wrong with.
func TestKeyMediumFixture(t *testing.T) {
	imgtest.Need(t, "fsck.fat", "sgdisk", "dd", "minfo")
	text, _ := makeKey(t)
	files := map[string]string{config.KeyFile: text, "README.TXT": "", "a long name.age": strings.Repeat("x", 100_000)}
	disk := keyMedium(t, files)
	command(t, "sgdisk", "--verify", disk)
	p := rawDisk(disk).partition(t, 1)
	if p.Label != config.KeyLabel || p.Start != mediumStart || p.Size != mediumSize {
		t.Errorf("partition %+v; want %s, %d bytes at %d", p, config.KeyLabel, mediumSize, mediumStart)
	}
	fat := filepath.Join(t.TempDir(), "fat")
	command(t, "dd", "if="+disk, "of="+fat, "bs=1M", "skip=1", fmt.Sprintf("count=%d", mediumSize>>20), "status=none")
	command(t, "fsck.fat", "-n", fat)
	if info := command(t, "minfo", "-i", fat, "::"); !strings.Contains(info, `disk type="FAT32`) {
		t.Errorf("it is not FAT32:\n%s", info)
	}
	for name, want := range files {
		if got := fromFAT(t, fat, name); got != want {
			t.Errorf("%s has %d bytes; want %d", name, len(got), len(want))
		}
	}
	if p := rawDisk(labelledMedium(t, "OTHER", nil)).partition(t, 1); p.Label != "OTHER" {
		t.Errorf("partition %+v; want the label OTHER", p)
	}
}

// TestPutESP writes a file twice. A key medium has its FAT where an image has
// its ESP: in the first partition.
func TestPutESP(t *testing.T) {
	disk := keyMedium(t, map[string]string{"keep": "kept"})
	for _, text := range []string{"first, the longer one", "second"} {
		putESP(t, disk, config.KeyFileEncrypted, text)
		if got := fromFAT(t, rawDisk(disk).esp(t), config.KeyFileEncrypted); got != text {
			t.Errorf("%s has %q; want %q", config.KeyFileEncrypted, got, text)
		}
	}
	if got := fromFAT(t, rawDisk(disk).esp(t), "keep"); got != "kept" {
		t.Errorf("another file has %q now", got)
	}
}
