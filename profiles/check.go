package profiles

import (
	"regexp"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// The words that a profile can choose from.
var (
	// Roles are what a machine can be for.
	Roles = []string{"desktop", "laptop", "server"}
	// Loaders are the ways from the firmware to the kernel.
	Loaders = []string{"systemd-boot", "grub", "uki"}
	// Steps are what a first boot can do.
	Steps = []string{"machine-id", "host-keys", "grow", "swapfile"}
	// Policies are the uses of a layout's swapfile.
	Policies = []string{"none", "swapfile", "hibernate"}
	// Initramfses are what a system can start by.
	Initramfses = []string{InitramfsOwn, InitramfsSource}
	// Promises are the checks that a booted image can be put to.
	Promises = []string{"boot", "mounts", "running", "hostname", "cmdline", "machine-id", "esp", "empty-mountpoints", "factory", "rescue"}
	// Schemes are the kinds of source, which end with a colon.
	Schemes = []string{"debian", "tar", "dir", "cache", "nix"}
)

// maxTimeout is the longest that a menu waits, in seconds: a machine that
// nobody watches must come back by itself.
const maxTimeout = 60

// The forms of names. Each is the common ground of the programs that read it.
var (
	hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`) // RFC 1123 2.1; lower case, as DNS does not tell them apart
	fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	module   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	timezone = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`) // a file of the tz database
	keymap   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	unit     = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$`) // systemd.unit(5)
)

// The forms of what a Debian source is made of, exactly those that package
// source takes.
var (
	suite      = regexp.MustCompile(`^[a-z]{2,32}$`)                          // trixie-backports holds no whole system
	debPackage = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{0,126}[a-z0-9+.]$`) // Debian Policy 5.6.7; "vim-" would ask apt to remove vim
	language   = regexp.MustCompile(`^(C|POSIX|C\.UTF-8|C\.utf8|[a-z]{2,3}(_[A-Z]{2})?(\.UTF-8)?(@[a-z]{1,16})?)$`)
)

// The forms of what says where store objects come from. What is behind them is for
// package source to find.
var (
	cacheSource  = regexp.MustCompile(`^[^#]+#/nix/store/[0-9a-z]{32}-[^/#,]+(,/nix/store/[0-9a-z]{32}-[^/#,]+)*$`)
	nixObject    = regexp.MustCompile(`^/nix/store/[0-9abcdfghijklmnpqrsvwxyz]{32}-[0-9A-Za-z+._?=-]{1,211}(,/nix/store/[0-9abcdfghijklmnpqrsvwxyz]{32}-[0-9A-Za-z+._?=-]{1,211})*$`)
	substituter  = regexp.MustCompile(`^(file|https?)://[!-~]+$`)
	nixPublicKey = regexp.MustCompile(`^[^: ]+:[A-Za-z0-9+/]+=*$`)
)

// maxUnit is the length of a unit's name in bytes, with its suffix.
const maxUnit = 255

// check notes everything that is wrong with a profile whose types are right.
func check(p *Profile, f *strict.Findings) {
	if !checkKind(p, f) {
		return
	}
	switch {
	case p.IsInstaller():
		checkInstaller(p, f)
		return
	case p.IsRescue():
		checkRescueMedium(p, f)
		return
	}
	checkIdentity(p, f)
	checkSource(p, f)
	checkNix(p, f)
	checkKernel(p, f)
	checkBoot(p, f)
	checkLocale(p, f)
	checkUsers(p.Users, f)
	checkUnits(p.Units, f)
	checkWords("first_boot.steps", p.FirstBoot.Steps, Steps, f)
	checkWord("swap.policy", p.Swap.Policy, Policies, f)
	if p.Zram.Enable && (p.Zram.Percent < 1 || p.Zram.Percent > 100) {
		f.Add("zram.percent", "expected 1 to 100, found %d", p.Zram.Percent)
	}
	checkRecovery(p, f)
	checkWords("tests.promises", p.Tests.Promises, Promises, f)
}

// checkWord refuses a word that is not in the list of those known.
func checkWord(key, word string, known []string, f *strict.Findings) {
	if !slices.Contains(known, word) {
		f.Add(key, "expected one of %s, found %q%s", strings.Join(known, ", "), word, strict.DidYouMean(word, known))
	}
}

func checkWords(key string, words, known []string, f *strict.Findings) {
	for i, w := range words {
		checkWord(strict.Index(key, i), w, known, f)
	}
}

// checkForms refuses the words of a list that do not have a form.
func checkForms(key string, words []string, form *regexp.Regexp, expected string, f *strict.Findings) {
	for i, w := range words {
		if !form.MatchString(w) {
			f.Add(strict.Index(key, i), "expected %s, found %q", expected, w)
		}
	}
}

func checkIdentity(p *Profile, f *strict.Findings) {
	if !hostname.MatchString(p.Hostname) {
		f.Add("hostname", "expected 1 to 63 of a-z 0-9 -, with no - at either end, found %q", p.Hostname)
	}
	checkWords("roles", p.Roles, Roles, f)
	checkLayout(p, f)
}

func checkLayout(p *Profile, f *strict.Findings) {
	if !isName(p.Layout) {
		f.Add("layout", "expected the name of a layout, found %q", p.Layout)
	}
}

// isName reports whether text can be the name of a profile or a layout, perhaps
// of a built-in one.
func isName(text string) bool { return fileName.MatchString(strict.PlainName(text)) }

