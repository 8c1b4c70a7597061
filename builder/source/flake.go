package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

const (
	hintNoNix     = "install Nix, or take a system that was built elsewhere, without Nix: cache:URL#STOREPATH"
	hintAttribute = "nix flake show tells what a flake has; a host is what it calls nixosConfigurations.HOST"
	hintOutput    = "name the toplevel of a system: FLAKE#HOST"
)

// maxReply bounds what nix build prints for one object, in bytes.
const maxReply = 1 << 20

// build has Nix build what the flake names into the store below a directory, and returns
// the path of it. What Nix has to say goes to log.
//
// Nix runs in the environment of the caller, which has what it needs for its network,
// its daemon and its caches. A flake is evaluated without it, so that nothing of it but
// the store path gets here. It has a session of its own: a question on the terminal
// would be asked below a bar of progress, and must fail instead.
func (f flake) build(ctx context.Context, store string, log io.Writer) (nix.StorePath, error) {
	args := []string{"build", "--extra-experimental-features", "nix-command flakes", "--no-link", "--json", "--print-build-logs"}
	if store != "/" {
		args = append(args, "--store", store)
	}
	cmd := exec.CommandContext(ctx, "nix", append(args, f.installable())...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// All that it started is to end with it; its builders end by themselves.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopWait
	var said lines
	var out reply
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(log, &said)
	err := cmd.Run()
	said.end()
	switch {
	case ctx.Err() != nil:
		return nix.StorePath{}, context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return nix.StorePath{}, fault.New(fault.Input, hintNoNix, "source nix:%s#%s: %w", f.ref, f.attribute, err)
	case err != nil && out.err == nil:
		return nix.StorePath{}, f.failed(err, said.last)
	}
	path, err := out.path()
	if err != nil {
		return nix.StorePath{}, fault.New(fault.Input, hintOutput, "nix build %s: %w", f.installable(), err)
	}
	return path, nil
}

// failed says why Nix did not build a flake, in the last of its own words.
func (f flake) failed(err error, last []string) error {
	if i := slices.IndexFunc(last, func(line string) bool { return strings.HasPrefix(line, "error:") }); i >= 0 {
		last = last[i:]
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.Join(last, "\n  "))
	hint := ""
	if strings.Contains(text, "does not provide attribute") {
		hint = hintAttribute
	}
	return fault.New(fault.Input, hint, "nix build %s: %w; it says:\n  %s", f.installable(), err, text)
}

// reply is what nix build prints.
type reply struct {
	text bytes.Buffer
	err  error // there is too much
}

// Write implements io.Writer.
func (r *reply) Write(p []byte) (int, error) {
	if r.text.Len()+len(p) > maxReply {
		r.err = fmt.Errorf("printed more than %d bytes", maxReply)
		return 0, r.err
	}
	return r.text.Write(p)
}

// path returns the one store path that was built. All versions of Nix print an array
// with the outputs of each derivation by name.
func (r *reply) path() (nix.StorePath, error) {
	var built []struct {
		Outputs map[string]string `json:"outputs"`
	}
	if r.err != nil {
		return nix.StorePath{}, r.err
	}
	if err := json.Unmarshal(r.text.Bytes(), &built); err != nil {
		return nix.StorePath{}, fmt.Errorf("printed %.100q: %w", r.text.Bytes(), err)
	}
	n := 0
	var text string
	for _, b := range built {
		for _, text = range b.Outputs {
			n++
		}
	}
	if n != 1 {
		return nix.StorePath{}, fmt.Errorf("made %d store paths, expected one", n)
	}
	if strings.HasPrefix(text, "/") {
		return nix.ParseStorePath(text)
	}
	return nix.ParseBase(text) // as newer Nix has paths in JSON
}
