package manifest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// SHA256 is a digest, in JSON 64 hexadecimal digits.
type SHA256 [32]byte

// String returns the digest in hexadecimal digits.
func (s SHA256) String() string { return hex.EncodeToString(s[:]) }

// MarshalText implements encoding.TextMarshaler.
func (s SHA256) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *SHA256) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(s) {
		return fmt.Errorf("digest %q: expected %d hexadecimal digits", text, 2*len(s))
	}
	copy(s[:], b)
	return nil
}

// Encode returns the canonical JSON of the manifest: one line, the fields in
// the order of the types, a line break at its end.
func (m *Manifest) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return b.Bytes(), nil
}

// MaxSize bounds a manifest that is read, in bytes: 128 for each chunk of an
// image of 8 TiB without zeros.
const MaxSize = 1 << 30

// ReadFile reads the manifest in a file. Errors have class fault.Input; one of
// a missing file holds fs.ErrNotExist.
func ReadFile(name string) (*Manifest, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	defer f.Close()
	m, err := readAtMost(f, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// readAtMost reads a manifest of up to limit bytes.
func readAtMost(r io.Reader, limit int64) (*Manifest, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fault.New(fault.Input, "", "manifest: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.Input, "", "manifest: more than %d bytes", limit)
	}
	return Decode(data)
}

// Decode reads what Encode wrote. It refuses unknown fields, other versions
// and data behind the manifest, and a manifest that contradicts itself. Errors
// have class fault.Input.
func Decode(data []byte) (*Manifest, error) {
	m, err := decode(data)
	if err != nil {
		return nil, fault.New(fault.Input, "", "manifest: %w", err)
	}
	return m, nil
}

func decode(data []byte) (*Manifest, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil { // also where data is behind the manifest
		return nil, err
	}
	if head.Version != Version {
		return nil, fmt.Errorf("version %d, expected %d", head.Version, Version)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var m Manifest
	if err := dec.Decode(&m); err != nil {
		return nil, err
	}
	return &m, m.check()
}

// check makes the checks that Verify and its callers rely on.
func (m *Manifest) check() error {
	if m.Plan == nil {
		return errors.New("no plan")
	}
	if m.Image.Size <= 0 {
		return fmt.Errorf("image of %d bytes", m.Image.Size)
	}
	for _, p := range m.Partitions {
		if !m.holds(p.Range()) {
			return fmt.Errorf("partition %q: %d bytes at %d, the image has %d", p.Role, p.Size, p.Start, m.Image.Size)
		}
	}
	if m.Omits != nil && !m.holds(*m.Omits) {
		return fmt.Errorf("omits %d bytes at %d, the image has %d", m.Omits.Length, m.Omits.Offset, m.Image.Size)
	}
	next := int64(0)
	for _, c := range m.Chunks {
		switch {
		case c.Offset < next || c.Offset%ChunkSize != 0 || c.Offset >= m.Image.Size:
			return fmt.Errorf("chunk at %d, expected ascending multiples of %d below %d", c.Offset, ChunkSize, m.Image.Size)
		case c.Length != min(ChunkSize, m.Image.Size-c.Offset):
			return fmt.Errorf("chunk at %d: %d bytes, expected %d", c.Offset, c.Length, min(ChunkSize, m.Image.Size-c.Offset))
		case m.Omits != nil && m.Omits.touches(Range{c.Offset, c.Length}):
			return fmt.Errorf("chunk at %d is in the part that the manifest omits", c.Offset)
		}
		next = c.Offset + c.Length
	}
	return nil
}

// holds reports whether a range is inside the image and not empty.
func (m *Manifest) holds(r Range) bool {
	return r.Offset >= 0 && r.Length > 0 && r.Offset <= m.Image.Size && r.Length <= m.Image.Size-r.Offset
}
