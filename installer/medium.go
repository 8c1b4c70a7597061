package installer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

const (
	maxManifest  = 64 << 20 // bytes: 100 for each MiB of the payload
	maxSignature = 4096     // bytes: a signature of minisign has 300
	maxESPFile   = 512 << 20
)

// damagedHint is what to do about a medium that is not as it was made.
const damagedHint = "write the medium anew: mkimage write IMAGE --target DEVICE"

// Medium is an installer medium whose manifest is signed by the key that its
// maker trusts. Nothing else on it is trusted before it was compared with the
// manifest.
type Medium struct {
	Manifest *manifest.Manifest
	Digest   manifest.SHA256 // of the manifest's text: which medium this is
	Payload  *io.SectionReader
	disk     io.ReaderAt
	esp      *reader.FS
	espStart int64 // byte of the disk
	checked  []sum // of chunks, by CheckPayload
}

// Verify checks the signature of a message, and is an error where it is not
// good.
type Verify func(message, signature []byte) error

// OpenMedium reads the manifest of a medium of size bytes, and finds what it installs.
// Errors are of class fault.Input.
func OpenMedium(r io.ReaderAt, size int64, verify Verify) (*Medium, error) {
	m, table, err := openFiles(r, size, verify)
	if err != nil {
		return nil, err
	}
	return m, m.find(r, table)
}

// OpenStick is OpenMedium for what stands on the ESP of a medium of any kind: Payload is
// nil. A medium that is for a rescue alone need not be signed: verify is nil then, and the
// caller has another reason to trust it.
func OpenStick(r io.ReaderAt, size int64, verify Verify) (*Medium, error) {
	m, _, err := openFiles(r, size, verify)
	if err != nil {
		return nil, err
	}
	if m.Manifest.Plan == nil || m.Manifest.Plan.Medium == nil {
		return nil, fault.New(fault.Input, "build one from a profile of kind rescue or installer", "medium: what is on it is a system")
	}
	return m, nil
}

func openFiles(r io.ReaderAt, size int64, verify Verify) (*Medium, *gpt.Table, error) {
	table, _, err := gpt.Read(r, size)
	if err != nil {
		return nil, nil, fmt.Errorf("medium: %w", err)
	}
	files, espStart, err := openESP(r, table)
	if err != nil {
		return nil, nil, err
	}
	text, err := readManifest(files, verify)
	if err != nil {
		return nil, nil, err
	}
	m := &Medium{Digest: sha256.Sum256(text), disk: r, esp: files, espStart: espStart}
	if m.Manifest, err = manifest.Decode(text); err != nil {
		return nil, nil, fault.New(fault.Input, damagedHint, "medium: %s: %w", manifest.ESPPath, err)
	}
	return m, table, nil
}

// openESP opens the file system of the medium's ESP, which begins at byte start.
func openESP(r io.ReaderAt, table *gpt.Table) (files *reader.FS, start int64, err error) {
	for _, p := range table.Partitions {
		if p.Type == plan.TypeESP {
			files, err := reader.Open(io.NewSectionReader(r, p.Start, p.Size), p.Size)
			if err != nil {
				return nil, 0, fault.New(fault.Input, damagedHint, "medium: ESP: %w", err)
			}
			return files, p.Start, nil
		}
	}
	return nil, 0, fault.New(fault.Input, damagedHint, "medium: it has %d partitions, none of them an ESP", len(table.Partitions))
}

// readManifest returns the text of the manifest, once its signature was found to be
// good; without verify nobody asks for one.
func readManifest(files *reader.FS, verify Verify) ([]byte, error) {
	text, err := files.ReadAtMost(manifest.ESPPath, maxManifest)
	if err != nil {
		return nil, fault.New(fault.Input, damagedHint, "medium: %w", err)
	}
	if verify == nil {
		return text, nil
	}
	signature, err := files.ReadAtMost(manifest.SignaturePath, maxSignature)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Input, "build it with --sign-key KEY", "medium: its manifest is not signed: there is no %s", manifest.SignaturePath)
	}
	if err == nil {
		err = verify(text, signature)
	}
	if err != nil {
		return nil, fault.New(fault.Input, damagedHint, "medium: %s: %w", manifest.SignaturePath, err)
	}
	return text, nil
}

