package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// sourceHint names the kinds of source.
const sourceHint = "name the source as dir:PATH or tar:FILE"

// fromFlag is what --from names.
type fromFlag struct{ scheme, path string }

// parseSource reads SCHEME:PATH. There is no default scheme: what is built
// must not depend on what happens to lie in the working directory.
func parseSource(text string) (fromFlag, error) {
	if text == "" {
		return fromFlag{}, fault.New(fault.Usage, sourceHint, "--from is missing")
	}
	scheme, path, ok := strings.Cut(text, ":")
	switch {
	case !ok:
		return fromFlag{}, fault.New(fault.Usage, sourceHint, "--from %q: names no kind of source", text)
	case scheme != "dir" && scheme != "tar":
		return fromFlag{}, fault.New(fault.Usage, sourceHint, "--from %q: unknown kind of source %q", text, scheme)
	case path == "":
		return fromFlag{}, fault.New(fault.Usage, sourceHint, "--from %q: names no path", text)
	}
	return fromFlag{scheme, path}, nil
}

// checkNot refuses an output that would take the place of the source, or lie in
// it: the run would change what it reads, and the next one would read the
// output too.
func (s fromFlag) checkNot(output string) error {
	from, err := os.Stat(s.path)
	if err != nil {
		return nil // for scan to report, or standard input
	}
	if to, err := os.Stat(output); err == nil && os.SameFile(from, to) {
		return fault.New(fault.Target, "name another output", "%s: is the source itself", output)
	}
	if s.scheme != "dir" {
		return nil
	}
	// Up by "..", as the kernel has it and not the spelling: the way may lead
	// through symlinks. It ends at the root, or where the user may not look.
	var below os.FileInfo
	for dir := filepath.Dir(output); ; dir += "/.." {
		here, err := os.Stat(dir)
		switch {
		case err != nil, below != nil && os.SameFile(below, here):
			return nil
		case os.SameFile(from, here):
			return fault.New(fault.Target, "name an output outside of it", "%s: lies in the source %s", output, s.path)
		}
		below = here
	}
}

// scan lists the source. An archive that is compressed is unpacked into a file
// without a name in spoolDir. close must be called when the tree is no longer
// read.
func (s fromFlag) scan(ctx context.Context, owner *fstree.Owner, spoolDir string) (tree *fstree.Tree, close func() error, err error) {
	if s.scheme == "tar" {
		archive, err := fstree.OpenTar(ctx, s.path, spoolDir, fstree.TarOptions{Owner: owner})
		if err != nil {
			return nil, nil, err
		}
		return archive.Tree, archive.Close, nil
	}
	tree, err = fstree.ScanDir(ctx, s.path, fstree.DirOptions{Owner: owner})
	return tree, func() error { return nil }, err
}

// parseOwner reads UID:GID; nil means that owners stay as they are.
func parseOwner(text string) (*fstree.Owner, error) {
	if text == "" {
		return nil, nil
	}
	user, group, _ := strings.Cut(text, ":")
	uid, errUID := strconv.ParseUint(user, 10, 32)
	gid, errGID := strconv.ParseUint(group, 10, 32)
	if errUID != nil || errGID != nil {
		return nil, fault.New(fault.Usage, "", "--owner %q: expected UID:GID, two numbers, such as 0:0", text)
	}
	return &fstree.Owner{UID: uint32(uid), GID: uint32(gid)}, nil
}
