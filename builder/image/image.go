// Package image makes the image of a disk from a plan and a source: it runs
// the stages of a build in their order and decides nothing.
//
// Stages: the tree is adjusted, the initramfs is made, the root file system and
// the partition table are written and hashed, and last the ESP, on which the
// manifest of all that came before lies.
//
// What it does not do: it opens no file of the host, prints nothing and reads
// no clock. Equal inputs give equal bytes.
package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/btrfs"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/nixos/mounts"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/initramfs"
)

// Target is what an image is written to and read back from. It must read zeros
// where nothing was written, as a new sparse file does; where Reader is an
// *os.File its holes are not read.
type Target struct {
	Writer   io.WriterAt
	Reader   io.ReaderAt
	Truncate func(size int64) error // called once, when the size of the image is known
}

// Inputs is what an image is made of besides its plan.
type Inputs struct {
	Tree      *fstree.Tree      // of the source; it is changed
	Digest    string            // of the source, for the manifest
	Lock      string            // digest of the lock file, or ""
	Passwords map[string]string // crypt(5) hashes of users with a password file
	Recovery  *adjust.Recovery  // what the first boot needs; nil when the profile has nothing of it
	GRUB      []byte            // the image of GRUB that the profile names, nil where it names none
	// Installer is what a medium has besides what comes of its payload; nil where the
	// plan is of none.
	Installer *Installer
	Places    *btrfs.Places // of an older image; nil where there is none
	// Sign signs the manifest's copy on the ESP, of which it gets every byte; nil
	// leaves it unsigned.
	Sign     func(manifest []byte) (signature []byte, err error)
	Version  string           // of mkimage
	Workers  int              // goroutines; 0 means GOMAXPROCS
	Progress builder.Progress // nil shows nothing
}

// Installer is what an installer medium has besides its payload, and what a medium that
// only brings back has in its rescue environment.
type Installer struct {
	Program []byte  // mkimage-install
	Key     []byte  // the public key that the medium is verified with; nil for a rescue medium that nobody signs
	Rescue  *Rescue // of the rescue environment; nil where the plan has none
}

// Result is what was made.
type Result struct {
	Size     int64         // bytes of the image
	Root     *btrfs.Result // nil for a medium that has an ESP only
	ESP      *esp.Result
	Kernels  []Kernel      // the default first
	Rescue   *RescueResult // nil where there is no rescue environment
	Manifest *manifest.Manifest
	Table    gpt.Table
}

// Kernel is a kernel of the image with the initramfs that was made for it.
type Kernel struct {
	Version string
	Size    int64 // bytes of the kernel
	Archive *initramfs.Archive
}

// build is one run of Write.
type build struct {
	plan    *plan.Plan
	host    *plan.Plan // of the system whose initramfs is made: plan, unless that is of a medium which only brings it back
	in      Inputs
	out     Target
	system  *source.System
	second  []byte // the archive of the installer
	rescue  []byte // the archive of the rescue environment, nil where there is none
	boot    []loader.Kernel
	esp     *fstree.Tree
	espSize int64 // bytes of the partition
	result  *Result
}

// Write makes the image of a plan. What out holds after an error is of no use.
// Errors have the class of the stage that found them; those that the source's
// content is to blame for are of class fault.Input.
func Write(ctx context.Context, out Target, p *plan.Plan, in Inputs) (*Result, error) {
	if in.Progress == nil {
		in.Progress = builder.Silent{}
	}
	b := &build{plan: p, host: p, in: in, out: out, result: &Result{}}
	for _, stage := range b.stages() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := stage(ctx); err != nil {
			return nil, err
		}
	}
	return b.result, nil
}

// stages returns the stages of the build in order.
func (b *build) stages() []func(context.Context) error {
	write := []func(context.Context) error{b.describe, b.resize, b.writeTable, b.digestAllButESP, b.writeESP, b.digestESP}
	if b.plan.IsRescue() {
		return slices.Concat([]func(context.Context) error{b.findSystem, b.makeInitramfs, b.makeRescue, b.fillESP}, write)
	}
	return slices.Concat([]func(context.Context) error{b.adjustTree, b.makeInitramfs, b.makeInstaller, b.makeRescue, b.fillESP, b.writeRoot}, write)
}

func (b *build) report(stage builder.Stage, done, total int64) {
	b.in.Progress.Report(stage, done, total)
}

