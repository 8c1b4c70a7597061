package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/profiles"
)

// sourceFlags say how the source of a profile is opened.
type sourceFlags struct {
	cacheDir, mirror, owner, lock string
	locked, refresh               bool

	netrc, narCache  string
	offline          bool
	unsigned, signed bool
}

func (f *sourceFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.owner, "owner", "", "give every file of a dir: or tar: source to `UID:GID`")
	flags.StringVar(&f.lock, "lock", "", "the lock `file` of a debian: source; default: PROFILE.lock.json in the working directory")
	flags.BoolVar(&f.locked, "locked", false, "build only from the packages that the lock file names")
	flags.BoolVar(&f.refresh, "refresh", false, "ask the archive for new packages although the cache has a root file system")
	flags.StringVar(&f.mirror, "mirror", "", "`URL` of the Debian archive; default: that of this host's apt, else deb.debian.org")
	flags.BoolVar(&f.offline, "offline", false, "ask no cache by network for a cache: source: take what was fetched before")
	flags.StringVar(&f.netrc, "netrc", "", "`file` with names and passwords for binary caches")
	flags.StringVar(&f.narCache, "nar-cache", defaultNARCache, "`bytes` of store objects that are kept for the next build of a cache: source")
	flags.BoolVar(&f.unsigned, "no-check-sigs", false, "take store objects of a cache: source whose signature is missing or by a key that is not trusted")
	flags.BoolVar(&f.signed, "check-sigs", false, "want a signature by a trusted key of every store object of a nix: source too")
	flags.StringVar(&f.cacheDir, "cache-dir", "", "`directory` of downloads and unpacked sources; default: mkimage in the user's cache directory")
	if err := cmd.MarkFlagDirname("cache-dir"); err != nil {
		panic("mkimage: " + err.Error())
	}
}

// defaultNARCache holds the objects of a desktop system, packed.
const defaultNARCache = "8GiB"

// lockSuffix is what the name of a lock file ends in.
const lockSuffix = ".lock.json"

// lockName is where the lock file of a profile is.
func (f *sourceFlags) lockName(profile string) string {
	if f.lock != "" {
		return f.lock
	}
	return profile + lockSuffix
}

// open opens the source of a profile. No file of a Debian source is younger
// than epoch.
func (f *sourceFlags) open(ctx context.Context, u *ui, progress builder.Progress, p *profiles.Profile, epoch time.Time) (*source.Source, error) {
	spec, err := source.Parse(p.Source)
	if err != nil {
		return nil, err
	}
	if err := f.checkKind(spec); err != nil {
		return nil, err
	}
	o := source.Options{
		Epoch: epoch, Arch: "amd64", Refresh: f.refresh, Progress: progress, Mirrors: source.Mirrors{Main: f.mirror},
	}
	if spec.Kind == source.Debian {
		o.Packages, o.Locales = p.Packages, []string{p.Locale.Lang}
	} else if n := len(p.Packages); n > 0 {
		u.warn("source %s is taken as it is: the %d packages of the profile are not installed into it", spec, n)
	}
	if o.Owner, err = parseOwner(f.owner); err != nil {
		return nil, err
	}
	if o.Nix, err = f.nixOptions(p); err != nil {
		return nil, err
	}
	o.Nix.Note = func(text string) { u.warn("%s", text) }
	if spec.Kind == source.Nix {
		o.Log = u.log()
	}
	if o.CacheDir, err = f.cache(); err != nil {
		return nil, err
	}
	if f.locked {
		if o.Lock, err = readLock(f.lockName(p.Name)); err != nil {
			return nil, err
		}
	}
	progress.Report(builder.StageFetch, 0, 0)
	return source.Open(ctx, spec, o)
}

// nixOptions say where store objects come from.
func (f *sourceFlags) nixOptions(p *profiles.Profile) (source.NixOptions, error) {
	o := source.NixOptions{
		Substituters: p.Nix.Substituters, Keys: p.Nix.TrustedPublicKeys, Netrc: f.netrc, Offline: f.offline, Unsigned: f.unsigned,
		Store: p.Nix.Store, Signed: f.signed, Optimise: p.Nix.AutoOptimiseStore,
	}
	var err error
	if f.narCache != "0" {
		o.CacheSize, err = parseSize(f.narCache)
	}
	return o, err
}

