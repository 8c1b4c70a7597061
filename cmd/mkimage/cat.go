package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

func newCat(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "cat FS[:SUBVOLUME]/PATH ...",
		Short: "print files of a file system that is not mounted",
		Long: `cat writes the bytes of files to standard output. Every byte is checked against
the checksums of the file system before it is printed; at the first that is
wrong it stops. Of a disk image it reads the root partition, or the ESP, which has
no checksums, where IMAGE:esp:/PATH is given.

With --json each file is an object instead, with its path, its size and, in
base64, its content.`,
		Example: `  mkimage cat fs.img:@/etc/os-release
  mkimage cat fs.img:@home/user/disk.tar | tar -t
  mkimage cat disk.img:esp:/loader/loader.conf`,
		Args:        takes(1, math.MaxInt),
		Annotations: exits(fault.Input),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if err := cat(cmd.Context(), u, arg); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func cat(ctx context.Context, u *ui, arg string) error {
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
	if u.json {
		err = catJSON(u.out, p.path, info.Size(), &untilDone{ctx, f})
	} else {
		_, err = io.Copy(u.out, &untilDone{ctx, f})
	}
	if err != nil {
		return p.wrap(err)
	}
	return nil
}

// catJSON writes a file as an object, whose content is a stream because it may
// be larger than memory. After an error the object is not ended.
func catJSON(w io.Writer, path string, size int64, r io.Reader) error {
	head, err := json.Marshal(struct {
		Path      string `json:"path"`
		PathBytes []byte `json:"path_bytes,omitempty"`
		Size      int64  `json:"size"`
	}{path, unlessUTF8(path), size})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, `%s,"content":"`, head[:len(head)-1]); err != nil {
		return err
	}
	out := base64.NewEncoder(base64.StdEncoding, w)
	if _, err := io.Copy(out, r); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	_, err = io.WriteString(w, "\"}\n")
	return err
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
