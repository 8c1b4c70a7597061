package esp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Write writes a file system that holds the tree to w, from byte 0 on. Where
// nothing is written w must read as zeros, as a new sparse file does. The tree
// must be frozen; its root may have any name and metadata.
//
// Errors are of class fault.Input for what the tree holds, fault.Config for the
// label, fault.Usage for what else Params ask and fault.Target when the size is
// too small; all of these come before the first write, except that content may
// turn out to be unreadable. What w holds after an error is of no use.
func Write(ctx context.Context, w io.WriterAt, t *fstree.Tree, p Params) (*Result, error) {
	g, v, err := decide(t, p)
	if err != nil {
		return nil, err
	}
	used := v.clusters(g.clusterSize())
	if used > g.clusters {
		return nil, fault.New(fault.Target, fmt.Sprintf("give the partition at least %d bytes", v.minSize(g.sectorSize)),
			"FAT32 of %d bytes: the files need %d bytes of clusters, it has %d", p.Size, used*g.clusterSize(), g.clusters*g.clusterSize())
	}
	v.place(g.clusterSize())
	writer := &writer{ctx: ctx, out: newStream(w), geometry: g, params: &p, volume: v, used: used}
	if err := writer.write(); err != nil {
		return nil, err
	}
	return writer.result(), nil
}

// writer writes what is decided.
type writer struct {
	ctx      context.Context
	out      *stream
	geometry geometry
	params   *Params
	volume   *volume
	used     int64 // clusters
}

// write writes the boot sector last: until it is there, nothing takes the rest
// for a file system.
func (w *writer) write() error {
	for _, n := range w.volume.nodes {
		if err := w.node(n); err != nil {
			return err
		}
	}
	if err := w.out.flush(); err != nil {
		return err
	}
	for i := range int64(fats) {
		if err := w.table(w.geometry.fatOffset(i)); err != nil {
			return err
		}
	}
	boot, info := w.geometry.boot(w.params), w.geometry.info(w.used)
	sectors := []struct {
		at int64
		b  []byte
	}{{backupSector + infoSector, info}, {backupSector, boot}, {infoSector, info}, {bootSector, boot}}
	for _, s := range sectors {
		w.out.offset = s.at * w.geometry.sectorSize
		if err := errors.Join(w.out.put(w.out.offset, s.b), w.out.flush()); err != nil {
			return err
		}
	}
	return nil
}

// node writes a file or directory into its clusters.
func (w *writer) node(n *node) error {
	if n.count == 0 {
		return nil
	}
	at := w.geometry.offset(n.first)
	if n.entry.IsDir() {
		return w.out.put(at, n.directory(w.params))
	}
	if n.entry.Content == nil {
		return nil
	}
	file, err := n.entry.Content.Open(n.entry)
	if err != nil {
		return err
	}
	return errors.Join(w.file(n.entry, file, at), file.Close())
}

// file copies the data of a file; its holes stay unwritten.
func (w *writer) file(e *fstree.Entry, file fstree.File, at int64) error {
	segments, err := file.Segments()
	if err != nil {
		return err
	}
	end := int64(0)
	for _, s := range segments {
		if s.Offset < end || s.Length < 0 || s.Length > e.Size-s.Offset {
			return fmt.Errorf("%s: data of %d bytes at byte %d, expected it behind byte %d and before byte %d", e.Path(), s.Length, s.Offset, end, e.Size)
		}
		end = s.Offset + s.Length
		if err := w.segment(e, file, s, at); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) segment(e *fstree.Entry, file fstree.File, s fstree.Segment, at int64) error {
	for s.Length > 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		room, err := w.out.room(at+s.Offset, s.Length)
		if err != nil {
			return err
		}
		if n, err := file.ReadAt(room, s.Offset); n < len(room) {
			if err == nil || errors.Is(err, io.EOF) {
				err = fault.New(fault.Input, "", "%s: ends at byte %d, expected %d bytes", e.Path(), s.Offset+int64(n), e.Size)
			}
			return err
		}
		s.Offset += int64(len(room))
		s.Length -= int64(len(room))
	}
	return nil
}

// Entries of a FAT.
const (
	fatMedia = 0x0fffff00 | media
	fatClean = 0x0fffffff // entry 1: unmounted cleanly and without I/O errors
	fatEnd   = 0x0fffffff // the chain ends here
)

// table writes one FAT, as far as clusters are used.
func (w *writer) table(at int64) error {
	w.out.offset = at
	put := func(entry uint32) error {
		room, err := w.out.room(at, fatEntrySize)
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(room, entry)
		at += fatEntrySize
		return nil
	}
	if err := errors.Join(put(fatMedia), put(fatClean)); err != nil {
		return err
	}
	for _, n := range w.volume.nodes {
		for i := range n.count {
			next := n.first + i + 1
			if i == n.count-1 {
				next = fatEnd
			}
			if err := put(next); err != nil {
				return err
			}
		}
	}
	return w.out.flush()
}

func (w *writer) result() *Result {
	g := w.geometry
	r := &Result{Size: g.sectors * g.sectorSize, UUID: UUID(w.params.Serial), ClusterSize: g.clusterSize(),
		Clusters: g.clusters, FreeClusters: g.clusters - w.used}
	for _, n := range w.volume.nodes {
		if n.entry.IsDir() {
			r.Directories++
			continue
		}
		r.Files++
		r.DataBytes += n.entry.Size
	}
	return r
}
