// Package swaparea reads and writes the first page of swap space, which says
// what the rest is: mkswap makes it, the kernel's hibernation marks it, and who
// does not resume takes the mark away.
//
// Pages are of 4096 bytes, numbers little-endian.
//
// Format: union swap_header of the kernel's include/linux/swap.h, mkswap(8) of
// util-linux, and struct swsusp_header of the kernel's kernel/power/swap.c.
package swaparea

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
)

// PageSize is the size of a page and of the header.
const PageSize = 4096

// Signatures at the end of the header: of swap space, and of swap space that
// holds a hibernated system.
const (
	Signature          = "SWAPSPACE2"
	HibernateSignature = "S1SUSPEND"
)

// hibernateMark is HibernateSignature as it is in the header, as long as the
// other.
const hibernateMark = HibernateSignature + "\x00"

// MinSize is the size of the smallest swap space that mkswap makes, in bytes.
// The kernel takes two pages, too.
const MinSize = 10 * PageSize

// MaxSize is the size of the largest swap space, in bytes: pages are numbered by
// 32 bits.
const MaxSize = (math.MaxUint32 + 1) * PageSize

// MaxLabel is the length of the longest label, in bytes.
const MaxLabel = 15

// Where the fields are. The first kilobyte is left to boot loaders.
const (
	versionAt   = 1024
	lastPageAt  = 1028
	badPagesAt  = 1032
	uuidAt      = 1036
	labelAt     = 1052
	labelSize   = 16
	signatureAt = PageSize - len(Signature)
)

// version is the only one there is.
const version = 1

// Header is a decoded header.
type Header struct {
	Signature string // Signature or HibernateSignature
	Pages     int64  // that can be used, the header among them
	UUID      ids.UUID
	Label     string // at most 16 bytes
}

// Size is what can be used, in bytes.
func (h Header) Size() int64 { return h.Pages * PageSize }

// Hibernated reports whether the space holds a system that can be resumed.
func (h Header) Hibernated() bool { return h.Signature == HibernateSignature }

// Decode reads the header of a swapfile. What the kernel's swapon would refuse is
// an error of class fault.Input; of a hibernated system the rest of the header
// is as mkswap made it.
func Decode(page []byte) (Header, error) {
	if len(page) != PageSize {
		return Header{}, fault.New(fault.Input, "", "header of swap space: %d bytes, expected %d", len(page), PageSize)
	}
	h := Header{Signature: strings.TrimSuffix(string(page[signatureAt:]), "\x00"), UUID: ids.UUID(page[uuidAt:labelAt])}
	if h.Signature != Signature && h.Signature != HibernateSignature {
		return Header{}, fault.New(fault.Input, "", "header of swap space: signature %q, expected %q", h.Signature, Signature)
	}
	le := binary.LittleEndian
	if got := le.Uint32(page[versionAt:]); got != version {
		return Header{}, fault.New(fault.Input, "", "header of swap space: version %d, expected %d", got, version)
	}
	h.Pages = int64(le.Uint32(page[lastPageAt:])) + 1
	if h.Pages < 2 {
		return Header{}, fault.New(fault.Input, "", "header of swap space: counts 1 page, expected 2 or more")
	}
	if bad := le.Uint32(page[badPagesAt:]); bad != 0 {
		return Header{}, fault.New(fault.Input, "", "header of swap space: counts %d bad pages, expected none in a file", bad)
	}
	label, _, _ := bytes.Cut(page[labelAt:][:labelSize], []byte{0})
	h.Label = string(label)
	return h, nil
}

// Hibernated reports whether a page has the signature of a hibernated system,
// whatever else is in it: that alone makes the kernel resume.
func Hibernated(page []byte) bool {
	return len(page) == PageSize && string(page[signatureAt:]) == hibernateMark
}

// New returns the header of swap space of size bytes, which need not be whole
// pages; Decode refuses what comes of less than two. Pages behind
// the last that can be numbered are left out, and bytes of the label behind
// MaxLabel.
func New(size int64, uuid ids.UUID, label string) []byte {
	size = min(max(size, PageSize), MaxSize)
	label = label[:min(len(label), MaxLabel)]
	page := make([]byte, PageSize)
	binary.LittleEndian.PutUint32(page[versionAt:], version)
	binary.LittleEndian.PutUint32(page[lastPageAt:], uint32(size/PageSize-1))
	copy(page[uuidAt:], uuid[:])
	copy(page[labelAt:], label)
	copy(page[signatureAt:], Signature)
	return page
}

// Restored returns a copy of a page with the signature that it had before the
// machine hibernated, as the kernel leaves it before it reads the image: the
// system is lost. The kernel keeps that signature in the ten bytes before, where
// it is Signature unless the page was damaged, and then too nothing must resume
// from it. A page without a hibernated system is returned as it is.
func Restored(page []byte) []byte {
	plain := bytes.Clone(page)
	if Hibernated(page) {
		copy(plain[signatureAt:], Signature)
	}
	return plain
}
