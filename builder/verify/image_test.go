package verify_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/verify"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// parts is everything that an image is assembled from, for a test to change.
type parts struct {
	plan      *plan.Plan
	source    *fstree.Tree
	initramfs map[string]string // path to content; what is in the archive
	esp       func(t *fstree.Tree)
	params    func(p *btrfs.Params)
	table     func(t *gpt.Table)
	manifest  func(m *manifest.Manifest)
}

// testImage is an assembled image and the manifest beside it. Changes are made
// over the file, which stays as it is.
type testImage struct {
	file     *os.File
	size     int64
	manifest *manifest.Manifest
	patches  []patch
}

type patch struct {
	at    int64
	bytes []byte
}

func (m *testImage) ReadAt(p []byte, at int64) (int, error) {
	n, err := m.file.ReadAt(p, at)
	for _, c := range m.patches {
		if from, to := max(at, c.at), min(at+int64(len(p)), c.at+int64(len(c.bytes))); from < to {
			copy(p[from-at:to-at], c.bytes[from-c.at:to-c.at])
		}
	}
	return n, err
}

// flip inverts a byte.
func (m *testImage) flip(t testing.TB, at int64) {
	t.Helper()
	var b [1]byte
	if _, err := m.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	m.patches = append(m.patches, patch{at, []byte{^b[0]}})
}

// verify verifies the image as it is now.
func (m *testImage) verify(t testing.TB, o verify.Options) *verify.Report {
	t.Helper()
	var in io.ReaderAt = m
	if len(m.patches) == 0 {
		in = m.file // whose holes need not be read
	}
	r, err := verify.Image(t.Context(), in, m.size, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// program returns the least that passes for an EFI program.
func program(tag string) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0x600)
	copy(b, "MZ")
	b[0x3c] = 0x40
	copy(b[0x40:], "PE\x00\x00")
	le.PutUint16(b[0x44:], 0x8664)
	le.PutUint16(b[0x46:], 1)
	le.PutUint16(b[0x54:], 240)
	opt := b[0x58:]
	le.PutUint16(opt, 0x20b)
	le.PutUint32(opt[32:], 0x1000)
	le.PutUint32(opt[36:], 0x200)
	le.PutUint32(opt[56:], 0x2000)
	le.PutUint32(opt[60:], 0x400)
	le.PutUint32(opt[108:], 16)
	at := b[0x58+240:]
	copy(at, ".text")
	le.PutUint32(at[8:], 0x200)
	le.PutUint32(at[12:], 0x1000)
	le.PutUint32(at[16:], 0x200)
	le.PutUint32(at[20:], 0x400)
	copy(b[0x400:], tag)
	return b
}

// newc returns a cpio archive of programs: the plainest that there can be.
func newc(files map[string]string) []byte {
	var b bytes.Buffer
	member := func(name, content string, mode int) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
		for _, part := range []string{name + "\x00", content} {
			b.WriteString(part)
			b.Write(make([]byte, -b.Len()&3))
		}
	}
	for name, content := range files {
		member(name, content, 0o100755)
	}
	member("TRAILER!!!", "", 0)
	return b.Bytes()
}

// archive returns an initramfs: microcode in a plain archive, the rest in zstd.
func archive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return enc.EncodeAll(newc(files), newc(map[string]string{"kernel/x86/microcode/GenuineIntel.bin": "microcode"}))
}

func testProfile(kind string) profiles.Profile {
	return profiles.Profile{
		Name: "demo", Hostname: "demo", Roles: []string{"laptop"}, Source: "debian:trixie", Layout: "small",
		Boot: profiles.Boot{Loader: kind, Timeout: 3, Rescue: true}, Units: profiles.Units{Target: "multi-user.target"}, Initramfs: profiles.Initramfs{Shell: true},
		Locale: profiles.Locale{Lang: "C.UTF-8", Timezone: "UTC", Keymap: "us"}, Swap: profiles.Swap{Policy: "hibernate"},
	}
}

