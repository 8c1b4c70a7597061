package inspect

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/imgtest/smalldisk"
)

// A subvolume can have millions of items: whoever cancels does not wait for
// the last of them.
func TestMeasureStops(t *testing.T) {
	parts, err := smalldisk.New("systemd-boot")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "disk.img")
	m, err := parts.Assemble(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := m.Partition("root")
	root, err := reader.Open(io.NewSectionReader(f, p.Start, p.Size), p.Size)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := Subvolume{ID: m.Subvolumes[1].ID}
	if err := (&inspection{ctx: ctx, root: root}).measure(&s); !errors.Is(err, context.Canceled) || s.Files > 0 {
		t.Errorf("measure = %v after %d files; want it cancelled before the first", err, s.Files)
	}
}
