package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func newCat(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "cat FS[:SUBVOLUME]/PATH ...",
		Short: "print files of a file system that is not mounted",
		Long: `cat writes the bytes of files to standard output. Every byte is checked against
the checksums of the file system before it is printed; at the first that is
wrong it stops.`,
		Example: `  mkimage cat fs.img:@/etc/os-release
  mkimage cat fs.img:@home/user/disk.tar | tar -t`,
		Args:        cobra.MinimumNArgs(1),
		Annotations: exits(fault.Input),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if err := cat(cmd.Context(), u.out, arg); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func cat(ctx context.Context, w io.Writer, arg string) error {
	img, v, p, err := openPath(arg)
	if err != nil {
		return err
	}
	defer img.Close()
	f, err := v.Open(p.path)
	if err != nil {
		return p.wrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return p.wrap(err)
	}
	if !info.Mode().IsRegular() {
		return fault.New(fault.Input, "", "%s: %s: is a %s, not a file", p.fs, p.path, typeWord(info.Mode()))
	}
	if _, err := io.Copy(w, &untilDone{ctx, f}); err != nil {
		return p.wrap(err)
	}
	return nil
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
