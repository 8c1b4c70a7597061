// Command modules vendors the Go modules of this repository, as nix/modules.nix does,
// and writes nix/modules.json: the hash of the result, which Nix compares with what it
// fetches, and a key by which a test sees that the hash is one of other sources.
//
// It runs in the top directory of the repository. Modules come from where the go command
// has them from, and go.sum says what is in each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

// pinFile is what is written, from the top directory.
const pinFile = "nix/modules.json"

// directories are where the modules are, by the names that nix/modules.nix has for them.
var directories = map[string]string{"main": ".", "busybox": "initramfs/busybox", "restic": "installer/restic"}

// pin is the content of nix/modules.json.
type pin struct {
	Hash string `json:"hash"` // of the NAR of the directories, as Nix writes it: sha256-BASE64
	Key  string `json:"key"`  // see keyOf
}

func main() {
	os.Exit(run(os.Stdout, os.Stderr))
}

func run(stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p, err := pinOf(ctx, ".", stderr)
	if err == nil {
		err = p.write(pinFile)
	}
	if err != nil {
		fmt.Fprintf(stderr, "modules: error: %v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "%s: %s\n", pinFile, p.Hash)
	return 0
}

// pinOf vendors the modules below root.
func pinOf(ctx context.Context, root string, log io.Writer) (p pin, err error) {
	dir, err := os.MkdirTemp("", "mkimage-modules-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	for name, module := range directories {
		cmd := exec.CommandContext(ctx, "go", "mod", "vendor", "-o", filepath.Join(dir, name))
		cmd.Dir, cmd.Stderr = filepath.Join(root, module), log
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
		if err := cmd.Run(); err != nil {
			return p, fmt.Errorf("go mod vendor in %s: %w", module, err)
		}
	}
	if p.Hash, err = hashOf(os.DirFS(dir)); err != nil {
		return p, err
	}
	p.Key, err = keyOf(os.DirFS(root))
	return p, err
}

func (p pin) write(name string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}
