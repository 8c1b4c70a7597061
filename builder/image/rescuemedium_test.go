package image

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/inspect"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/verify"
	"github.com/6FaNcY9/mkimage/docs"
)

// rescueInputs are what a medium has that only brings back, and that is not signed.
func rescueInputs() Inputs {
	return Inputs{Installer: &Installer{Program: []byte("\x7fELF of mkimage-install"), Rescue: ownRescue()}}
}

// sumOf returns the digest of a file.
func sumOf(t *testing.T, name string) [sha256.Size]byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}

// TestRescueMedium makes a medium that only brings back: an ESP of the size that it needs,
// with nothing amiss and nothing besides. Twice it is the same to the byte.
func TestRescueMedium(t *testing.T) {
	p := mediumOf(t, "bandit-rescue")
	name, r, err := writeSmall(t, p, rescueInputs(), withPrograms(t, "btrfs"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	report, err := verify.Image(t.Context(), f, r.Size, verify.Options{Manifest: r.Manifest, Data: true})
	if err != nil || !report.Clean() {
		var text strings.Builder
		_ = report.Text(&text)
		t.Errorf("verify: %v\n%s", err, text.String())
	}
	if image, err := inspect.Read(t.Context(), f, r.Size); err != nil || len(image.Unread) > 0 || len(image.Partitions) != 1 || len(image.Subvolumes) != 0 {
		t.Errorf("inspect: %+v, %v", image, err)
	}
	if r.Root != nil || r.Manifest.Swapfile != nil || len(r.Manifest.Subvolumes) > 0 || len(r.Manifest.Inputs.Generations) > 0 {
		t.Errorf("result %+v; want no root", r)
	}
	checkRoom(t, r)
	checkRescueFiles(t, f, r)
	again, _, err := writeSmall(t, p, rescueInputs(), withPrograms(t, "btrfs"))
	if err != nil {
		t.Fatal(err)
	}
	if sumOf(t, name) != sumOf(t, again) {
		t.Error("two media of the same inputs differ")
	}
}

// checkRoom wants the ESP to be as large as what it holds, and the room that is promised.
func checkRoom(t *testing.T, r *Result) {
	t.Helper()
	part := r.Manifest.Partition(plan.RoleESP)
	free := r.ESP.FreeClusters * r.ESP.ClusterSize
	if free < spareESP || free > spareESP+manifestReserve+2*plan.Alignment || part.Size%plan.Alignment != 0 || r.Size != part.Start+part.Size+plan.Alignment {
		t.Errorf("ESP of %d bytes, %d of them free, on a disk of %d; want %d free", part.Size, free, r.Size, spareESP)
	}
}

// checkRescueFiles looks for what a medium that only brings back has on its ESP.
func checkRescueFiles(t *testing.T, f *os.File, r *Result) {
	t.Helper()
	files := readESP(t, f, r)
	sheet, err := files.ReadAtMost(RecoveryPath, 1<<20)
	if err != nil || !bytes.Equal(sheet, docs.Recovery) {
		t.Errorf("/%s: %v, %d bytes; want docs/recovery.md", RecoveryPath, err, len(sheet))
	}
	for _, path := range []string{loader.InstallerPath, mediumlog.Path, manifest.SignaturePath} {
		if _, err := files.Stat(path); err == nil {
			t.Errorf("/%s is on a medium that installs nothing, which nobody signed", path)
		}
	}
	conf, err := files.ReadAtMost("loader/loader.conf", 1<<16)
	if err != nil || !strings.Contains(string(conf), "timeout 3\n") || !strings.Contains(string(conf), "default mkimage-bandit-rescue.conf\n") {
		t.Errorf("loader.conf: %v\n%s", err, conf)
	}
	entries, err := files.ReadDir("loader/entries")
	if err != nil || len(entries) != 1 {
		t.Fatalf("entries %v, %v; want one", entries, err)
	}
	entry, err := files.ReadAtMost("loader/entries/mkimage-bandit-rescue.conf", 1<<16)
	if err != nil || !strings.Contains(string(entry), "options mkimage.rescue ") || strings.Contains(string(entry), "root=") || !strings.Contains(string(entry), "initrd /"+loader.RescuePath+"\n") {
		t.Errorf("entry: %v\n%s", err, entry)
	}
}

// TestRescueMediumInitramfs: the kernel has the initramfs that the installed system has, so
// that the medium can bring it back.
func TestRescueMediumInitramfs(t *testing.T) {
	var sums []manifest.SHA256
	for _, name := range []string{"bandit-rescue", "bandit-installer"} {
		in := rescueInputs()
		if name == "bandit-installer" {
			in.Installer.Key = []byte("the maker's key")
		}
		_, r, err := writeSmall(t, mediumOf(t, name), in, withPrograms(t, "btrfs"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, r.Manifest.Inputs.Kernels[0].Initramfs)
	}
	if sums[0] != sums[1] {
		t.Errorf("initramfs %x; the installer has %x", sums[0], sums[1])
	}
}

// TestRescueMediumChecked has other programs than ours check the ESP.
func TestRescueMediumChecked(t *testing.T) {
	imgtest.Need(t, "fsck.fat", "mtype")
	name, r, err := writeSmall(t, mediumOf(t, "bandit-rescue"), rescueInputs(), withPrograms(t, "btrfs"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	part := r.Manifest.Partition(plan.RoleESP)
	alone := filepath.Join(t.TempDir(), "esp.img")
	out, err := os.Create(alone)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, io.NewSectionReader(f, part.Start, part.Size)); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("fsck.fat", "-n", alone).CombinedOutput(); err != nil {
		t.Errorf("fsck.fat: %v\n%s", err, said)
	}
	if text, err := exec.Command("mtype", "-i", alone, "::/"+RecoveryPath).Output(); err != nil || string(text) != string(docs.Recovery) {
		t.Errorf("mtype: %v, %d bytes; want docs/recovery.md", err, len(text))
	}
}

// TestRescueMediumSize builds disks of a size that is asked for; the least is that of FAT32,
// and what the ESP holds must fit.
func TestRescueMediumSize(t *testing.T) {
	p := mediumOf(t, "bandit-rescue")
	_, least, err := writeSmall(t, p, rescueInputs(), withPrograms(t, "btrfs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{least.Size - plan.Alignment, least.Size, least.Size + plan.Alignment} {
		sized := *p
		sized.Disk.Partitions = slices.Clone(p.Disk.Partitions)
		sized.Disk.Size, sized.Disk.Partitions[0].Size = size, size-2*plan.Alignment
		if _, r, err := writeSmall(t, &sized, rescueInputs(), withPrograms(t, "btrfs")); err != nil || r.Size != size {
			t.Errorf("size %d: %v, %v", size, r, err)
		}
	}
	small := *p
	small.Disk.Partitions = slices.Clone(p.Disk.Partitions)
	small.Disk.Partitions[0].Size = 64 << 20
	big := func(dir string) {
		withPrograms(t, "btrfs")(dir)
		if err := os.Truncate(filepath.Join(dir, "boot/vmlinuz-6.1.0"), 80<<20); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := writeSmall(t, &small, rescueInputs(), big); fault.ClassOf(err) != fault.Target {
		t.Errorf("an ESP of 64 MiB: %v; want a target error", err)
	}
}

// TestSizeESP crosses the size from which clusters are larger: what the tree needs, the
// manifest and the room fit behind it too, and 5 MiB less would not do.
func TestSizeESP(t *testing.T) {
	p := mediumOf(t, "bandit-rescue")
	for _, size := range []int64{0, 1, 60 << 20, 180 << 20, 183 << 20, 184 << 20, 185 << 20, 186 << 20, 187 << 20, 300 << 20} {
		tree := fstree.New()
		if err := loader.Put(tree, "x", make([]byte, size), p.Epoch); err != nil {
			t.Fatal(err)
		}
		b := &build{plan: p, esp: tree}
		if err := b.sizeESP(); err != nil {
			t.Fatal(err)
		}
		room := func(size int64) int64 {
			b.espSize = size
			need, err := esp.Need(b.esp, b.espParams())
			if err != nil {
				t.Fatal(err)
			}
			capacity, err := esp.Capacity(b.espParams())
			if err != nil {
				t.Fatal(err)
			}
			return capacity - need
		}
		got := b.espSize
		if now, before := room(got), room(max(leastESP, got-5*plan.Alignment)); now < spareESP+manifestReserve || got > leastESP && before >= spareESP+manifestReserve {
			t.Errorf("file of %d bytes: ESP of %d, with %d bytes of room, and %d with 5 MiB less; want %d", size, got, now, before, spareESP+manifestReserve)
		}
	}
}
