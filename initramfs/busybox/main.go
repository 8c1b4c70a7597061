package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stderr))
}

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("busybox", flag.ContinueOnError)
	flags.SetOutput(stderr)
	output := flags.String("o", "busybox.cpio.zst", "file to write")
	dir := flags.String("C", ".", "directory of the module whose tools are the commands")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := build(ctx, *dir, *output, stderr); err != nil {
		fmt.Fprintf(stderr, "busybox: error: %v\n", err)
		return 1
	}
	return 0
}

// build writes the archive of the commands of the module in dir to output,
// which appears only once it is complete.
func build(ctx context.Context, dir, output string, log io.Writer) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	commands, err := tools(ctx, dir)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "mkimage-busybox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	program := filepath.Join(tmp, "bb")
	if err := compile(ctx, dir, filepath.Join(tmp, "src"), program, commands, log); err != nil {
		return err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	packed, err := pack(data, names(commands))
	if err != nil {
		return err
	}
	partial := output + ".partial"
	if err := os.WriteFile(partial, packed, 0o644); err != nil {
		return err
	}
	return os.Rename(partial, output)
}
