// Command etcimage makes an /etc as NixOS does with system.etc.overlay: an image of the
// metadata, in which files are symlinks into the store, and a directory with those that
// are copied.
//
//	etcimage ETC IMAGE BASE [NAME:MODE...]
//
// ETC is the static /etc. The files of these names have their content in BASE, and an octal
// mode.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/imgtest/nixfixture/etcimage"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: etcimage ETC IMAGE BASE [NAME:MODE...]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, "etcimage:", err)
		os.Exit(1)
	}
}

func run(etc, image, base string, copied []string) error {
	modes := map[string]uint16{}
	for _, c := range copied {
		name, octal, _ := strings.Cut(c, ":")
		mode, err := strconv.ParseUint(octal, 8, 12)
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		modes[name] = uint16(mode)
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	var files []etcimage.File
	err := filepath.WalkDir(etc, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f := etcimage.File{Path: strings.TrimPrefix(strings.TrimPrefix(at, etc), "/")}
		mode, isCopied := modes[f.Path]
		switch {
		case d.IsDir():
			f.Mode = etcimage.Dir | 0o755
		case isCopied:
			text, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(base, f.Path), text, 0o644); err != nil {
				return err
			}
			f.Mode, f.Redirect, f.Size = etcimage.Regular|mode, "/"+f.Path, int64(len(text))
		default:
			f.Mode, f.Target = etcimage.Symlink|0o777, at
			if d.Type() == fs.ModeSymlink {
				if f.Target, err = os.Readlink(at); err != nil {
					return err
				}
			}
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return err
	}
	data, err := etcimage.Make(files)
	if err != nil {
		return err
	}
	return os.WriteFile(image, data, 0o644)
}
