package qemutests

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/plan"
)

// session is a machine with an image, and what the checks need to know.
type session struct {
	vm   *VM
	plan *plan.Plan
	// machineIDs are those of other copies of the image that were booted.
	machineIDs []string
	// restarted says that the present boot was chosen in the boot menu, after
	// a normal one in which marks were left.
	restarted bool
}

// checkBoot wants the system's own idea of a boot: the default target.
func checkBoot(ctx context.Context, s *session) error {
	target := s.plan.Profile.Units.Target
	if target == "" {
		target = "$(systemctl get-default)"
	}
	// Waits for the jobs of the boot, whatever they come to.
	_, err := s.vm.Output(ctx, "systemctl is-system-running --wait >/dev/null; systemctl is-active "+target)
	return err
}

// checkRunning wants every unit to have started.
func checkRunning(ctx context.Context, s *session) error {
	r, err := s.vm.Run(ctx, "systemctl is-system-running --wait")
	if err != nil {
		return err
	}
	if state := strings.TrimSpace(r.Stdout); state != "running" {
		failed, err := s.vm.Run(ctx, "systemctl --failed --no-legend --plain; systemctl status --no-pager --lines=20 --failed; systemctl list-jobs --no-legend")
		return errors.Join(fmt.Errorf("system is %q, expected running:\n%s", state, strings.TrimSpace(failed.Stdout)), err)
	}
	return nil
}

func checkHostname(ctx context.Context, s *session) error {
	got, err := s.vm.Output(ctx, "cat /proc/sys/kernel/hostname")
	if err != nil {
		return err
	}
	return compare("hostname", got, s.plan.Profile.Hostname)
}

// checkCmdline wants the words of the entry, in order. systemd-boot adds initrd=
// where the kernel is too old to be handed one otherwise, and GRUB BOOT_IMAGE=.
func checkCmdline(ctx context.Context, s *session) error {
	return s.cmdlineOf(ctx, NormalBoot)
}

func (s *session) cmdlineOf(ctx context.Context, b Boot) error {
	got, err := s.vm.Output(ctx, "cat /proc/cmdline")
	if err != nil {
		return err
	}
	words := slices.DeleteFunc(strings.Fields(got), func(w string) bool {
		return strings.HasPrefix(w, "initrd=") || strings.HasPrefix(w, "BOOT_IMAGE=")
	})
	entry := entryOf(s.plan, b)
	if entry == nil {
		return fmt.Errorf("the plan has no entry for the %s boot", b)
	}
	return compare("kernel command line", strings.Join(words, " "), strings.Join(entry.Cmdline, " "))
}

func checkESP(ctx context.Context, s *session) error {
	mount := s.plan.Layout.ESP.Mount
	// Listing it makes an automount mount it.
	got, err := s.vm.Output(ctx, fmt.Sprintf("ls %[1]s/EFI >/dev/null && findmnt -nro FSTYPE,LABEL,UUID --mountpoint %[1]s | tail -n 1", mount))
	if err != nil {
		return err
	}
	esp := s.plan.Partition("esp")
	if esp == nil {
		return errors.New("the plan has no partition for the ESP")
	}
	return compare(mount, got, fmt.Sprintf("vfat %s %s", s.plan.Layout.ESP.Label, esp.FSID))
}

// checkEmptyMountpoints looks under what is mounted: into the root subvolume
// itself.
func checkEmptyMountpoints(ctx context.Context, s *session) error {
	root := subvolumeAt(s.plan, "/")
	var below []string
	for _, m := range s.plan.Mounts {
		if m.Type == "btrfs" && m.Target != "/" {
			below = append(below, m.Target)
		}
	}
	device, err := s.vm.Output(ctx, "findfs "+rootPartition(s.plan))
	if err != nil {
		return err
	}
	got, err := s.vm.Output(ctx, fmt.Sprintf(`top=/run/mkimage-test/top; mkdir -p $top
mount -t btrfs -o ro,subvolid=5 %s $top || exit 1
cd $top/%s
for d in %s; do
	if [ ! -d .$d ]; then echo "$d is missing"; else find .$d -mindepth 1 | head -n 5; fi
done
cd /; umount $top`, device, root, strings.Join(below, " ")))
	if err != nil {
		return err
	}
	if got != "" {
		return fmt.Errorf("below %s, expected empty directories for mounts, got:\n%s", root, got)
	}
	return nil
}

var machineIDForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

func checkMachineID(ctx context.Context, s *session) error {
	id, err := s.machineID(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(s.machineIDs, id) {
		return fmt.Errorf("machine-id %s: another copy of the image has it too", id)
	}
	return nil
}

func (s *session) machineID(ctx context.Context) (string, error) {
	id, err := s.vm.Output(ctx, "cat /etc/machine-id")
	if err == nil && !machineIDForm.MatchString(id) {
		err = fmt.Errorf("machine-id %q: expected 32 hexadecimal digits", id)
	}
	return id, err
}

// checkImpermanence restarts the machine: a file in / is gone then, one in the
// persistent subvolume is not.
func checkImpermanence(ctx context.Context, s *session) error {
	kept := "/home"
	for _, sub := range s.plan.Layout.Subvolumes {
		if sub.Name == s.plan.Layout.Persist.Subvolume {
			kept = sub.Mount
		}
	}
	if _, err := s.vm.Output(ctx, fmt.Sprintf("touch /mkimage-mark /etc/mkimage-mark %s/mkimage-mark && sync", kept)); err != nil {
		return err
	}
	before, err := s.machineID(ctx)
	if err != nil {
		return err
	}
	if err := s.vm.Reboot(ctx); err != nil {
		return err
	}
	got, err := s.vm.Output(ctx, fmt.Sprintf("ls -d /mkimage-mark /etc/mkimage-mark %s/mkimage-mark 2>/dev/null; true", kept))
	if err != nil {
		return err
	}
	if err := compare("marks after a restart", got, kept+"/mkimage-mark"); err != nil {
		return err
	}
	if !slices.Contains(s.plan.Layout.Persist.Files, "/etc/machine-id") {
		return nil
	}
	after, err := s.machineID(ctx)
	if err != nil {
		return err
	}
	return compare("machine-id after a restart", after, before)
}

// factoryMarks are left in the normal boot where the factory system must not
// see them.
const factoryMarks = "/etc/mkimage-normal /var/mkimage-normal"

// checkFactory wants the system as it was built, over what the normal boot
// left, with room for changes that are not kept.
func checkFactory(ctx context.Context, s *session) error {
	if err := s.cmdlineOf(ctx, FactoryBoot); err != nil {
		return err
	}
	root, err := s.vm.Output(ctx, "findmnt -nro FSTYPE --mountpoint /")
	if err != nil {
		return err
	}
	if err := compare("file system of /", root, "overlay"); err != nil {
		return err
	}
	if s.restarted {
		seen, err := s.vm.Output(ctx, "ls -d "+factoryMarks+" 2>/dev/null; true")
		if err != nil {
			return err
		}
		if err := compare("files of the normal system", seen, ""); err != nil {
			return err
		}
	}
	if _, err := s.vm.Output(ctx, "touch /etc/mkimage-factory /var/mkimage-factory"); err != nil {
		return err
	}
	return errors.Join(checkHostname(ctx, s), checkRunning(ctx, s))
}

// rescueShell is what mkimage-init prints before the shell that a rescue entry
// ends in; rescueAnswer is how the shell answers a question that its echo of
// what is typed does not answer.
const (
	rescueShell    = `mkimage-init: a shell, as mkimage\.shell asks`
	rescueQuestion = "echo answer-$((40+2))\r"
	rescueAnswer   = `answer-42`
)

func checkRescue(ctx context.Context, s *session) error {
	if _, err := s.vm.Expect(ctx, rescueShell); err != nil {
		return err
	}
	if err := s.vm.Console.Send(rescueQuestion); err != nil {
		return err
	}
	_, err := s.vm.Expect(ctx, rescueAnswer)
	return err
}

func compare(what, got, want string) error {
	if got != want {
		return fmt.Errorf("%s: %q, expected %q", what, got, want)
	}
	return nil
}

// subvolumeAt returns the subvolume that is mounted at, or lies below, a path.
func subvolumeAt(p *plan.Plan, target string) string {
	for _, m := range p.Mounts {
		if m.Target == target {
			return m.Subvol
		}
	}
	return ""
}

// rootPartition returns what findfs finds the root partition by.
func rootPartition(p *plan.Plan) string {
	if root := p.Partition("root"); root != nil {
		return "PARTUUID=" + root.PARTUUID.String()
	}
	return ""
}
