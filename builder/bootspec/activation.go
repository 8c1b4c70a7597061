package bootspec

import (
	"fmt"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// keyNixOSInit is the extension by which a toplevel tells the program nixos-init what it
// is made ready with, since NixOS 26.05: nixos-init.nix of nixpkgs.
const keyNixOSInit = "org.nixos.nixos-init.v1"

// Activation is what a toplevel says of how it is made ready before its init runs. NixOS
// says it of every system, whoever makes it ready.
type Activation struct {
	Firmware     Path     // directory where the kernel looks for firmware
	Modprobe     Path     // program that the kernel loads modules with
	StoreOptions []string // of the mount of the store
	// Sh and Env are what /bin/sh and /usr/bin/env lead to, absolute paths that need not be in
	// the store: nil leaves them alone, "" removes them.
	Sh, Env *string
	// EtcImage is a file with an erofs file system, the metadata of /etc; EtcBase is the
	// directory with the content of the larger files in it. Both are zero where /etc is
	// not made of an image.
	EtcImage, EtcBase Path
	EtcMutable        *bool // whether /etc is written to; nil where that is not said
	// Confext is set where /etc is a configuration extension, which systemd-confext(8) merges
	// in the initrd of the system.
	Confext bool
}

// DecodeActivation reads that extension of a boot.json, which errors call name; nil where
// there is none. Nothing else of the document is looked at, and other keys of the extension
// are left for others. Errors are of class fault.Input.
func DecodeActivation(name string, data []byte) (*Activation, error) {
	tree, err := parse(data)
	if err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", name, err)
	}
	d := &decoder{}
	s := d.object(tree, "").extension(keyNixOSInit)
	if s.fields == nil && d.err == nil {
		return nil, nil
	}
	a := s.activation()
	if d.err != nil {
		return nil, fault.New(fault.Input, "", "%s: %w", name, d.err)
	}
	return a, nil
}

func (s section) activation() *Activation {
	a := &Activation{
		Firmware: s.path("firmware", false), Modprobe: s.path("modprobe_binary", false), StoreOptions: s.list("nix_store_mount_opts", false),
		Sh: s.target("sh_binary"), Env: s.target("env_binary"), Confext: s.value("etc_confext", false) != nil,
		EtcImage: s.path("etc_metadata_image", false), EtcBase: s.path("etc_basedir", false),
	}
	for i, o := range a.StoreOptions {
		if strings.Contains(o, ",") {
			s.refuse(fmt.Sprintf("%s[%d]", s.key("nix_store_mount_opts"), i), "found %.300q, expected one option", o)
		}
	}
	if a.EtcImage.IsZero() != a.EtcBase.IsZero() {
		s.refuse(s.at, "has one of etc_metadata_image and etc_basedir, expected both or none")
	}
	if v := s.value("etc_overlay_mutable", false); v != nil {
		mutable, ok := v.(bool)
		if !ok {
			s.refuse(s.key("etc_overlay_mutable"), "found %s, expected true or false", kind(v))
		}
		a.EtcMutable = &mutable
	}
	return a
}

// target returns what a symlink leads to, nil where that is not said.
func (s section) target(key string) *string {
	v := s.value(key, false)
	if v == nil {
		return nil
	}
	text := ""
	if v != "" {
		text = s.text(key, false)
	}
	if v != "" && !path.IsAbs(text) || len(text) > maxPath {
		s.refuse(s.key(key), "found %.300q, expected an absolute path of at most %d bytes", text, maxPath)
	}
	return &text
}
