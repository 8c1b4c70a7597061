package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/btrfs/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

type swapfileInfo struct {
	Path         string `json:"path"`
	Size         int64  `json:"size"`
	ResumeOffset int64  `json:"resume_offset"` // in pages of 4096 bytes from the start of the device
	Fragments    int    `json:"fragments"`
	Signature    string `json:"signature"`
	UUID         string `json:"uuid"`
}

func newMapSwapfile(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "map-swapfile FS [PATH]",
		Short: "print the resume offset of a swapfile",
		Long: `map-swapfile prints the number that the kernel takes as resume_offset=: the
physical page at which the swapfile begins. It reads the metadata of the file
system, and it refuses a file that the kernel would not swap to. PATH starts at
the top level. Of a disk or an image of one it reads the root partition, and the
number counts from there, as the kernel wants it.

Without a PATH it takes the swapfile that /etc/fstab of the root subvolume names,
or the manifest on the ESP where there is no such file. In an image that was never
booted that is the small one, which the first boot may replace.

The disk may be that of the running system. What its file system has not committed
yet is not seen: sync first, or wait 30 seconds, when the swapfile was made anew.`,
		Example: `  mkimage map-swapfile /dev/nvme0n1
  mkimage map-swapfile fs.img @swap/swapfile
  mkimage map-swapfile --json /dev/disk/by-label/nixos @swap/swapfile`,
		Args:        takes(1, 2),
		Annotations: exits(fault.Input),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := fsPath{fs: args[0]}
			if len(args) > 1 {
				p.path = cmp.Or(path.Clean("/" + args[1])[1:], ".")
			} else if name, err := swapfileOf(cmd.Context(), p.fs); err != nil {
				return err
			} else {
				p.path = name
			}
			info, err := findSwapfile(p)
			if err != nil {
				return err
			}
			return u.answer(info, func(w io.Writer) { fmt.Fprintln(w, info.ResumeOffset) })
		},
	}
}

// findSwapfile finds one by its path, also while the file system is written to.
func findSwapfile(p fsPath) (*swapfileInfo, error) {
	d, err := openDisk(p.fs)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var s *reader.Swapfile
	err = reader.Retry(func() (*reader.FS, error) {
		fsys, err := openRoot(d)
		if err != nil {
			return nil, err
		}
		v, err := fsys.Subvolume("")
		if err == nil {
			s, err = v.Swapfile(p.path)
		}
		return fsys, err
	})
	if err != nil {
		return nil, p.wrap(err)
	}
	return &swapfileInfo{p.path, s.Size, s.Offset, s.Fragments, s.Signature, s.UUID.String()}, nil
}

// swapfileOf returns the path, from the top level, of the swapfile that a disk
// or file system says that it has.
func swapfileOf(ctx context.Context, name string) (string, error) {
	found, err := readHardware(ctx, name)
	if err != nil {
		return "", err
	}
	if found.Swapfile == nil {
		return "", fault.New(fault.Input, "name it: mkimage map-swapfile "+name+" PATH", "%s: no swapfile of the root file system in its %s", name, found.From)
	}
	return found.Swapfile.Path, nil
}
