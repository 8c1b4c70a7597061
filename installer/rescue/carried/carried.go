// Package carried is what a recovery stick carries for a machine whose disk has lost it:
// the plan, the boot loader, kernels with their initramfs, and the program parts that an
// initramfs is made of.
//
// All is read from the stick that is plugged in, and is as its manifest says. That is signed
// where the medium was built with a key, and then compared with it by who opens the stick; of
// a medium without a key the manifest has to have the plan that the environment holds in
// memory. A stick that was pulled out gives that plan alone.
package carried

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/image"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/initramfs"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer"
	"github.com/6FaNcY9/mkimage/installer/rescue/bootrepair"
)

// Stick is an open recovery stick.
type Stick struct {
	Medium *installer.Medium
	// Init is the text of the initramfs' own configuration, of which the recipients of
	// the system's secrets are taken; empty where there is none.
	Init []byte
}

// Host returns the plan of the system that a medium installs, with identities of seed,
// for a disk of size bytes. The plan of a system itself is returned as it is.
func Host(p *plan.Plan, seed ids.Seed, size int64) (*plan.Plan, error) {
	if p == nil || p.Medium == nil {
		return p, nil
	}
	return plan.Target(p, seed, size)
}

// Parts returns what a repair of the boot may take from the stick, for a system with the
// plan host, on a disk whose table has the GUID install. now is put into the marker of the
// installation.
func (s *Stick) Parts(host *plan.Plan, install ids.UUID, now time.Time) (parts bootrepair.Stick, err error) {
	parts.Plan = host
	parts.Initramfs = s.initramfs
	if parts.Loader, err = s.Medium.File(loader.SystemdBootPath); err != nil {
		return parts, err
	}
	if parts.Kernels, err = s.kernels(); err != nil {
		return parts, err
	}
	marker, err := installer.Marker{Install: install, Medium: s.Medium.Digest, Profile: host.Profile.Name, Mode: installer.ModeFresh, Time: now}.Encode()
	if err != nil {
		return parts, err
	}
	parts.Files = map[string][]byte{installer.MarkerPath: marker}
	return parts, nil
}

// kernels returns those on the stick. A directory has one with its initramfs.
func (s *Stick) kernels() (list []bootrepair.Kernel, err error) {
	for _, f := range s.Medium.Manifest.Files {
		dir, base := path.Split(f.Path)
		if base != loader.LinuxName {
			continue
		}
		k := bootrepair.Kernel{}
		if k.Image, err = s.Medium.File(f.Path); err != nil {
			return nil, err
		}
		if k.Initramfs, err = s.Medium.File(dir + loader.InitramfsName); err != nil {
			return nil, err
		}
		// The directory is called by the version and the content of both.
		if at := strings.LastIndexByte(path.Base(dir), '-'); at > 0 && loader.KernelDir(path.Base(dir)[:at], k.Image, k.Initramfs) == path.Clean(dir) {
			k.Version = path.Base(dir)[:at]
		}
		if k.Version == "" {
			return nil, fault.New(fault.Input, "make the stick anew", "stick: %s: its directory is not called by its content", f.Path)
		}
		list = append(list, k)
	}
	return list, nil
}

// initramfs makes the initramfs for a kernel of a system.
func (s *Stick) initramfs(ctx context.Context, t *fstree.Tree, p *plan.Plan, k source.Kernel) ([]byte, error) {
	var recipients []string
	if len(s.Init) > 0 {
		var c config.Config
		if err := json.Unmarshal(s.Init, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", config.Path, err)
		}
		if c.AgeKey != nil {
			recipients = c.AgeKey.Recipients
		}
	}
	made, err := initramfs.Build(ctx, image.InitramfsParams(t, p, k, recipients))
	if err != nil {
		return nil, err
	}
	return made.Data, nil
}

// OwnInit returns the configuration of the initramfs that this environment runs from,
// empty elsewhere.
func OwnInit() ([]byte, error) {
	text, err := os.ReadFile(config.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
