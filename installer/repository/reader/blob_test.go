package reader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// packed returns a repository with packs of these contents, and nothing in its index
// but their names.
func packed(t testing.TB, packs ...[]byte) *Repository {
	t.Helper()
	r := opener(t)
	for _, text := range packs {
		id := ID(sha256.Sum256(text))
		(&disk{t, r.dir}).write("data/"+id.String()[:2]+"/"+id.String(), text)
		r.index.packs = append(r.index.packs, id)
	}
	return r
}

// shape returns how many blobs the batches have.
func shape(list []Batch) (n []int) {
	for _, b := range list {
		n = append(n, len(b.places))
	}
	return n
}

// What lies close by is read at once, up to a limit.
func TestBatches(t *testing.T) {
	type at struct{ pack, offset, length uint32 }
	for _, tt := range []struct {
		name   string
		places []at
		want   []int
	}{
		{"nothing", nil, nil},
		{"one", []at{{0, 0, 40}}, []int{1}},
		{"adjoining", []at{{0, 0, 40}, {0, 40, 40}}, []int{2}},
		{"gap, one less", []at{{0, 0, 40}, {0, 40 + maxGap - 1, 40}}, []int{2}},
		{"gap", []at{{0, 0, 40}, {0, 40 + maxGap, 40}}, []int{2}},
		{"gap, one more", []at{{0, 0, 40}, {0, 40 + maxGap + 1, 40}}, []int{1, 1}},
		{"batch, one less", []at{{0, 0, maxBatch - 41}, {0, maxBatch - 41, 40}}, []int{2}},
		{"batch", []at{{0, 0, maxBatch - 40}, {0, maxBatch - 40, 40}}, []int{2}},
		{"batch, one more", []at{{0, 0, maxBatch - 39}, {0, maxBatch - 39, 40}}, []int{1, 1}},
		{"a large one", []at{{0, 0, maxBatch + 1}, {0, maxBatch + 1, 40}, {0, maxBatch + 41, 40}}, []int{1, 2}},
		{"another pack", []at{{0, 0, 40}, {1, 40, 40}, {0, 40, 40}}, []int{2, 1}},
		{"in another order", []at{{0, 80, 40}, {0, 0, 40}, {0, 40, 40}}, []int{3}},
		{"overlapping", []at{{0, 0, 90}, {0, 40, 40}, {0, 0, 40}}, []int{3}},
		{"at the end of what an offset says", []at{{0, 1<<32 - 1, 1<<32 - 1}, {0, 0, 40}, {0, 1 << 31, 40}}, []int{1, 1, 1}},
	} {
		r := packed(t, nil, []byte("x"))
		var want []ID
		for i, p := range tt.places {
			id := hashed(fmt.Sprint(i))
			r.index.data.add(place{id, p.pack, p.offset, p.length, 0})
			want = append(want, id)
		}
		r.index.data.seal()
		if diff := cmp.Diff(tt.want, shape(r.Batches(want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Packs come in the order of what is wanted, and what no index has first.
func TestBatchesOrder(t *testing.T) {
	r := packed(t, []byte("x"), []byte("y"))
	for i, pack := range []uint32{0, 1, 0, 1} {
		r.index.data.add(place{hashed(fmt.Sprint(i)), pack, uint32(100 - 10*i), 40, 0})
	}
	r.index.data.seal()
	var got []string
	for _, b := range r.Batches([]ID{hashed("3"), hashed("none"), hashed("0"), hashed("1"), hashed("2")}) {
		for _, p := range b.places {
			for _, name := range []string{"0", "1", "2", "3", "none"} {
				if p.id == hashed(name) {
					got = append(got, name)
				}
			}
		}
	}
	if diff := cmp.Diff("none 3 1 2 0", strings.Join(got, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// readAll reads all batches, and returns how often each blob was delivered. What is
// delivered has to be right.
func readAll(t *testing.T, r *Repository, want []ID) (texts, failed map[ID]int) {
	t.Helper()
	texts, failed = map[ID]int{}, map[ID]int{}
	var into Buffers
	for _, b := range r.Batches(want) {
		err := r.Read(context.Background(), b, &into, func(id ID, text []byte, err error) error {
			switch {
			case err != nil:
				failed[id]++
			case ID(sha256.Sum256(text)) != id:
				t.Errorf("%s: %d bytes of another hash", id, len(text))
			default:
				texts[id]++
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	return texts, failed
}

// Of a batch all are delivered that can be had from anywhere.
func TestReadBatch(t *testing.T) {
	texts := []string{"first", strings.Repeat("second", 1000), "third", ""}
	var pack []byte
	var places []place
	for i, text := range texts {
		plain, length := []byte(text), uint32(0)
		if i == 1 {
			plain, length = compress(plain), uint32(len(plain))
		}
		sealed := seal(testKeys, plain)
		places = append(places, place{hashed(text), 0, uint32(len(pack)), uint32(len(sealed)), length})
		pack = append(pack, sealed...)
	}
	wrong := bytes.Clone(pack)
	wrong[places[1].offset+20] ^= 1
	for _, tt := range []struct {
		name       string
		first      []byte
		second     []byte // nil is none; with the same places
		right, bad int
	}{
		{"right", pack, nil, 4, 0},
		{"one is damaged", wrong, nil, 3, 1},
		{"one is damaged, and right elsewhere", wrong, append(bytes.Clone(pack), 'x'), 4, 0},
		{"the end is missing", pack[:places[2].offset], nil, 2, 2},
		{"a part is missing, and is elsewhere", pack[:places[2].offset], pack, 4, 0},
		{"nothing is there", nil, nil, 0, 4},
		{"nothing is there but elsewhere", nil, pack, 4, 0},
	} {
		r := packed(t, tt.first, tt.second)
		for _, p := range places {
			r.index.data.add(p)
			if tt.second != nil {
				p.pack = 1
				r.index.data.add(p)
			}
		}
		r.index.data.seal()
		var want []ID
		for _, text := range texts {
			want = append(want, hashed(text))
		}
		right, bad := readAll(t, r, want)
		if len(right) != tt.right || len(bad) != tt.bad {
			t.Errorf("%s: %d right, %d not; expected %d and %d", tt.name, len(right), len(bad), tt.right, tt.bad)
		}
	}
}

// What no index has is an error, also where there is no pack at all; an error of who is
// told ends it, as one of the context does.
func TestReadEnds(t *testing.T) {
	for _, r := range []*Repository{packed(t), packed(t, []byte("x"))} {
		if right, bad := readAll(t, r, []ID{hashed("none")}); len(right) != 0 || bad[hashed("none")] != 1 {
			t.Errorf("%v, %v", right, bad)
		}
	}
	r, stop := packed(t), errors.New("stop")
	b := Batch{[]place{{id: hashed("a")}, {id: hashed("b")}}}
	n := 0
	if err := r.Read(context.Background(), b, new(Buffers), func(ID, []byte, error) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("%v after %d, expected %v after 1", err, n, stop)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	if err := r.Read(ctx, b, new(Buffers), func(ID, []byte, error) error { n++; cancel(stop); return nil }); !errors.Is(err, stop) || n != 2 {
		t.Errorf("%v after %d, expected %v after 2", err, n, stop)
	}
}

// FuzzBatches is of what an index says of a small pack: each 10 bytes are a place.
func FuzzBatches(f *testing.F) {
	texts := []string{"first", strings.Repeat("second", 100), "third"}
	var pack []byte
	var all, overlapping []byte
	for i, text := range texts {
		plain, length := []byte(text), 0
		if i == 1 {
			plain, length = compress(plain), len(text)
		}
		sealed := seal(testKeys, plain)
		at := []byte{byte(i), 0, byte(len(pack)), byte(len(pack) >> 8), 0, 0, byte(len(sealed)), byte(len(sealed) >> 8), byte(length), byte(length >> 8)}
		all = append(all, at...)
		overlapping = append(append(overlapping, at...), byte(i+3), 0, at[2]+1, at[3], 0, 0, at[6], at[7], 0, 0)
		pack = append(pack, sealed...)
	}
	f.Add(all)
	f.Add(overlapping)
	f.Add(append(bytes.Clone(all), all...))
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{9, 0, 255, 255, 255, 255, 255, 255, 255, 255})
	r := packed(f, pack)
	r.index.packs = append(r.index.packs, hashed("is not there"))
	if _, err := os.Stat(filepath.Join(r.dir, r.packName(0))); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, what []byte) {
		r.index.data = table{}
		wanted := map[ID]bool{}
		for ; len(what) >= 10 && len(wanted) < 50; what = what[10:] {
			id := hashed(fmt.Sprint(what[0]))
			if int(what[0]) < len(texts) {
				id = hashed(texts[what[0]])
			}
			wanted[id] = true
			if what[1]&2 == 0 { // otherwise it is in no index
				offset := uint32(what[2]) | uint32(what[3])<<8 | uint32(what[4])<<16 | uint32(what[5])<<24
				r.index.data.add(place{id, uint32(what[1] & 1), offset, uint32(what[6]) | uint32(what[7])<<8, uint32(what[8]) | uint32(what[9])<<8})
			}
		}
		r.index.data.seal()
		var want []ID
		for id := range wanted {
			want = append(want, id)
		}
		right, bad := readAll(t, r, want)
		for _, id := range want {
			if right[id]+bad[id] != 1 {
				t.Errorf("%s: delivered %d times, expected once", id, right[id]+bad[id])
			}
		}
		if len(right)+len(bad) != len(want) {
			t.Errorf("%d blobs, expected %d", len(right)+len(bad), len(want))
		}
	})
}