// checkKind refuses flags that mean nothing for a kind of source: whoever gives
// them expects something of them.
func (f *sourceFlags) checkKind(spec source.Spec) error {
	const debian, files, cache, store = "debian:SUITE", "dir:PATH or tar:FILE", "cache:URL#STOREPATH", "nix:STOREPATH or nix:FLAKE#HOST"
	of := map[source.Kind]string{source.Debian: debian, source.Dir: files, source.Tar: files, source.Cache: cache, source.Nix: store}[spec.Kind]
	for _, flag := range []struct {
		name  string
		given bool
		of    string
	}{
		{"--locked", f.locked, debian}, {"--refresh", f.refresh, debian}, {"--mirror", f.mirror != "", debian}, {"--owner", f.owner != "", files},
		{"--offline", f.offline, cache}, {"--netrc", f.netrc != "", cache}, {"--no-check-sigs", f.unsigned, cache},
		{"--check-sigs", f.signed, store},
	} {
		if flag.given && flag.of != of {
			return fault.New(fault.Usage, "", "%s: is for a source %s, not for %s", flag.name, flag.of, spec)
		}
	}
	return nil
}

// cache is the directory for what can be made again.
func (f *sourceFlags) cache() (string, error) {
	if f.cacheDir != "" {
		return f.cacheDir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fault.New(fault.Usage, "name one with --cache-dir", "%w", err)
	}
	return filepath.Join(dir, "mkimage"), nil
}

func readLock(name string) (*source.Lock, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Input, "build once without --locked to make it", "lock file: %w", err)
	}
	if err != nil {
		return nil, fault.New(fault.Input, "", "lock file: %w", err)
	}
	return source.DecodeLock(name, data)
}

// readPasswords reads the password files that a profile's users name.
func readPasswords(p *profiles.Profile) (map[string]string, error) {
	hashes := map[string]string{}
	for _, user := range p.Users {
		if user.PasswordFile == "" {
			continue
		}
		hash, err := readPassword(user)
		if err != nil {
			return nil, err
		}
		hashes[user.Name] = hash
	}
	return hashes, nil
}

// maxGRUB bounds an image of GRUB; those of Debian have 4 MiB.
const maxGRUB = 64 << 20

// readGRUB reads the image of GRUB that a profile names, nil where it names none.
func readGRUB(p *profiles.Profile) ([]byte, error) {
	name := p.Boot.GRUB
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fault.New(fault.Input, "in Debian, grub-efi-amd64-bin has one: /usr/lib/grub/x86_64-efi/monolithic/grubx64.efi", "boot.grub: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxGRUB {
		return nil, fault.New(fault.Input, "", "boot.grub: %s: expected a regular file of at most %d bytes", name, maxGRUB)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxGRUB))
	if err != nil {
		return nil, fault.New(fault.Input, "", "boot.grub: %s: %w", name, err)
	}
	return data, nil
}

// maxPasswordFile bounds a password file; the longest hash of crypt(5) has 384
// bytes.
const maxPasswordFile = 4096

// readPassword reads the hash of one user. A file that others may read is
// refused: a hash can be tried offline.
func readPassword(user profiles.User) (string, error) {
	f, err := os.OpenFile(user.PasswordFile, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", fault.New(fault.Input, "make it with: mkpasswd > FILE; chmod 600 FILE", "password file of user %s: %w", user.Name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxPasswordFile:
		return "", fault.New(fault.Input, "", "%s: expected a regular file of one line, with the password hash of user %s", user.PasswordFile, user.Name)
	case info.Mode().Perm()&0o077 != 0:
		return "", fault.New(fault.Input, "chmod 600 "+shellWord(user.PasswordFile),
			"%s: mode %#o, expected 0600: others can read the password hash of user %s", user.PasswordFile, info.Mode().Perm(), user.Name)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return "", fault.New(fault.Input, "", "%s: %w", user.PasswordFile, err)
	}
	return strings.TrimSuffix(string(data), "\n"), nil
}
