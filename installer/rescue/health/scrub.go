package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// Scrub is what the kernel found while it read all of a file system: numbers of
// sectors and tree blocks, as struct btrfs_scrub_progress has them.
type Scrub struct {
	Verdict       Verdict `json:"verdict"`
	Reason        string  `json:"reason"`
	ReadOnly      bool    `json:"read_only"` // nothing was healed
	Bytes         int64   `json:"bytes"`     // read, every copy
	Read          uint64  `json:"read_errors"`
	Csum          uint64  `json:"csum_errors"`
	Verify        uint64  `json:"verify_errors"` // of tree blocks
	Super         uint64  `json:"super_errors"`  // of superblocks; the next commit writes them anew
	Uncorrectable uint64  `json:"uncorrectable_errors"`
	Corrected     uint64  `json:"corrected_errors"`  // 0 of a read-only one, where the kernel counts what it would do
	Unverified    uint64  `json:"unverified_errors"` // gone when they were read again
}

// scrubProgress is struct btrfs_scrub_progress, and scrubArgs struct
// btrfs_ioctl_scrub_args, of linux/btrfs.h.
type scrubProgress struct {
	DataExtents, TreeExtents, DataBytes, TreeBytes      uint64
	Read, Csum, Verify, NoCsum, Discards, Super, Malloc uint64
	Uncorrectable, Corrected, LastPhysical, Unverified  uint64
}

type scrubArgs struct {
	Devid, Start, End, Flags uint64
	Progress                 scrubProgress
	_                        [1024 - 4*8 - 15*8]byte
}

// deviceArgs is struct btrfs_ioctl_dev_info_args.
type deviceArgs struct {
	Devid      uint64
	UUID       [16]byte
	Used, Size uint64
	_          [379]uint64
	Path       [1024]byte
}

// Requests of ioctl(2) on btrfs: direction, size, the type 0x94, and a number.
const (
	iocScrub         = 3<<30 | 1024<<16 | 0x94<<8 | 27
	iocScrubCancel   = 0x94<<8 | 28
	iocScrubProgress = 3<<30 | 1024<<16 | 0x94<<8 | 29
	iocDevInfo       = 3<<30 | 4096<<16 | 0x94<<8 | 30
	iocFSInfo        = 2<<30 | 1024<<16 | 0x94<<8 | 31
	iocSpaceInfo     = 3<<30 | 16<<16 | 0x94<<8 | 20

	scrubReadOnly = 1
)

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	if err := raw.Control(func(fd uintptr) { _, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg)) }); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// tellEvery is how often a scrub is asked how far it is.
const tellEvery = 500 * time.Millisecond

// RunScrub has the kernel read all of a mounted file system of one device, every
// copy, and compare it with its checksums. Unless readOnly, it heals what has a good
// copy. progress is told bytes; it may be nil. When the context ends, so does the
// scrub. Errors are that of the context, and of class fault.Input where there is no
// btrfs of one device, or the kernel refuses; one with EROFS where it scrubs nothing that
// is mounted read-only, as some do (Linux 6.12 does, 6.18 does not).
//
// The kernel names damaged files in its log alone: CheckBtrfs names them, of the device,
// while nothing writes.
func RunScrub(ctx context.Context, dir string, readOnly bool, progress func(done, total int64)) (*Scrub, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%w", err)
	}
	defer f.Close()
	devid, err := onlyDevice(f)
	if err != nil {
		return nil, fault.New(fault.Input, "name where a btrfs of one device is mounted", "%s: %w", dir, err)
	}
	args := &scrubArgs{Devid: devid, End: ^uint64(0)}
	if readOnly {
		args.Flags = scrubReadOnly
	}
	done := make(chan error, 1)
	go func() { done <- ioctl(f, iocScrub, unsafe.Pointer(args)) }()
	err = watch(ctx, f, devid, done, progress)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, unix.EINPROGRESS):
		return nil, fault.New(fault.Input, "btrfs scrub status "+dir+" tells how far it is", "%s: is being scrubbed already", dir)
	case errors.Is(err, unix.EROFS):
		return nil, fault.New(fault.Input, "let the scrub be read-only, or mount it writable", "%s: is mounted read-only: %w", dir, unix.EROFS)
	case err != nil:
		return nil, fault.New(fault.Input, "", "%s: scrub: %w", dir, err)
	}
	if progress != nil {
		n := int64(args.Progress.DataBytes + args.Progress.TreeBytes)
		progress(n, n)
	}
	return reportOf(args.Progress, readOnly), nil
}

