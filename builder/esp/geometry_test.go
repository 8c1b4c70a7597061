package esp

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/imgtest"
)

// TestSmallest writes the file systems around the smallest that is FAT32.
func TestSmallest(t *testing.T) {
	for _, test := range []struct{ sectorSize, smallest int64 }{
		{512, (32 + 2*512 + 65525) * 512},
		{4096, (32 + 2*64 + 65525) * 4096},
	} {
		p := params(test.smallest - 1)
		p.SectorSize = test.sectorSize
		_, err := Write(context.Background(), imgtest.NewMemDisk(p.Size), fstree.New(), p)
		want := fmt.Sprintf("FAT32 of %d bytes: too small, needs at least %d", p.Size, test.smallest)
		if fault.ClassOf(err) != fault.Target || err.Error() != want {
			t.Errorf("%d bytes: %v; want %s", p.Size, err, want)
		}
		for clusters := int64(minClusters); clusters <= minClusters+1; clusters++ {
			p.Size = test.smallest + (clusters-minClusters)*test.sectorSize
			d, r := write(t, fstree.New(), p)
			if r.Clusters != clusters || r.FreeClusters != clusters-1 {
				t.Errorf("%d bytes: %d clusters, %d free; want %d and one less", p.Size, r.Clusters, r.FreeClusters, clusters)
			}
			verify(t, d, r, fstree.New())
		}
		if got, err := MinSize(fstree.New(), p); err != nil || got != test.smallest {
			t.Errorf("MinSize of nothing = %d, %v; want %d", got, err, test.smallest)
		}
	}
}

// TestGeometryLikeMkfs compares the cluster sizes with those of mkfs.fat, at
// every size at which they change.
func TestGeometryLikeMkfs(t *testing.T) {
	imgtest.Need(t, "mkfs.fat")
	image := filepath.Join(t.TempDir(), "image")
	const mib = 1 << 20
	for _, size := range []int64{64 * mib, 260 * mib, 261 * mib, 1024 * mib, 8192 * mib, 8193 * mib, 16384 * mib, 16385 * mib, 32768 * mib, 32769 * mib, 1 << 40} {
		if err := os.WriteFile(image, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(image, size); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mkfs.fat", "-F", "32", image).CombinedOutput(); err != nil {
			t.Fatalf("mkfs.fat: %v\n%s", err, out)
		}
		b := make([]byte, 512)
		f, err := os.Open(image)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		p, err := params(size).normal()
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.geometry()
		if err != nil || g.perCluster != int64(b[13]) {
			t.Errorf("%d bytes: %d sectors in a cluster, %v; mkfs.fat has %d", size, g.perCluster, err, b[13])
		}
		if g.offset(2)%g.clusterSize() != 0 || (g.clusters+2)*fatEntrySize > g.fatSectors*512 ||
			g.offset(uint32(g.clusters+2)) > size || g.offset(uint32(g.clusters+3)) <= size-g.clusterSize() {
			t.Errorf("%d bytes: %+v: clusters do not fill the file system", size, g)
		}
	}
}

// TestGeometryEverySize looks at all sizes of a range: the FAT holds every
// cluster, and minSize undoes geometryOf.
func TestGeometryEverySize(t *testing.T) {
	for _, class := range clusterClasses {
		for _, sectorSize := range []int64{512, 4096} {
			n := class.perCluster(sectorSize)
			for clusters := int64(minClusters); clusters < minClusters+600; clusters++ {
				size := minSize(clusters, sectorSize, class)
				g, less := geometryOf(size/sectorSize, sectorSize, n), geometryOf(size/sectorSize-1, sectorSize, n)
				if g.clusters < clusters || less.clusters >= clusters || (g.clusters+2)*fatEntrySize > g.fatSectors*sectorSize || g.reserved < minReserved {
					t.Fatalf("minSize(%d, %d, %d) = %d: %+v, one sector less %+v", clusters, sectorSize, n, size, g, less)
				}
			}
		}
	}
}