func checkSource(p *Profile, f *strict.Findings) {
	scheme, rest, ok := strings.Cut(p.Source, ":")
	switch {
	case !ok || !slices.Contains(Schemes, scheme):
		f.Add("source", "expected debian:SUITE, tar:FILE, dir:PATH, nix:STOREPATH, nix:FLAKE#HOST or cache:URL#STOREPATH, found %q%s", p.Source, strict.DidYouMean(scheme, Schemes))
	case scheme == "debian" && !suite.MatchString(rest):
		f.Add("source", "expected a suite of Debian, such as debian:trixie, found %q", p.Source)
	case rest == "":
		f.Add("source", "expected a path after %s:", scheme)
	case scheme == "cache" && !cacheSource.MatchString(rest):
		f.Add("source", "expected cache:URL#/nix/store/HASH-NAME, found %q", p.Source)
	case scheme == "nix" && !validNix(rest):
		f.Add("source", "expected nix:/nix/store/HASH-NAME or nix:FLAKE#HOST, found %q", p.Source)
	case scheme == "debian":
		checkForms("packages", p.Packages, debPackage, "the name of a Debian package", f)
	}
}

// validNix reports whether text is a store path, or names a flake and what is in it.
func validNix(text string) bool {
	if strings.HasPrefix(text, "/nix/store/") {
		return nixObject.MatchString(text)
	}
	flake, attribute, _ := strings.Cut(text, "#")
	return flake != "" && attribute != "" && !strings.HasPrefix(flake, "-")
}

func checkNix(p *Profile, f *strict.Findings) {
	checkForms("nix.substituters", p.Nix.Substituters, substituter, "file://FOLDER, http://… or https://…", f)
	for i, key := range p.Nix.TrustedPublicKeys {
		if !nixPublicKey.MatchString(key) { // which is not shown: it may be a secret one
			f.Add(strict.Index("nix.trusted-public-keys", i), "expected NAME:BASE64, found %d bytes that are not", len(key))
		}
	}
}

// decided are the kernel parameters that follow from the layout.
var decided = []string{"root", "rootfstype", "rootflags", "ro", "rw", "init", "rdinit", "mkimage.root", "resume", "resume_offset", "mkimage.factory", "mkimage.install", "mkimage.rescue", "mkimage.shell"}

func checkKernel(p *Profile, f *strict.Findings) {
	for i, param := range p.Kernel.Parameters {
		key := strict.Index("kernel.parameters", i)
		name, _, _ := strings.Cut(param, "=")
		switch {
		case name == "" || strings.ContainsFunc(param, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'\\", r) }):
			f.Add(key, "expected one parameter of printable ASCII without spaces and quotes, found %q", param)
		case slices.Contains(decided, name):
			f.Add(key, "%s is decided by the layout and by how the system is booted", name)
		}
	}
	checkInitramfs(p, f)
}

func checkInitramfs(p *Profile, f *strict.Findings) {
	if p.Initramfs.From != "" {
		checkWord("initramfs.from", p.Initramfs.From, Initramfses, f)
	}
	if p.Initramfs.OfSource() {
		if scheme, _, _ := strings.Cut(p.Source, ":"); scheme == "debian" {
			f.Add("initramfs.from", "%q is for a NixOS, found source %q", InitramfsSource, p.Source)
		}
		if p.Boot.Loader == "uki" {
			f.Add("initramfs.from", "%q: a unified kernel image has the initramfs of mkimage alone; set boot.loader = \"systemd-boot\"", InitramfsSource)
		}
	}
	checkForms("initramfs.modules", p.Initramfs.Modules, module, "the name of a kernel module without .ko", f)
	for i, pattern := range p.Initramfs.Firmware {
		checkFirmware(strict.Index("initramfs.firmware", i), pattern, f)
	}
}

func checkBoot(p *Profile, f *strict.Findings) {
	checkWord("boot.loader", p.Boot.Loader, Loaders, f)
	if p.Boot.GRUB != "" && p.Boot.Loader != "grub" {
		f.Add("boot.grub", "is for boot.loader = \"grub\", found %q", p.Boot.Loader)
	}
	if t := p.Boot.Timeout; t < 0 || t > maxTimeout {
		f.Add("boot.timeout", "expected 0 to %d seconds, found %d", maxTimeout, t)
	}
	if p.Boot.Rescue && !p.Initramfs.Shell {
		f.Add("boot.rescue", "the entry ends in a shell that the initramfs does not have: set initramfs.shell, or rescue = false")
	}
}

func checkLocale(p *Profile, f *strict.Findings) {
	for _, v := range []struct {
		key, got string
		form     *regexp.Regexp
		expected string
	}{
		{"locale.lang", p.Locale.Lang, language, "a locale, such as C.UTF-8 or en_US.UTF-8"},
		{"locale.timezone", p.Locale.Timezone, timezone, "a time zone, such as UTC or Europe/Vienna"},
		{"locale.keymap", p.Locale.Keymap, keymap, "a keymap, such as us or de-latin1"},
	} {
		if !v.form.MatchString(v.got) {
			f.Add(v.key, "expected %s, found %q", v.expected, v.got)
		}
	}
}

func checkUnits(u Units, f *strict.Findings) {
	lists := []struct {
		key   string
		units []string
	}{{"units.enable", u.Enable}, {"units.disable", u.Disable}, {"units.mask", u.Mask}}
	where := map[string]string{}
	for _, list := range lists {
		for i, name := range list.units {
			key := strict.Index(list.key, i)
			if !unit.MatchString(name) || len(name) > maxUnit {
				f.Add(key, "expected a systemd unit with its suffix, such as ssh.service, found %q", name)
			}
			if other := where[name]; other != "" {
				f.Add(key, "%s is in %s too", name, other)
			}
			where[name] = list.key
		}
	}
	switch {
	case !strings.HasSuffix(u.Target, ".target") || !unit.MatchString(u.Target):
		f.Add("units.target", "expected a target, such as multi-user.target, found %q", u.Target)
	case where[u.Target] == "units.mask":
		f.Add("units.target", "%s is in units.mask too", u.Target)
	}
}