// watch waits until a scrub has ended, tells how far it is, and ends it with the
// context.
func watch(ctx context.Context, f *os.File, devid uint64, done <-chan error, progress func(done, total int64)) error {
	total := usedBytes(f)
	ticks := time.NewTicker(tellEvery)
	defer ticks.Stop()
	stop := ctx.Done()
	for {
		select {
		case err := <-done:
			return err
		case <-stop:
			// It may not have begun yet, or be over: then this fails, and is made again.
			if ioctl(f, iocScrubCancel, nil) == nil {
				stop = nil
			}
		case <-ticks.C:
			now := &scrubArgs{Devid: devid}
			if progress != nil && ioctl(f, iocScrubProgress, unsafe.Pointer(now)) == nil {
				n := int64(now.Progress.DataBytes + now.Progress.TreeBytes)
				progress(n, max(n, total))
			}
		}
	}
}

// onlyDevice returns the number of the device of a file system that has one.
func onlyDevice(f *os.File) (uint64, error) {
	var info [1024]byte // struct btrfs_ioctl_fs_info_args: max_id, num_devices, …
	if err := ioctl(f, iocFSInfo, unsafe.Pointer(&info)); err != nil {
		return 0, fmt.Errorf("is no mounted btrfs: %w", err)
	}
	most, devices := binary.NativeEndian.Uint64(info[:]), binary.NativeEndian.Uint64(info[8:])
	if devices != 1 {
		return 0, fmt.Errorf("is a btrfs of %d devices, expected 1", devices)
	}
	for id := uint64(1); id <= min(most, 1<<16); id++ {
		if err := ioctl(f, iocDevInfo, unsafe.Pointer(&deviceArgs{Devid: id})); err == nil {
			return id, nil
		}
	}
	return 0, errors.New("has a device that the kernel does not tell")
}

// usedBytes returns how much a scrub reads, 0 where the kernel does not say: what is
// used of all block groups, twice of those that keep two copies (DUP is 1<<5 in the
// flags of linux/btrfs_tree.h).
func usedBytes(f *os.File) (total int64) {
	const head, entry, most = 16, 24, 64
	buf := make([]byte, head+entry*most)
	binary.NativeEndian.PutUint64(buf, most)
	if ioctl(f, iocSpaceInfo, unsafe.Pointer(&buf[0])) != nil {
		return 0
	}
	n := min(binary.NativeEndian.Uint64(buf[8:]), most)
	const global = 1 << 49 // the reserve, which is in the others already
	for e := range n {
		b := buf[head+e*entry:]
		flags, used := binary.NativeEndian.Uint64(b), int64(binary.NativeEndian.Uint64(b[16:]))
		switch {
		case flags&global != 0:
		case flags&(1<<5) != 0:
			total += 2 * used
		default:
			total += used
		}
	}
	return total
}

// reportOf says what the numbers mean.
func reportOf(p scrubProgress, readOnly bool) *Scrub {
	s := &Scrub{
		ReadOnly: readOnly, Bytes: int64(p.DataBytes + p.TreeBytes), Read: p.Read, Csum: p.Csum, Verify: p.Verify, Super: p.Super,
		Uncorrectable: p.Uncorrectable, Corrected: p.Corrected, Unverified: p.Unverified,
	}
	if readOnly {
		s.Corrected = 0
	}
	errs := s.Read + s.Csum + s.Verify + s.Super
	switch {
	case s.Uncorrectable > 0:
		s.Verdict, s.Reason = Failing, fmt.Sprintf("%d sectors or blocks have no good copy left", s.Uncorrectable)
	case errs > 0 && readOnly:
		s.Verdict, s.Reason = Warn, fmt.Sprintf("%d sectors or blocks are bad in one copy and good in another: a scrub that may write heals them", errs)
	case errs > 0:
		s.Verdict, s.Reason = Warn, fmt.Sprintf("%d sectors or blocks were bad, and were healed from another copy: ask the disk how it is", s.Corrected)
	case s.Unverified > 0:
		s.Verdict, s.Reason = Warn, fmt.Sprintf("%d sectors were bad, and good when they were read again: ask the disk how it is", s.Unverified)
	default:
		s.Verdict, s.Reason = OK, fmt.Sprintf("%d bytes are right", s.Bytes)
	}
	return s
}
