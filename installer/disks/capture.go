package disks

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// captureFormat names the form of a recorded scan.
const captureFormat = "mkimage-disks-1"

// capture is a recorded scan in JSON.
type capture struct {
	Format string `json:"format"`
	Disks  []Disk `json:"disks"`
}

// maxCapture bounds a recorded scan, in bytes.
const maxCapture = 64 << 20

// WriteCapture records a scan as JSON.
func WriteCapture(w io.Writer, list []Disk) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(capture{captureFormat, list})
}

// ReadCapture reads a recorded scan. Errors have class fault.Input.
func ReadCapture(r io.Reader) ([]Disk, error) {
	const hint = "record the disks of a machine with: mkimage explain-disk --capture FILE"
	var c capture
	dec := json.NewDecoder(io.LimitReader(r, maxCapture))
	dec.DisallowUnknownFields() // a field that is not known may be a reason to leave a disk alone
	if err := dec.Decode(&c); err != nil {
		return nil, fault.New(fault.Input, hint, "record of disks: %w", err)
	}
	if c.Format != captureFormat {
		return nil, fault.New(fault.Input, hint, "record of disks: format %q, expected %q", c.Format, captureFormat)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fault.New(fault.Input, hint, "record of disks: %w", fmt.Errorf("there is more behind the end"))
	}
	return c.Disks, nil
}
