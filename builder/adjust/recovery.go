package adjust

import (
	"encoding/json"
	"maps"
	"path"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Recovery is what a system with secrets, a restore or backups is given, which
// the plan only names.
type Recovery struct {
	Recipients []string          // public keys of age, any of which opens all Files
	Files      map[string][]byte // of secrets, encrypted, by their names in the plan
	FirstBoot  []byte            // the program mkimage-firstboot
	Restic     []byte            // the program restic
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

// programDir is where a system has the programs that come from us.
const programDir = "/usr/lib/mkimage"

const (
	firstBootProgram = programDir + "/mkimage-firstboot"
	resticProgram    = programDir + "/restic"
)

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
	in := e.in.Recovery
	if err := e.writeBytes(firstBootProgram, in.FirstBoot, 0o755); err != nil {
		return err
	}
	if err := e.writeBytes(resticProgram, in.Restic, 0o755); err != nil {
		return err
	}
	return e.symlink("/usr/bin/mkimage-firstboot", "../lib/mkimage/mkimage-firstboot")
}

func (e *editor) firstBootConfig() error {
	c := firstBootConfigOf(e.plan, e.in.Recovery.Recipients)
	if c == nil {
		return nil
	}
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	return e.write(firstboot.ConfigPath, string(text)+"\n", 0o644)
}

// secretFiles adds the files as sops encrypted them.
func (e *editor) secretFiles() error {
	files := e.in.Recovery.Files
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := e.writeBytes(path.Join(firstboot.SecretsDir, name), files[name], 0o600); err != nil {
			return err
		}
	}
	if len(files) == 0 {
		return nil
	}
	// The directory of the key is root's alone before there is a key in it.
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
