package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const deviceList = "/m/mii.ko\n/m/libphy.ko\n/m/e100.ko mii\n/m/r8169.ko mii libphy\n/m/other.ko\n"

func TestDeviceModules(t *testing.T) {
	aliases := "pci:v00008086d*sv*bc02* e100\npci:v*d8168sv*bc[0-2]* r8169\nusb:v* other\nof:N*T*Cx/y* other\npci:v1* absent\n"
	d, err := parseDeviceModules(deviceList, aliases)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		in   []string
		want string
	}{
		{[]string{"pci:v00001234d0001sv0bc02sc00", "usb", ""}, ""},
		{[]string{"pci:v00008086d0001sv0bc02sc00"}, "mii e100:mii"},
		{[]string{"pci:v00008086d0001sv0bc02sc00"}, ""},
		{[]string{"pci:v000010ECd8168sv0bc02sc00", "of:NaTbCx/yz"}, "libphy r8169:libphy other"},
		{[]string{"pci:v1"}, ""},
	}
	for i, s := range steps {
		var got []string
		for _, m := range d.need(s.in) {
			got = append(got, strings.TrimSuffix(m.Name+":"+strings.Join(m.After, ","), ":"))
		}
		if strings.Join(got, " ") != s.want {
			t.Errorf("%d: need(%q) = %q; want %q", i, s.in, got, s.want)
		}
	}
}

func TestDeviceModulesRefused(t *testing.T) {
	tests := []struct{ name, list, aliases, want string }{
		{"list", "x\n", "", "modules, line 1"},
		{"one word", "", "\nabc\n", "aliases of devices, line 2: 1 words, expected a pattern and a module"},
		{"no pattern", "", "a[ b\n", "aliases of devices, line 1: syntax error in pattern"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseDeviceModules(tt.list, tt.aliases); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}

func FuzzDeviceModules(f *testing.F) {
	f.Add(deviceList, "pci:v*d[0-9]* r8169\n", "pci:v1d2")
	f.Fuzz(func(t *testing.T, list, aliases, modalias string) {
		d, err := parseDeviceModules(list, aliases)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, m := range d.need([]string{modalias}) {
			if seen[m.Name] || slices.ContainsFunc(m.After, func(dep string) bool { return !seen[dep] }) {
				t.Fatalf("%s is there twice, or before what it needs: %q", m.Name, m.After)
			}
			seen[m.Name] = true
		}
		if again := d.need([]string{modalias}); len(again) > 0 {
			t.Fatalf("needed again: %v", again)
		}
	})
}

func TestModaliases(t *testing.T) {
	sys := t.TempDir()
	for name, text := range map[string]string{"a/b/modalias": "pci:v1\n", "a/modalias": "\n", "c/modalias": "usb:v2\n", "c/uevent": "MODALIAS=no\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(sys, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sys, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"pci:v1", "usb:v2"}, modaliases(sys)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestKeepRunning: a program that ends is started again, unless it always ends at once.
func TestKeepRunning(t *testing.T) {
	const short, long = tooShort - time.Nanosecond, tooShort
	tests := []struct {
		name string
		runs []time.Duration // how long each takes; behind the last, starting fails
		want string
	}{
		{"one less", slices.Repeat([]time.Duration{short}, maxShort-1), "no more runs after 4"},
		{"too often", slices.Repeat([]time.Duration{short}, maxShort+1), "p: ended with status 3 at once, 5 times"},
		{"not in a row", slices.Concat(slices.Repeat([]time.Duration{short}, maxShort-1), []time.Duration{long}, slices.Repeat([]time.Duration{short}, maxShort-1)), "no more runs after 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var now time.Duration
			n := 0
			err := keepRunning("p", func() time.Duration { return now }, func() (unix.WaitStatus, error) {
				if n == len(tt.runs) {
					return 0, fmt.Errorf("no more runs after %d", n)
				}
				now += tt.runs[n]
				n++
				return unix.WaitStatus(3 << 8), nil
			})
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}
