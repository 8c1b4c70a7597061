package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteRemove(t *testing.T) {
	swapfile := filepath.Join(t.TempDir(), "swapfile")
	if err := os.WriteFile(swapfile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Remove(swapfile); err != nil {
		t.Errorf("Remove without a note: %v", err)
	}
	for _, want := range []Record{
		{Disk: "pci-0000:00:04.0-virtio", Kernel: "6.12", Offset: 140544},
		{Disk: "pci-0000:00:04.0-virtio", Kernel: "6.12", Offset: 140544},
		{Kernel: "6.1", Offset: 7, Swap: "0c9b6b80-7c39-4e5d-8f4b-2f3f0f0c1d2e"},
	} {
		if err := want.Write(swapfile); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(swapfile + Suffix)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(text); got != want || err != nil {
			t.Errorf("read back %+v, %v; want %+v", got, err, want)
		}
	}
	if err := Remove(swapfile); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(swapfile + Suffix); !os.IsNotExist(err) {
		t.Errorf("the note after Remove: %v; want none", err)
	}
	if err := (Record{}).Write("/no/such/swapfile"); err == nil {
		t.Error("Write into a folder that is not there: no error")
	}
}

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		note   Record
		offset int64
		uuid   string
		want   bool
	}{
		{"its own", Record{Offset: 7, Swap: "a"}, 7, "a", true},
		{"elsewhere", Record{Offset: 7, Swap: "a"}, 8, "a", false},
		{"another at its place", Record{Offset: 7, Swap: "a"}, 7, "b", false},
		{"damaged header", Record{Offset: 7, Swap: "a"}, 7, "", true},
		{"without a UUID", Record{Offset: 7}, 7, "b", true},
		{"damaged header elsewhere", Record{Offset: 7, Swap: "a"}, 8, "", false},
	} {
		if got := tt.note.Of(tt.offset, tt.uuid); got != tt.want {
			t.Errorf("%s: %v; want %v", tt.name, got, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	longest := `{"kernel":"` + strings.Repeat("x", MaxSize-13) + `"}`
	if r, err := Parse([]byte(longest)); err != nil || len(r.Kernel) != MaxSize-13 {
		t.Errorf("longest note: %v", err)
	}
	for name, text := range map[string]string{
		"at most 4096": longest + " ", "unexpected end": "", "cannot unmarshal": `{"offset":"x"}`, "invalid character": "x",
	} {
		if r, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), name) || r != (Record{}) {
			t.Errorf("Parse(%.20q) = %+v, %v; want %q", text, r, err, name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"disk":"pci-0000:00:04.0-virtio","kernel":"6.12","offset":140544}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := Parse(text); err != nil && r != (Record{}) {
			t.Errorf("Parse = %+v with %v", r, err)
		}
	})
}

