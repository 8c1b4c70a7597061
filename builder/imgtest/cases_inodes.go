package imgtest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// maxTarget is the longest target of a symlink: a path with its NUL is a page.
const maxTarget = 4095

// plantLinks adds symbolic and hard links.
func plantLinks(p *planter) {
	long := strings.Repeat("0123456789abcde/", 256)
	for _, n := range []int{1, 59, 60, 255, 2048, 2049, maxTarget - 1, maxTarget} {
		p.symlink(fmt.Sprintf("links/sym-%04d", n), long[:n])
	}
	p.symlink("links/sym-dangling", "/no/such/file")
	p.symlink("links/sym-loop", "sym-loop")
	p.symlink("links/sym-bytes", "\xff\xfe\n ü")
	owned := p.symlink("links/sym-owned", "../etc")
	owned.UID, owned.GID = 1000, 100

	p.link("links/hard-2", p.full("links/hard-1", 5000, Text, 1))
	p.link("links/hard-inline-2", p.full("links/hard-inline-1", 50, Text, 2))
	p.link("links/hard-empty-2", p.full("links/hard-empty-1", 0, Text, 0))
	p.link("links/hard-sym-2", p.symlink("links/hard-sym-1", "hard-1"))
	p.link("links/hard-dev-2", p.device("links/hard-dev-1", fstree.TypeChar|0o600, 1, 3))
	p.link("links/hard-fifo-2", p.node("links/hard-fifo-1", fstree.TypeFIFO|0o600))
	far := p.full("links/a/far", 300_000, Random, 3)
	for i := range 50 {
		p.link(fmt.Sprintf("links/%s/%d/far", strings.Repeat("d/", i%5)+"e", i), far)
	}
	p.link("links/zz-same-dir", far)
}

// refNameLen is the length of the names that fill an INODE_REF item of 16258
// bytes: with their 10 bytes each and a first name of one byte, 173 names take
// 16179 bytes and 174 do not fit.
const refNameLen = 84

// plantRefs adds a file with n names in one directory.
func plantRefs(p *planter, dir string, n int) *fstree.Entry {
	first := p.full(dir+"/0", 100, Text, uint64(n))
	for i := 1; i < n; i++ {
		p.link(dir+"/"+fmt.Sprintf("%0*d", refNameLen, i), first)
	}
	return first
}

// plantRefLimit adds inodes whose names in one directory just fit an INODE_REF
// item.
func plantRefLimit(p *planter) {
	for _, n := range []int{172, 173} {
		first := plantRefs(p, fmt.Sprintf("reflimit/%d", n), n)
		p.link(fmt.Sprintf("reflimit/elsewhere-%d", n), first)
	}
}

// Extrefs returns a tree of inodes whose names do not fit an INODE_REF item, so
// that they need INODE_EXTREFs: in one directory, and with names in others. It
// is no part of EveryCase because btrfs check 6.14 in mode lowmem finds "errors
// in fs roots" in what the kernel makes of it: check it in mode original only.
func Extrefs() *fstree.Tree {
	p := newPlanter()
	for _, n := range []int{174, 300, 1000} {
		plantRefs(p, fmt.Sprintf("extrefs/%d", n), n)
		first := plantRefs(p, fmt.Sprintf("extrefs/%d-across", n), n)
		for i := range 5 {
			p.link(fmt.Sprintf("extrefs/%d-%d/a", n, i), first)
		}
	}
	p.tree.Freeze()
	return p.tree
}

// plantSpecial adds devices, fifos and sockets.
func plantSpecial(p *planter) {
	devices := []struct{ major, minor uint32 }{{0, 0}, {1, 3}, {10, 300}, {8, 255}, {8, 256}, {259, 1048575}, {4095, 0}, {4095, 1048575}}
	for _, d := range devices {
		p.device(fmt.Sprintf("special/char-%d-%d", d.major, d.minor), fstree.TypeChar|0o660, d.major, d.minor)
		p.device(fmt.Sprintf("special/block-%d-%d", d.major, d.minor), fstree.TypeBlock|0o660, d.major, d.minor)
	}
	p.node("special/fifo", fstree.TypeFIFO|0o644)
	p.node("special/socket", fstree.TypeSocket|0o755)
}

// plantModes adds files and directories with the permission bits that matter.
func plantModes(p *planter) {
	for _, m := range []uint32{0, 0o1, 0o400, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o6755, 0o7777, 0o4000, 0o2000, 0o1000} {
		p.full(fmt.Sprintf("modes/file-%04o", m), 10, Text, 1).Mode = fstree.TypeRegular | m
		p.node(fmt.Sprintf("modes/dir-%04o", m), fstree.TypeDir|m)
		p.node(fmt.Sprintf("modes/fifo-%04o", m), fstree.TypeFIFO|m)
	}
	p.full("modes/dir-0000/inside", 10, Text, 1)
}

// plantOwners adds files of every edge user and group; 4294967295 is no id.
func plantOwners(p *planter) {
	ids := []uint32{0, 1, 1000, 65533, 65534, 65535, 65536, 2147483647, 2147483648, 4294967294}
	for i, id := range ids {
		e := p.full(fmt.Sprintf("owners/%d", id), 10, Text, 1)
		e.UID, e.GID = id, ids[len(ids)-1-i]
		d := p.node(fmt.Sprintf("owners/dir-%d", id), fstree.TypeDir|0o700)
		d.UID, d.GID = id, id
	}
}

