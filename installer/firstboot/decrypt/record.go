package decrypt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// recordPath has the paths of the symlinks that were made. They outlast the
// boot, and so must what is known of them: those of secrets that are gone are
// found by it.
const recordPath = firstboot.StateDir + "/links.json"

// recordVersion is the version of the record's form.
const recordVersion = 1

// maxRecord is the size of the largest record that is read, in bytes.
const maxRecord = 1 << 20

// record is the form of the file.
type record struct {
	Version int      `json:"version"`
	Links   []string `json:"links"` // sorted
}

// parseRecord reads the text of a record.
func parseRecord(text []byte) ([]string, error) {
	if len(text) > maxRecord {
		return nil, fmt.Errorf("larger than %d bytes", maxRecord)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("version %d, expected %d", r.Version, recordVersion)
	}
	for _, name := range r.Links {
		if !isPath(name) {
			return nil, fmt.Errorf("path %q, expected an absolute one that is clean", name)
		}
	}
	return r.Links, nil
}

// readRecord reads the record. One that cannot be read is as good as none.
func (l *links) readRecord() {
	text, err := durable.Read(l.files, recordPath, maxRecord+1)
	if err == nil {
		if l.was, err = parseRecord(text); err != nil {
			err = fmt.Errorf("%s: %w", recordPath, err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.note("symlinks of secrets that are gone may be left: %w", err)
	}
}

// writeRecord writes the record, unless it has just these paths.
func (l *links) writeRecord(paths []string) error {
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if slices.Equal(paths, l.was) {
		return nil
	}
	text, err := json.MarshalIndent(record{recordVersion, paths}, "", "\t")
	if err != nil {
		return err
	}
	if err := durable.Write(l.files, recordPath, append(text, '\n'), 0o644); err != nil {
		return err
	}
	l.was = paths
	return nil
}
