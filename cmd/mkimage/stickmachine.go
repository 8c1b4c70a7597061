package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/initramfs/smbios"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/programs"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
	"github.com/6FaNcY9/mkimage/installer/stick"
)

// elsewhere is why something of a machine is not known whose disks are in files.
const elsewhere = "the disks are those of another machine"

// machine gathers what the machine is that a medium is for, and its profile.
func (f *stickFlags) machine(ctx context.Context, s *stick.Stick) (*stick.Machine, error) {
	m := &stick.Machine{Now: time.Now(), Mkimage: readVersion().Version, Unknown: map[stick.Kind]string{}}
	if own, err := programs.Load(); err == nil {
		m.Restic = stick.ResticVersion(own.Restic)
	}
	f.readKey(m)
	if len(f.images) > 0 {
		m.Unknown[stick.Memory] = elsewhere
	} else {
		readRunning(m)
	}
	if err := f.readDisks(ctx, m, s); err != nil {
		return nil, err
	}
	return m, f.readProfile(m, cmp.Or(f.profile, s.Plan.Name()))
}

// readRunning asks the kernel.
func readRunning(m *stick.Machine) {
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	var err error
	if m.Memory, _, err = smbios.RAM("/sys", "/proc"); err != nil {
		m.Unknown[stick.Memory] = err.Error()
	}
}

// readKey reads the machine's key, of which only the public half is kept.
func (f *stickFlags) readKey(m *stick.Machine) {
	if f.keyFile == "" && len(f.images) > 0 {
		m.Unknown[stick.Key] = elsewhere
		return
	}
	text, err := readWhole(cmp.Or(f.keyFile, config.KeyPath), maxKeyFile)
	if err == nil {
		var key *agekey.Key
		if key, err = agekey.Parse(text); err == nil {
			m.Key = key.Recipients()
			return
		}
	}
	m.Unknown[stick.Key] = err.Error()
}

// readDisks looks for the system that the medium is for.
func (f *stickFlags) readDisks(ctx context.Context, m *stick.Machine, s *stick.Stick) error {
	if len(f.images) == 0 && os.Geteuid() != 0 {
		m.Unknown[stick.Layout], m.Unknown[stick.Backup] = "only root can read disks", "only root can read disks"
		return nil
	}
	inv, err := inventory.Take(ctx, inventory.Options{Images: f.images, Plan: s.Plan})
	if err != nil {
		return err
	}
	m.Backups = inv.Backups
	for i := range inv.Systems {
		if inv.Systems[i].ID == inv.Mine {
			m.System = &inv.Systems[i]
			return nil
		}
	}
	m.Unknown[stick.Layout], m.Unknown[stick.Backup] = "no system on the disks is the one that the medium is for", "no backup disk is there"
	return nil
}

// readProfile resolves the profile as it is now, with its files of secrets.
func (f *stickFlags) readProfile(m *stick.Machine, name string) error {
	set, _, err := f.load()
	if err != nil {
		return err
	}
	if !set.Has(name) {
		m.Unknown[stick.Profile] = "no profile is named " + name
		return nil
	}
	p, asked, err := f.makePlan(name)
	if err != nil {
		return err
	}
	m.Plan = p
	found, err := secrets.Check(asked)
	if err != nil {
		m.Unknown[stick.Secrets] = err.Error()
		return nil
	}
	m.Secrets = map[string]stick.Secret{}
	if found != nil {
		for file, text := range found.Files {
			m.Secrets[filepath.Base(file)] = stick.SecretOf(filepath.Base(file), text.Data)
		}
	}
	return nil
}
