package adjust

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

// The defaults of what a profile says about recovery.
const (
	restorePath  = "/home"
	secretMode   = 0o400
	secretsOwner = "root"
)

// FirstBootConfig returns what the running system is told about its first boot,
// nil when the profile asks for nothing that it does.
func FirstBootConfig(p *plan.Plan, in *Recovery) *firstboot.Config {
	if len(p.Profile.Secrets) == 0 && p.Profile.Restore == (profiles.Restore{}) {
		return nil
	}
	c := &firstboot.Config{Version: firstboot.ConfigVersion, Image: p.ImageName(), Hostname: p.Profile.Hostname}
	if len(p.Profile.Secrets) > 0 {
		c.Age = &firstboot.Age{Recipients: in.Recipients, Path: config.KeyPath, ESP: p.Layout.ESP.Mount}
	}
	for _, s := range p.Profile.Secrets {
		c.Secrets = append(c.Secrets, firstBootSecret(s, in))
	}
	slices.SortFunc(c.Secrets, func(a, b firstboot.Secret) int { return strings.Compare(a.Name, b.Name) })
	c.Restore = firstBootRestore(p)
	return c
}

func firstBootSecret(s profiles.Secret, in *Recovery) firstboot.Secret {
	mode, err := strconv.ParseUint(s.Mode, 8, 32)
	if err != nil {
		mode = secretMode
	}
	file := path.Base(s.File)
	return firstboot.Secret{
		Name: s.Name, File: path.Join(firstboot.SecretsDir, file), Format: in.Files[file].Format, Key: s.Key,
		Owner: cmp.Or(s.Owner, secretsOwner), Group: s.Group, Mode: uint32(mode), Path: s.Path,
	}
}

func firstBootRestore(p *plan.Plan) *firstboot.Restore {
	r := p.Profile.Restore
	if r == (profiles.Restore{}) {
		return nil
	}
	out := &firstboot.Restore{
		Disk: r.Disk, Repository: r.Repository, Host: cmp.Or(r.Host, p.Profile.Hostname), Path: cmp.Or(r.Path, restorePath),
		Password: r.Password, Wait: r.Login != "warn",
	}
	for _, u := range p.Profile.Users {
		if home := path.Join("/home", u.Name); strings.HasPrefix(home, strings.TrimSuffix(out.Path, "/")+"/") {
			out.Homes = append(out.Homes, firstboot.Home{Path: home, UID: u.UID, GID: u.UID})
		}
	}
	return out
}
