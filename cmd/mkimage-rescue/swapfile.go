package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/smbios"
	"github.com/6FaNcY9/mkimage/initramfs/swapfile"
	"github.com/6FaNcY9/mkimage/installer/bootmenu"
	"github.com/6FaNcY9/mkimage/installer/disks"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/rescue/carried"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/rescue/machine"
)

// swap is what the command was told.
type swap struct {
	where
	consent
	size string
}

func newSwapfile(p *program) *cobra.Command {
	var w swap
	cmd := &cobra.Command{
		Use:   "swapfile",
		Short: "make the swapfile anew, and tell the boot menu where it is",
		Long: `mkimage-rescue swapfile puts a new swapfile into the place of the one that is
there, or that is missing: one that the kernel swaps and hibernates to. Its
UUID stays. Until the new one has been read back from the disk, the old one
stays, but where there is no room for both: then it goes first.

Where entries of the boot menu say by resume_offset= where the swapfile is,
the number is corrected. A NixOS writes these entries anew with each rebuild:
put the number that is printed into its configuration.`,
		Example: `  mkimage-rescue swapfile --dry-run
  mkimage-rescue swapfile
  mkimage-rescue swapfile --size ram`,
		Args: cobra.NoArgs,
	}
	w.addSystem(cmd.Flags())
	w.consent.addTo(cmd.Flags())
	cmd.Flags().StringVar(&w.size, "size", "", `a number of bytes, "ram", or "ram+BYTES"; by default what the profile says, or the size that it has`)
	return p.writing(cmd, func(ctx context.Context, _ []string) error { return w.run(ctx, p) }, &w.dryRun)
}

// resumeOffset is the parameter of the kernel that says at which page of its device the
// header of a swapfile is.
const resumeOffset = "resume_offset"

// swapped is what the command has done, for programs.
type swapped struct {
	System  string   `json:"system"`
	Path    string   `json:"path"`
	Size    int64    `json:"size"`
	Offset  int64    `json:"offset"`
	Entries []string `json:"entries"` // whose resume_offset was corrected
}

func (w *swap) run(ctx context.Context, p *program) error {
	m, s, err := p.system(ctx, &w.where)
	if err != nil {
		return err
	}
	if err := machine.Awake(s); err != nil {
		return err
	}
	path := swapfilePath(s)
	bytes, source, err := w.sizeOf(s)
	if err != nil {
		return err
	}
	ok, err := p.agree(ctx, w.consent, fmt.Sprintf("make %s on %s anew, of %s (%s)", path, s.ID, disks.ShortSize(bytes), source))
	if err != nil || !ok {
		return err
	}
	made, err := w.replace(ctx, m, s, path, bytes)
	if err != nil {
		return err
	}
	done := swapped{System: s.ID, Path: path, Size: made.File.Size, Offset: made.File.Offset, Entries: []string{}}
	if done.Entries, err = correct(ctx, m, s, made.File.Offset); err != nil {
		return fmt.Errorf("the swapfile is made, and its entries in the menu are not corrected: %w", err)
	}
	if p.json {
		return p.encode(done)
	}
	fmt.Fprintf(p.stdout, "%s has %s, at %s=%d\n", path, disks.ShortSize(done.Size), resumeOffset, done.Offset)
	for _, e := range done.Entries {
		fmt.Fprintf(p.stdout, "entry %s is corrected\n", e)
	}
	return nil
}

func swapfilePath(s *inventory.System) string {
	if s.Swapfile != nil {
		return s.Swapfile.Path
	}
	return inventory.UsualSwapfile
}

// sizeOf returns how large the swapfile is to be, and why.
func (w *swap) sizeOf(s *inventory.System) (int64, string, error) {
	text := w.size
	if text == "" {
		init, err := carried.OwnInit()
		if err != nil {
			return 0, "", err
		}
		var c config.Config
		if len(init) > 0 {
			if err := json.Unmarshal(init, &c); err != nil {
				return 0, "", fmt.Errorf("%s: %w", config.Path, err)
			}
		}
		switch {
		case c.Swapfile != nil:
			text = c.Swapfile.Size
		case s.Swapfile != nil:
			return s.Swapfile.Size, "as it was", nil
		default:
			text = "ram"
		}
	}
	bytes, source, err := swapfile.Size(text, func() (int64, string, error) { return smbios.RAM("/sys", "/proc") })
	if err == nil && bytes == 0 {
		err = fault.New(fault.Usage, "--size ram", "the layout says that the swapfile stays as it is")
	}
	return bytes, source, err
}

func (w *swap) replace(ctx context.Context, m *machine.Machine, s *inventory.System, path string, bytes int64) (*swapfile.Made, error) {
	top, err := m.Top(ctx, s, false)
	if err != nil {
		return nil, err
	}
	made, err := swapfile.Replace(swapfile.Request{Top: top, Path: path, Size: bytes, Anew: true, Open: func() (swapfile.Device, func() error, error) {
		return m.OpenPlace(s.Root)
	}})
	if full := (*swapfile.TooLarge)(nil); errors.As(err, &full) {
		return nil, fault.New(fault.Target, "--size BYTES makes a smaller one", "%s: %w", path, err)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.Target, "mkimage-rescue inventory lists the subvolumes", "%s: its directory is not there: %w", path, err)
	}
	return made, err
}

// hasESPAlone reports whether a system is the only one whose entries are on its ESP.
func hasESPAlone(m *machine.Machine, s *inventory.System) bool {
	return !slices.ContainsFunc(m.Inventory.Systems, func(other inventory.System) bool {
		return other.ID != s.ID && other.ESP != nil && other.ESP.Place == s.ESP.Place
	})
}

// starts reports whether an entry names the file system of a system.
func starts(e inventory.Entry, s *inventory.System) bool {
	return slices.ContainsFunc([]string{s.Root.PARTUUID, s.FSID}, func(id string) bool {
		return id != "" && strings.Contains(strings.ToLower(e.Options), strings.ToLower(id))
	})
}

var resumeWord = regexp.MustCompile(`(?:^| )` + resumeOffset + `=(\d+)`)

// correct puts the offset into the entries that have another one.
func correct(ctx context.Context, m *machine.Machine, s *inventory.System, offset int64) ([]string, error) {
	done := []string{}
	if s.ESP == nil {
		return done, nil
	}
	var wrong []string
	value := strconv.FormatInt(offset, 10)
	for _, e := range s.ESP.Entries {
		if word := resumeWord.FindStringSubmatch(e.Options); word != nil && word[1] != value && (hasESPAlone(m, s) || starts(e, s)) {
			wrong = append(wrong, e.ID)
		}
	}
	if len(wrong) == 0 {
		return done, nil
	}
	if s.ESP.Loader != inventory.LoaderSystemdBoot {
		return done, fault.New(fault.Target, "mkimage-rescue enter, and make its menu anew", "%s=%s: entries %s have another one", resumeOffset, value, strings.Join(wrong, ", "))
	}
	esp, err := m.ESP(ctx, s)
	if err != nil {
		return done, err
	}
	for _, id := range wrong {
		changed, err := bootmenu.SetParameter(durable.OS(esp), id+".conf", resumeOffset, value)
		if err != nil {
			return done, err
		}
		if changed {
			done = append(done, id)
		}
	}
	return done, nil
}
