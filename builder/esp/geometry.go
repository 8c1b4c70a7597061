package esp

import (
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// Figures of the specification.
const (
	fats         = 2
	minClusters  = 65525      // below this a file system is FAT16, whatever its boot sector says
	maxClusters  = 0x0ffffff4 // the last cluster number stays below the mark of bad clusters
	maxSectors   = 1<<32 - 1  // the total is a field of 32 bits
	minReserved  = 32         // sectors before the first FAT, as mkfs.fat and Windows have them
	fatEntrySize = 4
	firstCluster = 2
)

// clusterClass gives file systems of up to a size their clusters.
type clusterClass struct{ upTo, clusterSize int64 }

// clusterClasses is the table of mkfs.fat and of the specification, in bytes.
var clusterClasses = []clusterClass{
	{260 << 20, 512},
	{8 << 30, 4 << 10},
	{16 << 30, 8 << 10},
	{32 << 30, 16 << 10},
	{1 << 62, 32 << 10},
}

// geometry says where the parts of a file system stand. All figures but
// sectorSize count sectors or clusters.
type geometry struct {
	sectorSize int64 // bytes
	sectors    int64 // all of them
	perCluster int64
	reserved   int64 // before the first FAT
	fatSectors int64 // of one FAT
	clusters   int64
}

func (g geometry) clusterSize() int64 { return g.perCluster * g.sectorSize }

// fatOffset returns the byte at which a FAT starts, counted from 0.
func (g geometry) fatOffset(n int64) int64 { return (g.reserved + n*g.fatSectors) * g.sectorSize }

// offset returns the byte at which a cluster starts.
func (g geometry) offset(cluster uint32) int64 {
	return g.fatOffset(fats) + (int64(cluster)-firstCluster)*g.clusterSize()
}

// geometryOf divides a number of sectors. The FATs have the fewest sectors
// that surely hold an entry for each cluster, and clusters are aligned to
// their size from the start of the file system, for the sake of flash.
func geometryOf(sectors, sectorSize, perCluster int64) geometry {
	g := geometry{sectorSize: sectorSize, sectors: sectors, perCluster: perCluster}
	entries := sectorSize / fatEntrySize
	// n clusters need fatSectors*entries >= n + firstCluster, and n is at most
	// (sectors - minReserved - fats*fatSectors) / perCluster.
	g.fatSectors = ceil(sectors-minReserved+firstCluster*perCluster, entries*perCluster+fats)
	g.reserved = ceil(minReserved+fats*g.fatSectors, perCluster)*perCluster - fats*g.fatSectors
	g.clusters = max(0, (sectors-g.reserved-fats*g.fatSectors)/perCluster)
	return g
}

func ceil(n, unit int64) int64 { return (n + unit - 1) / unit }

// geometry returns the geometry of normal Params.
func (p Params) geometry() (geometry, error) {
	sectors := p.Size / p.SectorSize
	if sectors > maxSectors {
		return geometry{}, fault.New(fault.Target, "", "FAT32 of %d bytes: too large, expected at most %d", p.Size, maxSectors*p.SectorSize)
	}
	g := geometryOf(sectors, p.SectorSize, perCluster(p.Size, p.SectorSize))
	switch {
	case g.clusters < minClusters:
		return g, fault.New(fault.Target, "give the partition more room", "FAT32 of %d bytes: too small, needs at least %d",
			p.Size, minSize(minClusters, p.SectorSize, clusterClasses[0]))
	case g.clusters > maxClusters:
		return g, fault.New(fault.Target, "", "FAT32 of %d bytes: too large, %d clusters, expected at most %d", p.Size, g.clusters, maxClusters)
	}
	return g, nil
}

// perCluster returns the sectors of a cluster in a file system of size bytes.
func perCluster(size, sectorSize int64) int64 {
	for _, c := range clusterClasses {
		if size <= c.upTo {
			return c.perCluster(sectorSize)
		}
	}
	return 0 // the last class has no end
}

func (c clusterClass) perCluster(sectorSize int64) int64 { return max(1, c.clusterSize/sectorSize) }

// minSize returns the fewest bytes that hold clusters of a class, whether or
// not they are in its range.
func minSize(clusters, sectorSize int64, c clusterClass) int64 {
	n := c.perCluster(sectorSize)
	fatSectors := ceil(clusters+firstCluster, sectorSize/fatEntrySize)
	sectors := minReserved + fats*fatSectors + clusters*n
	for geometryOf(sectors, sectorSize, n).clusters < clusters {
		sectors++
	}
	return sectors * sectorSize
}

// Need returns the bytes of the clusters that a tree takes in the file system
// that p asks for. It is to be compared with Capacity. Errors are those of
// Write.
func Need(t *fstree.Tree, p Params) (int64, error) {
	g, v, err := decide(t, p)
	if err != nil {
		return 0, err
	}
	return v.clusters(g.clusterSize()) * g.clusterSize(), nil
}

// Capacity returns the bytes of all clusters of the file system that p asks
// for.
func Capacity(p Params) (int64, error) {
	p, err := p.normal()
	if err != nil {
		return 0, err
	}
	g, err := p.geometry()
	return g.clusters * g.clusterSize(), err
}

// MinSize returns the smallest Params.Size whose file system holds the tree.
// It does not depend on the Size in p.
func MinSize(t *fstree.Tree, p Params) (int64, error) {
	p, err := p.normal()
	if err != nil {
		return 0, err
	}
	v, err := survey(t, p.Label != "")
	if err != nil {
		return 0, err
	}
	return v.minSize(p.SectorSize), nil
}

// minSize returns the smallest size whose file system holds the volume.
func (v *volume) minSize(sectorSize int64) int64 {
	from := int64(0)
	for _, c := range clusterClasses {
		clusters := max(minClusters, v.clusters(c.perCluster(sectorSize)*sectorSize))
		if size := max(minSize(clusters, sectorSize, c), from); size <= c.upTo {
			return size
		}
		from = c.upTo + sectorSize
	}
	return 0 // the last class has no end
}
