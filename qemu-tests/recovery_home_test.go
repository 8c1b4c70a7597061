package qemutests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/rehearsal/listtree"
)

// homeFiles is how many files a user's home has, unless a test says otherwise.
const homeFiles = 20_000

// homeVersion changes when homeTree makes something else of the same number.
const homeVersion = "2"

// The user whose home it is, and the name of the machine.
const (
	homeUser  = "bandit"
	homeOwner = 1000 // user and group
)

// makeHome makes the folder home in dir, with a user's files in it: n regular
// files, and all else that a backup has to keep. Equal numbers give equal files.
// It needs root.
func makeHome(t testing.TB, dir string, n int) {
	t.Helper()
	home := filepath.Join(dir, "home")
	check(t, os.Mkdir(home, 0o755))
	imgtest.Materialize(t, homeTree(n).Root(), home)
}

// listHome returns the list of all that is to be kept below a folder.
func listHome(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	check(t, listtree.List(&b, dir))
	return b.String()
}

// homeTree returns what makeHome makes, as it is below /home.
func homeTree(n int) *fstree.Tree {
	h := &homePlanter{tree: fstree.New(), rng: rand.New(rand.NewPCG(1, 2))}
	h.date(h.tree.Root().Inode)
	user := h.dir(h.tree.Root(), homeUser)
	user.Mode = fstree.TypeDir | 0o700
	h.special(user)
	for i := 0; h.files < n; i++ {
		h.bulk(user, i)
	}
	h.tree.Freeze()
	return h.tree
}

// homePlanter fills a home.
type homePlanter struct {
	tree  *fstree.Tree
	rng   *rand.Rand
	files int // regular files so far, whatever number of names they have
}

// add adds an inode of the user's with a time of its own, unless it has one.
func (h *homePlanter) add(dir *fstree.Entry, name string, i *fstree.Inode) *fstree.Entry {
	if i.Links() == 0 {
		h.date(i)
		if i.IsRegular() {
			h.files++
		}
	}
	e, err := dir.Add(name, i)
	if err != nil {
		panic("home: " + err.Error()) // two of a name, in this file
	}
	return e
}

func (h *homePlanter) date(i *fstree.Inode) {
	i.Sec, i.Nsec = 1_600_000_000+h.rng.Int64N(1<<27), h.rng.Uint32N(1_000_000_000)
}

func (h *homePlanter) dir(parent *fstree.Entry, name string) *fstree.Entry {
	return h.add(parent, name, &fstree.Inode{Mode: fstree.TypeDir | 0o755, UID: homeOwner, GID: homeOwner})
}

// file adds a file of the user's with pieces of content, which ends where the
// last one does.
func (h *homePlanter) file(dir *fstree.Entry, name string, pieces ...imgtest.Piece) *fstree.Entry {
	i := &fstree.Inode{Mode: fstree.TypeRegular | 0o644, UID: homeOwner, GID: homeOwner, Content: imgtest.Pieces(pieces)}
	if n := len(pieces); n > 0 {
		i.Size = pieces[n-1].Offset + pieces[n-1].Length
	}
	return h.add(dir, name, i)
}

// data adds a file without holes.
func (h *homePlanter) data(dir *fstree.Entry, name string, size int64, kind imgtest.Kind) *fstree.Entry {
	return h.file(dir, name, imgtest.Piece{Length: size, Kind: kind, Seed: h.rng.Uint64()})
}

func (h *homePlanter) symlink(dir *fstree.Entry, name, target string) {
	h.add(dir, name, &fstree.Inode{Mode: fstree.TypeSymlink | 0o777, UID: homeOwner, GID: homeOwner, Link: target, Size: int64(len(target))})
}

// bulk adds the files that a home has most of: small ones in many folders.
func (h *homePlanter) bulk(user *fstree.Entry, i int) {
	const inFolder, inGroup = 50, 20
	group := h.child(user, fmt.Sprintf("project %02d", i/inFolder/inGroup))
	dir := h.child(group, fmt.Sprintf("src-%d", i/inFolder%inGroup))
	size := h.rng.Int64N(2048)
	if h.rng.IntN(10) == 0 {
		size = h.rng.Int64N(40_000)
	}
	h.data(dir, fmt.Sprintf("%05d.txt", i), size, imgtest.Mixed)
}

// child returns a folder, which it makes if it is not there.
func (h *homePlanter) child(parent *fstree.Entry, name string) *fstree.Entry {
	if c := parent.Child(name); c != nil {
		return c
	}
	return h.dir(parent, name)
}

// specialFiles is how many regular files special adds.
const specialFiles = 44

