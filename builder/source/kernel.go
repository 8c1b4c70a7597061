package source

import (
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Kernel is one kernel of a source.
type Kernel struct {
	Version string        // its release, the name of the directory of its modules
	Modules *fstree.Entry // that directory
	Image   *fstree.Entry // the regular file that a loader starts
	// FirmwareDir is where its firmware lies, "" where nothing but the place that all
	// systems have is known.
	FirmwareDir string
	// Words of the kernel command line that the system itself needs, in order: of NixOS
	// its init and its parameters.
	Words []string
	// EtcImage is set where a generation that it starts has its /etc as an image, for
	// which its initramfs must have modules.
	EtcImage bool
}

// moduleDirs are where the modules of kernels lie; the second is another
// directory only where /lib is no symlink to /usr/lib.
var moduleDirs = []string{"usr/lib/modules", "lib/modules"}

const hintKernel = "add a kernel to the source, such as the package linux-image-amd64"

// Kernels returns the kernels that have both modules and an image, the newest
// first. The image is looked for at /boot/vmlinuz-VERSION (Debian, Fedora),
// below the modules (Arch and whoever follows the UAPI group), and, when there
// is but one version, at /boot/vmlinuz and /vmlinuz. That none is found is an
// error of class fault.Input. Those of a NixOS lie elsewhere, see SystemOf.
func Kernels(t *fstree.Tree) ([]Kernel, error) {
	dirs, err := moduleTrees(t)
	if err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		return nil, fault.New(fault.Input, hintKernel,
			"source: has no kernel modules; looked for directories in /%s", strings.Join(moduleDirs, " and /"))
	}
	var found []Kernel
	var looked []string
	for _, dir := range dirs {
		candidates := []string{"boot/vmlinuz-" + dir.Name, dir.Path() + "/vmlinuz"}
		if len(dirs) == 1 {
			candidates = append(candidates, "boot/vmlinuz", "vmlinuz")
		}
		image, err := firstFile(t, candidates)
		if err != nil {
			return nil, err
		}
		if image != nil {
			found = append(found, Kernel{Version: dir.Name, Modules: dir, Image: image})
		}
		looked = append(looked, candidates...)
	}
	if len(found) == 0 {
		return nil, fault.New(fault.Input, hintKernel, "source: has kernel modules, but no kernel; looked for /%s", strings.Join(looked, ", /"))
	}
	slices.SortFunc(found, func(a, b Kernel) int {
		if c := CompareVersions(b.Version, a.Version); c != 0 {
			return c
		}
		return strings.Compare(b.Version, a.Version)
	})
	return found, nil
}

// moduleTrees returns the directories of modules, one for each version.
func moduleTrees(t *fstree.Tree) ([]*fstree.Entry, error) {
	var dirs []*fstree.Entry
	for _, path := range moduleDirs {
		parent, err := t.Follow(path)
		if err != nil {
			return nil, fault.New(fault.Input, "", "source: %w", err)
		}
		if parent == nil {
			continue
		}
		for _, e := range parent.Children() {
			same := func(d *fstree.Entry) bool { return d.Name == e.Name }
			if e.IsDir() && !slices.ContainsFunc(dirs, same) {
				dirs = append(dirs, e)
			}
		}
	}
	return dirs, nil
}

// firstFile returns the first of the paths that is a regular file with
// something in it, which a hole is not, or nil.
func firstFile(t *fstree.Tree, paths []string) (*fstree.Entry, error) {
	for _, path := range paths {
		e, err := t.Follow(path)
		if err != nil {
			return nil, fault.New(fault.Input, "", "source: %w", err)
		}
		if e != nil && e.IsRegular() && e.Size > 0 && e.Content != nil {
			return e, nil
		}
	}
	return nil, nil
}
