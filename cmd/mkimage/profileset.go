package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nixos/mounts"
	"github.com/6FaNcY9/mkimage/builder/strict"
	"github.com/6FaNcY9/mkimage/layouts"
	"github.com/6FaNcY9/mkimage/profiles"
)

// profileFlags say where profiles and layouts are looked for and what of them
// the command line changes.
type profileFlags struct {
	profileDirs, layoutDirs []string
	sets                    []string // KEY=VALUE
	source                  string   // "" leaves the profile's
	unattended              bool     // an installer medium's
	closureLayout           []byte   // the layout of the source's system, once it is known
}

func (f *profileFlags) define(cmd *cobra.Command) {
	f.defineDirs(cmd)
	cmd.Flags().StringArrayVar(&f.sets, "set", nil, "change a value of the profile, or of its layout below layout: `KEY=VALUE`")
}

func (f *profileFlags) defineDirs(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.profileDirs, "profile-dir", nil, "look for profiles in `DIR` first")
	cmd.Flags().StringArrayVar(&f.layoutDirs, "layout-dir", nil, "look for layouts in `DIR` first")
	for _, name := range []string{"profile-dir", "layout-dir"} {
		if err := cmd.MarkFlagDirname(name); err != nil {
			panic("mkimage: " + err.Error())
		}
	}
}

// searchDirs returns the directories for files of a kind ("profiles"), the
// first to be looked into first: those given, that of the working directory,
// that of the user.
func searchDirs(given []string, kind string, getenv func(string) string) []string {
	dirs := append(slices.Clone(given), kind)
	config := getenv("XDG_CONFIG_HOME")
	if home := getenv("HOME"); config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	// The XDG specification wants relative paths to be ignored.
	if filepath.IsAbs(config) {
		dirs = append(dirs, filepath.Join(config, "mkimage", kind))
	}
	return dirs
}

// load returns the profiles and layouts that can be asked for.
func (f *profileFlags) load() (*profiles.Set, *layouts.Set, error) {
	for _, dir := range slices.Concat(f.profileDirs, f.layoutDirs) {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, nil, fault.New(fault.Usage, "", "%w", err)
		}
		if !info.IsDir() {
			return nil, nil, fault.New(fault.Usage, "name the directory that it is in", "%s: is not a directory", dir)
		}
	}
	set := layouts.Load(searchDirs(f.layoutDirs, "layouts", os.Getenv)...)
	if f.closureLayout != nil {
		set.Made = map[string][]byte{mounts.LayoutName: f.closureLayout}
	}
	return profiles.Load(searchDirs(f.profileDirs, "profiles", os.Getenv)...), set, nil
}

// layoutKey is what a key of a layout has before it in --set.
const layoutKey = "layout"

// settings returns what the command line changes in the profile and in the
// layout.
func (f *profileFlags) settings() (profile, layout []strict.Setting, err error) {
	for _, text := range f.sets {
		s, err := strict.ParseSetting(text)
		if err != nil {
			return nil, nil, err
		}
		if key, ok := strings.CutPrefix(s.Key, layoutKey+"."); ok {
			layout = append(layout, strict.Setting{Key: key, Value: s.Value, Below: layoutKey})
		} else {
			profile = append(profile, s)
		}
	}
	if f.source != "" {
		profile = append(profile, strict.Setting{Key: "source", Value: f.source, Flag: "--source"})
	}
	return profile, layout, nil
}

// resolved is a profile and its layout, and where their values were set.
type resolved struct {
	profile                       profiles.Profile
	layout                        layouts.Layout
	profileOrigins, layoutOrigins strict.Origins
	payload                       *resolved // of a medium; nil of a system
	waits                         bool      // the layout is that of the source's system, which is not known yet
}

// system returns what the system in the image is made from.
func (r *resolved) system() *resolved {
	if r.payload != nil {
		return r.payload
	}
	return r
}

