package boot

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

const (
	keyPath  = "/var/lib/sops-nix/key.txt"
	keyImage = "fox 0123"
	keyWait  = 7 // seconds of the console
	deadline = 30 * time.Second
)

// newIdentity returns a key and the text of its file.
func newIdentity(t testing.TB) (*age.X25519Identity, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id, "# created: today\r\n" + id.String() + "\r\n"
}

// timers are those of a search. They end when the test says so, or at once when
// their time is over.
type timers struct {
	mu      sync.Mutex
	pending map[time.Duration]chan time.Time // the last of each length
	made    []time.Duration
	changed func()
}

func (t *timers) after(d time.Duration) <-chan time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := make(chan time.Time, 1)
	if d <= 0 {
		c <- time.Time{}
	}
	t.pending[d], t.made = c, append(t.made, d)
	t.changed()
	return c
}

// fire ends the last timer of a length.
func (t *timers) fire(d time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.pending[d]
	if c != nil {
		c <- time.Time{}
		delete(t.pending, d)
	}
	return c != nil
}

func (t *timers) count(d time.Duration) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(t.made), func(made time.Duration) bool { return made != d }))
}

// keyBench is a machine without a key.
type keyBench struct {
	*keySearch
	t      *testing.T
	key    *age.X25519Identity
	text   string // of its file
	root   string
	timers timers
	driven int // how often drivers were started

	moreDrivers bool

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // a line or a timer has come
	ended   chan struct{}
}

func newKeyBench(t *testing.T, sources ...string) *keyBench {
	t.Helper()
	b := &keyBench{t: t, root: t.TempDir(), changed: make(chan struct{}, 1)}
	b.timers = timers{pending: map[time.Duration]chan time.Time{}, changed: b.notify}
	b.key, b.text = newIdentity(t)
	h := host{t.TempDir(), t.TempDir()}
	if err := os.MkdirAll(filepath.Join(h.sys, "class/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	f, err := newFinder(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	proc := t.TempDir()
	if err := os.WriteFile(filepath.Join(proc, "meminfo"), []byte("MemAvailable: 1000000 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.keySearch = &keySearch{
		config: config.AgeKey{Recipients: []string{b.key.Recipient().String()}, Sources: sources, Timeout: keyWait, Path: keyPath, Image: keyImage},
		root:   Device{Name: "vda2", Disk: "vda", Part: 2}, host: h, proc: proc, files: durable.OS(b.root), finder: f,
		drivers: func() bool { b.driven++; return b.moreDrivers },
		now:     func() time.Time { return time.Unix(1000, 0) }, since: func() time.Duration { return time.Minute },
		after: b.timers.after, ctx: ctx,
		log: func(level int, format string, args ...any) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.lines = append(b.lines, fmt.Sprintf("<%d>", level)+fmt.Sprintf(format, args...))
			b.notify()
		},
	}
	return b
}

// start begins the search, and wait returns when it has ended.
func (b *keyBench) start() {
	b.ended = make(chan struct{})
	go func() {
		b.run()
		close(b.ended)
	}()
}

func (b *keyBench) wait() {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(deadline):
		b.t.Fatalf("the search does not end; lines:\n%s", strings.Join(b.logged(), "\n"))
	}
}

func (b *keyBench) notify() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// eventually waits until lines and timers are as they should be.
func (b *keyBench) eventually(what string, ok func() bool) {
	b.t.Helper()
	late := time.After(deadline)
	for !ok() {
		select {
		case <-b.changed:
		case <-late:
			b.t.Fatalf("%s: not yet; timers %v, lines:\n%s", what, b.timers.made, strings.Join(b.logged(), "\n"))
		}
	}
}

func (b *keyBench) logged() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

// wantKey checks that the key is in its place, and the journal.
func (b *keyBench) wantKey(where string) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.root, keyPath))
	if err != nil || !strings.Contains(string(text), b.key.String()) {
		b.t.Errorf("no key in its place: %v; lines:\n%s", err, strings.Join(b.logged(), "\n"))
		return
	}
	if info, err := os.Stat(filepath.Join(b.root, keyPath)); err != nil || info.Mode().Perm() != 0o600 {
		b.t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	b.wantStep(firstboot.Done, 0, where)
}

// wantNone checks that there is no key, and why.
func (b *keyBench) wantNone(result string, code firstboot.Code, message string) {
	b.t.Helper()
	if _, err := os.Lstat(filepath.Join(b.root, keyPath)); err == nil {
		b.t.Errorf("there is a key")
	}
	b.wantStep(result, code, message)
	last := b.logged()[len(b.logged())-1]
	if !strings.HasPrefix(last, "<4>age key: ") || !strings.Contains(last, "mkimage-firstboot import") {
		b.t.Errorf("last line %q; want a warning with what to do", last)
	}
}

func (b *keyBench) wantStep(result string, code firstboot.Code, message string) {
	b.t.Helper()
	state, err := firstboot.ReadState(b.files)
	if err != nil {
		b.t.Fatal(err)
	}
	step, ok := state.Last("age-key")
	if !ok || step.Result != result || step.Code != int(code) || step.Image != keyImage || !strings.Contains(step.Message, message) {
		b.t.Errorf("step %+v; want %s, code %d, %q; lines:\n%s", step, result, code, message, strings.Join(b.logged(), "\n"))
	}
	for _, line := range append(b.logged(), fmt.Sprintf("%+v", state)) {
		if strings.Contains(line, b.key.String()) || strings.Contains(line, "AGE-SECRET-KEY-1Q") {
			b.t.Errorf("a key in %q", line)
		}
	}
}

