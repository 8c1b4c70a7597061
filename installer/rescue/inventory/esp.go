package inventory

import (
	"context"
	"errors"
	"io/fs"

	fat "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// ESP is an EFI system partition, and the boot menu on it.
type ESP struct {
	Place
	Label    string    `json:"label,omitempty"`
	UUID     string    `json:"uuid,omitempty"`    // as blkid prints it
	Readable bool      `json:"readable"`          // there is a FAT32 file system
	Used     int64     `json:"used"`              // bytes
	Free     int64     `json:"free"`              // bytes
	Profile  string    `json:"profile,omitempty"` // of the image that it was made from
	Loader   string    `json:"loader"`            // LoaderSystemdBoot, LoaderGRUB, LoaderUKI, or "" for none
	Programs []Program `json:"programs"`
	Timeout  int       `json:"timeout"` // seconds that the menu waits, see bls.Conf
	Entries  []Entry   `json:"entries"` // in the order of the menu
}

// esp is an ESP with what is known of it besides.
type esp struct {
	ESP
	files    *fat.FS    // nil where it cannot be read
	plan     *plan.Plan // of the manifest on it, or nil
	swapfile string     // that the manifest names, from the top level; "" for none
	problems problems
}

const (
	maxManifest = 16 << 20 // bytes of one; 100 stand for each MiB of an image
	maxFiles    = 100_000  // files and directories that are counted
	maxChecked  = 16 << 30 // bytes of a file system that is checked
)

// readESP describes an ESP.
func (l *look) readESP(v *volume) *esp {
	e := &esp{ESP: ESP{Place: v.Place, Programs: []Program{}, Entries: []Entry{}}}
	files, err := fat.Open(l.section(v.Place), v.Size)
	if err != nil {
		e.problems.add(Boot, v.String(), "the firmware finds no boot loader on it; repairing the boot makes it anew from the system", "ESP: %v", err)
		return e
	}
	e.files, e.Readable, e.Label, e.UUID = files, true, text(files.Label()), files.UUID()
	e.size()
	e.check()
	e.manifest()
	e.menu()
	return e
}

// size counts what is used.
func (e *esp) size() {
	entries := 0
	err := fs.WalkDir(e.files, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entries++; entries > maxFiles {
			return errors.New("too many files to be counted")
		}
		extents, err := e.files.Extents(path)
		cluster := e.files.ClusterSize()
		for _, x := range extents {
			e.Used += (x.Length + cluster - 1) / cluster * cluster
		}
		return err
	})
	e.Free = e.files.Clusters()*e.files.ClusterSize() - e.Used
	if err != nil {
		e.problems.add(Boot, e.String(), "what is on it cannot be relied on; repairing the boot makes it anew from the system", "ESP: %v", err)
	}
}

// check looks for damage.
func (e *esp) check() {
	if e.files.Size() > maxChecked {
		return
	}
	n, first := 0, ""
	for _, p := range e.files.Check(context.Background()) { // which is bounded by the disk's time
		switch p.Kind {
		case fat.KindDirty, fat.KindInfo, fat.KindLost, fat.KindLabel, fat.KindBackup: // harmless, and usual after a power cut
		default:
			if n++; n == 1 {
				first = p.String()
			}
		}
	}
	if n > 0 {
		e.problems.add(Boot, e.String(), "what is on it cannot be relied on; repairing the boot makes it anew from the system", "ESP: is damaged: %s, and %s", first, plural(n-1, "thing more", "things more"))
	}
}

// manifest reads what the image was made of.
func (e *esp) manifest() {
	data, err := e.files.ReadAtMost(manifest.ESPPath, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return // of somebody else
	}
	var m *manifest.Manifest
	if err == nil {
		m, err = manifest.Decode(data)
	}
	if err != nil {
		e.problems.add(Note, e.String(), "what the system was made of is not known", "/%s: %v", manifest.ESPPath, err)
		return
	}
	if m.Plan == nil {
		return
	}
	e.plan, e.Profile = m.Plan, m.Plan.Profile.Name
	if m.Swapfile != nil {
		e.swapfile = m.Swapfile.Path
	} else if m.Plan.Swapfile != nil {
		e.swapfile = m.Plan.Swapfile.Path
	}
}