// find finds the payload where the manifest has it.
func (m *Medium) find(r io.ReaderAt, table *gpt.Table) error {
	if m.Manifest.Plan == nil || m.Manifest.Plan.Medium == nil {
		return fault.New(fault.Input, "build one from a profile of kind installer", "medium: what is on it is a system, expected an installer")
	}
	if !m.Manifest.Plan.Installs() {
		return fault.New(fault.Input, "build one from a profile of kind installer; this one is for: mkimage-rescue", "medium: %s brings %s back and carries no system to install", m.Manifest.Plan.Name(), m.Manifest.Plan.Profile.Name)
	}
	want, partition := m.Manifest.Partition(plan.RoleRoot), m.Manifest.Plan.Partition(plan.RoleRoot)
	if want == nil || partition == nil {
		return fault.New(fault.Input, damagedHint, "medium: its manifest has no payload")
	}
	for _, p := range table.Partitions {
		if p.GUID != partition.PARTUUID {
			continue
		}
		if p.Start != want.Start || p.Size != want.Size {
			return fault.New(fault.Input, damagedHint, "medium: payload: %d bytes at byte %d, expected %d at byte %d", p.Size, p.Start, want.Size, want.Start)
		}
		m.Payload = io.NewSectionReader(r, p.Start, p.Size)
		return nil
	}
	return fault.New(fault.Input, damagedHint, "medium: no partition %s, expected the payload", partition.PARTUUID)
}

// File returns a file of the medium's ESP that is as its manifest says.
func (m *Medium) File(path string) ([]byte, error) {
	for _, f := range m.Manifest.Files {
		if f.Path != path {
			continue
		}
		if f.Size > maxESPFile {
			return nil, fault.New(fault.Input, "", "medium: %s: %d bytes, expected at most %d", path, f.Size, int64(maxESPFile))
		}
		data, err := m.esp.ReadAtMost(path, f.Size)
		if err != nil {
			return nil, fault.New(fault.Input, damagedHint, "medium: %w", err)
		}
		if sum := manifest.SHA256(sha256.Sum256(data)); sum != f.SHA256 {
			return nil, fault.New(fault.Input, damagedHint, "medium: %s: SHA-256 %s, its manifest says %s", path, sum, f.SHA256)
		}
		return data, nil
	}
	return nil, fault.New(fault.Input, damagedHint, "medium: its manifest has no file %s", path)
}

// Log returns the medium's log and the byte of the disk where it begins; see
// package mediumlog.
func (m *Medium) Log() (at int64, file []byte, err error) {
	if at, err = mediumlog.Find(m.esp); err != nil {
		return 0, nil, err
	}
	file, err = m.esp.ReadAtMost(mediumlog.Path, mediumlog.Size)
	return m.espStart + at, file, err
}

// chunks returns the chunks of the manifest that have bytes of the payload. The
// last one may have other bytes behind them.
func (m *Medium) chunks() []manifest.Chunk {
	var list []manifest.Chunk
	payload := m.Manifest.Partition(plan.RoleRoot)
	for _, c := range m.Manifest.Chunks {
		if c.Offset < payload.Start+payload.Size && payload.Start < c.Offset+c.Length {
			list = append(list, c)
		}
	}
	return list
}

// ofPayload returns what of a chunk is the payload's, and where in the payload
// it begins.
func (m *Medium) ofPayload(p []byte, c extent) ([]byte, int64) {
	payload := m.Manifest.Partition(plan.RoleRoot)
	from, to := max(c.offset, payload.Start), min(c.offset+c.length, payload.Start+payload.Size)
	return p[from-c.offset : to-c.offset], from - payload.Start
}

// Need returns how many bytes a target must have at least: its ESP, the payload
// and the tables.
func (m *Medium) Need() int64 {
	return int64(m.Manifest.Plan.Medium.Layout.ESP.Size) + m.Payload.Size() + 3*plan.Alignment
}
