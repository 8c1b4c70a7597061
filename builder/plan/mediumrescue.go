package plan

import (
	"slices"

	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// rescueTimeout is how many seconds the menu of a medium waits that has one entry: long
// enough to read which stick it is, and to reach for the firmware's keys.
const rescueTimeout = 3

// MenuTimeout returns the seconds that the boot menu waits; 0 hides it.
func (p *Plan) MenuTimeout() int {
	if p.IsRescue() {
		return rescueTimeout
	}
	return p.Profile.Boot.Timeout
}

// makeRescueMedium decides everything about a medium that has the rescue environment for a
// payload and no file system of its own: it is in memory as a whole.
func makeRescueMedium(rescue profiles.Profile, medium layouts.Layout, payload profiles.Profile, layout layouts.Layout, o Options) (*Plan, error) {
	if err := rescueContradictions(&rescue, &medium, &payload, &layout); err != nil {
		return nil, err
	}
	epoch, err := EpochOf(o.Epoch)
	if err != nil {
		return nil, err
	}
	if err := checkSize(&payload, &medium, o.Size); err != nil {
		return nil, err
	}
	p := &Plan{
		Version: Version, Epoch: epoch, Subvolumes: []Subvolume{}, Snapshots: []Snapshot{}, Mounts: []Mount{},
		Medium: &Medium{Name: rescue.Name, Description: rescue.Description, Kind: profiles.KindRescue},
	}
	if p.Profile, err = canonical(withoutFolders(payload)); err != nil {
		return nil, err
	}
	if p.Layout, err = canonical(medium); err != nil {
		return nil, err
	}
	if p.Medium.Layout, err = canonical(layout); err != nil {
		return nil, err
	}
	if p.Medium.Rescue, err = canonical(rescue.Rescue); err != nil {
		return nil, err
	}
	if o.Seed == nil && o.Like.sameName(p) {
		p.Seed = o.Like.Seed
	} else if p.Seed, err = mediumSeed(p, o.Seed); err != nil {
		return nil, err
	}
	p.Disk = makeDisk(p, o.Size)
	p.Cmdline = slices.Concat([]string{RescueWord}, p.Profile.Kernel.Parameters)
	p.Entries = []Entry{{ID: "mkimage-" + rescue.Name, Title: rescueTitle, SortKey: "mkimage-1", Cmdline: slices.Clone(p.Cmdline)}}
	return p, checkCmdlines(p)
}

// rescueContradictions returns everything in which a medium that brings a payload back, that
// and their layouts do not fit each other, as one error.
func rescueContradictions(rescue *profiles.Profile, medium *layouts.Layout, payload *profiles.Profile, layout *layouts.Layout) error {
	c := newChecker(payload, layout)
	if !medium.ESP.Only {
		c.Add("rescue.layout", "%s has a root, expected a layout with an ESP and nothing else, such as usb-rescue", medium.Name)
	}
	c.ofMedium("rescue", rescue, medium)
	c.all()
	c.startable()
	c.wifi(rescue.Rescue.Network.WiFi)
	return c.Err()
}