// special adds one of everything.
func (h *homePlanter) special(user *fstree.Entry) {
	h.sizes(h.dir(user, "sizes"))
	h.names(h.dir(user, "names"))
	h.attributes(h.dir(user, "attributes"))
	h.links(h.dir(user, "links"))
	deep := h.dir(user, "deep")
	for i := range 60 {
		deep = h.dir(deep, fmt.Sprintf("level %d", i))
	}
	h.data(deep, "bottom", 10, imgtest.Text)
	h.dir(user, "empty folder").Mode = fstree.TypeDir | 0o500
}

func (h *homePlanter) sizes(dir *fstree.Entry) {
	for _, size := range []int64{0, 1, 4095, 4096, 4097, 512 << 10, 1 << 20, 1<<20 + 1} {
		h.data(dir, fmt.Sprintf("%d bytes", size), size, imgtest.Mixed)
	}
	for i := range 3 {
		h.data(dir, fmt.Sprintf("film %d", i), 20<<20, imgtest.Random)
	}
	h.file(dir, "sparse", imgtest.Piece{Offset: 1 << 20, Length: 4096, Kind: imgtest.Random, Seed: 1}, imgtest.Piece{Offset: 40 << 20, Length: 4096, Kind: imgtest.Random, Seed: 2})
	h.file(dir, "hole").Size = 16 << 20
	h.data(dir, "zeros", 3<<20, imgtest.Zeros)
}

func (h *homePlanter) names(dir *fstree.Entry) {
	for i, name := range []string{
		" ", "two words", "trailing ", "-rf", "a\nb", "tab\t", `back\slash`, `"quoted"`, "'", "*", "$HOME", "%n", "~", "...",
		"Grüße", "日本語", "e\u0301", "\xff\xfe", strings.Repeat("n", 255), strings.Repeat("ü", 127) + "n",
	} {
		if i%3 == 0 {
			h.dir(dir, name)
			continue
		}
		h.data(dir, name, 100, imgtest.Text)
	}
}

func (h *homePlanter) attributes(dir *fstree.Entry) {
	for _, mode := range []uint32{0, 0o400, 0o777, 0o4755, 0o2755, 0o6711, 0o1644} {
		h.data(dir, fmt.Sprintf("mode %04o", mode), 10, imgtest.Text).Mode = fstree.TypeRegular | mode
	}
	h.dir(dir, "sticky").Mode = fstree.TypeDir | 0o1777
	h.dir(dir, "group").Mode = fstree.TypeDir | 0o2775
	for _, o := range []struct{ uid, gid uint32 }{{0, 0}, {1001, 100}, {65534, 65534}, {3_000_000_000, 1}} {
		e := h.data(dir, fmt.Sprintf("of %d", o.uid), 10, imgtest.Text)
		e.UID, e.GID = o.uid, o.gid
	}
	of := h.dir(dir, "of another")
	of.UID, of.GID = 1001, 100
	// In an order: each of them takes from the random numbers.
	for _, at := range []struct {
		name string
		sec  int64
	}{{"before 1970", -1_000_000_001}, {"1970", 0}, {"after 2038", 1 << 32}} {
		h.data(dir, at.name, 10, imgtest.Text).Sec = at.sec
	}
	long := []byte(strings.Repeat("v", 1000))
	h.data(dir, "xattrs", 10, imgtest.Text).Xattrs = []fstree.Xattr{{Name: "user.binary", Value: []byte{0, 1, 255}}, {Name: "user.long", Value: long}}
	h.dir(dir, "folder with xattr").Xattrs = []fstree.Xattr{{Name: "user.mkimage", Value: []byte("kept")}}
}

func (h *homePlanter) links(dir *fstree.Entry) {
	first := h.data(dir, "first name", 5000, imgtest.Text)
	h.add(dir, "second name", first.Inode)
	h.add(h.dir(dir, "elsewhere"), "third name", first.Inode)
	h.symlink(dir, "to a file", "first name")
	h.symlink(dir, "to nothing", "there is nothing")
	h.symlink(dir, "to itself", "to itself")
	h.symlink(dir, "absolute", "/etc/passwd")
	h.symlink(dir, "long", strings.Repeat("x/", 1000)+"x")
	h.add(dir, "fifo", &fstree.Inode{Mode: fstree.TypeFIFO | 0o620, UID: homeOwner, GID: homeOwner})
}

