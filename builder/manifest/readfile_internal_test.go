package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

func TestReadFile(t *testing.T) {
	text, err := (&Manifest{Version: Version, Plan: &plan.Plan{}, Image: Image{Size: 1}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x"+Suffix)
	if _, err := ReadFile(name); !errors.Is(err, fs.ErrNotExist) || fault.ClassOf(err) != fault.Input {
		t.Errorf("ReadFile of a missing file: %v of class %v", err, fault.ClassOf(err))
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := ReadFile(name); err != nil || m.Image.Size != 1 {
		t.Errorf("ReadFile = %v, %v", m, err)
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(name); fault.ClassOf(err) != fault.Input || !strings.HasPrefix(err.Error(), name+": manifest: ") {
		t.Errorf("ReadFile of a damaged file: %v of class %v", err, fault.ClassOf(err))
	}
	for _, less := range []int64{-1, 0, 1} {
		_, err := readAtMost(strings.NewReader(string(text)), int64(len(text))-less)
		if (err == nil) != (less <= 0) || err != nil && fault.ClassOf(err) != fault.Input {
			t.Errorf("a manifest of %d bytes with a limit of %d: %v", len(text), int64(len(text))-less, err)
		}
	}
}
