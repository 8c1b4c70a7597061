package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/preflight"
)

// proveOptions are what the command line of prove says.
type proveOptions struct {
	root   string
	mounts []string // TARGET=DIR
	key    string   // a file, "-" for the input, "" for none
	backup string   // a device, or a directory
	space  int64    // bytes; 0 is not judged
}

func newProve(s *system) *cobra.Command {
	var o proveOptions
	cmd := &cobra.Command{
		Use:   "prove --root DIR",
		Short: "prove that recovery will work, before anything is erased",
		Long: `prove looks at a system that is not installed yet, below DIR, and finds out whether
its first boot will succeed: whether the key opens its secrets, whether the password
among them opens the repository, whether that has a backup of this machine that
fits, and whether a sample of its data can be read. Everything is looked at and told
at once. Nothing is written: the backup disk is mounted read-only for the time, and
not even its journal is replayed.

The key is read from a file, or "-" for the input, and is not to be encrypted. The
exit code is 0 when all holds, and otherwise that of the first finding that does not,
see "Exit codes" in docs/secrets.md.`,
		Example: `  mkimage-firstboot prove --root /run/payload/@ --mount /var=/run/payload/@var --key-file key.txt
  mkimage-firstboot prove --root /mnt --key-file - --backup-disk /dev/sdb1 --space 200000000000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.prove(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.root, "root", "", "the `directory` of the system's root")
	flags.StringArrayVar(&o.mounts, "mount", nil, "what is mounted in the system, and the directory that it is now, as `TARGET=DIR`; repeat it")
	flags.StringVar(&o.key, "key-file", "", "the `file` with the age key, - for the input")
	flags.StringVar(&o.backup, "backup-disk", "", "the backup disk: a `device`, or a directory that has what is on it")
	flags.Int64Var(&o.space, "space", 0, "how many `bytes` will be free for what is restored")
	_ = cmd.MarkFlagRequired("root")
	return cmd
}

// prove prints all findings.
func (s *system) prove(ctx context.Context, o proveOptions) error {
	p := &prover{system: s, o: o, tree: preflight.Tree{Root: o.root, Mounts: map[string]string{}}}
	list, err := p.all(ctx)
	if err != nil {
		return err
	}
	if s.json {
		err = s.encode(preflight.Report{Version: preflight.ReportVersion, Findings: list})
	} else {
		err = preflight.Write(s.out, list)
	}
	if code := preflight.FirstCode(list); err == nil && code != 0 {
		return errIncomplete{firstboot.Code(code)}
	}
	return err
}

// prover looks at one system.
type prover struct {
	*system
	o        proveOptions
	tree     preflight.Tree
	c        firstboot.Config
	key      *agekey.Key
	password []byte // of the repository, once it is decrypted
	list     []preflight.Finding
}

// all returns all findings. The error is for a command line that is wrong, and
// for a run that was interrupted.
func (p *prover) all(ctx context.Context) ([]preflight.Finding, error) {
	defer func() { clear(p.password) }()
	found, err := p.config()
	if err != nil {
		return nil, err
	}
	if !found || p.c.Age == nil && p.c.Restore == nil {
		return []preflight.Finding{preflight.Nothing}, nil
	}
	if p.c.Age != nil {
		p.lookAtKey()
		p.lookAtSecrets()
	}
	if p.c.Restore != nil {
		p.lookAtBackup(ctx)
	}
	return p.list, ctx.Err()
}

// config reads the configuration of the system; false says that it has none.
func (p *prover) config() (bool, error) {
	for _, m := range p.o.mounts {
		target, dir, ok := strings.Cut(m, "=")
		if !ok || !filepath.IsAbs(target) || dir == "" {
			return false, fault.New(fault.Usage, "--mount /var=/run/payload/@var", "--mount %q: expected TARGET=DIR", m)
		}
		p.tree.Mounts[filepath.Clean(target)] = dir
	}
	// A wrong directory has no configuration either, and must not prove that none
	// is needed.
	if info, err := os.Stat(p.tree.Path("/usr")); err != nil || !info.IsDir() {
		if info, err = os.Stat(p.tree.Path("/etc")); err != nil || !info.IsDir() {
			return false, fault.New(fault.Usage, "name the directory of its root file system", "--root %s: is not a system: it has neither /etc nor /usr", p.o.root)
		}
	}
	for _, name := range []string{firstboot.ConfigPathNixOS, firstboot.ConfigPath} {
		c, err := firstboot.ReadConfig(p.tree.Path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p.c = c
		return true, err
	}
	return false, nil
}

// add adds a finding: good with its text where there is no error, else bad with
// that of the error. It reports whether it is good.
func (p *prover) add(name, proof, text string, err error) bool {
	f := preflight.Finding{Name: name, Proof: proof, Text: text, OK: err == nil}
	if err != nil {
		f.Text, f.Code = err.Error(), int(firstboot.CodeOf(err))
		if f.Code == 0 {
			f.Code = int(firstboot.CodeNotYet) // of this machine, such as a lack of memory
		}
		if f.Hint = proveHints[firstboot.Code(f.Code)]; f.Hint == "" {
			f.Hint = p.hint(err)
		}
	}
	p.list = append(p.list, f)
	return f.OK
}

// proveHints are what to do where nothing is installed yet: the hints of other
// commands name these.
var proveHints = map[firstboot.Code]string{
	firstboot.CodeNoRepository: "plug in the disk that has the repository, or name its folder in the profile: restore = {repository = …}",
	firstboot.CodeNoKey:        "plug in the key medium",
	firstboot.CodeNoDisk:       "plug in the backup disk",
	firstboot.CodeDisk:         "see whether another machine can read the backup disk",
	firstboot.CodeSpace:        "use a larger disk, or restore less",
	firstboot.CodeNotYet:       "try it once more",
}

// lookAtKey proves that the key is one, and opens what the system was made with.
func (p *prover) lookAtKey() {
	text, err := p.keyText()
	if err == nil {
		p.key, err = agekey.Parse(text)
		clear(text)
	}
	if err == nil {
		err = agekey.Check(p.key, p.c.Age.Recipients)
	}
	if !p.add("key", preflight.ProofKey, "it opens the secrets of the system", err) {
		p.key = nil
	}
}

func (p *prover) keyText() ([]byte, error) {
	if p.o.key == "" {
		return nil, firstboot.NewProblem(firstboot.CodeNoKey, "", "there is none")
	}
	found, err := p.fromFile(p.o.key)
	if errors.Is(err, fs.ErrNotExist) {
		err = firstboot.NewProblem(firstboot.CodeNoKey, "", "%w", err)
	}
	if err == nil && len(found.text) == 0 {
		err = firstboot.NewProblem(firstboot.CodeNoKey, "", "there is none in %s", found.where)
	}
	return found.text, err
}

// restic is where the system has the program.
func (p *prover) restic() string {
	if p.c.NixOS {
		return p.tree.Path(firstboot.ProgramsDir + "/restic")
	}
	return p.tree.Path("/usr/lib/mkimage/restic")
}

// notTried is the problem of what cannot be tried.
func notTried(code firstboot.Code, format string, args ...any) error {
	return firstboot.NewProblem(code, "", "not tried: %w", fmt.Errorf(format, args...))
}
