package initramfs

import (
	"context"
	"fmt"
	"slices"

	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// InstallerParams says what the archive of an installer medium is made of.
type InstallerParams struct {
	Payload Params // of the archive that is unpacked before
	Program []byte // mkimage-install
	Key     []byte // the public key of who signs the medium
}

// installerModules are for what an installer does besides a boot: it mounts ESPs,
// of the target to add to its boot menu, and of the medium to leave its log. A
// kernel that lacks one has it built in, or does without.
var installerModules = []string{"vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"}

// Installer makes the archive that the kernel of an installer medium unpacks
// over that of the payload: the program, the key, and modules with a list of all
// that are to be loaded. Its bytes depend on p alone.
func Installer(ctx context.Context, p InstallerParams) ([]byte, error) {
	c := newContents()
	c.addFile(config.InstallProgram[1:], 0o755, p.Program)
	c.addFile(config.InstallKey[1:], 0o644, p.Key)
	if err := c.addInstallerModules(ctx, p.Payload); err != nil {
		return nil, fmt.Errorf("archive of the installer: %w", err)
	}
	data, err := c.compressed()
	if err != nil {
		return nil, fmt.Errorf("archive of the installer: %w", err)
	}
	a := &Archive{}
	a.append("installer", data)
	return a.Data, nil
}

// addInstallerModules adds the modules that the payload's archive lacks. Their
// list takes the place of the payload's.
func (c *contents) addInstallerModules(ctx context.Context, p Params) error {
	there := newContents()
	if _, err := new(Archive).addModules(ctx, there, p); err != nil {
		return err
	}
	x, err := openIndex(p.Root, p.Kernel, p.ModuleDir)
	if err != nil {
		return err
	}
	for _, name := range installerModules {
		if _, known := x.find(name); known {
			p.Modules = append(slices.Clone(p.Modules), name)
		}
	}
	all := newContents()
	if _, err := new(Archive).addModules(ctx, all, p); err != nil {
		return err
	}
	for name, r := range all.records {
		if old, has := there.records[name]; !has || string(old.data) != string(r.data) {
			c.add(name, r)
		}
	}
	return nil
}
