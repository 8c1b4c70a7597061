package check_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/btrfs/check"
	"github.com/6FaNcY9/mkimage/builder/btrfs/ondisk"
)

// FuzzRun changes bytes of tree blocks and seals them again, so that the
// changes get behind the checksums: each six bytes of input are a block, an
// offset in it, a value and whether the block is sealed.
func FuzzRun(f *testing.F) {
	m := makeImage(f, "--mixed", "--subvol", "sub")
	fs, err := m.open()
	if err != nil {
		f.Fatal(err)
	}
	blocks := allBlocks(f, fs)
	f.Add([]byte{})
	for i := range blocks {
		for _, at := range []uint16{57, 81, 89, 97, 101, 109, 110, 118, 122, 4000, 4095} {
			f.Add(append(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(i)), at), 0xff, 0))
			f.Add(append(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(i)), at), 1, 1))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		bad := m.clean()
		for n := 0; len(in) >= 6 && n < 64; n++ {
			b := blocks[int(binary.LittleEndian.Uint16(in))%len(blocks)]
			at := int(binary.LittleEndian.Uint16(in[2:]))
			raw := make([]byte, fs.Super().NodeSize)
			if _, err := bad.ReadAt(raw, int64(b.copies[0])); err != nil {
				t.Fatal(err)
			}
			raw[at%len(raw)] = in[4]
			if in[5]&1 == 0 {
				fs.Super().Checksum.Seal(raw)
			}
			for _, to := range b.copies {
				bad.write(to, raw)
			}
			in = in[6:]
		}
		opened, err := bad.open()
		if err != nil {
			return
		}
		r, err := check.Run(context.Background(), opened, check.Options{Data: true, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		if r.Found < int64(len(r.Problems)) || len(r.Problems) > 1000 {
			t.Errorf("Found = %d with %d problems", r.Found, len(r.Problems))
		}
		for _, p := range r.Problems {
			if p.Where == "" || p.What == "" {
				t.Errorf("problem without place or text: %+v", p)
			}
		}
	})
}

// FuzzSuper changes bytes of the superblock and seals it again.
func FuzzSuper(f *testing.F) {
	m := makeImage(f, "--mixed")
	f.Add([]byte{})
	for at := uint16(32); at < 1200; at += 3 {
		f.Add(append(binary.LittleEndian.AppendUint16(nil, at), 0xff))
		f.Add(append(binary.LittleEndian.AppendUint16(nil, at), 1))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		bad := m.clean()
		raw := make([]byte, ondisk.SuperSize)
		if _, err := bad.ReadAt(raw, int64(ondisk.SuperMirrors[0])); err != nil {
			t.Fatal(err)
		}
		for ; len(in) >= 3; in = in[3:] {
			raw[binary.LittleEndian.Uint16(in)%ondisk.SuperSize] = in[2]
		}
		ondisk.CRC32C.Seal(raw)
		bad.write(ondisk.SuperMirrors[0], raw)
		opened, err := bad.open()
		if err != nil {
			return
		}
		if _, err := check.Run(context.Background(), opened, check.Options{Data: true, Workers: 2}); err != nil {
			t.Fatal(err)
		}
	})
}
