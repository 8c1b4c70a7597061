package initramfs

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/initramfs/config"
)

// rescueSystem is the small system with modules of two classes.
func rescueSystem(t testing.TB) *fstree.Tree {
	tree := system(t)
	const dir = "usr/lib/modules/6.1-test/"
	add := func(name, text string) {
		e := tree.Lookup(dir + name)
		old, err := e.Read(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		text = string(old) + text
		e.Content, e.Size = fstree.Bytes(text), int64(len(text))
	}
	add("modules.dep", "kernel/drivers/net/mii.ko:\nkernel/drivers/net/ethernet/intel/e100.ko: kernel/drivers/net/mii.ko\n"+
		"kernel/drivers/net/ethernet/qlogic/qed/qed.ko:\nkernel/drivers/net/wireless/w.ko:\nkernel/fs/fat/vfat.ko:\nkernel/drivers/md/dm-mod.ko:\n")
	add("modules.alias", "alias pci:v00008086d*sv* e100\nalias pci:v1* qed\nalias fs-vfat vfat\nalias pci:[x w\nalias pci:v2* w\n")
	for name, data := range map[string][]byte{
		"kernel/drivers/net/mii.ko": moduleELF(), "kernel/drivers/net/ethernet/intel/e100.ko": moduleELF("firmware=e100/a.bin", "firmware=nic/card.bin"),
		"kernel/drivers/net/ethernet/qlogic/qed/qed.ko": moduleELF(), "kernel/drivers/net/wireless/w.ko": moduleELF("firmware=w.bin"), "kernel/fs/fat/vfat.ko": moduleELF(),
		"kernel/drivers/md/dm-mod.ko": moduleELF(),
	} {
		put(t, tree, dir+name, data)
	}
	put(t, tree, "usr/lib/firmware/e100/a.bin", []byte("firmware"))
	put(t, tree, "usr/lib/firmware/w.bin", []byte("wifi firmware"))
	tree.Freeze()
	return tree
}

func rescueParams(t testing.TB) RescueParams {
	p := params(t)
	p.Root, p.Modules, p.Firmware = rescueSystem(t), []string{"btrfs"}, []string{"gpu/*.bin"}
	return RescueParams{Payload: p, Files: []RescueFile{
		{Part: "programs", Path: config.RescueProgram, Mode: 0o755, Data: []byte("rescue")},
		{Part: "programs", Path: "/usr/bin/tool", Mode: 0o4755, Entry: p.Root.Lookup("usr/lib/firmware/gpu/one.bin")},
		{Part: "programs", Path: "/usr/bin/other", Link: "/usr/bin/tool"},
		{Part: "plan", Path: config.RescuePlan, Mode: 0o644, Data: []byte("{}")},
	}}
}

func TestRescue(t *testing.T) {
	a, err := Rescue(t.Context(), rescueParams(t))
	if err != nil {
		t.Fatal(err)
	}
	segments := unpackNewc(t, a.Data)
	if len(segments) != 1 {
		t.Fatalf("%d segments; want 1", len(segments))
	}
	got := byName(t, segments[0])
	const dir = "lib/modules/6.1-test/kernel/"
	want := map[string]string{
		config.RescueProgram[1:]: "rescue", "usr/bin/tool": "one", "usr/bin/other": "/usr/bin/tool", config.RescuePlan[1:]: "{}", "lib/firmware/e100/a.bin": "firmware",
		config.DeviceAliases[1:]: "pci:v00008086d*sv* e100\n",
	}
	for name, data := range want {
		if got[name].data != data {
			t.Errorf("%s = %q; want %q", name, got[name].data, data)
		}
	}
	for _, absent := range []string{dir + "fs/btrfs/btrfs.ko", dir + "drivers/net/ethernet/qlogic/qed/qed.ko", dir + "drivers/net/wireless/w.ko", "lib/firmware/w.bin", "lib/firmware/gpu/one.bin", "init"} {
		if _, there := got[absent]; there {
			t.Errorf("%s is there", absent)
		}
	}
	lists := []struct{ list, has, lacks string }{
		{config.Modules, "btrfs.ko vfat.ko dm-mod.ko overlay.ko", "e100.ko mii.ko"},
		{config.DeviceModules, "btrfs.ko vfat.ko dm-mod.ko overlay.ko e100.ko mii.ko", "qed.ko w.ko"},
	}
	for _, l := range lists {
		text := got[l.list[1:]].data
		for name := range strings.FieldsSeq(l.has) {
			if !strings.Contains(text, "/"+name) {
				t.Errorf("%s lacks %s:\n%s", l.list, name, text)
			}
		}
		for name := range strings.FieldsSeq(l.lacks) {
			if strings.Contains(text, "/"+name) {
				t.Errorf("%s has %s:\n%s", l.list, name, text)
			}
		}
	}
	if mode := got["usr/bin/tool"].mode; mode != 0o100755 {
		t.Errorf("mode of a program %o; want 100755", mode)
	}
	names := []string{}
	for _, p := range a.Parts {
		names = append(names, p.Name)
		if p.Files == 0 || p.Bytes == 0 {
			t.Errorf("part %+v", p)
		}
	}
	if diff := cmp.Diff([]string{"firmware", "kernel modules", "plan", "programs"}, names); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	again, err := Rescue(t.Context(), rescueParams(t))
	if err != nil || !bytes.Equal(again.Data, a.Data) {
		t.Errorf("made twice: %v, equal %v", err, bytes.Equal(again.Data, a.Data))
	}
}

// TestRescueClasses: a list takes the place of the defaults.
func TestRescueClasses(t *testing.T) {
	p := rescueParams(t)
	p.Modules = []string{ClassWiFi, "qed"}
	a, err := Rescue(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	got := byName(t, unpackNewc(t, a.Data)[0])
	if list := got[config.Modules[1:]].data; !strings.Contains(list, "qed.ko") || !strings.Contains(list, "vfat.ko") || strings.Contains(list, "dm-mod") {
		t.Errorf("modules:\n%s", list)
	}
	if list := got[config.DeviceModules[1:]].data; !strings.Contains(list, "w.ko") || strings.Contains(list, "e100") || got["lib/firmware/w.bin"].data == "" {
		t.Errorf("modules of devices:\n%s", list)
	}
}

func TestRescueRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*RescueParams)
		want   string
	}{
		{"class", func(p *RescueParams) { p.Modules = []string{"ethernt"} }, `modules of the rescue environment: "ethernt": neither a class nor a module of this kernel; did you mean ethernet?`},
		{"module", func(p *RescueParams) { p.Modules = []string{"zzzzzzzz"} }, `kernel module "zzzzzzzz": not in`},
		{"firmware", func(p *RescueParams) { p.Firmware = []string{"none/*"} }, `firmware "none/*": nothing in`},
		{"relative", func(p *RescueParams) { p.Files = []RescueFile{{Path: "a"}} }, `file "a": expected an absolute path`},
		{"above", func(p *RescueParams) { p.Files = []RescueFile{{Path: "/../a"}} }, `file "/../a": expected an absolute path`},
		{"twice", func(p *RescueParams) { p.Files = []RescueFile{{Path: "/a"}, {Path: "/a"}} }, "file /a: is there twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := rescueParams(t)
			tt.change(&p)
			if _, err := Rescue(t.Context(), p); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}

func TestRescueSize(t *testing.T) {
	a, err := Rescue(t.Context(), rescueParams(t))
	if err != nil {
		t.Fatal(err)
	}
	for most := a.Unpacked() - 1; most <= a.Unpacked()+1; most++ {
		_, err := rescue(t.Context(), rescueParams(t), most)
		if (err == nil) != (most >= a.Unpacked()) || err != nil && (fault.ClassOf(err) != fault.Input || !strings.Contains(err.Error(), "programs 9")) {
			t.Errorf("at most %d of %d bytes: %v", most, a.Unpacked(), err)
		}
	}
}

// TestRescueReference prints what the modules of Debian's kernel cost.
func TestRescueReference(t *testing.T) {
	tree, _, kernel := reference(t)
	p := RescueParams{Payload: params(t)}
	p.Payload.Root, p.Payload.Kernel, p.Payload.Firmware, p.Payload.Modules, p.Payload.Config = tree, kernel, nil, diskModules, config.Config{}
	for _, tt := range []struct {
		modules []string
		most    int64 // bytes in memory
	}{{nil, 64 << 20}, {Classes(), 128 << 20}} {
		p.Modules = tt.modules
		a, err := Rescue(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v: %d bytes, in memory %+v", tt.modules, len(a.Data), a.Parts)
		got := byName(t, unpackNewc(t, a.Data)[0])
		aliases := got[config.DeviceAliases[1:]].data
		for _, name := range []string{"e1000e", "igc", "virtio_net", "r8152"} {
			if !strings.Contains(got[config.DeviceModules[1:]].data, "/"+name+".ko") || !strings.Contains(aliases, " "+name+"\n") {
				t.Errorf("%s is not loaded for its devices", name)
			}
		}
		if a.Unpacked() > tt.most {
			t.Errorf("%v: %d bytes in memory; want at most %d", tt.modules, a.Unpacked(), tt.most)
		}
	}
}
