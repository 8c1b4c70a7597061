package adjust

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Recovery is what a system with secrets, a restore or backups is given, which
// the plan only names.
type Recovery struct {
	Recipients []string              // public keys of age, any of which opens all Files
	Files      map[string]SecretFile // by their names in the plan
	FirstBoot  []byte                // the program mkimage-firstboot
	Restic     []byte                // the program restic
}

// SecretFile is a file of secrets as sops encrypted it.
type SecretFile struct {
	Data   []byte
	Format string // of builder/secrets
}

// KeyRecipients returns the recipients; of nil it is nil.
func (r *Recovery) KeyRecipients() []string {
	if r == nil {
		return nil
	}
	return r.Recipients
}

// WantsRecovery reports whether a profile needs a Recovery.
func WantsRecovery(p *profiles.Profile) bool {
	return len(p.Secrets) > 0 || wantsRestore(p) || len(p.Backup) > 0
}

func wantsRestore(p *profiles.Profile) bool { return p.Restore != profiles.Restore{} }

// place is where a system has what comes from us. Below /etc and /usr NixOS has
// only what it makes itself: there all of it is in the folder of the first
// boot's state, from which mkimage-init copies the units into /run.
type place struct {
	programs string // directory of mkimage-firstboot and restic
	config   string // of the first boot
	units    string // directory
	bin      string // directory of what a person types, or ""
	system   string // directory of the system's own programs
}

func (e *editor) place() place {
	if e.shape == nixos {
		return place{firstboot.ProgramsDir, firstboot.ConfigPathNixOS, firstboot.UnitsDir, "", "/run/current-system/sw/bin"}
	}
	return place{"/usr/lib/mkimage", firstboot.ConfigPath, configDir, "/usr/bin", "/usr/bin"}
}

// The programs, as templates of units name them.
const (
	firstBootProgram = "@programs@/mkimage-firstboot"
	resticProgram    = "@programs@/restic"
)

// fill puts the directories into the template of a unit, before anything of the
// profile's is put into it.
func (p place) fill(template string) string {
	return strings.NewReplacer("@programs@", p.programs, "@system@", p.system).Replace(template)
}

// writeUnit adds a unit of ours.
func (e *editor) writeUnit(name, text string) error {
	return e.write(e.place().units+"/"+name, text, 0o644)
}

// recovery adds the programs, the files of secrets, and what the first boot and
// the backups are to do with them.
func (e *editor) recovery() error {
	p, in := &e.plan.Profile, e.in.Recovery
	if !WantsRecovery(p) {
		return nil
	}
	if in == nil {
		e.Add("secrets", "the files and programs of recovery were not given")
		return nil
	}
	for _, add := range []func() error{e.programs, e.firstBootConfig, e.secretFiles, e.recoveryUnits, e.backups} {
		if err := add(); err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) programs() error {
	in, at := e.in.Recovery, e.place()
	if err := e.writeBytes(at.programs+"/mkimage-firstboot", in.FirstBoot, 0o755); err != nil {
		return err
	}
	if err := e.writeBytes(at.programs+"/restic", in.Restic, 0o755); err != nil || at.bin == "" {
		return err
	}
	return e.symlink(at.bin+"/mkimage-firstboot", "../lib/mkimage/mkimage-firstboot")
}

func (e *editor) firstBootConfig() error {
	c := FirstBootConfig(e.plan, e.in.Recovery)
	if c == nil {
		return nil
	}
	if e.shape == nixos { // which makes its users' homes, and decrypts
		c.NixOS, c.Secrets = true, nil
		if c.Restore != nil {
			c.Restore.Homes = nil
		}
	}
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	return e.write(e.place().config, string(text)+"\n", 0o644)
}

// secretFiles adds the files as sops encrypted them, which NixOS has in its
// store.
func (e *editor) secretFiles() error {
	files := e.in.Recovery.Files
	if len(files) == 0 {
		return nil
	}
	if err := e.keyDir(); err != nil || e.shape == nixos {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := e.writeBytes(path.Join(firstboot.SecretsDir, name), files[name].Data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// keyDir makes the directory of the key, which is root's alone before there is
// a key in it.
func (e *editor) keyDir() error {
	dir, err := e.mkdir(path.Dir(config.KeyPath))
	if err != nil {
		return err
	}
	dir.Inode.Mode = fstree.TypeDir | 0o700
	return nil
}

// writeBytes is write for what is no text.
func (e *editor) writeBytes(p string, data []byte, mode uint32) error {
	inode := e.inode(fstree.TypeRegular | mode)
	if inode.Size = int64(len(data)); len(data) > 0 {
		inode.Content = fstree.Bytes(data)
	}
	return e.put(p, inode)
}
