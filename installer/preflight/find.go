package preflight

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/keymedium"
)

// FindKey reads the key from the key media among disks that were scanned: from
// their partitions labelled MKIMAGE-KEYS. encrypted says that it needs its
// passphrase; from names the place for people. One that cannot be read does not
// count where another can; two that can and differ are an error, for nobody says
// which is meant. Errors are of *firstboot.Problem, CodeNoKey where there is no
// key medium.
func FindKey(list []disks.Disk, open func(name string) (disks.Node, error)) (text []byte, encrypted bool, from string, err error) {
	var first error
	for _, d := range list {
		for _, p := range d.Partitions {
			if p.Label != config.KeyLabel {
				continue
			}
			where := fmt.Sprintf("the key medium, partition %d of %s", p.Number, d.Path)
			got, err := readKey(d, p, open)
			switch {
			case err != nil && first == nil:
				first = firstboot.Located(where, err)
			case err != nil:
			case text == nil:
				text, from = got, where
			case !bytes.Equal(text, got):
				clear(text)
				clear(got)
				return nil, false, "", firstboot.NewProblem(firstboot.CodeBadKey, "pull out the one that is not meant", "there are two key media with different keys: %s and %s", from, where)
			}
		}
	}
	switch {
	case text != nil:
		return text, agekey.IsEncrypted(text), from, nil
	case first != nil:
		return nil, false, "", first
	}
	return nil, false, "", firstboot.NewProblem(firstboot.CodeNoKey, "plug in the key medium", "there is no key medium: no partition has the label %s", config.KeyLabel)
}

func readKey(d disks.Disk, p disks.Partition, open func(name string) (disks.Node, error)) (text []byte, err error) {
	n, err := open(d.Path)
	if err != nil {
		return nil, firstboot.NewProblem(firstboot.CodeBadKey, "", "%w", err)
	}
	defer n.Close()
	_, text, err = keymedium.Read(io.NewSectionReader(n, p.Start, p.Size), p.Size)
	return text, err
}

// FindBackup returns the node of the file system that a Restore.Disk names,
// "LABEL=…" or "UUID=…", among disks that were scanned. Errors are of
// *firstboot.Problem: CodeNoDisk when there is none, CodeDisk when there are
// several.
func FindBackup(list []disks.Disk, disk string) (node string, err error) {
	found := map[string]bool{}
	for _, d := range list {
		if names(d.Contents, disk) {
			found[d.Path] = true
			node = d.Path
		}
		for _, p := range d.Partitions {
			if names(p.Contents, disk) && p.Name != "" { // one without a name has no node
				node = strings.TrimSuffix(d.Path, d.Name) + p.Name
				found[node] = true
			}
		}
	}
	switch len(found) {
	case 0:
		return "", firstboot.NewProblem(firstboot.CodeNoDisk, "plug it in", "backup disk %s: is not there", disk)
	case 1:
		return node, nil
	}
	return "", firstboot.NewProblem(firstboot.CodeDisk, "pull out the one that is not meant", "backup disk %s: there are %d of the name", disk, len(found))
}

// names reports whether a file system among contents is the one that a disk of a
// profile names. UUIDs are compared without regard to case.
func names(contents []disks.Content, disk string) bool {
	tag, value, _ := strings.Cut(disk, "=")
	for _, c := range contents {
		if value != "" && (tag == "LABEL" && c.Label == value || tag == "UUID" && strings.EqualFold(c.UUID, value)) {
			return true
		}
	}
	return false
}
