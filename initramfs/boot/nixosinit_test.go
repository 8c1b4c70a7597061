package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// said is an activation that says of its /etc whether it is written to.
func said(t *testing.T, mutable *bool) *bootspec.Activation {
	t.Helper()
	if mutable == nil {
		return nil
	}
	return &bootspec.Activation{EtcMutable: mutable}
}

const testPrograms = "/nix/store/11111111111111111111111111111111-programs"

// activationRoot is the root of a system that is made ready.
func activationRoot(t *testing.T, bootJSON string, files ...string) *nixos {
	t.Helper()
	root := system(t, append(files, testSystem[1:]+"/init", "proc/sys/kernel/modprobe", "sys/module/firmware_class/parameters/path", "bin/sh -> /old", "bin/sh.mkimage -> /half")...) // a power cut may leave the last
	if bootJSON != "" {
		fill(t, root, testSystem+"/boot.json", []byte(bootJSON))
	}
	n, err := nixosOf(root, testSystem+"/init")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestActivate(t *testing.T) {
	names := []string{"run/booted-system", "run/current-system", "proc/sys/kernel/modprobe", "sys/module/firmware_class/parameters/path", "bin/sh", "usr/bin/env"}
	const absent = "no such file or directory"
	for _, tt := range []struct {
		name, bootJSON string
		files          []string
		want           []string // what is at names
		flags          uintptr  // of the store's mount
	}{
		{"says all", `{"org.nixos.nixos-init.v1": {"firmware": "` + testPrograms + `/fw", "modprobe_binary": "` + testPrograms + `/modprobe", "sh_binary": "` + testPrograms +
			`/sh", "env_binary": "` + testPrograms + `/env", "nix_store_mount_opts": ["ro", "nosuid"]}}`, nil,
			[]string{testSystem, testSystem, testPrograms + "/modprobe", testPrograms + "/fw", testPrograms + "/sh", testPrograms + "/env"}, unix.MS_RDONLY | unix.MS_NOSUID},
		{"says nothing", `{"org.nixos.nixos-init.v1": {}}`, nil, []string{testSystem, testSystem, "", "", "/old", absent}, 0},
		{"wants none", `{"org.nixos.nixos-init.v1": {"sh_binary": "", "env_binary": ""}}`, nil, []string{testSystem, testSystem, "", "", absent, absent}, 0},
		{"before 26.05", "", []string{testSystem[1:] + "/firmware/", testSystem[1:] + "/sw -> " + testPrograms, testPrograms[1:] + "/bin/modprobe", testPrograms[1:] + "/bin/sh"},
			[]string{testSystem, testSystem, testSystem + "/sw/bin/modprobe", testSystem + "/firmware", testSystem + "/sw/bin/sh", absent}, unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := activationRoot(t, tt.bootJSON, tt.files...)
			private(t, func() {
				var mounts mounter
				for range 2 { // again, as after a shell
					if err := n.activate(&mounts); err != nil {
						t.Errorf("activate: %v", err)
					}
				}
				got, want := n.sees(names...), map[string]string{}
				for i, name := range names {
					want[name] = tt.want[i]
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("activate (-want +got):\n%s", diff)
				}
				var st unix.Statfs_t
				store := filepath.Join(n.root, "nix/store")
				if err := unix.Statfs(store, &st); err != nil || uintptr(st.Flags)&(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV) != tt.flags {
					t.Errorf("flags of the store %#x, %v; want %#x", st.Flags, err, tt.flags)
				}
				if want := min(1, int(tt.flags)); len(mounts.mounted) != want {
					t.Errorf("mounted %q; want %d", mounts.mounted, want)
				}
				mounts.undo()
				if info, err := os.Stat(store); err != nil || modeOf(info) != "1775 0:30000" {
					t.Errorf("store: %s, %v", modeOf(info), err)
				}
			})
		})
	}
}

// modeOf returns mode and owner of a file.
func modeOf(info os.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
}

// TestActivateStays: links lead out of the root nowhere.
func TestActivateStays(t *testing.T) {
	outside := t.TempDir()
	n := activationRoot(t, `{"org.nixos.nixos-init.v1": {"env_binary": "`+testPrograms+`/env"}}`, "usr -> "+outside)
	private(t, func() {
		var mounts mounter
		defer mounts.undo()
		if err := n.activate(&mounts); err != nil {
			t.Error(err)
		}
		if list, err := os.ReadDir(outside); err != nil || len(list) > 0 {
			t.Errorf("outside there are %v, %v", list, err)
		}
	})
}

func TestNixosOf(t *testing.T) {
	const name = "/boot.json"
	root := system(t, "bin/sh!")
	if n, err := nixosOf(root, "/bin/sh"); n != nil || err != nil {
		t.Errorf("init of no NixOS: %v, %v", n, err)
	}
	fill(t, root, testSystem+"/init", nil)
	fill(t, root, testSystem+name, []byte("{"))
	if _, err := nixosOf(root, testSystem+"/init"); fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "" || !strings.Contains(err.Error(), testSystem+name) {
		t.Errorf("damaged boot.json: %v", err)
	}
	for size, want := range map[int]bool{bootspec.MaxDocument - 1: true, bootspec.MaxDocument: true, bootspec.MaxDocument + 1: false, 4 * bootspec.MaxDocument: false} {
		fill(t, root, testSystem+name, []byte("{}"+strings.Repeat(" ", size-2)))
		if _, err := nixosOf(root, testSystem+"/init"); (err == nil) != want || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%d bytes, expected at most", bootspec.MaxDocument+1)) {
			t.Errorf("boot.json of %d bytes: %v; want it taken: %v", size, err, want)
		}
	}
}

// TestPrepareEtcConfext: an /etc that nobody here can mount ends the boot, not the system.
func TestPrepareEtcConfext(t *testing.T) {
	for _, tt := range []struct{ name, file, text string }{
		{"link", "etc-confext", "x"},
		{"said", "boot.json", `{"org.nixos.nixos-init.v1": {"etc_confext": {}}}`},
	} {
		root := t.TempDir()
		fill(t, root, testSystem+"/init", nil)
		fill(t, root, testSystem+"/"+tt.file, []byte(tt.text))
		n, err := nixosOf(root, testSystem+"/init")
		if err != nil {
			t.Fatal(err)
		}
		if err := (&machine{}).prepareEtc(n); fault.ClassOf(err) != fault.Input || fault.HintOf(err) == "" || !strings.Contains(err.Error(), "is a configuration extension") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestIsBareProgram(t *testing.T) {
	for _, tt := range []struct {
		name, init string
		files      []string
		want       bool
	}{
		{"program", elfMagic, []string{"nixos-version"}, true},
		{"with prepare-root", elfMagic, []string{"nixos-version", "prepare-root"}, false},
		{"of no NixOS", elfMagic, nil, false},
		{"script", "#!/bin/sh\n", []string{"nixos-version"}, false},
		{"short", elfMagic[:3], []string{"nixos-version"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			fill(t, root, testSystem+"/init", []byte(tt.init))
			for _, name := range tt.files {
				fill(t, root, testSystem+"/"+name, nil)
			}
			n, err := nixosOf(root, testSystem+"/init")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := n.isBareProgram(); got != tt.want || err != nil {
				t.Errorf("isBareProgram = %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}
