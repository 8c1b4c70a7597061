package keymedium

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// medium makes a FAT file system with other people's programs.
func medium(t *testing.T, bits string, files map[string]string) []byte {
	t.Helper()
	imgtest.Need(t, "mkfs.fat", "mcopy")
	image := filepath.Join(t.TempDir(), "medium.img")
	args := []string{"-C", "-F", bits, image, "40960"} // KiB
	if bits == "32" {
		args = append([]string{"-s", "1"}, args...) // sectors in a cluster, so that there are enough of them
	}
	if out, err := exec.Command("mkfs.fat", args...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.fat: %v\n%s", err, out)
	}
	for name, text := range files {
		cmd := exec.Command("mcopy", "-i", image, "-", "::/"+name)
		cmd.Stdin = bytes.NewReader([]byte(text))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("mcopy: %v\n%s", err, out)
		}
	}
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRead(t *testing.T) {
	const plain, encrypted = "age-key.txt", "age-key.txt.age"
	tests := []struct {
		name      string
		files     map[string]string
		want      string // name of the file; "" for an error
		code      firstboot.Code
		encrypted firstboot.Code // of ReadEncrypted; 0 when it succeeds
	}{
		{"plain", map[string]string{plain: "p"}, plain, 0, firstboot.CodeBadKey},
		{"encrypted", map[string]string{encrypted: "e"}, encrypted, 0, 0},
		{"both", map[string]string{plain: "p", encrypted: "e"}, plain, 0, 0},
		{"other files", map[string]string{"README.txt": "r"}, "", firstboot.CodeNoKey, firstboot.CodeNoKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := medium(t, "32", tt.files)
			name, text, err := Read(bytes.NewReader(data), int64(len(data)))
			if name != tt.want || string(text) != tt.files[tt.want] || firstboot.CodeOf(err) != tt.code {
				t.Errorf("Read = %q, %q, %v; want %q, code %d", name, text, err, tt.want, tt.code)
			}
			text, err = ReadEncrypted(bytes.NewReader(data), int64(len(data)))
			if firstboot.CodeOf(err) != tt.encrypted || err == nil && string(text) != tt.files[encrypted] {
				t.Errorf("ReadEncrypted = %q, %v; want code %d", text, err, tt.encrypted)
			}
		})
	}
}

// TestReadLimit: a file that cannot be a key is not read into memory.
func TestReadLimit(t *testing.T) {
	for size, want := range map[int]firstboot.Code{maxFile - 1: 0, maxFile: 0, maxFile + 1: firstboot.CodeBadKey} {
		data := medium(t, "32", map[string]string{"age-key.txt": string(make([]byte, size))})
		if _, _, err := Read(bytes.NewReader(data), int64(len(data))); firstboot.CodeOf(err) != want {
			t.Errorf("Read of %d bytes: %v; want code %d", size, err, want)
		}
	}
}

// TestReadForeign: what is no FAT32 file system is said so.
func TestReadForeign(t *testing.T) {
	small := medium(t, "16", map[string]string{"age-key.txt": "p"})
	for name, data := range map[string][]byte{"FAT16": small, "zeros": make([]byte, 1<<20), "empty": nil} {
		if _, _, err := Read(bytes.NewReader(data), int64(len(data))); firstboot.CodeOf(err) != firstboot.CodeBadKey {
			t.Errorf("%s: %v; want code %d", name, err, firstboot.CodeBadKey)
		}
	}
}