func TestTooLarge(t *testing.T) {
	for _, test := range []struct {
		size, sectorSize int64
		want             string
	}{
		{1 << 41, 512, "too large, expected at most 2199023255040"},
		{1 << 62, 512, "too large, expected at most"},
		{1<<41 - 512, 512, ""},
		{1<<43 + 1<<32, 4096, "clusters, expected at most 268435444"},
		{1 << 43, 4096, ""},
	} {
		p := params(test.size)
		p.SectorSize = test.sectorSize
		_, err := Capacity(p)
		if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != fault.Target) {
			t.Errorf("%d bytes: %v; want %q", test.size, err, test.want)
		}
	}
	d, r := write(t, fstree.New(), params(1<<41-512))
	if len(d.Written()) != 1+2+1 {
		t.Errorf("%d pages written for an empty file system of 2 TiB; want 4: sectors, FATs and root (%+v)", len(d.Written()), r)
	}
}

// TestNeed fills file systems exactly, and with one cluster too many.
func TestNeed(t *testing.T) {
	p := params((32 + 2*512 + minClusters) * 512)
	capacity, err := Capacity(p)
	if err != nil || capacity != minClusters*512 {
		t.Fatalf("Capacity = %d, %v; want %d", capacity, err, minClusters*512)
	}
	for _, more := range []int64{-512, 0, 1} {
		tree := treeOf(t, nil)
		size := capacity - 512 + more // the root has a cluster
		if _, err := tree.Root().Add("hole", &fstree.Inode{Mode: fstree.TypeRegular, Size: size}); err != nil {
			t.Fatal(err)
		}
		need, err := Need(tree, p)
		if want := (capacity + more + 511) / 512 * 512; err != nil || need != want {
			t.Errorf("Need = %d, %v; want %d", need, err, want)
		}
		minimum, err := MinSize(tree, p)
		if err != nil || (minimum <= p.Size) != (more <= 0) {
			t.Errorf("MinSize = %d, %v; the file system has %d, its files need %d of %d", minimum, err, p.Size, need, capacity)
		}
		d := imgtest.NewMemDisk(p.Size)
		r, err := Write(context.Background(), d, tree, p)
		if more > 0 {
			hint := fmt.Sprintf("give the partition at least %d bytes", minimum)
			if fault.ClassOf(err) != fault.Target || !strings.Contains(err.Error(), "the files need 33549312 bytes of clusters, it has 33548800") ||
				fault.HintOf(err) != hint || d.Calls > 0 {
				t.Errorf("Write: %v, hint %q, %d writes; want the hint %q and none", err, fault.HintOf(err), d.Calls, hint)
			}
			p.Size = minimum
			d, r = write(t, tree, p)
		} else if err != nil || r.FreeClusters != -more/512 {
			t.Fatalf("Write: %v, %+v; want %d free clusters", err, r, -more/512)
		}
		verify(t, d, r, tree)
	}
}

// TestMinSizeAcrossClasses finds a size in the next class of clusters.
func TestMinSizeAcrossClasses(t *testing.T) {
	for _, size := range []int64{1, 250 << 20, 258 << 20, 259 << 20, 260 << 20, 3 << 30} {
		tree := treeOf(t, nil)
		if _, err := tree.Root().Add("hole", &fstree.Inode{Mode: fstree.TypeRegular, Size: size}); err != nil {
			t.Fatal(err)
		}
		p := params(0)
		minimum, err := MinSize(tree, p)
		if err != nil {
			t.Fatal(err)
		}
		p.Size = minimum
		write(t, tree, p)
		p.Size -= 512
		if _, err := Write(context.Background(), imgtest.NewMemDisk(p.Size), tree, p); fault.ClassOf(err) != fault.Target {
			t.Errorf("a file of %d bytes fits into %d bytes, MinSize says %d: %v", size, p.Size, minimum, err)
		}
	}
}
