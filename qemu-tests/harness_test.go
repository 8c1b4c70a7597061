package qemutests

import (
	"context"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// stepLimit is how long one step with a machine may take, the longest of which
// is a boot, on a busy host without KVM.
const stepLimit = 8 * time.Minute

// step returns a context for one step.
func step(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepLimit)
	t.Cleanup(cancel)
	return ctx
}

// startVM starts a machine that ends with the test.
func startVM(t testing.TB, c Config) *VM {
	t.Helper()
	imgtest.Need(t, Binary, "qemu-img")
	vm, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vm.Close(); err != nil {
			t.Error(err)
		}
	})
	return vm
}

// check ends the test on an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHarness takes one machine through everything the harness can do.
func TestHarness(t *testing.T) {
	dir := t.TempDir()
	c := Config{
		Name: "throw-away", Display: VGA, Agent: true, Keep: keepDir(t), Dir: dir,
		Disks: []Disk{{File: throwAway(t, dir), Serial: "THROWAWAY"}},
	}
	vm := startVM(t, c)

	expect(t, vm, `Boot in \d+ s`)
	check(t, vm.Screenshot(step(t), filepath.Join(c.Keep, "menu.png")))
	notBlank(t, filepath.Join(c.Keep, "menu.png"))
	expect(t, vm, `Linux version 6\.`)
	expect(t, vm, `login: `)
	check(t, vm.Screenshot(step(t), filepath.Join(c.Keep, "login.png")))
	notBlank(t, filepath.Join(c.Keep, "login.png"))

	guestAnswers(t, vm)
	diskComesAndGoes(t, vm)
	restartsWhereAsked(t, vm)
	powerCut(t, vm, c)
}

func expect(t testing.TB, vm *VM, pattern string) {
	t.Helper()
	_, err := vm.Expect(step(t), pattern)
	check(t, err)
}

// output runs a script that must succeed and compares what it prints.
func output(t testing.TB, vm *VM, script, want string) {
	t.Helper()
	got, err := vm.Output(step(t), script)
	check(t, err)
	if got != want {
		t.Errorf("script %q printed %q; want %q", script, got, want)
	}
}

func guestAnswers(t *testing.T, vm *VM) {
	t.Helper()
	r, err := vm.Run(step(t), "echo out; echo err >&2; printf 'a\\n\\nb'; exit 7")
	check(t, err)
	if want := (Result{"out\na\n\nb", "err\n", 7}); r != want {
		t.Errorf("Run = %+v; want %+v", r, want)
	}
	output(t, vm, "cat >/dev/null; true", "")
	output(t, vm, "# "+strings.Repeat("long ", 10000)+"\nhead -c 1000000 /dev/zero | tr '\\0' x | wc -c", "1000000")
	output(t, vm, "systemctl is-system-running --wait", "running")
	output(t, vm, "lsblk -dno SERIAL /dev/vda", "THROWAWAY")
	if status, err := vm.Status(step(t)); err != nil || status != "running" {
		t.Errorf("Status = %q, %v; want running", status, err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := vm.Run(short, "sleep 3"); err == nil {
		t.Error("Run ended without an error before its script")
	}
	output(t, vm, "echo in step again", "in step again")
}

func diskComesAndGoes(t *testing.T, vm *VM) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "usb.img")
	check(t, os.WriteFile(file, append([]byte("here I am"), make([]byte, 1<<20)...), 0o600))
	check(t, vm.Attach(step(t), "stick", Disk{File: file, Bus: USB, Serial: "STICK"}))
	output(t, vm, "udevadm wait --timeout=60 /dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_STICK-0:0 && head -c 9 /dev/sda && printf written | dd of=/dev/sda conv=fsync status=none", "here I am")
	check(t, vm.Detach(step(t), "stick"))
	output(t, vm, "udevadm wait --timeout=60 --removed /dev/sda", "")
	b, err := os.ReadFile(file)
	check(t, err)
	if !strings.HasPrefix(string(b), "written") {
		t.Errorf("the stick begins with %q; want what the guest wrote", b[:9])
	}
}

func restartsWhereAsked(t *testing.T, vm *VM) {
	t.Helper()
	check(t, vm.BootOnce(step(t), "second.conf"))
	check(t, vm.Reboot(step(t)))
	output(t, vm, "grep -o mkimage.second /proc/cmdline", "mkimage.second")
}

// powerCut leaves what is flushed and goes on with it in another machine.
func powerCut(t *testing.T, vm *VM, c Config) {
	t.Helper()
	output(t, vm, "echo flushed >/root/mark && sync && echo lost >/root/lost", "")
	vm.PowerCut()
	if err := vm.Execute(step(t), "query-status", nil, nil); err == nil {
		t.Error("the machine answers after the power cut")
	}
	check(t, vm.Close())
	vm = startVM(t, c)
	output(t, vm, "cat /root/mark", "flushed")
	// Before logind runs nobody hears the power button.
	output(t, vm, "systemctl is-system-running --wait", "running")
	check(t, vm.PowerDown(step(t)))
}

// notBlank decodes a screenshot and wants something on it.
func notBlank(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	check(t, err)
	defer f.Close()
	img, err := png.Decode(f)
	check(t, err)
	colours := map[[3]uint32]int{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			colours[[3]uint32{r, g, b}]++
		}
	}
	if len(colours) < 2 {
		t.Errorf("%s: one colour alone, %v", file, colours)
	}
}