// wantLine checks that a line was logged.
func (b *keyBench) wantLine(pattern string) {
	b.t.Helper()
	if !slices.ContainsFunc(b.logged(), regexp.MustCompile(pattern).MatchString) {
		b.t.Errorf("no line %q in:\n%s", pattern, strings.Join(b.logged(), "\n"))
	}
}

// fill writes a file below a folder.
func fill(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// part is a partition with a FAT32 file system of files, or without one when
// they are nil.
type part struct {
	kind  ids.UUID
	label string
	files map[string]string
}

// fatSize is enough for a FAT32 file system.
const fatSize = 40 * mib

// plug makes a disk, and tells the finder of its partitions as the kernel does.
func (b *keyBench) plug(disk string, parts ...part) {
	b.t.Helper()
	seed := ids.Seed{7}
	table := gpt.Table{GUID: seed.UUID(disk), SectorSize: 512}
	for i, p := range parts {
		table.Partitions = append(table.Partitions, gpt.Partition{Type: p.kind, GUID: seed.UUID(fmt.Sprint(disk, i)), Label: p.label, Size: fatSize})
	}
	table, err := gpt.Place(table)
	if err != nil {
		b.t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(b.host.dev, disk))
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(table.DiskSize); err != nil {
		b.t.Fatal(err)
	}
	if err := gpt.Write(f, table); err != nil {
		b.t.Fatal(err)
	}
	dir := filepath.Join("devices", disk)
	fill(b.t, b.host.sys, dir+"/queue/logical_block_size", []byte("512\n"))
	fill(b.t, b.host.sys, dir+"/dev", []byte("8:0\n"))
	fill(b.t, b.host.sys, dir+"/size", fmt.Appendln(nil, table.DiskSize/512))
	names := []string{disk}
	for i, p := range parts {
		name, at := fmt.Sprint(disk, i+1), table.Partitions[i].Start
		node, err := os.Create(filepath.Join(b.host.dev, name))
		if err != nil {
			b.t.Fatal(err)
		}
		if err := node.Truncate(fatSize); err != nil {
			b.t.Fatal(err)
		}
		if p.files != nil { // a disk's own node is another file than its partition's
			writeFAT(b.t, &offsetWriter{f, at}, p.files)
			writeFAT(b.t, &offsetWriter{node, 0}, p.files)
		}
		if err := node.Close(); err != nil {
			b.t.Fatal(err)
		}
		for file, text := range map[string]int64{"partition": int64(i + 1), "start": at / 512, "size": fatSize / 512} {
			fill(b.t, b.host.sys, filepath.Join(dir, name, file), fmt.Appendln(nil, text))
		}
		fill(b.t, b.host.sys, filepath.Join(dir, name, "dev"), fmt.Appendf(nil, "8:%d\n", i+1))
		names = append(names, filepath.Join(disk, name))
	}
	for _, name := range names {
		link := filepath.Join(b.host.sys, "class/block", filepath.Base(name))
		_ = os.Remove(link) // of a disk of the name that was there before
		if err := os.Symlink("../../devices/"+name, link); err != nil {
			b.t.Fatal(err)
		}
		go send(b.t.Context(), b.finder.names, filepath.Base(name))
	}
}

// known makes the finder know all devices.
func (b *keyBench) known() {
	b.t.Helper()
	names, err := b.host.names()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, name := range names {
		if b.finder.devices[name], err = b.host.identify(name); err != nil {
			b.t.Fatal(err)
		}
	}
}

func writeFAT(t testing.TB, w *offsetWriter, files map[string]string) {
	t.Helper()
	tree := fstree.New()
	for name, text := range files {
		if _, err := tree.Root().Add(name, &fstree.Inode{Mode: fstree.TypeRegular | 0o644, Size: int64(len(text)), Content: fstree.Bytes(text)}); err != nil {
			t.Fatal(err)
		}
	}
	tree.Freeze()
	if _, err := esp.Write(t.Context(), w, tree, esp.Params{Size: fatSize, Serial: 1, Timestamp: time.Unix(1e9, 0)}); err != nil {
		t.Fatal(err)
	}
}

// asFAT16 makes the FAT32 file system of a node one of FAT16 as to its boot
// sector.
func (b *keyBench) asFAT16(name string) {
	b.t.Helper()
	f, err := os.OpenFile(filepath.Join(b.host.dev, name), os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(binary.LittleEndian.AppendUint16(nil, 512), 17); err != nil {
		b.t.Fatal(err)
	}
}

// medium is the partition of a key medium.
func medium(files map[string]string) part { return part{rootType, config.KeyLabel, files} }

// exists reports whether there is a file below the new root.
func (b *keyBench) exists(pattern string) bool {
	found, err := fs.Glob(os.DirFS(b.root), pattern)
	return err == nil && len(found) == 1
}
