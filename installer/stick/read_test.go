package stick

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// member is a file of an archive.
type member struct{ name, text string }

// pack makes an archive as a medium has it: compressed, with zeros behind it.
func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var plain bytes.Buffer
	w := cpio.NewWriter(&plain)
	for _, m := range members {
		if err := w.WriteHeader(&cpio.Header{Name: m.name, Mode: cpio.TypeReg | 0o600, Size: int64(len(m.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return append(z.EncodeAll(plain.Bytes(), nil), 0, 0, 0)
}

// environment are the files of an environment that are looked at, and one that is not.
func environment() []member {
	conf := fmt.Sprintf(`{"version": %d, "image": "x", "hostname": "fox", "age": {"recipients": ["age1fox"], "path": %q, "esp": "/boot"}}`, firstboot.ConfigVersion, config.KeyPath)
	return []member{
		{"etc/mkimage/plan.json", "{"}, {strings.TrimPrefix(config.InstallKey, "/"), "the maker"}, {strings.TrimPrefix(firstboot.ConfigPath, "/"), conf},
		{strings.TrimPrefix(firstboot.SecretsDir, "/") + "/fox.yaml", "a: b"}, {strings.TrimPrefix(resticPath, "/"), "no program"},
	}
}

func TestArchive(t *testing.T) {
	s := &Stick{Secrets: map[string]Secret{}}
	maker, err := s.archive(pack(t, environment()...))
	if err != nil || string(maker) != "the maker" {
		t.Errorf("archive: %q, %v; want the maker's key", maker, err)
	}
	want := &Stick{Recipients: []string{"age1fox"}, Secrets: map[string]Secret{"fox.yaml": SecretOf("fox.yaml", []byte("a: b"))}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestArchiveDamaged ends with an error, whatever is missing.
func TestArchiveDamaged(t *testing.T) {
	whole := pack(t, environment()...)
	for n := range len(whole) - 3 {
		if _, err := (&Stick{Secrets: map[string]Secret{}}).archive(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes: no error", n, len(whole))
		}
	}
}

// TestReadNot refuses what is no medium.
func TestReadNot(t *testing.T) {
	for _, size := range []int{0, 512, 1 << 20} {
		if _, _, err := Read(bytes.NewReader(make([]byte, size)), int64(size), nil); fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "" {
			t.Errorf("%d zeros: %v; want an input error with a hint", size, err)
		}
	}
}

func TestResticVersion(t *testing.T) {
	for _, program := range []string{"", "\x7fELF", strings.Repeat("x", 1<<16)} {
		if got := ResticVersion([]byte(program)); got != "" {
			t.Errorf("ResticVersion of %d bytes = %q; want none", len(program), got)
		}
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(pack(f, environment()...))
	f.Add(pack(f, member{"etc/mkimage/secrets/x", ""}))
	f.Add(pack(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Stick{Secrets: map[string]Secret{}}
		_, err := s.archive(data)
		if err == nil && len(data) == 0 {
			t.Error("an archive of no bytes")
		}
	})
}
