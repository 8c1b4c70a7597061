package main

import (
	"path/filepath"

	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/installer/programs"
	"github.com/6FaNcY9/mkimage/profiles"
)

// readRecovery checks the files of a profile's secrets and returns what its
// image needs of them, with the programs of a first boot; nil when the profile
// asks for nothing of it.
func readRecovery(p *profiles.Profile) (*adjust.Recovery, error) {
	set, err := secrets.Check(p)
	if err != nil || !adjust.WantsRecovery(p) {
		return nil, err
	}
	in, err := programs.Load()
	if err != nil {
		return nil, err
	}
	r := &adjust.Recovery{FirstBoot: in.FirstBoot, Restic: in.Restic, Files: map[string]adjust.SecretFile{}}
	if set == nil {
		return r, nil
	}
	r.Recipients = set.Recipients
	for name, f := range set.Files {
		r.Files[filepath.Base(name)] = adjust.SecretFile{Data: f.Data, Format: string(f.Format)}
	}
	return r, nil
}
