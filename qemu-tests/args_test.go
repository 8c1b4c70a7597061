package qemutests

import (
	"bytes"
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// TestArgs compares whole command lines with testdata, one argument a line.
func TestArgs(t *testing.T) {
	firmware := Firmware{"/fw/code.fd", "/fw/vars.fd"}
	tests := []struct {
		name string
		m    machine
	}{
		{"firmware", machine{
			Config: Config{
				Name: "all,buses", Firmware: firmware, Accel: TCG, Display: VGA, Agent: true, Network: true, Forward: []int{22, 80},
				Disks: []Disk{
					{File: "/img/a,b.img", Serial: "ONE"}, {File: "/img/b.qcow2", Format: "qcow2", Bus: NVMe, Write: true},
					{File: "/img/c.img", Bus: USB}, {File: "/img/d.img", Bus: VirtioSCSI}, {File: "/img/e.img", Bus: AHCI, Serial: "E,E"},
				},
			},
			overlays: []string{"/t/disk0.qcow2", "", "/t/disk2.qcow2", "/t/disk3.qcow2", "/t/disk4.qcow2"}, vars: "/t/vars.fd",
		}},
		{"direct", machine{Config: Config{
			Accel: KVM, Memory: 512, CPUs: 1, Display: GUI, Clock: "1970-01-02T03:04:05",
			Direct: Direct{Kernel: "/boot/linux", Initrd: "/boot/initrd", Cmdline: "root=x quiet"},
			SMBIOS: []string{"io.systemd.credential:a=b,c"},
			FWCfg:  map[string]string{"opt/b": "two", "opt/a": "one,1"},
		}}},
		{"bare", machine{Config: Config{Accel: TCG, Direct: Direct{Kernel: "/boot/linux"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.Config = tt.m.withDefaults()
			tt.m.CPUs = cmp.Or(tt.m.CPUs, tt.m.Accel.cpus())
			check(t, tt.m.check())
			golden(t, tt.name+".live", tt.m.live())
			golden(t, tt.name+".replay", tt.m.replay())
		})
	}
}

func golden(t *testing.T, name string, args []string) {
	t.Helper()
	file := filepath.Join("testdata", "args", name)
	text := strings.Join(args, "\n") + "\n"
	for _, c := range agentCredentials() { // not to write all this again with every change of the agent
		name, _, _ := strings.Cut(c, "=")
		text = strings.ReplaceAll(text, c, name+"=…")
	}
	got := []byte(text)
	if *update {
		check(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s (-update writes it):\n%s", file, gocmp.Diff(string(want), string(got)))
	}
}

func TestConfigRefused(t *testing.T) {
	disk := func(d Disk) Config { d.File = "x"; return Config{Disks: []Disk{d}} }
	for _, tt := range []struct {
		name, want string
		c          Config
	}{
		{"nothing to start", "neither a disk nor a kernel", Config{}},
		{"ports without a network", "without a network", Config{Disks: []Disk{{File: "x"}}, Forward: []int{22}}},
		{"initrd alone", "no kernel", Config{Disks: []Disk{{File: "x"}}, Direct: Direct{Initrd: "i"}}},
		{"command line alone", "no kernel", Config{Disks: []Disk{{File: "x"}}, Direct: Direct{Cmdline: "i"}}},
		{"memory", "-1 MiB and 0 CPUs", Config{Direct: Direct{Kernel: "k"}, Memory: -1}},
		{"CPUs", "1024 MiB and -1 CPUs", Config{Direct: Direct{Kernel: "k"}, CPUs: -1}},
		{"display", `display "x"`, Config{Direct: Direct{Kernel: "k"}, Display: "x"}},
		{"format", `format "vdi", expected raw or qcow2`, disk(Disk{Format: "vdi"})},
		{"bus", `bus "ide": expected one of virtio-blk, nvme, usb, virtio-scsi, ahci`, disk(Disk{Bus: "ide"})},
		{"serial", "serial of 21 bytes, expected at most 20", disk(Disk{Serial: strings.Repeat("x", 21)})},
		{"negative size", "size -1", disk(Disk{Size: -1})},
		{"size of an image that is written", "size 1, expected", disk(Disk{Size: 1, Write: true})},
		{"size", "", disk(Disk{Size: 1})},
		{"longest serial", "", disk(Disk{Serial: strings.Repeat("x", 20)})},
		{"disk alone", "", disk(Disk{})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.c.withDefaults()
			err := c.check()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("check: %v; want %q", err, tt.want)
			}
		})
	}
}

// TestWithDefaults must leave the caller's own disks as they are.
func TestWithDefaults(t *testing.T) {
	c := Config{Disks: []Disk{{File: "x"}}}
	if d := c.withDefaults(); d.Disks[0].Format != "raw" || d.Disks[0].Bus != VirtioBlk || c.Disks[0].Format != "" {
		t.Errorf("withDefaults = %+v of %+v", d, c)
	}
}

func TestShellLine(t *testing.T) {
	got := shellLine("qemu", []string{"-append", "root=x quiet", "", "it's", "a,b:c=d/e_f-g.h@1+2", "*"})
	want := `qemu -append 'root=x quiet' '' 'it'\''s' a,b:c=d/e_f-g.h@1+2 '*'`
	if got != want {
		t.Errorf("shellLine = %s; want %s", got, want)
	}
}
