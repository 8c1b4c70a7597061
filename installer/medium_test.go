package installer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/mediumtest"
)

// goodSignature is what the tests' media are signed with.
const goodSignature = "signed by the maker"

// verified takes goodSignature for good.
func verified(_, signature []byte) error {
	if string(signature) != goodSignature {
		return errors.New("not by the maker")
	}
	return nil
}

// madeMedium is the image of a medium that installs a small system.
type madeMedium struct{ mediumtest.Medium }

// mediumOnce is the medium of all tests, which none of them writes to.
var mediumOnce struct {
	sync.Once
	dir  string
	made madeMedium
}

func TestMain(m *testing.M) {
	code := m.Run()
	if mediumOnce.dir != "" {
		os.RemoveAll(mediumOnce.dir)
	}
	os.Exit(code)
}

// makeMedium makes a medium. Its payload has no more than what boots.
func makeMedium(t testing.TB) madeMedium {
	t.Helper()
	imgtest.NeedSystem(t)
	mediumOnce.Do(func() {
		dir, err := os.MkdirTemp("", "installer-")
		if err != nil {
			t.Fatal(err)
		}
		mediumOnce.dir = dir
		mediumOnce.made = madeMedium{mediumtest.Write(t, filepath.Join(dir, "medium.img"), func([]byte) ([]byte, error) { return []byte(goodSignature), nil })}
	})
	if mediumOnce.made.Result == nil {
		t.Fatal("there is no medium: see the first test that failed")
	}
	return mediumOnce.made
}

// open opens the image for reading, changed as change says.
func (m madeMedium) open(t testing.TB, change func(f *os.File)) *Medium {
	t.Helper()
	opened, err := m.try(t, change)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func (m madeMedium) try(t testing.TB, change func(f *os.File)) (*Medium, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "copy.img")
	if err := copySparse(name, m.Name); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if change != nil {
		change(f)
	}
	return OpenMedium(f, m.Result.Size, verified)
}

func copySparse(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	for at := 0; at < len(data); at += int(manifest.ChunkSize) {
		chunk := data[at:min(at+int(manifest.ChunkSize), len(data))]
		if len(bytes.Trim(chunk, "\x00")) == 0 {
			continue
		}
		if _, err := f.WriteAt(chunk, int64(at)); err != nil {
			return err
		}
	}
	return f.Truncate(int64(len(data)))
}

// flip changes a byte.
func flip(t testing.TB, f io.ReaderAt, w io.WriterAt, at int64) {
	t.Helper()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := w.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// TestMediumRefused are media that are not as they were made.
func TestMediumRefused(t *testing.T) {
	m := makeMedium(t)
	good := m.open(t, nil)
	if err := good.CheckPayload(t.Context(), nil); err != nil {
		t.Fatalf("as it was made: %v", err)
	}
	esp := m.Result.Manifest.Partition(plan.RoleESP)
	at := func(content string) func(f *os.File) {
		return func(f *os.File) {
			data := make([]byte, 64<<20)
			if _, err := f.ReadAt(data, esp.Start); err != nil {
				t.Fatal(err)
			}
			i := bytes.LastIndex(data, []byte(content)) // of archives the one of the installer
			if i < 0 {
				t.Fatalf("no %q on the ESP", content)
			}
			flip(t, f, f, esp.Start+int64(i))
		}
	}
	tests := []struct {
		name   string
		change func(f *os.File)
		want   string
	}{
		{"signature", at(goodSignature), "not by the maker"},
		{"no table", func(f *os.File) { _ = f.Truncate(0); _ = f.Truncate(m.Result.Size) }, "no GUID partition table"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := m.try(t, tt.change)
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.ClassOf(err) != fault.Input {
				t.Errorf("got %v; want an input error with %q", err, tt.want)
			}
		})
	}
	t.Run("payload", func(t *testing.T) {
		chunk := good.chunks()[3]
		bad := m.open(t, func(f *os.File) {
			flip(t, f, f, chunk.Offset+chunk.Length-1)
		})
		err := bad.CheckPayload(t.Context(), nil)
		if fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "SHA-256") || fault.HintOf(err) == "" {
			t.Errorf("got %v; want an input error with both digests and a hint", err)
		}
	})
	t.Run("file of the ESP", func(t *testing.T) {
		bad := m.open(t, at("\x28\xb5\x2f\xfd"))
		if _, err := bad.File("mkimage/installer.cpio"); fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "SHA-256") {
			t.Errorf("got %v; want an input error with both digests", err)
		}
	})
}

// TestMediumChanges are media whose payload is another one when it is copied than it was
// before: at the check, or where nobody has made one, in the manifest.
func TestMediumChanges(t *testing.T) {
	tests := []struct {
		name    string
		checked bool
		want    string
	}{
		{"checked", true, "not what they were when the medium was checked"},
		{"not checked", false, "SHA-256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var file *os.File
			m := makeMedium(t).open(t, func(f *os.File) { file = f })
			if tt.checked {
				if err := m.CheckPayload(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			d := newDisk(targetSize)
			f, err := PlanFresh(t.Context(), m, d, ids.Seed{7}, installTime)
			if err != nil {
				t.Fatal(err)
			}
			chunk := m.chunks()[3]
			flip(t, file, file, chunk.Offset+chunk.Length-1)
			err = Run(t.Context(), f.Steps(), func(Step, int64, int64) {})
			if fault.ClassOf(err) != fault.Input || !strings.Contains(fmt.Sprint(err), tt.want) || fault.HintOf(err) == "" {
				t.Errorf("got %v; want an input error with %q and a hint", err, tt.want)
			}
			if table, _, err := gpt.Read(d, d.Size()); err != nil || len(table.Partitions) != 0 {
				t.Errorf("table %+v, %v; want one without partitions", table, err)
			}
		})
	}
}
