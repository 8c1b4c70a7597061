// Command pack compresses programs for package programs. Equal programs give
// equal files.
//
//	pack DIR PROGRAM...
//
// writes DIR/NAME.zst for each program.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: pack DIR PROGRAM...")
		os.Exit(2)
	}
	for _, program := range os.Args[2:] {
		if err := pack(filepath.Join(os.Args[1], filepath.Base(program)+".zst"), program); err != nil {
			fmt.Fprintf(os.Stderr, "pack: %v\n", err)
			os.Exit(1)
		}
	}
}

// pack writes a file under another name first: what is interrupted must not be
// taken for a program.
func pack(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	// One goroutine: more would cut the stream elsewhere.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	packed := e.EncodeAll(data, nil)
	partial := to + ".partial"
	err = errors.Join(e.Close(), os.WriteFile(partial, packed, 0o644))
	if err == nil {
		err = os.Rename(partial, to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return nil
}
