package qemutests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestScreens takes the pictures of the documentation from a built image: the
// boot menu, and the console after the boot. With -update it puts them into
// docs/images. It is of the full tier; TestHarness looks at screens in the
// other.
func TestScreens(t *testing.T) {
	if !imgtest.Full() && !*update {
		return // one more machine for pictures that seldom change
	}
	imgtest.Need(t, Binary, "qemu-img")
	keep := keepDir(t)
	menu, login := filepath.Join(keep, "boot-menu.png"), filepath.Join(keep, "login.png")
	vm := startVM(t, Config{Name: "screens", Display: VGA, Agent: true, Keep: keep,
		Disks: []Disk{{File: buildImage(t, bootCases[0])}}})

	expect(t, vm, `Boot in \d+ s`)
	// A key stops the countdown. Each draws the entry that it leaves and then the
	// one that it comes to.
	check(t, vm.Keys(step(t), "down"))
	expect(t, vm, `as built, changes are not kept\) *\n`)
	check(t, vm.Keys(step(t), "up"))
	expect(t, vm, `as built, changes are not kept\) *\n *bandit-minimal *\n`)
	check(t, vm.Screenshot(step(t), menu))
	notBlank(t, menu)
	check(t, vm.Keys(step(t), "ret"))
	shown(t, vm, "bandit@bandit")
	_, err := vm.Output(step(t), "dmesg -n 1") // no more messages between the lines
	check(t, err)
	for _, key := range []string{"f", "i", "n", "d", "m", "n", "t", "ret"} {
		check(t, vm.Keys(step(t), key))
	}
	shown(t, vm, "/swap")
	check(t, vm.Screenshot(step(t), login))
	notBlank(t, login)
	if *update {
		publish(t, menu)
		publish(t, login)
	}
}

// shown waits until the guest's first console shows a text.
func shown(t *testing.T, vm *VM, text string) {
	t.Helper()
	_, err := vm.Output(step(t), "until grep -aqF '"+text+"' /dev/vcs1; do sleep 0.1; done")
	check(t, err)
}

// publish puts a picture into the documentation.
func publish(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	check(t, err)
	dir := filepath.Join("..", "docs", "images")
	check(t, os.MkdirAll(dir, 0o755))
	check(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o644))
}
