package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// MarkerPath is where the ESP of a target says who installed it. It is written
// with the rest of the ESP, before the table of partitions that makes it visible:
// where it can be read, the installation was whole.
const MarkerPath = "mkimage/installed.json"

// markerVersion is the version of the file's form.
const markerVersion = 1

// MaxMarker bounds the file of a marker, in bytes.
const MaxMarker = 64 << 10

// Marker says which installation made a disk.
type Marker struct {
	Version int             `json:"version"`
	Install ids.UUID        `json:"install"` // the GUID of the disk's table: of this installation alone
	Medium  manifest.SHA256 `json:"medium"`  // of the medium's manifest
	Profile string          `json:"profile"` // of the system
	Mode    string          `json:"mode"`    // "fresh" or "keep-home"
	Time    time.Time       `json:"time"`    // by the clock of the machine
}

// Encode returns the file.
func (m Marker) Encode() ([]byte, error) {
	m.Version = markerVersion
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// ErrTorn is in the chain of the error of a marker that is none: the power failed
// when it was written, which is the last thing that an installation does.
var ErrTorn = errors.New("was not written to its end")

// DecodeMarker reads the file. Errors are of class fault.Input.
func DecodeMarker(text []byte) (*Marker, error) {
	if !json.Valid(text) {
		return nil, fault.New(fault.Input, "", "%s: %w", MarkerPath, ErrTorn)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	m := &Marker{}
	if err := d.Decode(m); err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", MarkerPath, err)
	}
	if m.Version != markerVersion {
		return nil, fault.New(fault.Input, "", "%s: version %d, expected %d", MarkerPath, m.Version, markerVersion)
	}
	return m, nil
}

// ReadMarker returns the marker on the ESP of a disk of size bytes, and the table of
// partitions, nil where there is none. One that was not written to its end counts as
// none: that installation did not end either, and is done again.
func ReadMarker(disk io.ReaderAt, size int64) (*Marker, *gpt.Table, error) {
	table, _, err := gpt.Read(disk, size)
	if err != nil {
		return nil, nil, nil // nothing of ours
	}
	for _, p := range table.Partitions {
		if p.Type != plan.TypeESP {
			continue
		}
		files, err := reader.Open(io.NewSectionReader(disk, p.Start, p.Size), p.Size)
		if err != nil {
			return nil, nil, nil
		}
		text, err := files.ReadAtMost(MarkerPath, MaxMarker)
		if err != nil {
			return nil, nil, nil
		}
		marker, err := DecodeMarker(text)
		if errors.Is(err, ErrTorn) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		return marker, table, nil
	}
	return nil, nil, nil
}
