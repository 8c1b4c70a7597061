package layouts

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// btrfsOptions are the mount options of btrfs, of the whole file system
// whichever subvolume they are given for: the first mount decides. From
// btrfs(5) of btrfs-progs 6.14.
var btrfsOptions = []string{
	"acl", "noacl", "autodefrag", "noautodefrag", "barrier", "nobarrier", "clear_cache", "commit",
	"compress", "compress-force", "datacow", "nodatacow", "datasum", "nodatasum", "degraded",
	"discard", "nodiscard", "enospc_debug", "noenospc_debug", "fatal_errors", "flushoncommit", "noflushoncommit",
	"max_inline", "metadata_ratio", "skip_balance", "space_cache",
	"ssd", "ssd_spread", "nossd", "nossd_spread", "thread_pool", "treelog", "notreelog", "usebackuproot",
	"user_subvol_rm_allowed",
}

// value is what an option has behind its name.
type value struct {
	form     *regexp.Regexp // of all that is behind the name, with the "="
	expected string
}

// compression is the algorithm of compress and compress-force with its level.
var compression = value{
	regexp.MustCompile(`^(=(no|none|lzo|zlib(:[1-9])?|zstd(:-?([1-9]|1[0-5]))?))?$`),
	"no value, or no, lzo, zlib or zstd with a level, such as zstd:3",
}

// spaceCache is the option of which the kernel takes one value alone.
const spaceCache = "space_cache"

// values are the options that take a value, or can. All others are refused with
// one by the kernel.
var values = map[string]value{
	"commit":         {regexp.MustCompile(`^=[0-9]{1,9}$`), "seconds, such as commit=30"},
	"compress":       compression,
	"compress-force": compression,
	"discard":        {regexp.MustCompile(`^(=(sync|async))?$`), "no value, sync or async"},
	"fatal_errors":   {regexp.MustCompile(`^=(bug|panic)$`), "bug or panic"},
	"max_inline":     {regexp.MustCompile(`^=[0-9]{1,9}[kKmM]?$`), "bytes, such as max_inline=2048"},
	"metadata_ratio": {regexp.MustCompile(`^=[0-9]{1,9}$`), "a number, such as metadata_ratio=4"},
	spaceCache:       {regexp.MustCompile(`^=v2$`), "v2, which the file system is made with and cannot be mounted without"},
	"thread_pool":    {regexp.MustCompile(`^=[1-9][0-9]{0,8}$`), "a number of at least 1, such as thread_pool=8"},
}

// readOnly is the reason of those that it takes otherwise.
const readOnly = "the kernel takes it with ro only"

// unmountable are options of btrfs that the kernel refuses for a file system
// such as ours that is mounted to be written to (btrfs_check_options of Linux).
var unmountable = map[string]string{
	"norecovery":    readOnly,
	"nologreplay":   readOnly,
	"rescue":        readOnly,
	"nospace_cache": "the file system has a free space tree, which cannot be turned off",
	"device":        "a layout names no devices",
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
	{"flushoncommit", "noflushoncommit"},
	{"ssd", "nossd"}, {"ssd_spread", "nossd"}, {"ssd_spread", "nossd_spread"}, {"treelog", "notreelog"},
}

// IsFileSystemOption reports whether an option, without its value, is one that btrfs has
// for the whole file system.
func IsFileSystemOption(name string) bool { return slices.Contains(btrfsOptions, name) }

// Unmountable returns the option with which the kernel would not mount a file system such
// as ours, and the reason; two empty texts where there is none. Options that are not known
// here pass.
func Unmountable(options []string) (option, why string) {
	for _, o := range options {
		name := optionName(o)
		switch why := unmountable[name]; {
		case why == readOnly && slices.Contains(options, "ro"):
		case why != "":
			return o, why
		case name == spaceCache && !values[name].form.MatchString(strings.TrimPrefix(o, name)):
			return o, "expected " + values[name].expected
		}
	}
	return "", ""
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
// each other. A mount with an option that the kernel does not know fails, and so
// does one with a value that it does not take.
func checkOptions(options []string, key string, known []string, f *strict.Findings) {
	first := map[string]string{}
	for i, o := range options {
		name, at := optionName(o), strict.Index(key, i)
		switch {
		case slices.Contains(decided, name):
			f.Add(at, "%s is decided by the plan: leave it out", name)
			continue
		case unmountable[name] != "":
			f.Add(at, "leave %s out: %s", name, unmountable[name])
			continue
		case slices.Contains(known, name):
			checkValue(o, at, f)
		case slices.Contains(btrfsOptions, name):
			f.Add(at, "btrfs has %s for the whole file system: move it to root.options", name)
			continue
		case !strings.HasPrefix(name, "x-"):
			f.Add(at, "unknown mount option %q%s", o, strict.DidYouMean(name, known))
			continue
		case strings.ContainsAny(o, ", \t\n\"\\"):
			f.Add(at, "expected one option without spaces, quotes or commas, found %q", o)
		}
		if other := first[name]; other != "" {
			f.Add(at, "%q contradicts %q", o, other)
		}
		first[name] = o
	}
	checkExclusive(first, key, f)
}

// checkValue checks what a known option has behind its name.
func checkValue(option, key string, f *strict.Findings) {
	name := optionName(option)
	behind := strings.TrimPrefix(option, name)
	switch v, takes := values[name]; {
	case !takes && behind != "":
		f.Add(key, "%s takes no value, found %q", name, option)
	case takes && !v.form.MatchString(behind):
		f.Add(key, "%s: expected %s, found %q", name, v.expected, option)
	}
}

// checkExclusive refuses options, which come by name, that exclude each other.
func checkExclusive(first map[string]string, key string, f *strict.Findings) {
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
