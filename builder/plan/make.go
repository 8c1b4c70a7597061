package plan

import (
	"crypto/sha256"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// Options is what is decided besides the profile and the layout. The zero
// value gives a plan whose identities depend on these two alone.
type Options struct {
	Seed  *ids.Seed // of all identities; nil takes that of Like, or derives it from profile and layout
	Like  *Plan     // of an older image whose place this one takes, or nil
	Epoch time.Time // of every time stamp that is made; the zero time means DefaultEpoch
	Size  int64     // bytes of the disk; 0 means as small as fits
}

// DefaultEpoch is the time stamp of what is made when nobody names another. It
// is a time that FAT can hold.
var DefaultEpoch = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// The years that a time stamp of FAT can hold: 1980 and 7 bits.
const (
	firstFATYear = 1980
	lastFATYear  = 1980 + 1<<7 - 1
)

// seedDomain is hashed before profile and layout. It changes when their JSON
// form does, so that two forms cannot give one seed for different inputs.
const seedDomain = "mkimage plan seed 1\n"

// Make decides everything about the image of a profile on a layout, both as their
// sets resolve them, which proves what is built on here: a subvolume at /, names
// that lead to one. It reads nothing but its arguments and changes none of them.
//
// Errors are of class fault.Config when profile and layout contradict each
// other, all contradictions at once, and of fault.Usage when an option does
// not fit them.
func Make(profile profiles.Profile, layout layouts.Layout, o Options) (*Plan, error) {
	if err := contradictions(&profile, &layout); err != nil {
		return nil, err
	}
	epoch, err := EpochOf(o.Epoch)
	if err != nil {
		return nil, err
	}
	if err := checkSize(&profile, &layout, o.Size); err != nil {
		return nil, err
	}
	p := &Plan{Version: Version, Epoch: epoch}
	if p.Profile, err = canonical(withoutFolders(profile)); err != nil {
		return nil, err
	}
	if p.Layout, err = canonical(layout); err != nil {
		return nil, err
	}
	if o.Seed != nil {
		p.Seed = *o.Seed
	} else if o.Like.sameName(p) {
		p.Seed = o.Like.Seed
	} else if p.Seed, err = defaultSeed(p); err != nil {
		return nil, err
	}
	p.Disk = makeDisk(p, o.Size)
	p.Subvolumes, p.Snapshots = makeSubvolumes(&p.Layout)
	p.Swapfile = makeSwapfile(p)
	p.Mounts = makeMounts(p)
	p.Cmdline = makeCmdline(p)
	p.Entries = makeEntries(p)
	return p, checkCmdlines(p)
}

// sameName reports whether another plan has the same names of profile and layout, and so
// is of the same disk at another time.
func (p *Plan) sameName(other *Plan) bool {
	return p != nil && p.Name() == other.Name() && p.Profile.Name == other.Profile.Name && p.Layout.Name == other.Layout.Name &&
		(p.Medium == nil) == (other.Medium == nil)
}

// withoutFolders leaves of the host's paths in a profile their last elements:
// where the files of a build lie, or which cache has them, is for who opens them, and
// an image does not depend on it.
func withoutFolders(p profiles.Profile) profiles.Profile {
	switch kind, name, _ := strings.Cut(p.Source, ":"); kind {
	case "tar", "dir":
		p.Source = kind + ":" + path.Base(name)
	case "cache": // the same system out of any cache gives the same image
		_, name, _ = strings.Cut(name, "#")
		p.Source = "nix:" + name
	case "nix": // and so does the same host of a flake, wherever that lies
		if flake, attribute, ok := strings.Cut(name, "#"); ok && flake != "" {
			p.Source = "nix:#" + attribute
		}
	}
	p.Nix = profiles.Nix{AutoOptimiseStore: p.Nix.AutoOptimiseStore}
	if p.Boot.GRUB != "" {
		p.Boot.GRUB = path.Base(p.Boot.GRUB)
	}
	p.Users = slices.Clone(p.Users)
	for i := range p.Users {
		if u := &p.Users[i]; u.PasswordFile != "" {
			u.PasswordFile = path.Base(u.PasswordFile)
		}
	}
	p.Secrets = slices.Clone(p.Secrets)
	for i := range p.Secrets {
		p.Secrets[i].File = path.Base(p.Secrets[i].File)
	}
	return p
}

// EpochOf returns the epoch of a plan that is asked for with Options.Epoch: in UTC, without
// a fraction of a second. A time that FAT cannot hold is an error of class fault.Usage.
func EpochOf(t time.Time) (time.Time, error) {
	if t.IsZero() {
		return DefaultEpoch, nil
	}
	t = t.UTC().Truncate(time.Second)
	if t.Year() < firstFATYear || t.Year() > lastFATYear {
		return t, fault.New(fault.Usage, "SOURCE_DATE_EPOCH is read as seconds since 1970",
			"epoch %s: expected a year from %d to %d, which the file system of the ESP can hold", t.Format(time.RFC3339), firstFATYear, lastFATYear)
	}
	return t, nil
}

// defaultSeed is SHA-256 over the canonical JSON of profile and layout: equal
// inputs give equal identities, and images of two profiles share none.
func defaultSeed(p *Plan) (ids.Seed, error) {
	data, err := marshal(struct {
		Profile profiles.Profile `json:"profile"`
		Layout  layouts.Layout   `json:"layout"`
	}{p.Profile, p.Layout})
	if err != nil {
		return ids.Seed{}, err
	}
	return sha256.Sum256(append([]byte(seedDomain), data...)), nil
}

// Partition returns the partition of a role, or nil.
func (p *Plan) Partition(role string) *Partition {
	for i := range p.Disk.Partitions {
		if p.Disk.Partitions[i].Role == role {
			return &p.Disk.Partitions[i]
		}
	}
	return nil
}
