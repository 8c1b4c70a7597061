package profiles

import (
	"embed"
	"path/filepath"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

//go:embed builtin/*.toml
var builtin embed.FS

// Set is the profiles that can be asked for by name.
type Set = strict.Set[Profile]

// Load makes the set of the built-in profiles and of those in dirs, see
// strict.NewSet.
//
// Paths of the host that are relative come out relative to the working
// directory; in a file they are relative to that file.
func Load(dirs ...string) *Set {
	return strict.NewSet("profile", builtin, check, func(p *Profile, name string, origins strict.Origins) {
		p.Name = name
		switch {
		case p.IsInstaller():
			p.Installer.complete()
			p.Rescue.complete()
		case p.IsRescue():
			p.Installer = Installer{}
			p.Rescue.complete()
		default:
			p.Kind, p.Installer, p.Rescue = "", Installer{}, Rescue{} // whichever way nothing was said
		}
		if p.Initramfs.From == InitramfsOwn {
			p.Initramfs.From = ""
		}
		if len(p.Nix.Substituters)+len(p.Nix.TrustedPublicKeys) == 0 && p.Nix.Store == "" && p.Nix.AutoOptimiseStore == nil {
			p.Nix = Nix{}
		}
		anchor(p, origins)
	}, dirs...)
}

// anchor makes the host's paths in a profile independent of which file said
// them.
func anchor(p *Profile, origins strict.Origins) {
	scheme, file, _ := strings.Cut(p.Source, ":")
	switch {
	case scheme == "nix":
		p.Source = scheme + ":" + flakeBeside(origins["source"], file)
	case file != "" && scheme != "debian" && file != "-" && !strings.Contains(file, "://"):
		p.Source = scheme + ":" + beside(origins["source"], file)
	}
	if p.Nix.Store != "" {
		p.Nix.Store = beside(origins["nix.store"], p.Nix.Store)
	}
	if p.Boot.GRUB != "" {
		p.Boot.GRUB = beside(origins["boot.grub"], p.Boot.GRUB)
	}
	for i := range p.Users {
		u := &p.Users[i]
		key := strict.Join(strict.Join("users", u.Name), "password_file")
		if u.PasswordFile != "" {
			u.PasswordFile = beside(origins[key], u.PasswordFile)
		}
	}
	for i := range p.Secrets {
		s := &p.Secrets[i]
		s.File = beside(origins[strict.Join(strict.Join("secrets", s.Name), "file")], s.File)
	}
}

// flakeBeside returns the flake that a file means. What does not begin with a dot is
// no path that is relative: it is a URL, or a name of Nix's registry.
func flakeBeside(pos strict.Position, flake string) string {
	if !strings.HasPrefix(flake, ".") || pos.Line == 0 {
		return flake
	}
	end := strings.IndexAny(flake, "?#")
	if end < 0 {
		end = len(flake)
	}
	dir := beside(pos, flake[:end])
	if !filepath.IsAbs(dir) {
		dir = "./" + dir
	}
	return dir + flake[end:]
}

// beside returns the path that a file means by name. Positions without a line
// are of the command line.
func beside(pos strict.Position, name string) string {
	if filepath.IsAbs(name) || pos.Line == 0 {
		return name
	}
	return filepath.Join(filepath.Dir(pos.File), name)
}
