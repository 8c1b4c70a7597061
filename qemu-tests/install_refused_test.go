package qemutests

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// refusal is a machine on which a stick must not install.
type refusal struct {
	name string
	// disks make what is plugged in beside the stick; all of it stays as it is.
	disks func(t *testing.T) []Disk
	stick func(t *testing.T, name string) // changes the stick
	more  string                          // lines of [installer]
	typed [][2]string                     // what is asked, a regular expression, and the keys that answer
	want  string                          // on its screen, a regular expression
}

// nvme is a disk that could be the target.
func nvme(file, serial string) Disk { return Disk{File: file, Bus: NVMe, Serial: serial, Write: true} }

// refusals are of a stick, with the image of its own, whose payload has nothing to
// recover; system is an image of the payload.
func refusals(medium, system string) []refusal {
	empty := func(sizes ...int64) func(t *testing.T) []Disk {
		return func(t *testing.T) (list []Disk) {
			for i, size := range sizes {
				list = append(list, nvme(emptyDisk(t, size), string(rune('A'+i))))
			}
			return list
		}
	}
	return []refusal{
		{name: "two disks", disks: empty(installedSize, installedSize), want: `several disks could be the target`},
		{name: "no disk", disks: empty(), want: `no disk is the target`},
		{name: "other data", want: `not it, by the rule "empty": has .*ext4`, disks: func(t *testing.T) []Disk {
			disk := emptyDisk(t, installedSize)
			command(t, "mkfs.ext4", "-q", disk)
			return []Disk{nvme(disk, "DATA")}
		}},
		{name: "backup on the only disk", more: `backup = ["LABEL=precious"]`, want: `not it, by the rule "no backup"`, disks: func(t *testing.T) []Disk {
			disk := emptyDisk(t, installedSize)
			command(t, "mkfs.btrfs", "-q", "-L", "precious", disk)
			return []Disk{nvme(disk, "BACKUP")}
		}},
		{name: "too small", disks: empty(1 << 30), want: `not it, by the rule "large enough"`},
		{name: "bit rot", disks: empty(installedSize), want: `medium: payload: bytes \d+ to \d+: SHA-256`, stick: func(t *testing.T, name string) {
			flip(t, name, rawDisk(medium).partition(t, rootNumber).Start+65536+100) // of the superblock
		}},
		{name: "hibernated", want: `a session sleeps on it`, disks: func(t *testing.T) []Disk {
			disk := rawDisk(system).copyTo(t, filepath.Join(t.TempDir(), "asleep.img"), 0)
			disk.editHeader(t, func(page []byte) { copy(page[len(page)-10:], "S1SUSPEND\x00") })
			check(t, os.Truncate(string(disk), installedSize))
			return []Disk{nvme(string(disk), "ASLEEP")}
		}},
	}
}

// flip changes a bit of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	check(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	check(t, err)
}

// TestInstallRefused starts sticks where they must not install. They say why, and
// no byte of any disk has changed but of the stick's log.
func TestInstallRefused(t *testing.T) {
	if !imgtest.Full() {
		t.Skip("takes minutes")
	}
	imgtest.Need(t, Binary, "qemu-img", "mkfs.ext4", "mkfs.btrfs")
	system := buildImage(t, bootCase{profile: "bandit-minimal"})
	plain := newMedium(t, "bandit-minimal", "")
	for _, r := range refusals(plain.image, system) {
		m := plain
		if r.more != "" {
			m = newMedium(t, "bandit-minimal", r.more)
		}
		t.Run(r.name, func(t *testing.T) { m.refuses(t, r) })
	}
}

