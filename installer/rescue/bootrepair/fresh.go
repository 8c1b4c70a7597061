package bootrepair

import (
	"cmp"
	"context"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// heldBack is how much of the beginning of a file system is written last, in bytes: all
// that says that there is one, the boot sector, its copy and what counts the free clusters.
const heldBack = 8 * 4096

// writeFresh writes a file system onto a part of a disk that begins at a byte. What was
// there is gone with the first write; until the last one nothing recognises a file system
// there, so that who finds none begins anew.
func writeFresh(ctx context.Context, d Disk, start int64, files *fstree.Tree, p esp.Params, progress Progress) error {
	if err := written(d, make([]byte, min(heldBack, p.Size)), start); err != nil {
		return err
	}
	need, err := esp.Need(files, p)
	if err != nil {
		return err
	}
	w := &fresh{disk: d, start: start, clean: heldBack, progress: progress, total: need}
	if _, err := esp.Write(ctx, w, files, p); err != nil {
		return err
	}
	if err := synced(d); err != nil {
		return err
	}
	// The first sector says that there is a file system.
	slices.SortStableFunc(w.held, func(a, b piece) int { return cmp.Compare(b.at, a.at) })
	for _, h := range w.held {
		if err := written(d, h.data, start+h.at); err != nil {
			return err
		}
	}
	return nil
}

// piece is what was written to a place.
type piece struct {
	at   int64
	data []byte
}

// fresh is a part of a disk to its writer, which wants zeros where it writes nothing.
type fresh struct {
	disk        Disk
	start       int64
	clean       int64 // up to here everything was written
	held        []piece
	progress    Progress
	done, total int64
}

// zeros is what places are emptied with.
var zeros [mib]byte

// WriteAt implements io.WriterAt.
func (f *fresh) WriteAt(p []byte, off int64) (int, error) {
	n := len(p)
	if off < heldBack {
		part := p[:min(int64(n), heldBack-off)]
		f.held = append(f.held, piece{off, slices.Clone(part)})
		p, off = p[len(part):], off+int64(len(part))
	}
	if len(p) == 0 {
		return n, nil
	}
	for f.clean < off {
		part := zeros[:min(int64(len(zeros)), off-f.clean)]
		if _, err := f.disk.WriteAt(part, f.start+f.clean); err != nil {
			return 0, unwritten(f.start+f.clean, err)
		}
		f.clean += int64(len(part))
	}
	if _, err := f.disk.WriteAt(p, f.start+off); err != nil {
		return 0, unwritten(f.start+off, err)
	}
	f.clean = max(f.clean, off+int64(len(p)))
	f.done += int64(len(p))
	f.progress.report(min(f.done, f.total), f.total)
	return n, nil
}
