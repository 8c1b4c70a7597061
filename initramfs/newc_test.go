package initramfs

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// member is one entry of an archive as this test reads it.
type member struct {
	inode, mode, uid, gid, links, mtime int64
	name, data                          string
}

// readNewc reads one cpio archive by the kernel's description of the format
// (buffer-format.rst) and returns what is behind its trailer.
func readNewc(data []byte) (members []member, rest []byte, err error) {
	take := func(n int64) string {
		if err != nil || n < 0 || n > int64(len(data)) {
			err = fmt.Errorf("archive cut off after %d members", len(members))
			return ""
		}
		s := string(data[:n])
		data = data[n:]
		return s
	}
	for err == nil {
		header := take(110)
		if !strings.HasPrefix(header, "070701") {
			return members, data, fmt.Errorf("after %d members: no magic number", len(members))
		}
		var f [13]int64
		for i := range f {
			if f[i], err = strconv.ParseInt(header[6+8*i:14+8*i], 16, 64); err != nil {
				return members, data, err
			}
		}
		size, nameSize := f[6], f[11]
		name := take(nameSize)
		take(-(110 + nameSize) & 3)
		m := member{f[0], f[1], f[2], f[3], f[4], f[5], strings.TrimSuffix(name, "\x00"), take(size)}
		take(-size & 3)
		if m.name == "TRAILER!!!" {
			return members, data, err
		}
		members = append(members, m)
	}
	return members, data, err
}

// unpack reads every segment of an archive as the kernel does: cpio that is
// not compressed begins at a multiple of 4, zeros are passed over.
func unpackNewc(t testing.TB, data []byte) [][]member {
	t.Helper()
	if len(data)%4 != 0 {
		t.Errorf("archive of %d bytes, expected a multiple of 4", len(data))
	}
	var segments [][]member
	for rest := data; len(rest) > 0; {
		var ms []member
		var err error
		switch {
		case rest[0] == 0:
			rest = rest[1:]
			continue
		case rest[0] == '0' && (len(data)-len(rest))%4 == 0:
			ms, rest, err = readNewc(rest)
		default:
			var frame []byte
			frame, rest = oneFrame(t, rest)
			var behind []byte
			if ms, behind, err = readNewc(frame); err == nil && len(behind) > 0 {
				err = fmt.Errorf("%d bytes behind the trailer", len(behind))
			}
		}
		if err != nil {
			t.Fatalf("segment %d: %v", len(segments), err)
		}
		segments = append(segments, ms)
	}
	return segments
}

// oneFrame decompresses the frame of zstd that data begins with, within the
// kernel's limit, and returns what follows it.
func oneFrame(t testing.TB, data []byte) (frame, rest []byte) {
	t.Helper()
	end := len(data)
	if i := bytes.Index(data[4:], []byte{0x28, 0xb5, 0x2f, 0xfd}); i >= 0 {
		end = i + 4
	}
	compressed := bytes.TrimRight(data[:end], "\x00")
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	// The last bytes of a frame may be zero as well: at most 3 are not.
	for n := len(compressed); n <= end; n++ {
		if frame, err = d.DecodeAll(data[:n], nil); err == nil {
			return frame, data[n:]
		}
	}
	t.Fatalf("zstd: %v", err)
	return nil, nil
}

// listing prints members as "cpio -itv --numeric-uid-gid --quiet" does, but
// for times.
func listing(ms []member) string {
	var b strings.Builder
	for _, m := range ms {
		kind, name := "-", m.name
		switch m.mode & 0o170000 {
		case 0o040000:
			kind = "d"
		case 0o120000:
			kind, name = "l", m.name+" -> "+m.data
		}
		perm := ""
		for i := 8; i >= 0; i-- {
			c := "-"
			if m.mode>>i&1 == 1 {
				c = string("rwx"[(8-i)%3])
			}
			perm += c
		}
		size := len(m.data)
		fmt.Fprintf(&b, "%s%s %3d %d %d %d %s\n", kind, perm, m.links, m.uid, m.gid, size, name)
	}
	return b.String()
}

// cpioListing is what GNU cpio says of an archive, in the form of listing.
func cpioListing(t testing.TB, archive []byte) string {
	t.Helper()
	cmd := exec.Command("cpio", "-itv", "--numeric-uid-gid", "--quiet")
	cmd.Env = []string{"TZ=UTC", "LC_ALL=C"}
	cmd.Stdin = bytes.NewReader(archive)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cpio: %v", err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if got := strings.Join(f[5:8], " "); got != "Jan 1 1970" {
			t.Errorf("cpio lists %q: time %s, expected none", line, got)
		}
		links, _ := strconv.Atoi(f[1])
		fmt.Fprintf(&b, "%s %3d %s %s %s %s\n", f[0], links, f[2], f[3], f[4], strings.Join(f[8:], " "))
	}
	return b.String()
}

// byName returns the members by name and fails on order, inodes and owners
// that are not ours.
func byName(t testing.TB, ms []member) map[string]member {
	t.Helper()
	all := map[string]member{}
	for i, m := range ms {
		if m.inode != int64(i+1) || m.uid != 0 || m.gid != 0 || m.mtime != 0 {
			t.Errorf("%s: inode %d, owner %d:%d, time %d; want %d, 0:0, 0", m.name, m.inode, m.uid, m.gid, m.mtime, i+1)
		}
		if i > 0 && ms[i-1].name >= m.name {
			t.Errorf("%s comes after %s", m.name, ms[i-1].name)
		}
		if links := map[bool]int64{true: 2, false: 1}[m.mode&0o170000 == 0o040000]; m.links != links {
			t.Errorf("%s: %d links, expected %d", m.name, m.links, links)
		}
		if dir := filepath.Dir(m.name); dir != "." && all[dir].mode&0o170000 != 0o040000 {
			t.Errorf("%s comes before its directory", m.name)
		}
		all[m.name] = m
	}
	return all
}
