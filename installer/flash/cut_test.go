package flash_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/installer/flash"
)

// TestPowerCut cuts a run after every write. Of the writes since the last sync
// any may be lost, and any may be on the disk in any order. A disk with a table,
// in either copy, must hold the old one over data that nobody touched, or the
// new one over all of the new data.
func TestPowerCut(t *testing.T) {
	const size = 6 * mib
	first, second := newImage(t, size, 1, 1, 2, 3), newImage(t, size, 50, 1, 2, 4)
	half := bytes.Clone(first)
	copy(half[2*mib:], noise(9, mib/2))
	for _, tt := range []struct {
		name   string
		before []byte
		after  []byte
		o      flash.Options
	}{
		{"over another", first, second, flash.Options{}},
		{"over nothing", make([]byte, size), second, flash.Options{}},
		{"update", first, half, flash.Options{Update: true}},
		{"update of another", first, second, flash.Options{Update: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{disk: imgtest.NewMemDisk(size)}
			if _, err := r.disk.WriteAt(tt.before, 0); err != nil {
				t.Fatal(err)
			}
			tt.o.Manifest = manifestOf(t, tt.after)
			if _, err := run(t, t.Context(), tt.after, r, tt.o); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(bytesOf(t, r.disk), tt.after) {
				t.Fatal("the disk is not the image")
			}
			states := cuts(t, r.events, tt.before, tt.after)
			t.Logf("%d events: %v", len(r.events), states)
			if states["new"] == 0 || states["none"] == 0 {
				t.Errorf("states %v; want new and none among them", states)
			}
		})
	}
}

// cuts replays what was written, with every way in which a cut can leave the
// last writes, and counts what the disk then is.
func cuts(t *testing.T, events []event, before, after []byte) map[string]int {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	states := map[string]int{}
	stable := imgtest.NewMemDisk(int64(len(before)))
	put(t, stable, 0, before)
	var pending []event
	for _, e := range events {
		if e.sync {
			for _, p := range pending {
				put(t, stable, p.offset, p.data)
			}
			pending = nil
		} else {
			pending = append(pending, e)
		}
		for _, kept := range subsets(rng, len(pending)) {
			d := stable.Clone()
			for i, p := range pending {
				if !kept[i] {
					continue
				}
				data := p.data
				if i == len(pending)-1 && rng.IntN(2) == 0 { // in the middle of it
					data = data[:rng.IntN(len(data)/512+1)*512]
				}
				put(t, d, p.offset, data)
			}
			states[state(t, d, before, after)]++
		}
	}
	return states
}

// subsets returns all of n things where they are few, some where they are many.
func subsets(rng *rand.Rand, n int) (all [][]bool) {
	count := 1 << min(n, 4)
	for i := range count {
		kept := make([]bool, n)
		for j := range kept {
			kept[j] = n <= 4 && i>>j&1 == 1 || n > 4 && rng.IntN(2) == 0
		}
		all = append(all, kept)
	}
	return all
}

func put(t *testing.T, d *imgtest.MemDisk, offset int64, data []byte) {
	t.Helper()
	if _, err := d.WriteAt(data, offset); err != nil {
		t.Fatal(err)
	}
}

// state says what a disk is, and fails for a table over half of something.
func state(t *testing.T, d *imgtest.MemDisk, before, after []byte) string {
	t.Helper()
	got := bytesOf(t, d)
	end := len(got) - mib
	switch {
	case !hasTable(d, d.Size()):
		return "none"
	case bytes.Equal(got[mib:end], after[mib:end]):
		return "new"
	case bytes.Equal(got[mib:end], before[mib:end]):
		return "old"
	}
	t.Error("there is a table over data that is neither old nor new")
	return "bad"
}
