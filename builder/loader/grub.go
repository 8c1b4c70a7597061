package loader

import (
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/loader/grubcfg"
	"github.com/6FaNcY9/mkimage/builder/loader/grubimage"
)

// Where Debian's packages have an image of GRUB that needs no other file: the signed one
// first, which shim starts where somebody puts that in front. By itself neither starts a
// kernel with Secure Boot: GRUB has shim check it, and refuses it where there is none.
var grubPaths = []string{
	"usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
	"usr/lib/grub/x86_64-efi/monolithic/grubx64.efi",
}

// grubHint says what a source without one lacks. No closure of a NixOS has one: its
// GRUB is put together of modules when it is installed.
const grubHint = `add "grub-efi-amd64-signed" (its name in Debian) to packages in the profile, or name an image of GRUB on this host: ` +
	`--set boot.grub=/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi`

// grubModules are what an image of GRUB must have in it to find its configuration on the
// ESP and to understand it: modules in files are not put there.
var grubModules = []string{"normal", "part_gpt", "fat", "configfile", "test", "loadenv", "regexp", "linux"}

// grubMenu is a menu of GRUB that is being filled.
type grubMenu struct {
	entries []grubcfg.Entry // that a system's own tools make anew
	custom  []grubcfg.Entry // that they leave as they are
}

// startGRUB fills the tree with GRUB and its menu.
func (b *builder) startGRUB(s System) error {
	name, program, err := b.findGRUB(s)
	if err != nil {
		return err
	}
	if err := b.grubProgram(name, program); err != nil {
		return err
	}
	return b.systemMenu(s)
}

// findGRUB returns the image of GRUB that the profile names, or that of the source.
func (b *builder) findGRUB(s System) (name string, program []byte, err error) {
	if s.GRUB != nil {
		return "boot.grub " + b.plan.Profile.Boot.GRUB, s.GRUB, nil
	}
	for _, path := range grubPaths {
		e, err := b.source.Follow(path)
		if err != nil {
			return "", nil, fault.New(fault.Input, "", "boot loader: %w", err)
		}
		if e == nil {
			continue
		}
		data, err := read(e.Path(), e)
		return path, data, err
	}
	return "", nil, fault.New(fault.Input, grubHint, "boot loader: the source has no /%s", strings.Join(grubPaths, " or /"))
}

// grubProgram puts an image of GRUB where the firmware looks for it, and what leads to
// our configuration where the image looks for its own.
func (b *builder) grubProgram(name string, program []byte) error {
	b.grub = &grubMenu{}
	image, err := grubimage.Read(program)
	if err != nil {
		return fault.New(fault.Input, grubHint, "boot loader %s: %w", name, err)
	}
	if missing := image.Missing(grubModules...); missing != nil {
		return fault.New(fault.Input, grubHint, "boot loader %s: a GRUB without %s, expected one that has these modules in it", name, strings.Join(missing, ", "))
	}
	stub, err := image.ConfigPath()
	if err != nil {
		return fault.New(fault.Input, grubHint, "boot loader %s: %w", name, err)
	}
	if err := b.put(bls.FallbackPath, program); err != nil {
		return err
	}
	if stub == grubcfg.ConfFile {
		return nil
	}
	return b.put(stub, grubcfg.Stub())
}

// add takes an entry of the menu. Those of the plan have files of ours, below Dir, and so
// are the ones that outlive what the system's own tools do.
func (m *grubMenu) add(id string, e bls.Entry, words []string) error {
	options, err := grubcfg.CommandLine(words)
	if err != nil {
		return fault.New(fault.Config, `leave it out, or set boot.loader = "systemd-boot"`, "boot menu: entry %s: %w", id, err)
	}
	list := &m.entries
	if strings.HasPrefix(e.Linux, "/"+Dir+"/") {
		list = &m.custom
	}
	*list = append(*list, grubcfg.Entry{ID: id, Title: m.title(e), Linux: e.Linux, Initrd: e.Initrd, Options: options})
	return nil
}

// title returns what an entry is called. systemd-boot shows the version where titles are
// the same, GRUB never.
func (m *grubMenu) title(e bls.Entry) string {
	if slices.ContainsFunc(slices.Concat(m.entries, m.custom), func(o grubcfg.Entry) bool { return o.Title == e.Title }) {
		return e.Title + " (" + e.Version + ")"
	}
	return e.Title
}

// grubConf writes the configuration, of which the default is an entry's ID.
func (b *builder) grubConf(id string) error {
	conf, err := grubcfg.Conf{
		Timeout: b.plan.MenuTimeout(), Default: id, Entries: b.grub.entries, Custom: len(b.grub.custom) > 0,
	}.Encode()
	if err != nil {
		return fault.New(fault.Config, "", "boot menu: %w", err)
	}
	env, err := grubcfg.Env("")
	if err != nil {
		return err
	}
	files := []struct {
		name string
		data []byte
	}{{grubcfg.ConfFile, conf}, {grubcfg.EnvFile, env}}
	if len(b.grub.custom) > 0 {
		custom, err := grubcfg.EncodeCustom(b.grub.custom)
		if err != nil {
			return fault.New(fault.Config, "", "boot menu: %w", err)
		}
		files = append(files, struct {
			name string
			data []byte
		}{grubcfg.CustomFile, custom})
	}
	for _, f := range files {
		if err := b.put(f.name, f.data); err != nil {
			return err
		}
	}
	return nil
}
