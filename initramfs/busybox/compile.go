package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/u-root/gobusybox/src/pkg/bb"
	"github.com/u-root/gobusybox/src/pkg/golang"
	"github.com/u-root/uio/ulog"
)

// shellTag chooses the line editor of gosh.
const shellTag = "goshliner"

// shSource lets the program answer to sh. gobusybox would find the command
// behind a symlink to a symlink, but only where argv[0] is a path.
const shSource = `package main

import (
	"os"
	"path"
)

func init() {
	if len(os.Args) > 0 {
		switch path.Base(os.Args[0]) {
		case "sh", "-sh":
			os.Args[0] = "` + shell + `"
		}
	}
}
`

// pinned is the part of the environment that could reach a byte of the
// program, and the part that could keep the go command from building it.
var pinned = []string{"GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off"}

// tools returns the import paths of the commands, which are the tools of the
// module in dir, sorted.
func tools(ctx context.Context, dir string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "tool")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), pinned...)
	out, err := cmd.Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("go list tool in %s: %w", dir, err)
	}
	commands := strings.Fields(string(out))
	if len(commands) == 0 {
		return nil, fmt.Errorf("%s: go.mod has no tools, expected the commands", dir)
	}
	slices.Sort(commands) // the go command lists them in any order
	return commands, nil
}

// names returns what the commands are called.
func names(commands []string) []string {
	out := make([]string, len(commands))
	for i, c := range commands {
		out[i] = path.Base(c)
	}
	return out
}

// compile makes one program of the commands. The source is generated into the
// directory src and compiled by a go command of our own: gobusybox's passes
// -a, which compiles even the standard library anew each time.
func compile(ctx context.Context, dir, src, program string, commands []string, log io.Writer) error {
	for _, kv := range pinned {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil { // gobusybox runs go by os.Environ
			return err
		}
	}
	env := golang.Default(golang.DisableCGO(), golang.WithGOOS("linux"), golang.WithGOARCH("amd64"),
		golang.WithWorkingDir(dir), golang.WithBuildTag(shellTag))
	err := bb.BuildBusybox(ulog.Null, &bb.Opts{Env: env, GenSrcDir: src, CommandPaths: commands, GenerateOnly: true})
	if err != nil {
		return fmt.Errorf("gobusybox: %w", err)
	}
	main := filepath.Join(src, "src", "bb.u-root.com", "bb")
	if err := os.WriteFile(filepath.Join(main, "sh.go"), []byte(shSource), 0o644); err != nil {
		return err
	}
	// Without inlining (-l) the program is a tenth smaller.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", shellTag,
		"-ldflags=-s -w -buildid=", "-gcflags=all=-l", "-o", program, ".")
	cmd.Dir = main
	cmd.Env = append(os.Environ(), "GO111MODULE=off", "GOPATH="+src)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}
