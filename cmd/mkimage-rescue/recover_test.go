package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/adjust"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/initramfs/config"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
	"github.com/6FaNcY9/mkimage/installer/mediumtest"
	"github.com/6FaNcY9/mkimage/installer/rescue/unlock/unlocktest"
	"github.com/6FaNcY9/mkimage/installer/signature"
	"github.com/6FaNcY9/mkimage/profiles"
)

// installProgram is the one that is put into media; make programs builds it.
const installProgram = "../../.cache/programs/mkimage-install"

// newRecovery is a bench whose laptop is lost: its disk is new, and there is a stick.
func newRecovery(t *testing.T) (b *bench, stick string) {
	t.Helper()
	imgtest.NeedRoot(t) // who has built the program
	imgtest.Need(t, installProgram)
	b = newBench(t)
	secret, err := signature.Generate()
	must(t, err)
	encrypted := unlocktest.Encrypt(t, "restic: "+repoPassword+"\n", b.key.Recipient().String())
	stick = filepath.Join(b.dir, "stick.img")
	medium := mediumtest.WriteRecovery(t, stick, func(installer, payload *profiles.Profile) {
		installer.Installer.Disk = profiles.DiskRules{MinSize: "3GiB"} // images are on no bus
		payload.Age = profiles.Age{Sources: []string{config.KeyMedium}, Timeout: 60}
		payload.Secrets = []profiles.Secret{{Name: "password", File: "s.yaml", Key: "restic"}}
		payload.Restore = profiles.Restore{Disk: "LABEL=backup", Repository: "restic/demo", Host: "demo", Password: "password"}
	}, &adjust.Recovery{
		Recipients: []string{b.key.Recipient().String()}, Files: map[string]adjust.SecretFile{"s.yaml": {Data: encrypted, Format: "yaml"}},
		FirstBoot: []byte("a program"), Restic: []byte("a program"),
	}, func(text []byte) ([]byte, error) { return secret.Sign(text, "test") })
	text, err := medium.Result.Manifest.Plan.JSON()
	must(t, err)
	program, err := filepath.Abs(installProgram)
	must(t, err)
	b.put(config.RescuePlan, text)
	b.put(config.InstallKey, []byte(secret.Public().String()))
	b.put(firstboot.ConfigPath, b.config())
	b.put(secretsFile, encrypted)
	must(t, os.MkdirAll(filepath.Join(b.root, filepath.Dir(config.InstallProgram)), 0o755), os.Symlink(program, filepath.Join(b.root, config.InstallProgram)))
	b.laptop = b.empty("new.img", 4<<30)
	return b, stick
}

// put writes a file that a stick brings.
func (b *bench) put(name string, text []byte) {
	b.t.Helper()
	name = filepath.Join(b.root, name)
	must(b.t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, text, 0o600))
}

// empty makes an empty disk.
func (b *bench) empty(name string, size int64) string {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	must(b.t, os.WriteFile(name, nil, 0o600), os.Truncate(name, size))
	return name
}

// isEmpty reports whether nothing was written to a disk.
func isEmpty(t *testing.T, name string) bool {
	t.Helper()
	info, err := os.Stat(name)
	must(t, err)
	return allocated(info) == 0
}

// TestRecover brings back everything, and once more what is lost after that.
func TestRecover(t *testing.T) {
	b, stick := newRecovery(t)
	other := b.empty("other.img", 4<<30)
	small := b.empty("small.img", 1<<30)
	at := []string{"--image", stick, "--image", small}

	b.expect(int(fault.Usage), "--erase new.img", append(at, "recover")...)
	b.expect(int(fault.Target), "--erase says", append(at, "recover", "--erase", "other.img")...)
	b.expect(int(fault.Target), "several disks", append(at, "recover", "--erase", "new.img", "--image", other)...)
	b.expect(int(fault.Target), "disk.min_size", append(at, "recover", "--erase", "small.img", "--to", small)...)
	b.expect(int(fault.Target), "started from it", append(at, "recover", "--erase", "stick.img", "--to", stick)...)
	b.expect(int(fault.Input), "no installer medium", "recover", "--erase", "new.img")
	b.expect(0, "", append(at, "recover", "--dry-run")...)
	media := b.media
	b.media = ""
	b.expect(int(firstboot.CodeNoKey), "no key of age", append(at, "recover", "--erase", "new.img")...)
	b.media = media
	if !isEmpty(t, b.laptop) || !isEmpty(t, other) || !isEmpty(t, small) {
		t.Error("a refusal has written to a disk")
	}

	var made recovered
	must(t, json.Unmarshal([]byte(b.expect(0, "", append(at, "recover", "--json", "--erase", "new.img")...)), &made))
	if !made.Installed || made.Disk != b.laptop || len(made.Steps) != 3 || made.Key == nil || made.Key.Outcome != "installed" || made.Home == nil || made.Home.Snapshot != b.snapshots["new"] {
		t.Errorf("recovered: %+v", made)
	}
	if !isEmpty(t, small) {
		t.Error("another disk was written")
	}
	b.isRecovered("new notes\n")
	b.firstBootDoesNothing()

	// The power failed before the home was there.
	b.mount(b.laptop, false, func(dir string) {
		must(t, os.RemoveAll(filepath.Join(dir, "home/alice")), os.Remove(filepath.Join(dir, firstboot.StatePath)), os.Remove(filepath.Join(dir, firstboot.StateDir, "restore.json")))
	})
	made = recovered{}
	must(t, json.Unmarshal([]byte(b.expect(0, "", append(at, "recover", "--json", "--to", b.laptop)...)), &made))
	if made.Installed || made.Key.Outcome != "kept" || made.Home == nil {
		t.Errorf("gone on with: %+v", made)
	}
	b.isRecovered("new notes\n")
	must(t, json.Unmarshal([]byte(b.expect(0, "", append(at, "recover", "--json", "--to", b.laptop)...)), &made))
}

// isRecovered looks into the laptop.
func (b *bench) isRecovered(notes string) {
	b.t.Helper()
	b.look(b.laptop, func(dir string) {
		if got := text(b.t, filepath.Join(dir, "home/alice/notes")); got != notes {
			b.t.Errorf("notes: %q", got)
		}
		name := filepath.Join(dir, config.KeyPath)
		info, err := os.Stat(name)
		must(b.t, err)
		if info.Mode() != 0o600 || !contains(text(b.t, name), b.key.String()) {
			b.t.Errorf("key: mode %v", info.Mode())
		}
		state, err := firstboot.ReadState(durable.OS(dir))
		must(b.t, err)
		if !state.Done(firstboot.StepKey) || !state.Done(firstboot.StepRestore) {
			b.t.Errorf("journal: %+v", state.Steps())
		}
	})
}
