package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

func TestSplitMedium(t *testing.T) {
	f := profileFlags{sets: []string{
		"kind=installer", "payload=x", "layout=l", "installer.mode=fresh", "installer.disk.bus=['sata']", "hostname=fox", "description=d",
		"payload.layout=m", "payload.description=e", "payload.layout.esp.size=1GiB", "payloads=y", "installers=z",
	}, source: "tar:a"}
	all, _, err := f.settings()
	if err != nil {
		t.Fatal(err)
	}
	own, payload, payloadLayout := splitMedium(all)
	for _, part := range []struct {
		name      string
		got, want []strict.Setting
	}{
		{"installer", own, []strict.Setting{{Key: "kind", Value: "installer"}, {Key: "payload", Value: "x"}, {Key: "layout", Value: "l"}, {Key: "installer.mode", Value: "fresh"}, {Key: "installer.disk.bus", Value: "['sata']"}}},
		{"payload", payload, []strict.Setting{
			{Key: "hostname", Value: "fox"}, {Key: "description", Value: "d"}, {Key: "layout", Value: "m", Below: "payload"}, {Key: "description", Value: "e", Below: "payload"},
			{Key: "payloads", Value: "y"}, {Key: "installers", Value: "z"}, {Key: "source", Value: "tar:a", Flag: "--source"},
		}},
		{"layout of the payload", payloadLayout, []strict.Setting{{Key: "esp.size", Value: "1GiB", Below: "payload.layout"}}},
	} {
		if diff := cmp.Diff(part.want, part.got); diff != "" {
			t.Errorf("%s: -want +got\n%s", part.name, diff)
		}
	}
}

// TestMakePlanOfInstaller wants each setting to reach what it is of.
func TestMakePlanOfInstaller(t *testing.T) {
	f := planFlags{size: "auto", profileFlags: profileFlags{unattended: true, sets: []string{
		"installer.after=poweroff", "layout.esp.size=256MiB", "hostname=fox", "payload.layout=builtin:btrfs-laptop", "payload.layout.esp.size=2GiB",
	}}}
	p, asked, err := f.makePlan("bandit-installer")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != "bandit-installer" || asked.Name != "bandit-full" || p.Profile.Hostname != "fox" || asked.Hostname != "fox" || p.Layout.ESP.Size != 256<<20 ||
		p.Medium.Layout.ESP.Size != 2<<30 || !p.Medium.Installer.Unattended || p.Medium.Installer.After != "poweroff" {
		t.Errorf("plan %s of %s: host %s, ESP %v, of the target %v, %+v", p.Name(), asked.Name, p.Profile.Hostname, p.Layout.ESP.Size, p.Medium.Layout.ESP.Size, p.Medium.Installer)
	}
}

func TestMakePlanOfInstallerRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"missing": "payload = 'bandit-fulll'", "itself": "payload = 'bandit-installer'", "layoutless": "layout = 'usb'",
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte("extends = 'bandit-installer'\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		profile, want string
		sets          []string
		unattended    bool
	}{
		{"missing", `payload: no profile is named "bandit-fulll"; did you mean bandit-full?`, nil, false},
		{"itself", `payload: bandit-installer is of kind "installer", expected the profile of a system`, nil, false},
		{"layoutless", `layout: no layout is named "usb"`, nil, false},
		{"bandit-installer", "--set installer.countdown: expected 5 to 300 seconds, found 4", []string{"installer.countdown=4", "payload.hostname=fox"}, false},
		{"bandit-installer", "--set payload.hostname: expected 1 to 63", []string{"payload.hostname=Fox"}, false},
		{"bandit-installer", "--set payload.layout.esp.size: expected 64MiB", []string{"payload.layout.esp.size=1"}, false},
		{"bandit-installer", `boot.loader: "uki": expected "systemd-boot"`, []string{"boot.loader=uki"}, false},
		{"bandit-minimal", "--unattended: installer: only an installer has it", nil, true},
		{"bandit-minimal", `--set payload: "x": only a medium has one`, []string{"payload=x"}, false},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			f := planFlags{size: "auto", profileFlags: profileFlags{profileDirs: []string{dir}, sets: test.sets, unattended: test.unattended}}
			_, _, err := f.makePlan(test.profile)
			if err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != fault.Config {
				t.Errorf("%s: %v; want a config error with %q", test.profile, err, test.want)
			}
		})
	}
}

// TestMediumFlags wants a medium to be signed, and a system not to be.
func TestMediumFlags(t *testing.T) {
	f := planFlags{size: "auto"}
	for _, test := range []struct {
		profile string
		signing signFlags
		want    string
	}{
		{"bandit-minimal", signFlags{}, ""},
		{"bandit-minimal", signFlags{key: "k"}, "--sign-key: is for a medium, and bandit-minimal is a system"},
		{"bandit-minimal", signFlags{passphraseFlags: passphraseFlags{"p"}}, "--passphrase-file: is for --sign-key"},
		{"bandit-installer", signFlags{}, "--sign-key is missing: bandit-installer is an installer medium"},
		{"bandit-installer", signFlags{key: "k"}, ""},
	} {
		p, _, err := f.makePlan(test.profile)
		if err != nil {
			t.Fatal(err)
		}
		err = (&mediumFlags{test.signing}).check(p)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.profile, err)
		case test.want != "" && (fault.ClassOf(err) != fault.Usage || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v; want a usage error with %q", test.profile, err, test.want)
		}
	}
}
