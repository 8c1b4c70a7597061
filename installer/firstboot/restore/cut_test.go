package restore

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// The power is cut after every step, with and without what the kernel had only
// in memory: the disk's image is copied at that instant, and the machine goes on
// with the copy. Whatever the instant, the next run ends as if nothing had been.
func TestCut(t *testing.T) {
	m := newMachine(t, nil)
	m.settled()
	m.command("sync", "--file-system", m.s.Root)
	empty := m.copyImage("empty.img")
	var placing string
	var points []string
	m.s.cut = func(after string) error {
		points = append(points, after)
		if after == "at placing" {
			placing = m.copyImage("placing.img")
		}
		return nil
	}
	m.run(firstboot.CodeNotPristine)
	m.isSettled()
	first := slices.Index(points, "at placing") + 1
	if first < 6 || len(points) < first+15 {
		t.Fatalf("points %q: expected more", points)
	}
	for i, at := range points {
		if i < first && i%3 != 0 && !imgtest.Full() {
			continue // each is a whole restore, and another
		}
		t.Run(strings.ReplaceAll(at, " ", "-"), func(t *testing.T) {
			m.t = t
			image, name := empty, "cut.img"
			if i >= first {
				image = placing // so much need not be done again
			}
			m.image = image
			m.cutPower(m.copyImage("system.img"))
			var cut string
			m.cutAt(at, func() { cut = m.copyImage(name) })
			m.runCut()
			// Without a power cut: the program was killed.
			m.goOn()
			m.cutPower(cut)
			m.goOn()
		})
	}
	m.t = t
}

func (m *machine) goOn() {
	m.t.Helper()
	m.run(firstboot.CodeNotPristine)
	m.isSettled()
	if _, err := os.Lstat(m.in(pinPath)); err != nil {
		m.t.Error(err)
	}
}
