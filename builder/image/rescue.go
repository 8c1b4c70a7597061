package image

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/elfclosure"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Rescue is what the rescue environment of a medium has of mkimage's own, besides the
// installer's program and key.
type Rescue struct {
	Program   []byte // mkimage-rescue
	FirstBoot []byte // mkimage-firstboot
	Restic    []byte
}

// RescueResult is what became of a rescue environment.
type RescueResult struct {
	Size     int64               // bytes of the archive on the ESP
	Parts    []initramfs.Part    // what it takes in memory
	Programs []elfclosure.Found  // of the payload's system
	Absent   []elfclosure.Absent // those that would be there, were they in that
}

// The parts of a rescue environment that its programs and other files are counted as.
const (
	partOwn     = "mkimage"
	partForeign = "programs of the system"
	partData    = "plan and secrets"
)

// rescuePrograms are those of every rescue environment, with the packages that have them
// in Debian.
var rescuePrograms = []elfclosure.Program{
	{Name: "btrfs", Package: "btrfs-progs", Required: true},
	{Name: "smartctl", Package: "smartmontools"}, {Name: "nvme", Package: "nvme-cli"}, {Name: "cryptsetup", Package: "cryptsetup-bin"},
	{Name: "ddrescue", Package: "gddrescue"}, {Name: "sgdisk", Package: "gdisk"}, {Name: "fsck.vfat", Package: "dosfstools"},
	{Name: "mkfs.vfat", Package: "dosfstools"}, {Name: "e2fsck", Package: "e2fsprogs"}, {Name: "bash", Package: "bash"},
}

// wifiPrograms and sshPrograms come where a profile asks for what they do.
var (
	wifiPrograms = []elfclosure.Program{{Name: "wpa_supplicant", Package: "wpasupplicant", Required: true}, {Name: "iw", Package: "iw"}}
	sshPrograms  = []elfclosure.Program{{Name: "sshd", Package: "openssh-server", Required: true}, {Name: "ssh-keygen", Package: "openssh-client", Required: true}}
)

// systemPrograms is where a NixOS has its programs.
const systemPrograms = "nix/var/nix/profiles/system/sw/bin"

// programsOf returns the programs that a rescue environment wants of the payload's
// system. What the profile names must be there.
func programsOf(r profiles.Rescue) []elfclosure.Program {
	var list []elfclosure.Program
	for _, name := range r.Programs {
		list = append(list, elfclosure.Program{Name: name, Required: true})
	}
	list = append(list, rescuePrograms...)
	if r.Network.WiFi.SSID != "" {
		list = append(list, wifiPrograms...)
	}
	if len(r.SSHKeys) > 0 {
		list = append(list, sshPrograms...)
	}
	return list
}

// modulesOf returns the classes and modules of a rescue environment.
func modulesOf(r profiles.Rescue) []string {
	if len(r.Modules) == 0 && r.Network.WiFi.SSID != "" {
		return append(slices.Clone(initramfs.RescueModules), initramfs.ClassWiFi)
	}
	return r.Modules
}

// makeRescue makes the archive of the rescue environment of a medium, for the kernel that
// it starts.
func (b *build) makeRescue(ctx context.Context) error {
	if err := b.checkInstaller(); err != nil {
		return err
	}
	wanted := b.plan.Medium != nil && b.plan.Medium.Rescue.Enabled()
	if has := b.in.Installer != nil && b.in.Installer.Rescue != nil; has != wanted {
		return fault.New(fault.Internal, "", "programs of a rescue environment: given: %v, for a plan that has one: %v", has, wanted)
	}
	if !wanted {
		return nil
	}
	r := b.plan.Medium.Rescue
	programs, err := elfclosure.Collect(ctx, elfclosure.Params{Tree: b.in.Tree, Folders: []string{systemPrograms}, Programs: programsOf(r)})
	if err != nil {
		return fmt.Errorf("rescue environment: %w", err)
	}
	files, err := b.rescueData()
	if err != nil {
		return err
	}
	for _, f := range programs.Files {
		made := initramfs.RescueFile{Part: partForeign, Path: "/" + f.Path, Mode: 0o755, Entry: f.Entry, Link: f.Link}
		if f.Entry != nil {
			made.Mode = f.Entry.Mode & 0o777
		}
		files = append(files, made)
	}
	archive, err := initramfs.Rescue(ctx, initramfs.RescueParams{
		Payload: b.initramfsParams(b.system.Kernels[0]), Modules: modulesOf(r), Firmware: r.Firmware, Files: append(files, b.ownPrograms()...),
	})
	if err != nil {
		return err
	}
	b.rescue = archive.Data
	b.result.Rescue = &RescueResult{Size: int64(len(archive.Data)), Parts: archive.Parts, Programs: programs.Programs, Absent: programs.Absent}
	return nil
}

// ownPrograms are the programs of mkimage. Those that a running system has too are where
// it has them.
func (b *build) ownPrograms() []initramfs.RescueFile {
	in := b.in.Installer
	program := func(at string, data []byte) initramfs.RescueFile {
		return initramfs.RescueFile{Part: partOwn, Path: at, Mode: 0o755, Data: data}
	}
	return []initramfs.RescueFile{
		program(config.RescueProgram, in.Rescue.Program), program(config.InstallProgram, in.Program),
		program(firstboot.ProgramsDir+"/mkimage-firstboot", in.Rescue.FirstBoot), program(firstboot.ProgramsDir+"/restic", in.Rescue.Restic),
	}
}

// rescueData are the files without which a backup is closed: the plan, the key of the
// medium's maker, and of the payload the configuration of its first boot and its secrets,
// encrypted as it has them.
func (b *build) rescueData() ([]initramfs.RescueFile, error) {
	text, err := b.plan.JSON()
	if err != nil {
		return nil, err
	}
	data := func(at string, mode uint32, content []byte) initramfs.RescueFile {
		return initramfs.RescueFile{Part: partData, Path: at, Mode: mode, Data: content}
	}
	files := []initramfs.RescueFile{data(config.RescuePlan, 0o644, text)}
	if b.in.Installer.Key != nil {
		files = append(files, data(config.InstallKey, 0o644, b.in.Installer.Key))
	}
	if c := adjust.FirstBootConfig(b.host, b.in.Recovery); c != nil {
		text, err := json.MarshalIndent(c, "", "\t")
		if err != nil {
			return nil, err
		}
		files = append(files, data(firstboot.ConfigPath, 0o644, append(text, '\n')))
	}
	if b.in.Recovery != nil {
		for _, name := range slices.Sorted(maps.Keys(b.in.Recovery.Files)) {
			files = append(files, data(path.Join(firstboot.SecretsDir, name), 0o600, b.in.Recovery.Files[name].Data))
		}
	}
	return files, nil
}
