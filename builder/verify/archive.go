package verify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// archive is what is looked at in an initramfs.
type archive struct {
	top     string // "", or a directory with a slash at its end
	files   map[string]archiveFile
	config  config.Config
	modules string // the list at config.Modules
}

type archiveFile struct {
	mode, size uint32
}

// maxUnpacked bounds an initramfs when it is unpacked.
const maxUnpacked = 1 << 30

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// checkArchive unpacks an initramfs and wants in it, below the directory top, what a
// boot needs. It returns nil for one that cannot be unpacked.
func (v *run) checkArchive(c *Check, where string, data []byte, top string) *archive {
	a, err := readArchive(data, top)
	if err != nil {
		c.problem(where, "%v", err)
		return nil
	}
	if init, ok := a.files["init"]; !ok || init.mode&0o170111 != 0o100111 || init.size == 0 {
		c.problem(where, "has no program /init")
	}
	for line := range strings.Lines(a.modules) {
		if module, _, _ := strings.Cut(strings.TrimSpace(line), " "); module != "" {
			if _, ok := a.files[strings.TrimPrefix(module, "/")]; !ok {
				c.problem(where, "has no %s, which %s lists", module, config.Modules)
			}
		}
	}
	if len(a.config.Mounts) == 0 || a.config.Version != config.Version {
		c.problem(where, "%s of version %d with %d mounts, expected version %d and at least one", config.Path, a.config.Version, len(a.config.Mounts), config.Version)
	}
	v.wantConfig(c, where+": "+config.Path, a.config)
	return a
}

// readArchive reads an initramfs as the kernel does: archives in a row, each
// plain or compressed, with zeros between them. See Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst. Of what it holds that
// below the directory top counts.
func readArchive(data []byte, top string) (*archive, error) {
	a := &archive{top: top, files: map[string]archiveFile{}}
	left := int64(maxUnpacked)
	for at := 0; at < len(data); {
		rest := data[at:]
		switch {
		case rest[0] == 0:
			at++
		case bytes.HasPrefix(rest, []byte(newcMagic)):
			r := &counter{r: bytes.NewReader(rest)}
			if err := a.readNewc(r, &left); err != nil {
				return nil, fmt.Errorf("byte %d: %w", at, err)
			}
			at += int(r.n)
		case bytes.HasPrefix(rest, zstdMagic):
			n, err := frameLength(rest)
			if err == nil {
				err = a.readZstd(rest[:n], &left)
			}
			if err != nil {
				return nil, fmt.Errorf("byte %d: %w", at, err)
			}
			at += n
		default:
			return nil, fmt.Errorf("byte %d: % x, expected a cpio archive, plain or in zstd", at, rest[:min(4, len(rest))])
		}
	}
	return a, nil
}

// frameLength returns the bytes of the zstd frame that data begins with, by
// RFC 8878, 3.1.1. The kernel decodes one frame at a time, and a decoder of
// streams would go on into what follows.
func frameLength(data []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return 0, err
	}
	if h.Skippable {
		return 0, errors.New("skippable frame, which the kernel does not know")
	}
	n := h.HeaderSize
	for last := false; !last; {
		if n+3 > len(data) {
			return 0, io.ErrUnexpectedEOF
		}
		block := int(data[n]) | int(data[n+1])<<8 | int(data[n+2])<<16
		n += 3
		last = block&1 != 0
		if block>>1&3 == 1 { // one byte, repeated
			n++
		} else {
			n += block >> 3
		}
	}
	if h.HasCheckSum {
		n += 4
	}
	if n > len(data) {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// readZstd reads the archives in a compressed part.
func (a *archive) readZstd(data []byte, left *int64) error {
	dec, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return err
	}
	defer dec.Close()
	r := bufio.NewReaderSize(dec, 1<<16)
	for {
		next, err := r.Peek(1)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case next[0] == 0:
			_, err = r.Discard(1)
		default:
			err = a.readNewc(&counter{r: r}, left)
		}
		if err != nil {
			return err
		}
	}
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// The form newc of cpio: a header of 110 characters, the name, the content,
// each padded to four bytes; a member called TRAILER!!! ends the archive.
const (
	newcMagic  = "070701"
	newcHeader = 110
	newcEnd    = "TRAILER!!!"
	maxName    = 4096 // PATH_MAX
)

// outside is before the names of what is not below archive.top: no path has it.
const outside = "/"

// readNewc reads one archive up to its end.
func (a *archive) readNewc(r *counter, left *int64) error {
	start := r.n
	for {
		name, f, err := readMember(r, start)
		if err != nil {
			return err
		}
		if name == newcEnd {
			return nil
		}
		if *left -= int64(f.size) + newcHeader; *left < 0 {
			return fmt.Errorf("more than %d bytes when unpacked", int64(maxUnpacked))
		}
		name, ours := strings.CutPrefix(strings.TrimPrefix(name, "./"), a.top)
		if !ours {
			name = outside + name
		}
		a.files[name] = f
		if err := a.content(name, io.LimitReader(r, int64(f.size))); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := pad(r, start); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// readMember reads a header and a name.
func readMember(r *counter, start int64) (string, archiveFile, error) {
	var f archiveFile
	header := make([]byte, newcHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return "", f, fmt.Errorf("header of a member: %w", err)
	}
	if string(header[:6]) != newcMagic {
		return "", f, fmt.Errorf("header of a member begins with %q, expected %q", header[:6], newcMagic)
	}
	var length uint32
	for _, field := range []struct {
		at int
		to *uint32
	}{{14, &f.mode}, {54, &f.size}, {94, &length}} {
		n, err := strconv.ParseUint(string(header[field.at:field.at+8]), 16, 32)
		if err != nil {
			return "", f, fmt.Errorf("header of a member holds %q, expected 8 hexadecimal digits", header[field.at:field.at+8])
		}
		*field.to = uint32(n)
	}
	if length == 0 || length > maxName {
		return "", f, fmt.Errorf("name of %d bytes, expected 1 to %d", length, maxName)
	}
	name := make([]byte, length)
	if _, err := io.ReadFull(r, name); err != nil {
		return "", f, fmt.Errorf("name of a member: %w", err)
	}
	return strings.TrimRight(string(name), "\x00"), f, pad(r, start)
}

// pad reads up to the next multiple of four bytes.
func pad(r *counter, start int64) error {
	_, err := io.CopyN(io.Discard, r, (start-r.n)&3)
	return err
}

// content keeps the files that are looked at and reads past all others.
func (a *archive) content(name string, r io.Reader) error {
	f := a.files[name]
	if name != strings.TrimPrefix(config.Path, "/") && name != strings.TrimPrefix(config.Modules, "/") {
		n, err := io.Copy(io.Discard, r)
		if err == nil && n < int64(f.size) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if f.size > maxText {
		return fmt.Errorf("%d bytes, expected at most %d", f.size, maxText)
	}
	data, err := io.ReadAll(r)
	switch {
	case err != nil:
		return err
	case len(data) < int(f.size):
		return io.ErrUnexpectedEOF
	case strings.HasSuffix(config.Modules, name):
		a.modules = string(data)
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a.config); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("data behind its end")
	}
	return nil
}
