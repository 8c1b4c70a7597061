package rehearsal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/6FaNcY9/mkimage/builder/btrfs"
	btrfsreader "github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/mediumlog"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// backupFree is what a backup disk has free, in bytes: who mounts it writable needs some.
const backupFree = 256 << 20

// writeBackupDisk writes a file system with the files below a folder into a new file.
func writeBackupDisk(ctx context.Context, name, dir, label string) (err error) {
	tree, err := treeOf(ctx, dir)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	result, err := btrfs.Write(ctx, f, tree, btrfs.Params{Label: label, Free: backupFree, Seed: ids.Seed(sha256.Sum256([]byte(name)))})
	if err != nil {
		return err
	}
	return f.Truncate(result.Size)
}

// writeEmpty makes a disk of zeros, which takes no room.
func writeEmpty(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// digest returns the SHA-256 of a disk in a file.
func digest(ctx context.Context, name string) (string, error) {
	return withDisk(name, func(f *os.File, size int64) (string, error) { return digestOf(ctx, f, size) })
}

// digestStick returns that of a stick but for its log, in which an installation tells
// what it did.
func digestStick(ctx context.Context, name string) (string, error) {
	return withDisk(name, func(f *os.File, size int64) (string, error) {
		part, err := partition(f, size, plan.TypeESP)
		if err != nil {
			return "", err
		}
		esp, err := espreader.Open(io.NewSectionReader(f, part.Start, part.Size), part.Size)
		if err != nil {
			return "", err
		}
		at, err := mediumlog.Find(esp)
		if err != nil {
			return "", err
		}
		return digestOf(ctx, mediumlog.AsMade(f, part.Start+at), size)
	})
}

func withDisk[T any](name string, do func(f *os.File, size int64) (T, error)) (result T, err error) {
	f, err := os.Open(name)
	if err != nil {
		return result, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return result, err
	}
	if result, err = do(f, info.Size()); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return result, err
}

func digestOf(ctx context.Context, r io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	const step = 16 << 20
	for at := int64(0); at < size; at += step {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if _, err := io.Copy(h, io.NewSectionReader(r, at, min(step, size-at))); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// partition returns the first partition of a type.
func partition(f io.ReaderAt, size int64, kind ids.UUID) (*gpt.Partition, error) {
	table, _, err := gpt.Read(f, size)
	if err != nil {
		return nil, err
	}
	for i := range table.Partitions {
		if table.Partitions[i].Type == kind {
			return &table.Partitions[i], nil
		}
	}
	return nil, fmt.Errorf("no partition of type %s among %d", kind, len(table.Partitions))
}

// installedPlan returns the plan of the system that a stick has put onto a disk: that of
// the stick's system, with the identities that the disk has got.
func installedPlan(stick *plan.Plan, disk string) (*plan.Plan, error) {
	p, err := plan.Target(stick, ids.Seed{}, 0)
	if err != nil {
		return nil, err
	}
	id, err := withDisk(disk, identityOf)
	if err != nil {
		return nil, err
	}
	return plan.Adopt(p, id), nil
}

// identityOf returns what an installed disk is known by.
func identityOf(f *os.File, size int64) (id plan.Identity, err error) {
	table, _, err := gpt.Read(f, size)
	if err != nil {
		return id, err
	}
	id.Disk, id.SectorSize = table.GUID, table.SectorSize
	esp, err := partition(f, size, plan.TypeESP)
	if err != nil {
		return id, err
	}
	root, err := partition(f, size, plan.TypeRootX86_64)
	if err != nil {
		return id, err
	}
	id.ESP, id.Root = esp.GUID, root.GUID
	fat, err := espreader.Open(io.NewSectionReader(f, esp.Start, esp.Size), esp.Size)
	if err != nil {
		return id, fmt.Errorf("ESP: %w", err)
	}
	fs, err := btrfsreader.Open(io.NewSectionReader(f, root.Start, root.Size), root.Size)
	if err != nil {
		return id, fmt.Errorf("root: %w", err)
	}
	id.ESPSerial, id.BtrfsFSID = fat.UUID(), ids.UUID(fs.Super().FSID).String()
	return id, nil
}
