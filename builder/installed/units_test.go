package installed

import (
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/btrfs/view"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// TestUnitsLimit has texts of units of as many bytes as may be, and of one more.
func TestUnitsLimit(t *testing.T) {
	image := files{"below": strings.Repeat("x", view.MaxText-1)}.image(t)
	info, err := image.Stat()
	must(t, err)
	fsys, err := reader.Open(image, info.Size())
	must(t, err)
	top, err := fsys.Subvolume("")
	must(t, err)
	v := view.New(top, []view.Mount{{Target: "/", Dir: ""}})
	r := &unitReader{view: v, size: maxUnits - view.MaxText + 1}
	if _, err := r.text("/below"); err != nil || r.size != maxUnits {
		t.Errorf("texts of as many bytes as may be, %d: %v", r.size, err)
	}
	r.size = maxUnits - view.MaxText
	if _, err := r.text("/below"); err != nil {
		t.Error(err)
	}
	r.size = maxUnits - view.MaxText + 2
	if _, err := r.text("/below"); fault.ClassOf(err) != fault.Input {
		t.Errorf("texts of one byte more: %v", err)
	}
}
