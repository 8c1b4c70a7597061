package salvage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/durable"
)

// Origin says what a copy is of.
type Origin struct {
	FileSystem string `json:"file_system"` // its identifier
	Subvolume  string `json:"subvolume"`   // path from the top level
	From       string `json:"from"`        // path of a directory in it
}

func (o Origin) String() string {
	return fmt.Sprintf("%s of %s, file system %s", filepath.Join("/", o.From), o.Subvolume, o.FileSystem)
}

// markName is the file at the top of a copy that has its Origin as JSON; maxMark
// bounds it, in bytes.
const (
	markName = ".mkimage-save.json"
	maxMark  = 64 << 10
)

// reserved are the names at the top of a copy that are not of what is copied.
var reserved = []string{markName, filepath.Base(durable.Temporary("/" + markName))}

// OpenFolder makes a directory for a copy, or opens one that is empty, or, as again
// says, one that has a copy of the same origin: Copy goes on with that. Errors have
// class fault.Target.
func OpenFolder(dir string, of Origin) (root *os.Root, again bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fault.New(fault.Target, "", "%w", err)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, false, fault.New(fault.Target, "", "%w", err)
	}
	if again, err = begun(abs, of); err != nil {
		return nil, false, err
	}
	if !again {
		text, err := json.MarshalIndent(of, "", "  ")
		if err == nil {
			err = durable.Write(durable.OS("/"), filepath.Join(abs, markName), append(text, '\n'), 0o600)
		}
		if err != nil {
			return nil, false, fault.New(fault.Target, "", "%w", err)
		}
	}
	if root, err = os.OpenRoot(dir); err != nil {
		return nil, false, fault.New(fault.Target, "", "%w", err)
	}
	return root, again, nil
}

// begun reports whether a directory has a copy of an origin. Anything else in it is
// an error.
func begun(dir string, of Origin) (bool, error) {
	const fresh = "name a new directory"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, fault.New(fault.Target, "", "%w", err)
	}
	if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(reserved, e.Name()) }) {
		return false, nil // a power cut may have left no more than a part of the mark
	}
	text, err := durable.Read(durable.OS("/"), filepath.Join(dir, markName), maxMark+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, fault.New(fault.Target, fresh, "%s: is not empty, and has no copy that could go on", dir)
	case err != nil:
		return false, fault.New(fault.Target, fresh, "%w", err)
	}
	var found Origin
	if len(text) > maxMark {
		err = fmt.Errorf("has more than %d bytes", maxMark)
	} else {
		err = json.Unmarshal(text, &found)
	}
	if err != nil {
		return false, fault.New(fault.Target, fresh, "%s: does not say what the copy is of: %w", filepath.Join(dir, markName), err)
	}
	if found != of {
		return false, fault.New(fault.Target, fresh, "%s: has a copy of %s; expected one of %s", dir, found, of)
	}
	return true, nil
}
