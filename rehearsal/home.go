package rehearsal

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// User is one to whom files of a home belong.
type User struct {
	Name string
	UID  uint32 // also the number of the group
}

// Sizes of what a user's home has.
const (
	smallFiles = 240      // texts in folders
	largeFile  = 24 << 20 // bytes that do not compress
	sparseFile = 64 << 20 // bytes, nearly all of them a hole
)

// HomeBytes is about how many bytes a user's home takes on a disk.
const HomeBytes = largeFile + 8<<20

// homeMaker makes the homes of users below a folder. Equal users give equal files.
type homeMaker struct {
	dir   string // which stands for the path that is restored
	chown bool   // files get their users; otherwise all are the caller's
	rng   *rand.Rand
	user  User
	made  []madeFile // in the order in which they were made, folders before what is in them
	noted []string   // what this file system does not keep
}

// madeFile is what a file gets when all files are there: to make one changes the time of
// its folder, and to give it to a user takes its special modes.
type madeFile struct {
	path   string
	mode   uint32
	time   time.Time
	user   User
	xattrs map[string]string
	link   bool // it is a symlink, which has no mode
}

// makeHome makes a folder for each user below dir, which is empty. It returns what could
// not be made there.
func makeHome(dir string, users []User, chown bool) (noted []string, err error) {
	h := &homeMaker{dir: dir, chown: chown, rng: rand.New(rand.NewPCG(1, 2))}
	for _, u := range users {
		h.user = u
		if err := h.home(); err != nil {
			return nil, fmt.Errorf("sample home of %s: %w", u.Name, err)
		}
	}
	for _, m := range slices.Backward(h.made) {
		if err := h.finish(m); err != nil {
			return nil, fmt.Errorf("sample home: %q: %w", m.path, err)
		}
	}
	return h.noted, nil
}

func (h *homeMaker) home() error {
	if err := h.folder(h.user.Name, 0o700); err != nil {
		return err
	}
	return errors.Join(h.documents(), h.sizes(), h.names(), h.modes(), h.links(), h.deep())
}

// at is a path below the user's folder.
func (h *homeMaker) at(name string) string { return filepath.Join(h.user.Name, name) }

// note notes what is to be finished, with a time of its own.
func (h *homeMaker) note(name string, mode uint32, link bool) {
	at := time.Unix(1_600_000_000+h.rng.Int64N(1<<27), h.rng.Int64N(1_000_000_000))
	h.made = append(h.made, madeFile{path: name, mode: mode, time: at, user: h.user, link: link})
}

func (h *homeMaker) folder(name string, mode uint32) error {
	h.note(name, mode, false)
	return os.Mkdir(filepath.Join(h.dir, name), 0o700)
}

func (h *homeMaker) file(name string, mode uint32, data []byte) error {
	h.note(name, mode, false)
	return os.WriteFile(filepath.Join(h.dir, name), data, 0o600)
}

func (h *homeMaker) symlink(name, target string) error {
	h.note(name, 0, true)
	return os.Symlink(target, filepath.Join(h.dir, name))
}

// text returns so many bytes that compress about as texts do.
func (h *homeMaker) text(size int) []byte {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "line %d of a file that nobody reads\n", h.rng.IntN(100_000))
	}
	return []byte(b.String()[:size])
}

// random returns so many bytes that do not compress.
func (h *homeMaker) random(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(h.rng.Uint32())
	}
	return data
}

// documents makes what a home has most of.
func (h *homeMaker) documents() error {
	const inFolder = 40
	err := h.folder(h.at("Documents"), 0o755)
	for i := 0; i < smallFiles && err == nil; i++ {
		dir := h.at(fmt.Sprintf("Documents/folder %d", i/inFolder))
		if i%inFolder == 0 {
			err = h.folder(dir, 0o755)
		}
		if err == nil {
			err = h.file(fmt.Sprintf("%s/%03d.txt", dir, i), 0o644, h.text(h.rng.IntN(20_000)))
		}
	}
	return err
}

// sizes makes files whose sizes are at the limits of what stores them, and a large and a
// sparse one.
func (h *homeMaker) sizes() error {
	err := h.folder(h.at("sizes"), 0o755)
	for _, size := range []int{0, 1, 2047, 2048, 2049, 4095, 4096, 4097, 1 << 20, 1<<20 + 1} {
		err = errors.Join(err, h.file(h.at(fmt.Sprintf("sizes/%d bytes", size)), 0o644, h.text(size)))
	}
	err = errors.Join(err, h.file(h.at("sizes/large"), 0o644, h.random(largeFile)), h.file(h.at("sizes/sparse"), 0o644, nil))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(h.dir, h.at("sizes/sparse")), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(h.random(4096), sparseFile-1<<20)
	return errors.Join(err, f.Truncate(sparseFile), f.Close())
}