// TestInstallUnproved has a stick whose payload has secrets and a backup, and a
// machine where these cannot be proved; nothing of its disks changes. A
// passphrase that opens the key leads as far as the question what to erase.
func TestInstallUnproved(t *testing.T) {
	r := newPatient(t, repositoryOptions{files: smallHome})
	m := newMedium(t, "patient", "", "--profile-dir", r.dir)
	stranger, _ := makeKey(t)
	target := func(more ...Disk) func(t *testing.T) []Disk {
		return func(t *testing.T) []Disk { return append([]Disk{nvme(emptyDisk(t, installedSize), "TARGET")}, more...) }
	}
	locked := Disk{File: keyMedium(t, map[string]string{config.KeyFileEncrypted: encryptedKey(t, r.key, keyPassphrase)}), Bus: USB, Serial: "KEYS", Write: true}
	backup := r.backup(t)
	backup.Write = true
	for _, r := range []refusal{
		{name: "nothing plugged in", disks: target(), want: `nothing was erased: key: there is no key medium.*backup disk`},
		{name: "the key of another", disks: target(medium(t, stranger), backup), want: `nothing was erased: key: `},
		{name: "passphrase", disks: target(locked, backup), typed: [][2]string{
			{`has a passphrase.* 3 tries are left`, "not it\r"},
			{`wrong.* 2 tries are left`, keyPassphrase + "\r"},
			{`will be erased in`, " "},
			{`type this and Enter`, "erase\r"},
		}, want: `stopped before anything was written`},
	} {
		t.Run(r.name, func(t *testing.T) { m.refuses(t, r) })
	}
}

// refuses starts the stick and waits until it has refused.
func (m installMedium) refuses(t *testing.T, r refusal) {
	c := m.config(t, emptyDisk(t, 1<<20))
	c.Disks = c.Disks[:1]
	if r.disks != nil {
		c.Disks = append(c.Disks, r.disks(t)...)
	}
	stick := c.Disks[0].File
	if r.stick != nil {
		r.stick(t, stick)
	}
	before, stickBefore := dataOf(t, c.Disks[1:]), digestStick(t, m, stick)
	vm := startVM(t, c)
	for _, typed := range r.typed {
		expect(t, vm, folded(typed[0]))
		check(t, vm.Console.Send(typed[1]))
	}
	expect(t, vm, folded(r.want))
	expect(t, vm, `mkimage-install: ended with status`)
	vm.PowerCut()
	check(t, vm.Close())
	if diff := cmp.Diff(before, dataOf(t, c.Disks[1:])); diff != "" {
		t.Errorf("disks that must not change (-before +after):\n%s", diff)
	}
	if digestStick(t, m, stick) != stickBefore {
		t.Error("the stick has changed, and not only its log")
	}
}

// folded has a pattern match a text whose lines were broken for the screen.
func folded(pattern string) string { return "(?s)" + strings.ReplaceAll(pattern, " ", `\s+`) }

// dataOf returns the SHA-256 of disks, of which zeros are left out: most of a disk
// are holes.
func dataOf(t testing.TB, disks []Disk) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for _, d := range disks {
		sums[d.Serial] = digestData(t, d.File)
	}
	return sums
}

func digestData(t testing.TB, name string) string {
	t.Helper()
	return digestAs(t, name, func(f io.ReaderAt) io.ReaderAt { return f })
}

// digestAs returns the SHA-256 of what a file is taken for where it is no hole.
func digestAs(t testing.TB, name string, as func(io.ReaderAt) io.ReaderAt) string {
	t.Helper()
	f, err := os.Open(name)
	check(t, err)
	defer f.Close()
	r, h := as(f), sha256.New()
	zero, buf := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		// From the next byte that is not in a hole, at the pitch of the buffer.
		next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return hex.EncodeToString(h.Sum(nil))
		}
		check(t, err)
		at = next / int64(len(buf)) * int64(len(buf))
		n, err := r.ReadAt(buf, at)
		if err != io.EOF {
			check(t, err)
		}
		if string(buf[:n]) != string(zero[:n]) {
			_, _ = h.Write([]byte{byte(at >> 40), byte(at >> 32), byte(at >> 24), byte(at >> 16)})
			_, _ = h.Write(buf[:n])
		}
		at += int64(len(buf))
	}
}