// sysfs makes a folder like /sys in which 8:1 is a device.
func sysfs(t *testing.T, device string, files, links map[string]string) string {
	t.Helper()
	sys := t.TempDir()
	make := func(name string) string {
		name = filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	make(device + "/x")
	for name, text := range files {
		if err := os.WriteFile(make(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	links["dev/block/8:1"] = device
	for name, to := range links {
		make(to + "/x")
		if err := os.Symlink(filepath.Join(sys, to), make(name)); err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

func TestDiskPath(t *testing.T) {
	const (
		pci = "devices/pci0000:00/0000:00:02.1/0000:03:00.0/"
		usb = "devices/pci0000:00/0000:00:14.0/"
	)
	tests := []struct {
		name, device, want string
		files, links       map[string]string
	}{
		{name: "virtio-blk", device: "devices/pci0000:00/0000:00:04.0/virtio2/block/vda/vda2", want: "pci-0000:00:04.0-virtio"},
		{name: "virtio-scsi", device: "devices/pci0000:00/0000:00:03.0/virtio0/host6/target6:0:0/6:0:0:1/block/sda/sda2", want: "pci-0000:00:03.0-virtio-scsi-0:0:1"},
		{name: "nvme", device: pci + "nvme/nvme0/nvme0n1/nvme0n1p2", want: "pci-0000:00:02.1-00.0-nvme"},
		{name: "nvme with multipath", device: "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p2", want: "pci-0000:00:02.1-00.0-nvme",
			links: map[string]string{"devices/virtual/nvme-subsystem/nvme-subsys0/nvme0": pci + "nvme/nvme0"}},
		{name: "nvme with two controllers", device: "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", want: "pci-0000:00:02.1-00.0-nvme",
			links: map[string]string{"devices/virtual/nvme-subsystem/nvme-subsys0/nvme0": "devices/pci0000:00/0000:00:02.2/0000:04:00.0/nvme/nvme0",
				"devices/virtual/nvme-subsystem/nvme-subsys0/nvme1": pci + "nvme/nvme1"}},
		{name: "nvme over a network", device: "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", want: "",
			links: map[string]string{"devices/virtual/nvme-subsystem/nvme-subsys0/nvme0": "devices/virtual/nvme-fabrics/ctl/nvme0"}},
		{name: "behind VMD", device: "devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/nvme/nvme0/nvme0n1", want: "pci-0000:00:0e.0-06.0-00.0-nvme"},
		{name: "usb-storage", device: usb + "usb2/2-1/2-1.4/2-1.4:1.0/host5/target5:0:0/5:0:0:0/block/sdb/sdb2", want: "pci-0000:00:14.0-usb3-1.4:1.0-scsi-0:0:0",
			files: map[string]string{usb + "usb2/version": " 3.20\n"}},
		{name: "the same with other numbers", device: usb + "usb14/14-1/14-1.4/14-1.4:1.0/host12/target12:0:0/12:0:0:0/block/sda/sda2",
			want: "pci-0000:00:14.0-usb3-1.4:1.0-scsi-0:0:0", files: map[string]string{usb + "usb14/version": " 3.10\n"}},
		{name: "the port of that number for USB 2", device: usb + "usb1/1-1/1-1.4/1-1.4:1.0/host5/target5:0:0/5:0:0:0/block/sdb/sdb2",
			want: "pci-0000:00:14.0-usb2-1.4:1.0-scsi-0:0:0", files: map[string]string{usb + "usb1/version": " 2.00\n"}},
		{name: "usb of unknown revision", device: usb + "usb1/1-1/1-1:1.0/host5/target5:0:0/5:0:0:0/block/sdb", want: "pci-0000:00:14.0-usb-1:1.0-scsi-0:0:0"},
		{name: "uas, second disk of two", device: usb + "usb2/2-3/2-3:1.0/host0/target0:0:0/0:0:0:1/block/sdb", want: "pci-0000:00:14.0-usb3-3:1.0-scsi-0:0:1",
			files: map[string]string{usb + "usb2/version": " 3.00\n"}},
		{name: "sas", device: pci + "host0/port-0:1/end_device-0:1/target0:0:1/0:0:1:0/block/sdb", want: "pci-0000:00:02.1-00.0-scsi"},
		{name: "fibre channel", device: pci + "host8/rport-8:0-3/target8:0:2/8:0:2:0/block/sdb", want: "pci-0000:00:02.1-00.0-scsi"},
		{name: "raid controller", device: pci + "host0/target0:2:1/0:2:1:0/block/sda", want: "pci-0000:00:02.1-00.0-scsi-2:1:0"},
		{name: "iscsi", device: "devices/platform/host3/session1/target3:0:0/3:0:0:1/block/sdc", want: ""},
		{name: "ahci", device: "devices/pci0000:00/0000:00:1f.2/ata7/host6/target6:0:0/6:0:0:0/block/sda/sda1", want: "pci-0000:00:1f.2-ata-5-scsi-0:0:0",
			files: map[string]string{"devices/pci0000:00/0000:00:1f.2/ata7/ata_port/ata7/port_no": "5\n"}},
		{name: "ahci of another boot", device: "devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sdc/sdc1", want: "pci-0000:00:1f.2-ata-5-scsi-0:0:0",
			files: map[string]string{"devices/pci0000:00/0000:00:1f.2/ata1/ata_port/ata1/port_no": "5\n"}},
		{name: "card", device: pci + "mmc_host/mmc0/mmc0:0001/block/mmcblk0/mmcblk0p2", want: "pci-0000:00:02.1-00.0-mmc_host"},
		{name: "card without PCI", device: "devices/platform/80860F14:00/mmc_host/mmc1/mmc1:0001/block/mmcblk1/mmcblk1p2", want: "acpi-80860F14:00-mmc_host"},
		{name: "card of an old kernel", device: "devices/pci0000:00/80860F14:01/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0", want: "acpi-80860F14:01-mmc_host"},
		{name: "virtio without PCI", device: "devices/platform/LNRO0005:01/virtio0/block/vda", want: "acpi-LNRO0005:01-virtio"},
		{name: "many hosts", device: "devices/pci0000:00/0000:00:03.0/virtio0/host116/target116:0:0/116:0:0:10/block/sda", want: "pci-0000:00:03.0-virtio-scsi-0:0:10"},
		{name: "dm", device: "devices/virtual/block/dm-0", want: ""},
		{name: "loop", device: "devices/virtual/block/loop0", want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.links == nil {
				tt.links = map[string]string{}
			}
			got, err := DiskPath(sysfs(t, tt.device, tt.files, tt.links), "8:1")
			if got != tt.want || err != nil {
				t.Errorf("DiskPath = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	if got, err := DiskPath(t.TempDir(), "8:1"); err == nil {
		t.Errorf("DiskPath of no device = %q; want an error", got)
	}
	sys := sysfs(t, "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", nil, map[string]string{})
	if got, err := DiskPath(sys, "8:1"); err == nil {
		t.Errorf("DiskPath without a controller = %q; want an error", got)
	}
}
