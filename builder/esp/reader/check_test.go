package reader

import (
	"context"
	"slices"
	"strings"
	"testing"
)

func TestCheckClean(t *testing.T) {
	m := makeImage(t)
	if problems := m.open().Check(context.Background()); len(problems) > 0 {
		t.Errorf("problems in a new file system: %v", problems)
	}
	if complains, out := m.fsckComplains(); complains {
		t.Errorf("fsck.fat: %s", out)
	}
}

// TestCheckBadCluster marks a free cluster as bad, which is no damage of the
// file system.
func TestCheckBadCluster(t *testing.T) {
	m := makeImage(t)
	m.entry(70000, entryBad)
	raw := make([]byte, 4)
	if _, err := m.ReadAt(raw, 512+488); err != nil {
		t.Fatal(err)
	}
	m.put(512+488, raw[0]-1)
	if problems := m.open().Check(context.Background()); len(problems) > 0 {
		t.Errorf("problems with a bad cluster: %v", problems)
	}
}

// damage is one way to break the test image.
type damage struct {
	name   string
	do     func(m *image)
	kind   Kind
	text   string // in one of the problems
	unseen bool   // by fsck.fat
}

const firstSlot = "FIRST~1 CON"

var damages = []damage{
	{"backup differs", func(m *image) { m.put(6*512+3, 'X') }, KindBackup, "byte 3 is 0x4d, in the copy in sector 6 it is 0x58", false},
	{"no backup", func(m *image) { m.put(50, 0, 0) }, KindBackup, "there is no copy", false},
	{"state", func(m *image) { m.put(65, 1) }, KindDirty, "state 0x01", false},
	{"not clean", func(m *image) { m.entry(1, 0x07ffffff) }, KindDirty, "entry 1 is 0x07ffffff", false},
	{"errors", func(m *image) { m.entry(1, 0x0bffffff) }, KindDirty, "entry 1 is 0x0bffffff", true},
	{"media", func(m *image) { m.entry(0, 0x0fffff00) }, KindTable, "entry 0 is 0x0fffff00", false},
	{"entry 1", func(m *image) { m.entry(1, 0x0ffffff0) }, KindTable, "entry 1 is 0x0ffffff0", true},
	{"copies", func(m *image) {
		b := &m.open().boot
		m.put(b.tableOffset+b.tableSize+4*int64(m.first("BIG.BIN")), 9, 0, 0, 0)
	}, KindTable, "in the second FAT it is 0x00000009", false},
	{"to a free cluster", func(m *image) { m.entry(m.first("BIG.BIN")+3, 0) }, KindChain, "leads to a free cluster behind 4 clusters", false},
	{"to a bad cluster", func(m *image) { m.entry(m.first("BIG.BIN")+3, entryBad) }, KindChain, "leads to a bad cluster behind 4 clusters", false},
	{"to cluster 1", func(m *image) { m.entry(m.first("BIG.BIN")+3, 1) }, KindChain, "cluster 0x1 behind 4", false},
	{"outside", func(m *image) { m.entry(m.first("BIG.BIN"), m.open().boot.clusters+2) }, KindChain, "behind 1 clusters, there are 2 to", false},
	{"directory outside", func(m *image) { m.relink(m.slot("EFI", "LINUX"), 0x0ffffff0) }, KindChain, "EFI/Linux: its chain leads to cluster 0xffffff0 behind 0", false},
	{"directory nowhere", func(m *image) { m.relink(m.slot("EFI", "LINUX"), 0) }, KindChain, "cluster 0x0 behind 0", false},
	{"loop", func(m *image) { m.entry(m.first("BIG.BIN")+9, m.first("BIG.BIN")+2) }, KindLoop, "BIG.BIN: its chain leads back", false},
	{"loop of one", func(m *image) { m.entry(m.first("loader/entries"), m.first("loader/entries")) }, KindLoop, "behind 1 clusters", false},
	{"crossed", func(m *image) {
		m.relink(m.slot("loader/entries", firstSlot), m.first("loader/entries/second.conf"))
	}, KindCrossed, "belongs to another chain as well", false},
	{"directory crossed", func(m *image) { m.relink(m.slot("EFI", "LINUX"), m.open().boot.root) }, KindCrossed, "EFI/Linux: its cluster 2", false},
	{"lost", func(m *image) { m.entry(70000, 70001); m.entry(70001, entryEnd) }, KindLost, "2 clusters are in use by no file, the first is 70000", false},
	{"too short", func(m *image) { m.entry(m.first("BIG.BIN")+5, entryEnd) }, KindSize, "16000 bytes need 32 clusters, its chain has 6", false},
	{"too long", func(m *image) { m.put(m.slot(".", "BIG     BIN")+28, 1, 0, 0, 0) }, KindSize, "1 bytes need 1 clusters, its chain has 32", false},
	{"none for data", func(m *image) { m.put(m.slot(".", "EMPTY")+28, 1) }, KindChain, "EMPTY: its chain leads to cluster 0x0", false},
	{"some for nothing", func(m *image) { m.put(m.slot("loader/entries", firstSlot)+28, 0) }, KindSize, "0 bytes need 0 clusters, its chain has 1", false},
	{"directory with a size", func(m *image) { m.put(m.slot("EFI", "LINUX")+28, 5) }, KindSize, "a directory with a size of 5", false},
	{"info signature", func(m *image) { m.put(512+484, 0) }, KindInfo, "signatures", false},
	{"info count", func(m *image) { m.put(512+488, 1, 2) }, KindInfo, "free clusters, counted", false},
	{"info next", func(m *image) { m.put(512+492, 1, 0, 0, 0) }, KindInfo, "next free cluster 1,", true},
	{"short twice", func(m *image) { m.put(m.slot(".", "EMPTY"), []byte("BIG     BIN")...) }, KindDuplicate, `"BIG.BIN" is that of "BIG.BIN"`, false},
	{"long twice", func(m *image) { m.rename(m.slot("loader/entries", "\x41s"), "FIRST.conf") }, KindDuplicate, `"FIRST.conf" is that of "first.conf"`, true},
	{"short name", func(m *image) { m.put(m.slot(".", "EMPTY")+1, '?') }, KindName, `"E?PTY`, false},
	{"short space", func(m *image) { m.put(m.slot(".", "EMPTY"), ' ') }, KindName, `" MPTY`, false},
	{"checksum", func(m *image) { m.put(m.slot("loader/entries", "\x41f")+13, 0) }, KindLongName, "FIRST~1.CON: long name: checksum 0x00", false},
	{"part without entry", func(m *image) { m.put(m.slot("loader/entries", firstSlot), slotDeleted) }, KindLongName, "belongs to no entry", false},
	{"part missing", func(m *image) { m.put(m.slot(".", "\x01G")+0, slotDeleted) }, KindLongName, "belongs to no entry", false},
	{"part number", func(m *image) { m.put(m.slot(".", "\x01G")+0, 2) }, KindLongName, "belongs to no entry", false},
	{"long character", func(m *image) { m.put(m.slot("loader/entries", "\x41f")+1, '/') }, KindLongName, `"/irst.conf" has a character`, true},
	{"long padding", func(m *image) { m.put(m.slot("loader/entries", "\x41f")+30, 'x', 0) }, KindLongName, "0x0078 behind its end", true},
	{"no dot", func(m *image) { m.put(m.slot("EFI/Linux", "."), 'X') }, KindDots, `the first two entries are "X`, false},
	{"dot elsewhere", func(m *image) { m.relink(m.slot("EFI/Linux", ". "), 2) }, KindDots, `"." is cluster 2`, false},
	{"dotdot elsewhere", func(m *image) { m.relink(m.slot("EFI/Linux", ".. "), 2) }, KindDots, `".." is cluster 2`, false},
	{"dotdot of the root", func(m *image) { m.relink(m.slot("EFI", ".. "), 2) }, KindDots, "expected directory 0", false},
	{"dot in the root", func(m *image) { m.put(m.slot(".", "EMPTY"), []byte(".    ")...) }, KindDots, "the root directory has an entry", false},
	{"label differs", func(m *image) { m.put(71, 'X'); m.put(6*512+71, 'X') }, KindLabel, `"XSP", the root directory "ESP"`, false},
	{"no label", func(m *image) { m.put(m.slot(".", "ESP        "), slotDeleted) }, KindLabel, "the root directory has none", false},
	{"label twice", func(m *image) { m.put(m.slot(".", "EMPTY")+11, attrLabel) }, KindLabel, "there are 2 volume labels", true},
	{"label below", func(m *image) { m.put(m.slot("loader/entries", firstSlot)+11, attrLabel) }, KindLabel, "in the root directory only", true},
}

// TestCheckDamage breaks an image in each way that Check looks for.
func TestCheckDamage(t *testing.T) {
	whole := makeImage(t)
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			m := &image{whole.Clone(), t}
			d.do(m)
			problems := m.open().Check(context.Background())
			if !slices.ContainsFunc(problems, func(p Problem) bool {
				return p.Kind == d.kind && strings.Contains(p.String(), d.text)
			}) {
				t.Errorf("problems %q; want one of kind %s with %q", problems, d.kind, d.text)
			}
			if complains, out := m.fsckComplains(); complains == d.unseen {
				t.Errorf("fsck.fat: complains %v, expected %v\n%s", complains, !d.unseen, out)
			}
		})
	}
}