// names makes files that programs are known to trip over.
func (h *homeMaker) names() error {
	err := h.folder(h.at("names"), 0o755)
	for _, name := range []string{
		" ", "two words", "trailing ", "-rf", "a\nb", "tab\t", `back\slash`, `"quoted"`, "'", "*", "$HOME", "%n", "~", "...",
		"Grüße", "日本語", "e\u0301", "\xff\xfe", strings.Repeat("n", 255),
	} {
		err = errors.Join(err, h.file(h.at("names")+"/"+name, 0o644, h.text(100)))
	}
	return err
}

// modes makes files of all kinds of permissions, times and extended attributes. Their
// owner can read each of them, as who backs up may be no more than that.
func (h *homeMaker) modes() error {
	err := h.folder(h.at("modes"), 0o755)
	for _, mode := range []uint32{0o400, 0o600, 0o777, 0o4755, 0o2755, 0o1644} {
		err = errors.Join(err, h.file(h.at(fmt.Sprintf("modes/%04o", mode)), mode, h.text(10)))
	}
	err = errors.Join(err, h.folder(h.at("modes/sticky"), 0o1777), h.folder(h.at("modes/group"), 0o2775), h.folder(h.at("modes/read-only"), 0o500))
	for _, at := range []struct {
		name string
		time time.Time
	}{{"before 1970", time.Unix(-1_000_000_001, 5)}, {"1970", time.Unix(0, 0)}, {"after 2038", time.Unix(1<<32, 999_999_999)}} {
		err = errors.Join(err, h.file(h.at("modes/"+at.name), 0o644, []byte(at.name)))
		h.made[len(h.made)-1].time = at.time
	}
	err = errors.Join(err, h.file(h.at("modes/attributes"), 0o644, h.text(10)))
	h.made[len(h.made)-1].xattrs = map[string]string{"user.binary": "\x00\x01\xff", "user.long": strings.Repeat("v", 1000)}
	return err
}

func (h *homeMaker) links() error {
	err := errors.Join(h.folder(h.at("links"), 0o755), h.folder(h.at("links/elsewhere"), 0o755), h.file(h.at("links/first name"), 0o640, h.text(5000)))
	for _, name := range []string{"links/second name", "links/elsewhere/third name"} {
		err = errors.Join(err, os.Link(filepath.Join(h.dir, h.at("links/first name")), filepath.Join(h.dir, h.at(name))))
	}
	for _, l := range [][2]string{{"to a file", "first name"}, {"to nothing", "there is nothing"}, {"to itself", "to itself"}, {"absolute", "/etc/passwd"}} {
		err = errors.Join(err, h.symlink(h.at("links/"+l[0]), l[1]))
	}
	h.note(h.at("links/fifo"), 0o620, false)
	return errors.Join(err, unix.Mkfifo(filepath.Join(h.dir, h.at("links/fifo")), 0o600))
}

// deep makes folders in folders.
func (h *homeMaker) deep() error {
	dir := h.at("deep")
	err := h.folder(dir, 0o755)
	for i := 0; i < 40 && err == nil; i++ {
		dir += fmt.Sprintf("/level %d", i)
		err = h.folder(dir, 0o755)
	}
	return errors.Join(err, h.file(dir+"/bottom", 0o644, []byte("the bottom\n")))
}

// finish gives a file what it has besides its content.
func (h *homeMaker) finish(m madeFile) error {
	path := filepath.Join(h.dir, m.path)
	if h.chown {
		if err := os.Lchown(path, int(m.user.UID), int(m.user.UID)); err != nil {
			return err
		}
	}
	for name, value := range m.xattrs {
		err := unix.Lsetxattr(path, name, []byte(value), 0)
		if errors.Is(err, unix.ENOTSUP) {
			h.noted = append(h.noted, fmt.Sprintf("extended attributes such as %s: the file system of %s keeps none", name, h.dir))
		} else if err != nil {
			return err
		}
	}
	if !m.link {
		if err := unix.Chmod(path, m.mode); err != nil {
			return err
		}
	}
	at := unix.NsecToTimespec(m.time.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// removeHome removes a folder, and what is read-only in it.
func removeHome(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	return os.RemoveAll(dir)
}
