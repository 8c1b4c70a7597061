package layouts

import (
	"maps"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// btrfsOptions are the mount options of btrfs, of the whole file system
// whichever subvolume they are given for: the first mount decides. From
// btrfs(5) of btrfs-progs 6.14.
var btrfsOptions = []string{
	"acl", "noacl", "autodefrag", "noautodefrag", "barrier", "nobarrier", "clear_cache", "commit",
	"compress", "compress-force", "datacow", "nodatacow", "datasum", "nodatasum", "degraded", "device",
	"discard", "nodiscard", "enospc_debug", "noenospc_debug", "fatal_errors", "flushoncommit", "noflushoncommit",
	"max_inline", "metadata_ratio", "norecovery", "rescue", "skip_balance", "space_cache", "nospace_cache",
	"ssd", "ssd_spread", "nossd", "nossd_spread", "thread_pool", "treelog", "notreelog", "usebackuproot",
	"user_subvol_rm_allowed",
}

// decided are the options that follow from what the layout says elsewhere, and
// from how the system is booted.
var decided = []string{"subvol", "subvolid", "ro", "rw"}

// mountOptions are the options that each mount has for itself, see mount(8)
// and, for those that fstab alone knows, systemd.mount(5).
var mountOptions = []string{
	"atime", "noatime", "relatime", "strictatime", "diratime", "nodiratime", "lazytime", "nolazytime",
	"dev", "nodev", "exec", "noexec", "suid", "nosuid", "symfollow", "nosymfollow",
	"auto", "noauto", "nofail",
}

// exclusive are sets of options of which a mount can have one.
var exclusive = [][]string{
	{"atime", "noatime", "relatime", "strictatime"},
	{"diratime", "nodiratime"}, {"lazytime", "nolazytime"},
	{"dev", "nodev"}, {"exec", "noexec"}, {"suid", "nosuid"}, {"auto", "noauto"},
	{"symfollow", "nosymfollow"},
	{"acl", "noacl"}, {"autodefrag", "noautodefrag"}, {"barrier", "nobarrier"},
	{"compress", "compress-force", "nodatacow"}, {"compress", "compress-force", "nodatasum"},
	{"datacow", "nodatacow"}, {"datasum", "nodatasum"}, {"discard", "nodiscard"},
	{"flushoncommit", "noflushoncommit"}, {"space_cache", "nospace_cache"},
	{"ssd", "nossd"}, {"ssd_spread", "nossd"}, {"ssd_spread", "nossd_spread"}, {"treelog", "notreelog"},
}

// optionName returns the part of an option before its value.
func optionName(o string) string {
	name, _, _ := strings.Cut(o, "=")
	return name
}

func checkRootOptions(options []string, f *strict.Findings) {
	known := append(slices.Clone(btrfsOptions), mountOptions...)
	checkOptions(options, "root.options", known, f)
	for i, o := range options {
		if o == "noauto" {
			f.Add(strict.Index("root.options", i), "noauto would hold for / too")
		}
	}
}

func checkSubvolumeOptions(s Subvolume, key string, f *strict.Findings) {
	checkOptions(s.Options, key, mountOptions, f)
	if s.Mount == "" && len(s.Options) > 0 {
		f.Add(key, "is not mounted at all: set mount, or leave the options out")
	}
}

// checkOptions refuses options that are not known, given twice, or contradict
// each other. A mount with an option that the kernel does not know fails.
func checkOptions(options []string, key string, known []string, f *strict.Findings) {
	first := map[string]string{}
	for i, o := range options {
		name, at := optionName(o), strict.Index(key, i)
		switch {
		case slices.Contains(decided, name):
			f.Add(at, "%s is decided by the plan: leave it out", name)
			continue
		case slices.Contains(known, name):
		case slices.Contains(btrfsOptions, name):
			f.Add(at, "btrfs has %s for the whole file system: move it to root.options", name)
			continue
		case !strings.HasPrefix(name, "x-"):
			f.Add(at, "unknown mount option %q%s", o, strict.DidYouMean(name, known))
			continue
		}
		if strings.ContainsAny(o, ", \t\n\"\\") {
			f.Add(at, "expected one option without spaces, quotes or commas, found %q", o)
		}
		if other := first[name]; other != "" {
			f.Add(at, "%q contradicts %q", o, other)
		}
		first[name] = o
	}
	reported := map[[2]string]bool{}
	for _, set := range exclusive {
		var have []string
		for _, name := range slices.Sorted(maps.Keys(first)) {
			if slices.Contains(set, name) {
				have = append(have, first[name])
			}
		}
		if len(have) > 1 && !reported[[2]string(have[:2])] {
			reported[[2]string(have[:2])] = true
			f.Add(key, "%q contradicts %q", have[0], have[1])
		}
	}
}