// complete refuses a layout that is not known yet. An installer medium has a shape of its
// own, which no system says anything of.
func (r *resolved) complete() error {
	f := strict.NewFindings(r.system().profileOrigins)
	switch {
	case r.payload != nil && r.waits:
		f = strict.NewFindings(r.profileOrigins)
		f.Add("layout", "%q is of a system, expected the layout of a medium, such as usb-installer", mounts.LayoutName)
	case r.system().waits:
		f.Add("layout", "%q is read from the system in the source, which only a build opens", mounts.LayoutName)
		return fault.New(fault.Config, "mkimage build "+shellWord(r.profile.Name)+" --dry-run opens it", "%w", f.Err())
	}
	return f.Err()
}

// resolveProfile returns the profile that a name asks for, or the payload of one
// of a medium, and its layout.
func resolveProfile(f *profileFlags, name string) (profiles.Profile, layouts.Layout, error) {
	r, err := f.resolve(name)
	if err != nil {
		return profiles.Profile{}, layouts.Layout{}, err
	}
	return r.system().profile, r.system().layout, nil
}

func (f *profileFlags) resolve(name string) (*resolved, error) {
	sets, err := f.loadSets()
	if err != nil {
		return nil, err
	}
	profileSettings, layoutSettings, err := f.settings()
	if err != nil {
		return nil, err
	}
	own, payload, payloadLayout := splitMedium(profileSettings)
	if f.unattended {
		own = append(own, strict.Setting{Key: "installer.unattended", Value: "true", Flag: "--unattended"})
	}
	if !sets.isMedium(name, own) && !f.unattended {
		return sets.resolve(name, profileSettings, layoutSettings)
	}
	r, err := sets.resolve(name, own, layoutSettings)
	if err != nil {
		return nil, err
	}
	r.payload, err = sets.payload(r, payload, payloadLayout)
	return r, err
}

// sets are the profiles and layouts that can be asked for.
type sets struct {
	profiles *profiles.Set
	layouts  *layouts.Set
}

func (f *profileFlags) loadSets() (s sets, err error) {
	s.profiles, s.layouts, err = f.load()
	return s, err
}

// isMedium reports whether a profile is one of a medium, as it is or as the command line
// makes it.
func (s sets) isMedium(name string, settings []strict.Setting) bool {
	for _, list := range [][]strict.Setting{nil, settings} {
		if p, _, err := s.profiles.Resolve(name, list); err == nil && p.IsMedium() {
			return true
		}
	}
	return false
}

func (s sets) resolve(name string, profile, layout []strict.Setting) (*resolved, error) {
	r := &resolved{}
	var err error
	if r.profile, r.profileOrigins, err = s.profiles.Resolve(name, profile); err != nil {
		return nil, err
	}
	if r.profile.Layout == mounts.LayoutName && s.layouts.Made == nil {
		r.waits, r.layout.Name = true, mounts.LayoutName
		return r, nil
	}
	if !s.layouts.Has(r.profile.Layout) {
		f := strict.NewFindings(r.profileOrigins)
		f.Add("layout", "no layout is named %q%s", r.profile.Layout, strict.DidYouMean(r.profile.Layout, s.layouts.Names()))
		return nil, f.Err()
	}
	if r.layout, r.layoutOrigins, err = s.layouts.Resolve(r.profile.Layout, layout); err != nil {
		return nil, err
	}
	return r, nil
}

// payload resolves what a medium installs or brings back.
func (s sets) payload(medium *resolved, profile, layout []strict.Setting) (*resolved, error) {
	name := medium.profile.Payload
	f := strict.NewFindings(medium.profileOrigins)
	if !s.profiles.Has(name) {
		f.Add("payload", "no profile is named %q%s", name, strict.DidYouMean(name, s.profiles.Names()))
		return nil, f.Err()
	}
	r, err := s.resolve(name, profile, layout)
	if err != nil {
		return nil, err
	}
	if r.profile.IsMedium() {
		f.Add("payload", "%s is of kind %q, expected the profile of a system", name, r.profile.Kind)
	}
	return r, f.Err()
}
