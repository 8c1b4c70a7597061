package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/sbom"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// makeBill returns the bill of materials of the image of a plan. The image need
// not be there: what cannot stand in a bill is refused before it is made.
func makeBill(p *plan.Plan, src *source.Source, digest string) ([]byte, error) {
	planned, err := p.JSON()
	if err != nil {
		return nil, err
	}
	b := sbom.Params{Name: p.Profile.Name, Created: p.Epoch, Tool: "mkimage-" + readVersion().Version,
		Source: p.Profile.Source, Vendor: osID(src.Tree), Packages: src.Packages, Objects: src.Objects}
	b.Identity = billIdentity(planned, digest, b.Tool)
	b.SHA256, _ = strings.CutPrefix(digest, "sha256:")
	if b.SHA256 == digest { // of a tree, which is no archive
		b.SHA256 = ""
	}
	return sbom.SPDX(b)
}

// billIdentity is of all that a bill depends on: no two that differ may have one
// namespace (SPDX 2.3, 6.5).
func billIdentity(planned []byte, digest, tool string) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", tool, digest, planned)))
}

// maxRelease bounds an os-release(5) file; those of distributions have less
// than a kilobyte.
const maxRelease = 1 << 16

// osID returns the ID of os-release(5) in small letters, such as "ubuntu", or ""
// where the system has none: it is the vendor in the URLs of packages.
func osID(system *fstree.Tree) string {
	for line := range strings.Lines(osRelease(system)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "ID="); ok {
			return strings.ToLower(strings.Trim(value, `"'`))
		}
	}
	return ""
}

// osRelease returns the text of os-release(5), or "" where it cannot be read:
// then no more is known than without.
func osRelease(system *fstree.Tree) string {
	for _, path := range []string{"etc/os-release", "usr/lib/os-release"} {
		e, err := system.Follow(path)
		if err != nil || e == nil || !e.IsRegular() || e.Content == nil || e.Size > maxRelease {
			continue
		}
		f, err := e.Content.Open(e)
		if err != nil {
			return ""
		}
		defer f.Close()
		text, err := io.ReadAll(io.NewSectionReader(f, 0, e.Size))
		if err != nil {
			return ""
		}
		return string(text)
	}
	return ""
}