// plantTimes adds files and symlinks with times at the edges.
func plantTimes(p *planter) {
	times := []struct {
		name string
		sec  int64
		nsec uint32
	}{
		{"nanosecond", 0, 1}, {"1970-999999999", 0, 999999999}, {"before-1970", -1, 999999999}, {"1901", -1 << 31, 0},
		{"before-1901", -1<<31 - 1, 5}, {"year-1000", -30_610_224_000, 0}, {"2038", 1<<31 - 1, 999999999},
		{"after-2038", 1 << 31, 0}, {"2106", 1 << 32, 1}, {"after-2446", 1 << 34, 123456789}, {"year-9999", 253_402_300_799, 0},
	}
	for _, tm := range times {
		for _, e := range []*fstree.Entry{
			p.full("times/"+tm.name, 10, Text, 1), p.symlink("times/sym-"+tm.name, "x"), p.node("times/dir-"+tm.name, fstree.TypeDir|0o755),
		} {
			e.Sec, e.Nsec = tm.sec, tm.nsec
		}
	}
}

// Values that the kernel checks when they are set: linux/capability.h and
// linux/posix_acl_xattr.h.
var (
	// capNetRaw is version 2 with cap_net_raw, permitted and effective, as
	// ping has it.
	capNetRaw = []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	// capNamespaced is version 3: the same for the user namespace whose root
	// is user 100000.
	capNamespaced = []byte("\x01\x00\x00\x03\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa0\x86\x01\x00")
	// aclAccess is user::rw-, user:1000:r--, group::r--, mask::r--, other::r--.
	aclAccess = []byte("\x02\x00\x00\x00" +
		"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\xe8\x03\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" +
		"\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x04\x00\xff\xff\xff\xff")
	// aclDefault is default:user::rwx, group::r-x, group:100:rwx, mask::rwx, other::---.
	aclDefault = []byte("\x02\x00\x00\x00" +
		"\x01\x00\x07\x00\xff\xff\xff\xff" + "\x04\x00\x05\x00\xff\xff\xff\xff" + "\x08\x00\x07\x00\x64\x00\x00\x00" +
		"\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff")
)

// plantXattrs adds extended attributes on every kind of inode that may have
// them. Those of the user namespace may stand on files and directories only.
func plantXattrs(p *planter) {
	file := func(name string, xs ...fstree.Xattr) {
		p.full("xattrs/"+name, 100, Text, 1).Xattrs = sortedXattrs(xs)
	}
	file("one", fstree.Xattr{Name: "user.comment", Value: []byte("a comment")})
	file("empty-value", fstree.Xattr{Name: "user.empty", Value: []byte{}})
	file("binary", fstree.Xattr{Name: "user.b", Value: []byte{0, 255, 10, 0}})
	file("capability", fstree.Xattr{Name: "security.capability", Value: capNetRaw})
	file("capability-v3", fstree.Xattr{Name: "security.capability", Value: capNamespaced})
	file("acl", fstree.Xattr{Name: "system.posix_acl_access", Value: aclAccess})
	file("trusted", fstree.Xattr{Name: "trusted.overlay.opaque", Value: []byte("y")})
	file("security", fstree.Xattr{Name: "security.other", Value: []byte("x")})
	file("name-255", fstree.Xattr{Name: "user." + strings.Repeat("n", 250), Value: []byte("v")})
	// A leaf item holds 16228 bytes of name and value.
	file("value-16000", fstree.Xattr{Name: "user.large", Value: bytes.Repeat([]byte("0123456789"), 1600)})
	var many, collide []fstree.Xattr
	for i := range 400 {
		many = append(many, fstree.Xattr{Name: number("user.many.", i), Value: fmt.Appendf(nil, "value %d", i)})
	}
	file("many", many...)
	for i, name := range Colliding("user.c-", 20) {
		collide = append(collide, fstree.Xattr{Name: name, Value: fmt.Appendf(nil, "%d", i)})
	}
	file("collisions", collide...)
	file("all", append(many[:20:20], append(collide[:5:5],
		fstree.Xattr{Name: "security.capability", Value: capNetRaw},
		fstree.Xattr{Name: "system.posix_acl_access", Value: aclAccess},
		fstree.Xattr{Name: "trusted.x", Value: nil})...)...)

	d := p.node("xattrs/dir", fstree.TypeDir|0o770)
	d.Xattrs = []fstree.Xattr{
		{Name: "system.posix_acl_default", Value: aclDefault},
		{Name: "user.on-directory", Value: []byte("1")},
	}
	trusted := []fstree.Xattr{{Name: "trusted.t", Value: []byte("on a special file")}}
	p.symlink("xattrs/sym", "x").Xattrs = trusted
	p.node("xattrs/fifo", fstree.TypeFIFO|0o644).Xattrs = trusted
	p.device("xattrs/dev", fstree.TypeChar|0o644, 1, 5).Xattrs = trusted
	linked := p.full("xattrs/hard-1", 10, Text, 1)
	linked.Xattrs = []fstree.Xattr{{Name: "user.shared", Value: []byte("by both names")}}
	p.link("xattrs/hard-2", linked)
}
