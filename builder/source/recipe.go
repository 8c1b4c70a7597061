package source

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// recipeVersion changes when the same inputs give another archive than before,
// so that what older programs left in a cache is not taken for it.
const recipeVersion = 1

// recipe is everything that decides what a Debian source becomes, but for what
// the archive offers on the day.
type recipe struct {
	Version  int       `json:"recipe"`
	Suite    string    `json:"suite"`
	Arch     string    `json:"architecture"`
	Packages []string  `json:"packages"` // sorted, each once
	Locales  []string  `json:"locales"`  // sorted, each once
	Epoch    int64     `json:"epoch"`    // seconds since 1970
	Pins     []Package `json:"pins"`     // of the lock; nil without one
}

// defaultArch is the architecture that plans are made for, in Debian's words,
// whatever machine makes the image.
const defaultArch = "amd64"

// validLocale is the form of a locale in the encoding that all of Linux uses:
// LANGUAGE[_TERRITORY][@MODIFIER] with UTF-8 said (en_US.UTF-8) or not.
var validLocale = regexp.MustCompile(`^[a-z]{2,3}(_[A-Z]{2})?(\.UTF-8)?(@[a-z]{1,16})?$`)

func newRecipe(suite string, o Options) (recipe, error) {
	r := recipe{Version: recipeVersion, Suite: suite, Arch: cmp.Or(o.Arch, defaultArch), Epoch: o.Epoch.Unix()}
	if !validArch.MatchString(r.Arch) {
		return r, fault.New(fault.Config, "", "debian source: architecture %.80q: not a name of one", r.Arch)
	}
	if r.Epoch < 0 || r.Epoch > time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).Unix() {
		return r, fault.New(fault.Config, "", "debian source: epoch %v: expected a time from 1970 to 9999", o.Epoch)
	}
	for _, name := range o.Packages {
		if !validName.MatchString(name) {
			return r, fault.New(fault.Config, "name packages only, as in linux-image-amd64", "debian source: package %.80q: not a name of a Debian package", name)
		}
	}
	for _, l := range o.Locales {
		switch {
		case l == "C" || l == "POSIX" || l == "C.UTF-8" || l == "C.utf8":
			continue // the C library has these itself
		case !validLocale.MatchString(l):
			return r, fault.New(fault.Config, "name a locale such as en_US.UTF-8", "debian source: locale %.80q: not a name of a UTF-8 locale", l)
		}
		r.Locales = append(r.Locales, l)
	}
	r.Packages = slices.Clone(o.Packages)
	if len(r.Locales) > 0 {
		r.Packages = append(r.Packages, "locales")
	}
	r.Packages, r.Locales = sortedOnce(r.Packages), sortedOnce(r.Locales)
	return r, nil
}

// pinned returns the recipe with the packages of a lock.
func (r recipe) pinned(l *Lock) (recipe, error) {
	want := Spec{Debian, r.Suite}.String()
	if l.Source != want || l.Architecture != r.Arch {
		return r, fault.New(fault.Input, "name another lock file, or none to get a new one",
			"lock: is of %s for %s, expected %s for %s", l.Source, l.Architecture, want, r.Arch)
	}
	if err := l.check(); err != nil {
		return r, fault.New(fault.Input, "", "lock: %w", err)
	}
	for _, p := range l.Packages {
		r.Pins = append(r.Pins, p.pin())
	}
	return r, nil
}

func sortedOnce(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// key names the recipe in a cache: readable in front, exact behind.
func (r recipe) key() string {
	data, err := json.Marshal(r)
	if err != nil {
		panic("source: recipe: " + err.Error()) // it holds nothing that JSON lacks
	}
	sum := sha256.Sum256(data)
	return fmt.Sprintf("debian-%s-%s-%s", r.Suite, r.Arch, hex.EncodeToString(sum[:12]))
}

// Hooks of mmdebstrap, run by sh with the new root as $1. What is spliced into
// them was checked against the forms above, which have no character that means
// something to a shell but "~", and that only within a word.
const (
	// The index of the archive knows the digests, dpkg does not.
	hookIndex = `chroot "$1" sh -c 'dpkg-query -W -f "\${binary:Package}=\${Version}\n" | xargs apt-cache show --no-all-versions > /` + packageIndex + `'`

	// The initramfs is ours, and is not replaced when a kernel is upgraded.
	hookInitramfs = `f="$1/etc/initramfs-tools/update-initramfs.conf"; [ ! -f "$f" ] || sed -i 's/^update_initramfs=.*/update_initramfs=no/' "$f"`
)

// pinsPerHook keeps each hook far below the 128 KiB that the kernel allows one
// argument (MAX_ARG_STRLEN).
const pinsPerHook = 500

// hookPins tells apt to prefer the locked versions, also to newer ones.
func (r recipe) hookPins() []string {
	var hooks []string
	for pins := range slices.Chunk(r.Pins, pinsPerHook) {
		var b strings.Builder
		b.WriteString(`mkdir -p "$1/etc/apt/preferences.d"; cat >>"$1/etc/apt/preferences.d/mkimage" <<'END'` + "\n")
		for _, p := range pins {
			fmt.Fprintf(&b, "Package: %s\nPin: version %s\nPin-Priority: 1001\n\n", p.Name, p.Version)
		}
		b.WriteString("END\n")
		hooks = append(hooks, b.String())
	}
	return hooks
}

// hookLocales makes locales in the way of Debian's package locales, so that an
// upgrade of it makes them again.
func (r recipe) hookLocales() string {
	var lines strings.Builder
	for _, l := range r.Locales {
		name, modifier, _ := strings.Cut(strings.Replace(l, ".UTF-8", "", 1), "@")
		if modifier != "" {
			modifier = "@" + modifier
		}
		fmt.Fprintf(&lines, "%s.UTF-8%s UTF-8\n", name, modifier)
	}
	return `set -e; cat >>"$1/etc/locale.gen" <<'END'` + "\n" + lines.String() + "END\n" + `chroot "$1" locale-gen`
}

// command returns the arguments of mmdebstrap, which writes the archive to its
// standard output.
func (r recipe) command(mode string, m Mirrors) []string {
	args := []string{
		"mmdebstrap", "--mode=" + mode, "--variant=minbase", "--architectures=" + r.Arch, "--format=tar", "--verbose",
		"--keyring=" + keyring,
		"--dpkgopt=force-unsafe-io", // what is lost in a crash is built again
	}
	for _, hook := range r.hookPins() {
		args = append(args, "--setup-hook="+hook)
	}
	if len(r.Packages) > 0 {
		args = append(args, "--include="+strings.Join(r.Packages, ","))
	}
	if len(r.Locales) > 0 {
		args = append(args, "--customize-hook="+r.hookLocales())
	}
	args = append(args, "--customize-hook="+hookInitramfs, "--customize-hook="+hookIndex, r.Suite, "-")
	return append(args, m.sourceLines(r.Suite)...)
}

// publicSources is the content of /etc/apt/sources.list in the image: Debian's
// public archives, whatever mirror it was built from.
func (r recipe) publicSources() string {
	public := Mirrors{Main: publicArchive, Security: publicSecurity}
	return strings.Join(public.sourceLines(r.Suite), "\n") + "\n"
}