func testLayout() layouts.Layout {
	return layouts.Layout{
		Name: "small", ESP: layouts.ESP{Size: 34 << 20, Label: "ESP", Mount: "/boot"},
		Root: layouts.Root{Label: "system", Options: []string{"compress=zstd:3"}, Metadata: "dup"},
		Subvolumes: []layouts.Subvolume{
			{Name: "@", Mount: "/", Early: true}, {Name: "@home", Mount: "/home", Snapshots: true},
			{Name: "@var", Mount: "/var", Early: true}, {Name: "@log", Mount: "/var/log"}, {Name: "@swap", Mount: "/swap", NoDataCow: true},
		},
		Swapfile: layouts.Swapfile{Subvolume: "@swap", Name: "swapfile", Size: "ram", Image: 1 << 20},
		Factory:  layouts.Factory{Subvolumes: []string{"@"}},
	}
}

// makeParts returns the parts of an image that is as it should be.
func makeParts(t testing.TB, kind string) *parts {
	t.Helper()
	p, err := plan.Make(testProfile(kind), testLayout(), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	initJSON, err := json.Marshal(plan.InitConfig(p))
	if err != nil {
		t.Fatal(err)
	}
	s := &parts{plan: p, source: fstree.New(), initramfs: map[string]string{
		"init": "\x7fELF", strings.TrimPrefix(config.Path, "/"): string(initJSON),
		strings.TrimPrefix(config.Modules, "/"): "/lib/modules/6.12/btrfs.ko xor\n", "lib/modules/6.12/btrfs.ko": "module",
	}}
	for path, data := range map[string]string{
		"etc/os-release": "ID=demo\n", "usr/lib/linux": string(program("kernel")), "etc/fstab": fstab(p),
		"usr/lib/systemd/boot/efi/systemd-bootx64.efi": string(program("boot")),
		"usr/lib/systemd/boot/efi/linuxx64.efi.stub":   string(program("stub")),
		"usr/share/text": strings.Repeat("some text that compresses, ", 20_000),
		"home/user/file": "a file of the user", "var/lib/state": "state", "var/log/wtmp": "",
	} {
		if err := loader.Put(s.source, path, []byte(data), p.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"boot", "swap"} {
		if _, err := s.source.MkdirAll(dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func fstab(p *plan.Plan) string {
	text := "# comment\n\n"
	for _, m := range p.Mounts {
		text += fmt.Sprintf("%s\t%s %s %s 0 0\n", m.What, m.Target, m.Type, strings.Join(m.Options, ","))
	}
	return text + p.Swapfile.File + " none swap defaults 0 0\n"
}

// offset writes to a part of a file.
type offset struct {
	w  io.WriterAt
	at int64
}

func (o offset) WriteAt(p []byte, at int64) (int, error) { return o.w.WriteAt(p, o.at+at) }

// assemble writes an image.
func (s *parts) assemble(t testing.TB) *testImage {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	boot, err := loader.Tree(s.plan, s.source, []loader.Kernel{{Version: "6.12", Image: s.source.Lookup("usr/lib/linux"), Initramfs: archive(t, s.initramfs)}})
	if err != nil {
		t.Fatal(err)
	}
	root := s.writeRoot(t, f)
	table := s.placeTable(t, root.Size)
	if err := f.Truncate(table.DiskSize); err != nil {
		t.Fatal(err)
	}
	if err := gpt.Write(f, table); err != nil {
		t.Fatal(err)
	}
	files, err := loader.Files(boot)
	if err != nil {
		t.Fatal(err)
	}
	m := s.describe(t, f, root, table)
	m.Files = files
	s.writeESP(t, f, boot, m)
	return &testImage{file: f, size: table.DiskSize, manifest: m}
}

func (s *parts) writeRoot(t testing.TB, f *os.File) *btrfs.Result {
	t.Helper()
	params := btrfs.Params{Label: "system", Seed: s.plan.Seed, Timestamp: s.plan.Epoch, Compression: btrfs.Compression{Level: 3}}
	for _, v := range s.plan.Subvolumes {
		params.Subvolumes = append(params.Subvolumes, btrfs.Subvolume{Path: v.Path, Source: v.Source, Empty: v.Empty, NoDataCow: v.NoDataCow})
	}
	for _, v := range s.plan.Snapshots {
		params.Snapshots = append(params.Snapshots, btrfs.Snapshot{Source: v.Source, Path: v.Path})
	}
	params.Swapfiles = []btrfs.Swapfile{{Path: s.plan.Swapfile.Path, Size: s.plan.Swapfile.Size}}
	if s.params != nil {
		s.params(&params)
	}
	s.source.Freeze()
	r, err := btrfs.Write(t.Context(), offset{f, s.plan.Partition("root").Start}, s.source, params)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *parts) placeTable(t testing.TB, rootSize int64) gpt.Table {
	t.Helper()
	table := gpt.Table{GUID: s.plan.Disk.GUID, SectorSize: 512}
	for _, p := range s.plan.Disk.Partitions {
		if p.Size == 0 {
			p.Size = rootSize
		}
		table.Partitions = append(table.Partitions, gpt.Partition{Type: p.Type, GUID: p.PARTUUID, Label: p.Label, Start: p.Start, Size: p.Size})
	}
	if s.table != nil {
		s.table(&table)
	}
	table, err := gpt.Place(table)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// describe returns the manifest without the chunks of the ESP.
func (s *parts) describe(t testing.TB, f *os.File, root *btrfs.Result, table gpt.Table) *manifest.Manifest {
	t.Helper()
	m := &manifest.Manifest{Version: manifest.Version, Plan: s.plan, Image: manifest.Image{Size: table.DiskSize}}
	for i, p := range table.Partitions {
		m.Partitions = append(m.Partitions, manifest.Partition{Role: s.plan.Disk.Partitions[i].Role, Start: p.Start, Size: p.Size})
	}
	for _, v := range root.Subvolumes {
		m.Subvolumes = append(m.Subvolumes, manifest.Subvolume{Path: v.Path, ID: v.ID, UUID: v.UUID, ReadOnly: v.ReadOnly})
	}
	sw := root.Swapfiles[0]
	m.Swapfile = &manifest.Swapfile{Path: sw.Path, Size: sw.Size, ResumeOffset: sw.PhysicalPage}
	espRange := m.Partition("esp").Range()
	chunks, err := manifest.Digest(t.Context(), f, table.DiskSize, manifest.Options{Skip: &espRange})
	if err != nil {
		t.Fatal(err)
	}
	m.AddChunks(chunks)
	if s.manifest != nil {
		s.manifest(m)
	}
	return m
}

// writeESP writes the ESP with the manifest on it, and completes the manifest.
func (s *parts) writeESP(t testing.TB, f *os.File, tree *fstree.Tree, m *manifest.Manifest) {
	t.Helper()
	espRange := m.Partition("esp").Range()
	text, err := m.Without(espRange).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Put(tree, manifest.ESPPath, text, s.plan.Epoch); err != nil {
		t.Fatal(err)
	}
	if s.esp != nil {
		s.esp(tree)
	}
	tree.Freeze()
	if _, err := esp.Write(t.Context(), offset{f, espRange.Offset}, tree, esp.Params{
		Size: espRange.Length, Start: espRange.Offset, Label: "ESP", Serial: s.plan.Seed.Serial(ids.FATSerial), Timestamp: s.plan.Epoch,
	}); err != nil {
		t.Fatal(err)
	}
	chunks, err := manifest.Digest(t.Context(), f, m.Image.Size, manifest.Options{Only: &espRange})
	if err != nil {
		t.Fatal(err)
	}
	m.AddChunks(chunks)
}