// adjustTree makes the plan's system of the source, unless that is a NixOS which would
// not find its disk in the plan's. Kernels are found before, because the files of /boot
// do not stay.
func (b *build) adjustTree(context.Context) error {
	b.report(builder.StageScan, 0, 0)
	var err error
	if b.system, err = source.SystemOf(b.in.Tree, b.plan.Epoch); err != nil {
		return err
	}
	if err := mounts.Check(b.in.Tree, b.plan); err != nil {
		return err
	}
	if err := adjust.Apply(b.in.Tree, b.plan, adjust.Inputs{Passwords: b.in.Passwords, Recovery: b.in.Recovery}); err != nil {
		return err
	}
	if err := checkInitrds(b.in.Tree, b.plan, b.system); err != nil {
		return err
	}
	b.in.Tree.Freeze()
	return nil
}

// makeInitramfs makes the archive of every kernel.
func (b *build) makeInitramfs(ctx context.Context) error {
	b.report(builder.StageInitramfs, 0, 0)
	for _, k := range b.system.Kernels {
		archive, err := initramfs.Build(ctx, b.initramfsParams(k))
		if err != nil {
			return fmt.Errorf("initramfs of kernel %s: %w", k.Version, err)
		}
		made := loader.Kernel{Version: k.Version, Image: k.Image, Initramfs: archive.Data, Words: k.Words}
		if b.plan.Profile.Initramfs.OfSource() && !b.plan.IsRescue() {
			prelude, err := initramfs.Prelude(ctx, b.initramfsParams(k))
			if err != nil {
				return fmt.Errorf("initramfs of kernel %s: %w", k.Version, err)
			}
			made.Prelude = prelude.Data
		}
		b.boot = append(b.boot, made)
		b.result.Kernels = append(b.result.Kernels, Kernel{Version: k.Version, Size: k.Image.Size, Archive: archive})
	}
	return nil
}

func (b *build) initramfsParams(k source.Kernel) initramfs.Params {
	return InitramfsParams(b.in.Tree, b.host, k, b.in.Recovery.KeyRecipients())
}

// InitramfsParams returns what the archive of a kernel of a tree is made of. Recipients
// are the public keys of age that open the system's secrets, nil when it has none.
func InitramfsParams(t *fstree.Tree, p *plan.Plan, k source.Kernel, recipients []string) initramfs.Params {
	want, config := p.Profile.Initramfs, plan.InitConfig(p, recipients)
	config.EtcImage = k.EtcImage
	return initramfs.Params{
		Root: t, Kernel: k.Version, ModuleDir: k.Modules.Path(), FirmwareDir: k.FirmwareDir, Modules: want.Modules, Firmware: want.Firmware,
		Microcode: want.Microcode, Shell: want.Shell, Config: config,
	}
}

// makeInstaller makes the second archive of a medium, for the newest kernel: a
// medium starts no other one.
func (b *build) makeInstaller(ctx context.Context) (err error) {
	in := b.in.Installer
	if err := b.checkInstaller(); err != nil || in == nil {
		return err
	}
	b.second, err = initramfs.Installer(ctx, initramfs.InstallerParams{Payload: b.initramfsParams(b.system.Kernels[0]), Program: in.Program, Key: in.Key})
	return err
}

// checkInstaller refuses inputs of a medium for a plan of none, and the other way round.
func (b *build) checkInstaller() error {
	in := b.in.Installer
	if (in != nil) != (b.plan.Medium != nil) {
		return fault.New(fault.Internal, "", "program of an installer: given: %v, for a plan that is of a medium: %v", in != nil, b.plan.Medium != nil)
	}
	return nil
}

// digests returns the kernels with the digests of what the ESP holds of them.
func (b *build) digests() ([]manifest.Kernel, error) {
	var list []manifest.Kernel
	for _, k := range b.boot {
		linux, err := digestFile(k.Image)
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", k.Version, err)
		}
		made := manifest.Kernel{Version: k.Version, Linux: linux, Initramfs: sha256.Sum256(k.Initramfs), Words: k.Words}
		if k.Prelude != nil {
			sum := manifest.SHA256(sha256.Sum256(k.Prelude))
			made.Prelude = &sum
		}
		list = append(list, made)
	}
	return list, nil
}

// generations returns the entries that the system names itself.
func (b *build) generations() []manifest.Generation {
	var list []manifest.Generation
	for _, g := range b.system.Generations {
		made := manifest.Generation{
			File: g.FileName, Title: g.Title, SortKey: g.SortKey, Version: g.Version, Kernel: g.Kernel, Linux: g.Entry.Kernel, Words: g.Words,
		}
		if b.plan.Profile.Initramfs.OfSource() {
			made.Initrd, made.Words = g.Entry.Initrd, g.AllWords
		}
		list = append(list, made)
	}
	return list
}

// digestFile hashes a file of the source.
func digestFile(e *fstree.Entry) (sum manifest.SHA256, err error) {
	f, err := e.Content.Open(e)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which says when the file has changed
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, e.Size)); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}
