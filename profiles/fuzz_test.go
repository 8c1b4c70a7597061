package profiles

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/6FaNcY9/mkimage/builder/strict"
)

// FuzzCheck reads profiles that may be anything. In one that is accepted no
// text can break out of the line of a system's file that it is written to.
func FuzzCheck(f *testing.F) {
	names, err := fs.Glob(builtin, "builtin/*.toml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no built-in profiles: %v", err)
	}
	for _, name := range names {
		data, err := builtin.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add([]byte(strings.ReplaceAll(string(data), `",`, "\\n\",")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		library := strict.Library{Kind: "profile", Builtin: fstest.MapFS{"a.toml": {Data: data}, "bandit-minimal.toml": {Data: nil}}}
		var p Profile
		if _, err := library.Resolve("a", nil, &p, func(found *strict.Findings) { check(&p, found) }); err != nil {
			return
		}
		if p.IsMedium() {
			for _, s := range slices.Concat(p.Installer.Keep, p.Installer.Backup, p.Installer.Disk.Model, p.Installer.Disk.Serial, []string{p.Installer.Mode, p.Payload}) {
				if strings.ContainsAny(s, "\r\n\x00") {
					t.Fatalf("%q is accepted in %+v", s, p)
				}
			}
			return
		}
		words := []string{p.Hostname, p.Locale.Lang, p.Locale.Timezone, p.Locale.Keymap, p.Units.Target, p.Boot.Loader, p.Layout}
		words = append(words, p.Kernel.Parameters...)
		words = append(words, p.Initramfs.Modules...)
		words = append(words, p.Units.Enable...)
		for _, u := range p.Users {
			words = append(words, u.Name, u.Shell)
			words = append(words, u.Groups...)
			if strings.ContainsAny(u.Gecos, ":\n") || strings.Contains(strings.Join(u.SSHKeys, ""), "\n") {
				t.Fatalf("accepted: %+v", u)
			}
		}
		for _, w := range words {
			if w == "" || strings.ContainsAny(w, " \t\r\n\"\x00") {
				t.Fatalf("%q is accepted in %+v", w, p)
			}
		}
	})
}
