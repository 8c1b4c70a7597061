package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/gpt"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/verify"
)

type verifyFlags struct {
	manifest string
	key      string // a public key or its file; "" trusts the manifest as it is
	noData   bool
	workers  int
}

func newVerify(u *ui) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify IMAGE",
		Short: "check a disk image against its manifest and against itself",
		Long: `verify reads all of a disk image, or of a disk that one was written to, and says
where it differs from what was built: both copies of the partition table, the file
system of the ESP, every byte by the digests of the manifest, the btrfs file
system with all its data, identities, the swapfile, /etc/fstab, and the way from
the firmware through boot entries and kernels to the initramfs. It makes all
checks, whatever the first ones find, and changes nothing.

The manifest is IMAGE.manifest.json where that is there, or the one that --manifest
names, and else the copy on the ESP, which says nothing of what lies between the
files of the ESP. With --manifest a disk may be larger than the image: what is
behind the image is not looked at.

With --key the manifest must be signed: its signature, the manifest's name with
.minisig, is checked with the public key before anything else is believed.`,
		Example: `  mkimage verify bandit-minimal.img
  mkimage verify --manifest bandit-minimal.img.manifest.json /dev/sdb
  mkimage verify bandit-minimal.img --key fox.pub
  mkimage verify --json bandit-minimal.img | jq -r '.checks[].problems[] | .where + ": " + .what'`,
		Args:        takes(1, 1),
		Annotations: exits(fault.Input, fault.Mismatch),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Else a variable of a script that is not set would ask for no signature.
			if cmd.Flags().Changed("key") && f.key == "" {
				return fault.New(fault.Usage, "mkimage verify IMAGE --key PUBKEY", "--key is empty: expected a public key or its file")
			}
			return f.run(cmd.Context(), u, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.manifest, "manifest", "", "the manifest's `file`; default: IMAGE.manifest.json, or the copy on the ESP")
	flags.StringVar(&f.key, "key", "", "the `public key` that the manifest must be signed with: its file, or its line")
	flags.BoolVar(&f.noData, "no-data", false, "do not verify file data against the checksums of btrfs; the digests stay")
	flags.IntVar(&f.workers, "workers", 0, "goroutines that read and hash; 0 means one for each processor")
	return cmd
}

func (f *verifyFlags) run(ctx context.Context, u *ui, name string) error {
	d, err := openDisk(name)
	if err != nil {
		return err
	}
	defer d.Close()
	m, signed, err := f.manifestOf(name)
	if err != nil {
		return err
	}
	size := d.Size()
	if m == nil {
		if _, _, err := gpt.Read(d, size); errors.Is(err, gpt.ErrNone) {
			return fault.New(fault.Input, "mkimage check is for a btrfs file system without a partition table", "%s: %w", name, err)
		}
	} else if f.manifest != "" {
		size = min(size, m.Image.Size)
	}
	report, err := verify.Image(ctx, d, size, verify.Options{Manifest: m, Data: !f.noData, Workers: f.workers, Progress: u})
	if err != nil {
		return nameError(name, err)
	}
	return answerReport(u, name, signedReport{report, signed})
}

// manifestOf reads the manifest, after its signature where a key was named.
func (f *verifyFlags) manifestOf(image string) (*manifest.Manifest, *signedBy, error) {
	if f.key != "" {
		return f.readSigned(image)
	}
	m, err := f.readManifest(image)
	return m, nil, err
}

// readManifest reads the manifest that was asked for, or the one beside the
// image, which need not be there.
func (f *verifyFlags) readManifest(image string) (*manifest.Manifest, error) {
	name := f.manifest
	if name == "" {
		name = image + manifest.Suffix
	}
	m, err := manifest.ReadFile(name)
	if f.manifest == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return m, err
}

func answerReport(u *ui, name string, r signedReport) error {
	var textErr error
	text := func(w io.Writer) {
		r.Signature.text(w)
		if r.Clean() {
			fmt.Fprintf(w, "%s: clean, %d checks\n", printable(name), len(r.Checks))
		}
		textErr = r.Text(w)
	}
	if r.Clean() {
		return errors.Join(u.summary(r, text), textErr)
	}
	if err := errors.Join(u.answer(r, text), textErr); err != nil {
		return err
	}
	return fault.New(fault.Mismatch, "take another copy; mkimage inspect and mkimage cat read what is intact", "%s: %d problems found", name, r.Found())
}