// buildListtree builds the program that makes lists in guests, once in a run.
var buildListtree = sync.OnceValues(func() (string, error) {
	program := filepath.Join(buildDir, "listtree")
	cmd := exec.Command("go", "build", "-o", program, "../builder/imgtest/cmd/listtree")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// listtreeSerial is the serial number of the disk that brings the program.
const listtreeSerial = "LISTTREE"

// listtreeDisk returns a disk that is the program for guestHome, from its first
// byte on.
func listtreeDisk(t *testing.T) Disk {
	t.Helper()
	program, err := buildListtree()
	check(t, err)
	text, err := os.ReadFile(program)
	check(t, err)
	file := filepath.Join(t.TempDir(), "listtree.img")
	const sector = 512
	check(t, os.WriteFile(file, append(text, make([]byte, sector-len(text)%sector)...), 0o600))
	return Disk{File: file, Bus: VirtioBlk, Serial: listtreeSerial}
}

// guestHome is listHome in a guest that has the disk.
func guestHome(t *testing.T, vm *VM, dir string) string {
	t.Helper()
	out, err := vm.Output(step(t), listScript("/dev/disk/by-id/virtio-"+listtreeSerial, "/run/listtree", dir))
	check(t, err)
	return out + "\n"
}

// listScript runs the program of a disk, in a folder of its own: nothing may be
// executable in /run.
func listScript(disk, scratch, dir string) string {
	return fmt.Sprintf(`mkdir -p %[2]s && mount -t tmpfs -o mode=700 tmpfs %[2]s &&
cat %[1]s >%[2]s/listtree && chmod 700 %[2]s/listtree && %[2]s/listtree %[3]s
status=$?; umount %[2]s; exit $status`, shellQuote(disk), shellQuote(scratch), shellQuote(dir))
}

// wantHome compares two lists, line by line.
func wantHome(t *testing.T, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	missing, more := lineDiff(want, got)
	const most = 20
	t.Errorf("%d files are missing or differ, such as\n%s\n%d are new or differ, such as\n%s", len(missing), strings.Join(missing[:min(most, len(missing))], "\n"), len(more), strings.Join(more[:min(most, len(more))], "\n"))
}

// lineDiff returns the lines that only a has, and those that only b has.
func lineDiff(a, b string) (onlyA, onlyB []string) {
	in := map[string]int{}
	for line := range strings.Lines(b) {
		in[line]++
	}
	for line := range strings.Lines(a) {
		if in[line]--; in[line] < 0 {
			onlyA = append(onlyA, strings.TrimSuffix(line, "\n"))
		}
	}
	for line := range strings.Lines(b) {
		if in[line] > 0 {
			in[line]--
			onlyB = append(onlyB, strings.TrimSuffix(line, "\n"))
		}
	}
	return onlyA, onlyB
}

func TestHomeFixture(t *testing.T) {
	imgtest.NeedRoot(t)
	var lists [2]string
	for i := range lists {
		dir := t.TempDir()
		makeHome(t, dir, 300)
		lists[i] = listHome(t, filepath.Join(dir, "home"))
		if i == 0 {
			program, err := buildListtree()
			check(t, err)
			disk := listtreeDisk(t)
			out, err := exec.Command("sh", "-c", listScript(disk.File, filepath.Join(t.TempDir(), "scratch"), filepath.Join(dir, "home"))).Output()
			check(t, err)
			wantHome(t, lists[0], string(out))
			wantHome(t, lists[0], command(t, program, filepath.Join(dir, "home"))+"\n")
		}
	}
	wantHome(t, lists[0], lists[1])
	kinds, links := map[string]int{}, 0
	for line := range strings.Lines(lists[0]) {
		_, rest, _ := strings.Cut(strings.TrimPrefix(line, `"`), `" `) // no name has both
		fields := strings.Fields(rest)
		kinds[fields[0]]++
		if strings.Contains(line, ` - "bandit/links/elsewhere/third name" `) {
			links++
		}
	}
	if links != 2 {
		t.Errorf("%d names of a file that has a name before; want 2", links)
	}
	// A file with three names is in three lines.
	if diff := cmp.Diff(300+2, kinds["f"]); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if kinds["p"] != 1 || kinds["l"] != 5 || kinds["d"] < 70 {
		t.Errorf("kinds %v; want a FIFO, five symlinks, and folders", kinds)
	}
}

func TestLineDiff(t *testing.T) {
	a, b := lineDiff("x\ny\ny\nz\n", "y\nx\nw\nw\n")
	if diff := cmp.Diff([][]string{{"y", "z"}, {"w", "w"}}, [][]string{a, b}); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestHomeCount wants as many files as were asked for, and all special ones.
func TestHomeCount(t *testing.T) {
	for _, n := range []int{0, 1000} {
		files := map[*fstree.Inode]bool{}
		for e := range homeTree(n).All() {
			if e.IsRegular() {
				files[e.Inode] = true
			}
		}
		if want := max(n, specialFiles); len(files) != want {
			t.Errorf("homeTree(%d) has %d files; want %d", n, len(files), want)
		}
	}
}
