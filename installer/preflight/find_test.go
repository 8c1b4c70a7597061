package preflight

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// stick is an open disk.
type stick struct{ *bytes.Reader }

func (stick) Close() error { return nil }

// fat makes a FAT32 file system with other people's programs.
func fat(t *testing.T, files map[string]string) []byte {
	t.Helper()
	imgtest.Need(t, "mkfs.fat", "mcopy")
	image := filepath.Join(t.TempDir(), "medium.img")
	if out, err := exec.Command("mkfs.fat", "-C", "-F", "32", "-s", "1", image, "40960").CombinedOutput(); err != nil { // KiB
		t.Fatalf("mkfs.fat: %v\n%s", err, out)
	}
	for name, text := range files {
		cmd := exec.Command("mcopy", "-i", image, "-", "::/"+name)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("mcopy: %v\n%s", err, out)
		}
	}
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFindKey(t *testing.T) {
	const at = 1 << 20
	images := map[string][]byte{}
	disk := func(name string, files map[string]string) disks.Disk {
		images["/dev/"+name] = append(make([]byte, at), fat(t, files)...)
		size := int64(len(images["/dev/"+name])) - at
		return disks.Disk{Name: name, Path: "/dev/" + name, Partitions: []disks.Partition{{Number: 2, Start: at, Size: size, Label: config.KeyLabel}}}
	}
	one, same := disk("sda", map[string]string{config.KeyFile: "one"}), disk("sdb", map[string]string{config.KeyFile: "one"})
	other := disk("sdc", map[string]string{config.KeyFile: "other"})
	locked := disk("sdd", map[string]string{config.KeyFileEncrypted: "age-encryption.org/v1\n"})
	empty := disk("sde", map[string]string{"readme": ""})
	without := []disks.Partition{{Number: 2, Start: at, Size: at, Label: config.KeyLabel}}
	gone := disks.Disk{Name: "sdf", Path: "/dev/sdf", Partitions: without}
	broken := disks.Disk{Name: "sdg", Path: "/dev/sdg", Partitions: without}
	images[broken.Path] = make([]byte, 2*at)
	notOne := one
	notOne.Partitions = []disks.Partition{{Number: 2, Start: at, Size: one.Partitions[0].Size, Label: "keys"}}
	open := func(name string) (disks.Node, error) {
		data, ok := images[name]
		if !ok {
			return nil, errors.New(name + ": gone")
		}
		return stick{bytes.NewReader(data)}, nil
	}
	tests := []struct {
		name      string
		list      []disks.Disk
		text      string
		encrypted bool
		from      string
		code      firstboot.Code
		err       string
	}{
		{"one", []disks.Disk{notOne, one}, "one", false, "partition 2 of /dev/sda", 0, ""},
		{"two of the same", []disks.Disk{one, same}, "one", false, "/dev/sda", 0, ""},
		{"encrypted", []disks.Disk{locked}, "age-encryption.org/v1\n", true, "/dev/sdd", 0, ""},
		{"one beside unreadable ones", []disks.Disk{gone, broken, empty, one}, "one", false, "/dev/sda", 0, ""},
		{"none", []disks.Disk{notOne}, "", false, "", firstboot.CodeNoKey, "no partition has the label MKIMAGE-KEYS"},
		{"no disks", nil, "", false, "", firstboot.CodeNoKey, "there is no key medium"},
		{"two that differ", []disks.Disk{one, other}, "", false, "", firstboot.CodeBadKey, "different keys"},
		{"without a key", []disks.Disk{empty}, "", false, "", firstboot.CodeNoKey, "/dev/sde: there is no " + config.KeyFile},
		{"pulled out", []disks.Disk{gone}, "", false, "", firstboot.CodeBadKey, "/dev/sdf: gone"},
		{"no file system", []disks.Disk{broken}, "", false, "", firstboot.CodeBadKey, "no FAT32 file system"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, encrypted, from, err := FindKey(tt.list, open)
			if string(text) != tt.text || encrypted != tt.encrypted || !strings.Contains(from, tt.from) || firstboot.CodeOf(err) != tt.code {
				t.Errorf("%q, %v, %q, %v; want %+v", text, encrypted, from, err, tt)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%v; want %q", err, tt.err)
			}
		})
	}
}

func TestFindBackup(t *testing.T) {
	content := func(label, uuid string) []disks.Content {
		return []disks.Content{{Type: "btrfs", Label: label, UUID: uuid}}
	}
	list := []disks.Disk{
		{Name: "sda", Path: "/dev/sda", Partitions: []disks.Partition{{Name: "sda1", Label: "backup", Contents: content("other", "aa-1")}, {Name: "sda2", Contents: content("backup", "bb-2")}}},
		{Name: "sdb", Path: "/dev/sdb", Contents: content("whole", "cc-3")},
		{Name: "sdc", Path: "/dev/sdc", Partitions: []disks.Partition{{Contents: content("nameless", "dd-4")}, {Name: "sdc2", Contents: content("twice", "")}}},
		{Name: "sdd", Path: "/dev/sdd", Contents: content("twice", "")},
	}
	tests := []struct {
		disk, want string
		code       firstboot.Code
	}{
		{"LABEL=backup", "/dev/sda2", 0},
		{"UUID=BB-2", "/dev/sda2", 0},
		{"UUID=cc-3", "/dev/sdb", 0},
		{"LABEL=Backup", "", firstboot.CodeNoDisk},
		{"LABEL=nameless", "", firstboot.CodeNoDisk},
		{"LABEL=twice", "", firstboot.CodeDisk},
		{"UUID=", "", firstboot.CodeNoDisk},
		{"PARTLABEL=backup", "", firstboot.CodeNoDisk},
	}
	for _, tt := range tests {
		got, err := FindBackup(list, tt.disk)
		if got != tt.want || firstboot.CodeOf(err) != tt.code {
			t.Errorf("FindBackup(%s) = %q, %v; want %q, code %d", tt.disk, got, err, tt.want, tt.code)
		}
	}
}
