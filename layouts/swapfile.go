package layouts

import (
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

func checkSwapfile(l *Layout, f *strict.Findings) {
	s := &l.Swapfile
	if s.Subvolume == "" {
		return
	}
	v := l.subvolume(s.Subvolume)
	switch {
	case v == nil:
		f.Add("swapfile.subvolume", "%s", l.noSubvolume(s.Subvolume))
	case !v.NoDataCow:
		f.Add("swapfile.subvolume", "expected a subvolume with nodatacow = true, as btrfs swaps to no other, found %q", s.Subvolume)
	case v.Snapshots:
		f.Add("swapfile.subvolume", "%q has snapshots, and a file in one cannot be swapped to", s.Subvolume)
	case v.Mount == "":
		f.Add("swapfile.subvolume", "%q is not mounted", s.Subvolume)
	}
	if s.Name == "" || !isPlain(s.Name) || strings.Contains(s.Name, "/") || s.Name == "." || s.Name == ".." {
		f.Add("swapfile.name", "expected the name of a file, such as swapfile, found %q", s.Name)
	}
	if !isSwapSize(s.Size) {
		f.Add("swapfile.size", "expected none, ram, ram+SIZE or a size of at least 1MiB, found %q", s.Size)
	}
	if s.Image != 0 && (s.Image < minSwap || s.Image > maxSwap || s.Image%page != 0) {
		f.Add("swapfile.image", "expected 0, or %v to %v in whole pages of %d bytes, found %v", Size(minSwap), Size(maxSwap), page, s.Image)
	}
	if slices.Contains(l.Factory.Subvolumes, s.Subvolume) {
		f.Add("factory.subvolumes", "%q holds the swapfile, and a file in a snapshot cannot be swapped to", s.Subvolume)
	}
}

// isSwapSize reports whether text is the size of a swapfile on the target.
func isSwapSize(text string) bool {
	if text == "none" || text == "ram" {
		return true
	}
	var s Size
	plus, ok := strings.CutPrefix(text, "ram+")
	if err := s.UnmarshalText([]byte(plus)); err != nil || s%page != 0 {
		return false
	}
	return ok || s >= minSwap
}
