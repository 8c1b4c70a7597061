package hibernate

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

func single(length uint64, stripes ...ondisk.Stripe) ondisk.Chunk {
	return ondisk.Chunk{Length: length, Type: ondisk.GroupData, Stripes: stripes}
}

func TestMapChunk(t *testing.T) {
	const start, length = 1 << 30, 1 << 20
	at := func(p ondisk.Physical) ondisk.Stripe { return ondisk.Stripe{DevID: 1, Offset: p} }
	dup := single(length, at(1<<20), at(1<<21))
	dup.Type |= ondisk.GroupDUP
	raid := single(length, at(1<<20))
	raid.Type |= ondisk.GroupRAID0
	tests := []struct {
		name    string
		chunk   ondisk.Chunk
		logical ondisk.Logical
		want    ondisk.Physical
		err     string
	}{
		{"first", single(length, at(1<<20)), start, 1 << 20, ""},
		{"last", single(length, at(1<<20)), start + length - page, 1<<21 - page, ""},
		{"before", single(length, at(1<<20)), start - page, 0, "in no chunk"},
		{"behind", single(length, at(1<<20)), start + length, 0, "in no chunk"},
		{"dup", dup, start, 0, "2 copies or parts, expected profile single"},
		{"raid0", raid, start, 0, "1 copies or parts, expected profile single"},
		{"two stripes", single(length, at(1<<20), at(1<<21)), start, 0, "2 copies"},
		{"between pages", single(length, at(1<<20)), start + 1, 0, "is no page of a device"},
		{"hostile", single(length, at(1<<62+page)), start, 0, "is no page of a device"},
		{"overflow", single(length, at(^ondisk.Physical(0)-page+1)), start + page, 0, "is no page of a device"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, got, err := mapChunk(start, tt.chunk, tt.logical)
			if got != tt.want || !hasError(err, tt.err) {
				t.Errorf("mapChunk = %d, %v; want %d, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

// fiemap is the kernel's answer with one extent.
func fiemap(mapped uint32, start, physical uint64, flags uint32) []byte {
	b := make([]byte, fiemapSize+fiemapExtentSize)
	binary.LittleEndian.PutUint32(b[20:], mapped)
	binary.LittleEndian.PutUint64(b[fiemapSize:], start)
	binary.LittleEndian.PutUint64(b[fiemapSize+8:], physical)
	binary.LittleEndian.PutUint32(b[fiemapSize+40:], flags)
	return b
}

func TestDecodeFiemap(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want ondisk.Logical
		err  string
	}{
		{"an extent", fiemap(1, 0, 298844160, 0), 298844160, ""},
		{"the last, not written, shared", fiemap(1, 0, 298844160, 1<<0|1<<11|1<<13), 298844160, ""},
		{"empty", fiemap(0, 0, 0, 0), 0, "begins with a hole"},
		{"hole", fiemap(1, 4096, 298844160, 0), 0, "a hole of 4096 bytes"},
		{"not written out", fiemap(1, 0, 0, 1<<1|1<<2), 0, "no fixed place"},
		{"compressed", fiemap(1, 0, 298844160, 1<<3), 0, "flags 0x8"},
		{"inline", fiemap(1, 0, 0, 1<<8|1<<9), 0, "no fixed place"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeFiemap(tt.in)
			if got != tt.want || !hasError(err, tt.err) {
				t.Errorf("decodeFiemap = %d, %v; want %d, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

// found is the kernel's answer to a search with items of chunks.
func found(starts ...uint64) []byte {
	var b []byte
	for i, start := range starts {
		c := single(uint64(i+1)<<20, ondisk.Stripe{DevID: 1, Offset: ondisk.Physical(i) << 20})
		item := c.Append(nil)
		h := make([]byte, searchHeader)
		binary.LittleEndian.PutUint64(h[16:], start)
		binary.LittleEndian.PutUint32(h[28:], uint32(len(item)))
		b = append(append(b, h...), item...)
	}
	return b
}

func TestLastChunk(t *testing.T) {
	three := found(1<<20, 2<<20, 4<<20)
	tests := []struct {
		name   string
		in     []byte
		n      uint32
		start  ondisk.Logical
		length uint64
		err    string
	}{
		{"one", three, 1, 1 << 20, 1 << 20, ""},
		{"of three", three, 3, 4 << 20, 3 << 20, ""},
		{"more than there are", three, 4, 0, 0, "ends early"},
		{"header cut", three[:searchHeader-1], 1, 0, 0, "ends early"},
		{"item cut", three[:len(three)-1], 3, 0, 0, "item of 80 bytes, expected at most 79"},
		{"no chunk", append(make([]byte, searchHeader), 1), 1, 0, 0, "chunk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start, c, err := lastChunk(tt.in, tt.n)
			if start != tt.start || c.Length != tt.length || !hasError(err, tt.err) {
				t.Errorf("lastChunk = %d, %d bytes, %v; want %d, %d, %q", start, c.Length, err, tt.start, tt.length, tt.err)
			}
		})
	}
}

func FuzzLastChunk(f *testing.F) {
	f.Add(found(1<<20, 2<<20), uint32(2))
	f.Add(found(1 << 20)[:40], uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, n uint32) {
		start, c, err := lastChunk(b, n)
		if err != nil || len(c.Stripes) == 0 {
			return
		}
		if _, p, err := mapChunk(start, c, start); err == nil && p%page != 0 {
			t.Errorf("mapped to %d, which is no page", p)
		}
	})
}

func TestCompareHeaders(t *testing.T) {
	own := swaparea.New(1<<20, ids.UUID{1}, "")
	other := swaparea.New(1<<20, ids.UUID{2}, "")
	image := bytes.Clone(own)
	copy(image[page-10:], swaparea.HibernateSignature+"\x00")
	tests := []struct {
		name       string
		want, have []byte
		err        string
	}{
		{"same", own, bytes.Clone(own), ""},
		{"nothing there", own, make([]byte, page), `offset 140544 on /dev/vda2 (254:2): header of swap space: signature "\x00`},
		{"an image", image, image, "offset 140544 on /dev/vda2 (254:2): holds a hibernated system"},
		{"left over", own, other, "header of another swap area"},
		{"damaged in the file", make([]byte, page), own, "header of another swap area"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := compareHeaders(tt.want, tt.have, somePlace); !hasError(err, tt.err) {
				t.Errorf("compareHeaders: %v; want %q", err, tt.err)
			}
		})
	}
}
