package imgtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

func sortedXattrs(xs []fstree.Xattr) []fstree.Xattr {
	slices.SortFunc(xs, func(a, b fstree.Xattr) int { return cmp.Compare(a.Name, b.Name) })
	return xs
}

// plantNames adds names of every byte that a name may hold.
func plantNames(p *planter) {
	names := []string{
		strings.Repeat("x", 254), strings.Repeat("y", 255), strings.Repeat("ü", 127) + "z",
		" ", "a name with spaces ", "line\nfeed", "tab\there", "Grüße", "日本語", "e\u0301", "\u00e9",
		"invalid-\xff\xfe\x80", "\xc3", "trailing.", "trailing...", ".hidden", "...", "-dash", "--rf", "~", "#", "*", "$HOME",
		"back\\slash", "quote'\"", "UPPER", "upper", "%41", "a:b", "\x01", "\x7f", "con", "nul",
	}
	for i, n := range names {
		p.full("names/"+n, int64(i), Text, 5)
		p.node("names/dirs/"+n, fstree.TypeDir|0o755)
		p.symlink("names/syms/"+n, n)
	}
	for c := 1; c < 256; c++ {
		if c != '/' && c != '.' {
			p.full("names/bytes/"+string([]byte{byte(c)}), int64(c), Text, 6)
		}
	}
}

// plantCollisions adds directories in which names share their hash, so that
// several entries stand in one DIR_ITEM.
func plantCollisions(p *planter) {
	for _, n := range []int{2, 3, 100} {
		for i, name := range Colliding("n", n) {
			p.full(fmt.Sprintf("collisions/files-%d/%s", n, name), int64(i), Text, 7)
		}
	}
	for i, name := range Colliding("mixed", 12) {
		path := "collisions/mixed/" + name
		switch i % 4 {
		case 0:
			p.full(path+"/inside", 10, Text, 8)
		case 1:
			p.symlink(path, name)
		case 2:
			p.device(path, fstree.TypeBlock|0o600, 7, uint32(i))
		case 3:
			p.full(path, 5000, Random, 8)
		}
	}
	linked := p.full("collisions/links-first", 10, Text, 9)
	for _, name := range Colliding("hard", 40) {
		p.link("collisions/links/"+name, linked)
	}
}

// plantDirectories adds empty, deep and wide directories.
func plantDirectories(p *planter) {
	p.node("directories/empty", fstree.TypeDir|0o755)
	p.node("directories/empty-nested/a/b/c", fstree.TypeDir|0o755)
	deep := "directories/deep"
	for i := range 200 {
		deep += fmt.Sprintf("/level-%03d", i)
		if i%10 == 0 {
			p.full(deep+"/file", 100, Text, uint64(i))
		}
	}
	p.full(deep+"/bottom", 10, Text, 0)
	wide(p, "directories/wide", 2000)
	long := strings.Repeat("w", 240)
	for i := range 300 {
		p.full("directories/long-names/"+number(long, i), 0, Text, 0)
	}
	for i := range 300 {
		p.node(number("directories/subdirectories/d", i), fstree.TypeDir|0o755)
	}
}

// plantLayout adds what the subvolumes of a laptop are made from: home, nix,
// var and an empty swap, and hard links whose ends lie in two of them.
func plantLayout(p *planter) {
	p.full("etc/fstab", 300, Text, 20)
	p.symlink("bin", "usr/bin")
	p.full("usr/bin/true", 30_000, ELF, 21)
	p.full("home/ada/notes.txt", 20_000, Text, 22)
	p.node("home/ada/.cache", fstree.TypeDir|0o700)
	for i := range 40 {
		store := fmt.Sprintf("nix/store/%032x-package-%d", mix(uint64(i)), i)
		lib := p.full(store+"/lib/libx.so", 40_000, ELF, uint64(i%5))
		p.full(store+"/bin/x", 9_000, ELF, uint64(i))
		p.symlink(store+"/lib/libx.so.1", "libx.so")
		for _, e := range []*fstree.Entry{lib, lib.Parent(), lib.Parent().Parent()} {
			e.Sec, e.Nsec, e.Mode = 1, 0, e.Mode&^0o222
		}
	}
	p.full("var/lib/sops-nix/key.txt", 189, Text, 23).Mode = fstree.TypeRegular | 0o600
	p.full("var/log/journal/system.journal", 1<<20, Mixed, 24)
	p.node("swap", fstree.TypeDir|0o700)
	across := p.full("opt/shared", 200_000, Random, 25)
	for _, path := range []string{"home/ada/shared", "home/ada/shared-2", "var/lib/shared", "opt/shared-2"} {
		p.link(path, across)
	}
}
