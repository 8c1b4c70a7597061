// Package record keeps, beside a swapfile, a note of the system that is about
// to hibernate into it. The image itself does not say where its disk was
// attached, and a kernel that is woken finds its disk only there; nor does an
// image that is not there say that one should be.
//
// The running system writes the note before it hibernates and removes it once
// it is awake again. The initramfs reads it from the raw partition.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Suffix makes the name of the note of that of the swapfile.
const Suffix = ".asleep"

// MaxSize bounds a note, in bytes.
const MaxSize = 4096

// Record is what is noted.
type Record struct {
	Disk   string `json:"disk"`   // where the disk is attached, see DiskPath; "" when unknown
	Kernel string `json:"kernel"` // release of the kernel that hibernates
	Offset int64  `json:"offset"` // of the swapfile, in pages of 4096 bytes
	Swap   string `json:"swap"`   // UUID in the header of the swapfile; "" when unknown
}

// Of reports whether r is a note of a swapfile: another one that was there
// before it is not. uuid is "" when the header cannot be read; then the place
// alone counts.
func (r Record) Of(offset int64, uuid string) bool {
	return r.Offset == offset && (r.Swap == uuid || r.Swap == "" || uuid == "")
}

// Parse reads a note.
func Parse(text []byte) (Record, error) {
	var r Record
	if len(text) > MaxSize {
		return Record{}, fmt.Errorf("note of a hibernated system: %d bytes, expected at most %d", len(text), MaxSize)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, fmt.Errorf("note of a hibernated system: %w", err)
	}
	return r, nil
}

// Write notes r beside a swapfile. On return the note is in the trees of the
// file system, where a reader finds it that replays no log.
func (r Record) Write(swapfile string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	name := swapfile + Suffix
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
		return nil // and committed: Write or Remove ended with that
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return err
	}
	return commit(name)
}

// Remove takes the note away, if there is one.
func Remove(swapfile string) error {
	name := swapfile + Suffix
	switch err := os.Remove(name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return commit(swapfile)
}

// commit has the file system of a file write all that it holds in memory.
func commit(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("%s: syncfs: %w", name, err)
	}
	return nil
}
