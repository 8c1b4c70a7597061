package layouts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/strict"
)

func TestBuiltin(t *testing.T) {
	set := Load()
	if diff := cmp.Diff([]string{"btrfs-laptop", "btrfs-server", "impermanence", "usb-installer", "usb-rescue"}, set.Names()); diff != "" {
		t.Errorf("Names: -want +got\n%s", diff)
	}
	for _, name := range set.Names() {
		l, origins, err := set.Resolve(name, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if l.Name != name || l.Description == "" || l.Extends != "" {
			t.Errorf("%s: name %q, description %q, extends %q", name, l.Name, l.Description, l.Extends)
		}
		if len(l.Description) > 80 {
			t.Errorf("%s: the description has %d bytes; want at most 80", name, len(l.Description))
		}
		if pos := origins.Of("esp.size"); pos.File != "builtin:"+name || pos.Line == 0 {
			t.Errorf("%s: esp.size was set at %v", name, pos)
		}
	}
}

// TestLaptop holds what the layout of the laptop promises, see docs/layouts.md.
func TestLaptop(t *testing.T) {
	l, _, err := Load().Resolve("btrfs-laptop", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Layout{
		Name:        "btrfs-laptop",
		Description: l.Description,
		ESP:         ESP{Size: 1 << 30, Label: "ESP", Mount: "/boot"},
		Root:        Root{Label: "nixos", Options: []string{"compress=zstd:3", "noatime", "discard=async"}, Metadata: "dup", Free: 1 << 30},
		Subvolumes: []Subvolume{
			{Name: "@", Mount: "/", Options: []string{}, Early: true},
			{Name: "@home", Mount: "/home", Options: []string{}, Snapshots: true},
			{Name: "@nix", Mount: "/nix", Options: []string{}, Early: true},
			{Name: "@var", Mount: "/var", Options: []string{}, Early: true},
			{Name: "@swap", Mount: "/swap", Options: []string{}, NoDataCow: true},
		},
		Swapfile: Swapfile{Subvolume: "@swap", Name: "swapfile", Size: "ram", Image: 64 << 20},
		Persist:  Persist{Directories: []string{}, Files: []string{}},
		Factory:  Factory{Subvolumes: []string{"@", "@var"}},
	}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// resolveText resolves a layout that a user wrote.
func resolveText(t *testing.T, text string) (Layout, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	l, _, err := Load(dir).Resolve("mine", nil)
	return l, err
}

func TestExtendsBuiltin(t *testing.T) {
	l, err := resolveText(t, `
extends = "btrfs-laptop"
[root]
options = ["!noatime", "relatime"]
[[subvolumes]]
name = "!@nix"
[[subvolumes]]
name = "@home"
options = ["nodev"]
[swapfile]
subvolume = ""
`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"compress=zstd:3", "discard=async", "relatime"}, l.Root.Options); diff != "" {
		t.Errorf("options: -want +got\n%s", diff)
	}
	if l.subvolume("@nix") != nil || !slices.Equal(l.subvolume("@home").Options, []string{"nodev"}) || !l.subvolume("@home").Snapshots {
		t.Errorf("subvolumes: %+v", l.Subvolumes)
	}
}

// TestCheck changes one thing of a layout that is valid.
func TestCheck(t *testing.T) {
	plain := `"/home"`
	tests := []struct {
		name, base, change, want string // want "" means that it is valid
	}{
		{"nothing", "btrfs-laptop", "", ""},
		{"ESP at the least", "btrfs-laptop", "esp.size = '64MiB'", ""},
		{"ESP of no size", "btrfs-laptop", "esp.size = 0", "esp.size: expected 64MiB to 4GiB in whole MiB"},
		{"ESP only", "usb-rescue", "", ""},
		{"ESP only, below the least", "usb-rescue", "esp.size = '63MiB'", "esp.size: expected 64MiB to 4GiB in whole MiB"},
		{"ESP only, at the least", "usb-rescue", "esp.size = '64MiB'", ""},
		{"ESP only, a MiB more", "usb-rescue", "esp.size = '65MiB'", ""},
		{"ESP only, with a root", "usb-rescue", "root.label = 'nixos'", "root: esp.only is true: then there is nothing else on the disk"},
		{"ESP only, with a subvolume", "usb-rescue", "subvolumes = [{name = '@'}]", "subvolumes: esp.only is true"},
		{"ESP only, with swap", "usb-rescue", "swapfile.size = 'ram'", "swapfile: esp.only is true"},
		{"ESP only, with memory", "usb-rescue", "tmpfs_root.size = '1G'", "tmpfs_root: esp.only is true"},
		{"ESP only, what persists", "usb-rescue", "persist.files = ['/etc/machine-id']", "persist: esp.only is true"},
		{"ESP only, with a factory", "usb-rescue", "factory.subvolumes = ['@']", "factory: esp.only is true"},
		{"ESP only of a laptop", "btrfs-laptop", "esp.only = true", "subvolumes: esp.only is true"},
		{"ESP below", "btrfs-laptop", "esp.size = '63MiB'", "esp.size: expected 64MiB to 4GiB in whole MiB, found 63MiB"},
		{"ESP at the most", "btrfs-laptop", "esp.size = '4GiB'", ""},
		{"ESP above", "btrfs-laptop", "esp.size = '4097MiB'", "esp.size: expected 64MiB to 4GiB in whole MiB, found 4097MiB"},
		{"ESP not aligned", "btrfs-laptop", "esp.size = 67108865", "esp.size: expected 64MiB to 4GiB in whole MiB, found 67108865"},
		{"ESP without a size", "btrfs-laptop", "esp.size = 0", "esp.size: expected 64MiB to 4GiB in whole MiB, found 0"},
		{"FAT label at the most", "btrfs-laptop", "esp.label = 'ABCDEFGHIJK'", ""},
		{"FAT label too long", "btrfs-laptop", "esp.label = 'ABCDEFGHIJKL'", `esp.label: expected 1 to 11 of A-Z 0-9 _ -, found "ABCDEFGHIJKL"`},
		{"FAT label in lower case", "btrfs-laptop", "esp.label = 'esp'", `esp.label: expected 1 to 11 of A-Z 0-9 _ -, found "esp"`},
		{"FAT label empty", "btrfs-laptop", "esp.label = ''", `esp.label: expected 1 to 11 of A-Z 0-9 _ -, found ""`},
		{"ESP at /", "btrfs-laptop", "esp.mount = '/'", `esp.mount: expected an absolute path below /, such as /boot, found "/"`},
		{"ESP at a relative path", "btrfs-laptop", "esp.mount = 'boot'", `esp.mount: expected an absolute path below /, such as /boot, found "boot"`},
		{"ESP where a subvolume is", "btrfs-laptop", "esp.mount = '/home'", "subvolumes.@home.mount: /home is where the ESP is mounted"},
		{"root label at the most", "btrfs-laptop", "root.label = '" + strings.Repeat("a", 36) + "'", ""},
		{"root label too long", "btrfs-laptop", "root.label = '" + strings.Repeat("a", 37) + "'", "root.label: expected 1 to 36 printable"},
		{"root label with a slash", "btrfs-laptop", "root.label = 'a/b'", "root.label: expected 1 to 36 printable"},
		{"equal labels", "btrfs-laptop", "root.label = 'ESP'", `root.label: the ESP has the label "ESP" too`},
		{"metadata", "btrfs-laptop", "root.metadata = 'raid1'", `root.metadata: expected dup or single, found "raid1"`},
		{"free at the most", "btrfs-laptop", "root.free = '64T'", ""},
		{"free above", "btrfs-laptop", "root.free = 70368744177665", "root.free: expected at most 64TiB, found 70368744177665"},
		{"no root", "btrfs-laptop", "subvolumes = [{name = '!@'}]\nfactory.subvolumes = ['!@', '!@var']", "subvolumes: expected exactly one to be mounted at /, found 0"},
		{"two roots", "btrfs-laptop", "subvolumes = [{name = '@home', mount = '/', early = true}]", "subvolumes: expected exactly one to be mounted at /, found 2"},
		{"root without checksums", "btrfs-laptop", "subvolumes = [{name = '@', nodatacow = true}]\nfactory.subvolumes = ['!*']", "subvolumes.@.nodatacow: expected false"},
		{"nested subvolume", "btrfs-laptop", "subvolumes = [{name = '@home/cache'}]", ""},
		{"nested nowhere", "btrfs-laptop", "subvolumes = [{name = '@hom/cache'}]", `subvolumes.@hom/cache: lies in "@hom", which is not a subvolume of this layout; did you mean @home?`},
		{"path out of the file system", "btrfs-laptop", "subvolumes = [{name = '../x'}]", `subvolumes."../x": expected a path from the top level`},
		{"path is absolute", "btrfs-laptop", "subvolumes = [{name = '/x'}]", `subvolumes./x: expected a path from the top level`},
		{"path with a comma", "btrfs-laptop", "subvolumes = [{name = 'a,b'}]", `subvolumes."a,b": expected a path from the top level`},
		{"component at the most", "btrfs-laptop", "subvolumes = [{name = '" + strings.Repeat("x", 255) + "'}]", ""},
		{"component too long", "btrfs-laptop", "subvolumes = [{name = '" + strings.Repeat("x", 256) + "'}]", ": expected a path from the top level"},
		{"snapshots twice", "btrfs-laptop", "subvolumes = [{name = '@home/.snapshots'}]", "subvolumes.@home.snapshots: @home/.snapshots is listed as a subvolume of its own"},
		{"mount not absolute", "btrfs-laptop", "subvolumes = [{name = '@home', mount = 'home'}]", `subvolumes.@home.mount: expected an absolute path, such as /home, found "home"`},
		{"mount not clean", "btrfs-laptop", "subvolumes = [{name = '@home', mount = '/home/'}]", `subvolumes.@home.mount: expected an absolute path, such as /home, found "/home/"`},
		{"mount with a space", "btrfs-laptop", "subvolumes = [{name = '@home', mount = '/my home'}]", `subvolumes.@home.mount: expected an absolute path, such as /home, found "/my home"`},
		{"mounted twice", "btrfs-laptop", "subvolumes = [{name = '@x', mount = " + plain + "}]", "subvolumes.@x.mount: /home is where @home is mounted"},
		{"early and not mounted", "btrfs-laptop", "subvolumes = [{name = '@x', early = true}]", "subvolumes.@x.early: is not mounted at all: set mount"},
		{"options and not mounted", "btrfs-laptop", "subvolumes = [{name = '@x', options = ['nodev']}]", "subvolumes.@x.options: is not mounted at all"},
		{"late /var", "btrfs-laptop", "subvolumes = [{name = '@var', early = false}]", "subvolumes.@var.early: expected true: /var is needed before fstab is read"},
		{"late /", "btrfs-laptop", "subvolumes = [{name = '@', early = false}]", "subvolumes.@.early: expected true: / is needed before fstab is read"},
		{"late /usr", "btrfs-laptop", "subvolumes = [{name = '@usr', mount = '/usr'}]", "subvolumes.@usr.early: expected true: /usr is needed before fstab is read"},
		{"early below late", "btrfs-laptop", "subvolumes = [{name = '@x', mount = '/home/a/b', early = true}]", "subvolumes.@x.early: /home/a/b would be hidden by @home, which is mounted later at /home"},
		{"early below early", "btrfs-laptop", "subvolumes = [{name = '@x', mount = '/var/a/b', early = true}]", ""},

		{"option given twice", "btrfs-laptop", "root.options = ['compress=lzo']", `root.options[3]: "compress=lzo" contradicts "compress=zstd:3"`},
		{"option that contradicts", "btrfs-laptop", "root.options = ['nodatacow']", `root.options: "compress=zstd:3" contradicts "nodatacow"`},
		{"times that contradict", "btrfs-laptop", "root.options = ['relatime']", `root.options: "noatime" contradicts "relatime"`},
		{"option of the plan", "btrfs-laptop", "root.options = ['subvol=@']", "root.options[3]: subvol is decided by the plan"},
		{"option of the plan again", "btrfs-laptop", "subvolumes = [{name = '@home', options = ['subvolid=5']}]", "subvolumes.@home.options[0]: subvolid is decided by the plan"},
		{"read-only", "btrfs-laptop", "subvolumes = [{name = '@home', options = ['ro']}]", "subvolumes.@home.options[0]: ro is decided by the plan"},
		{"option unknown", "btrfs-laptop", "root.options = ['noatim', 'autodefragg']", `root.options[4]: unknown mount option "autodefragg"; did you mean autodefrag?`},
		{"option of the whole", "btrfs-laptop", "subvolumes = [{name = '@swap', options = ['compress=no']}]", "subvolumes.@swap.options[0]: btrfs has compress for the whole file system: move it to root.options"},
		{"option for systemd", "btrfs-laptop", "subvolumes = [{name = '@home', options = ['x-systemd.automount', 'nodev']}]", ""},
		{"two options in one", "btrfs-laptop", "root.options = ['x-a,ro']", `root.options[3]: expected one option without spaces, quotes or commas`},
		{"rescue", "btrfs-laptop", "root.options = ['rescue=nologreplay']", "root.options[3]: leave rescue out: the kernel takes it with ro only"},
		{"no recovery", "btrfs-laptop", "root.options = ['norecovery']", "root.options[3]: leave norecovery out: the kernel takes it with ro only"},
		{"no free space tree", "btrfs-laptop", "root.options = ['nospace_cache']", "root.options[3]: leave nospace_cache out: the file system has a free space tree"},
		{"a device", "btrfs-laptop", "root.options = ['device=/dev/sdb']", "root.options[3]: leave device out: a layout names no devices"},
		{"noauto for all", "btrfs-laptop", "root.options = ['noauto']", "root.options[3]: noauto would hold for / too"},

		{"swap nowhere", "btrfs-laptop", "swapfile.subvolume = '@swp'", `swapfile.subvolume: "@swp" is not a subvolume of this layout; did you mean @swap?`},
		{"swap copied on write", "btrfs-laptop", "subvolumes = [{name = '@swap', nodatacow = false}]", `swapfile.subvolume: expected a subvolume with nodatacow = true`},
		{"swap with snapshots", "btrfs-laptop", "subvolumes = [{name = '@swap', snapshots = true}]", `swapfile.subvolume: "@swap" has snapshots`},
		{"swap not mounted", "btrfs-laptop", "subvolumes = [{name = '@swap', mount = ''}]", `swapfile.subvolume: "@swap" is not mounted`},
		{"swap in the factory", "btrfs-laptop", "factory.subvolumes = ['@swap']", `factory.subvolumes: "@swap" holds the swapfile`},
		{"swap name", "btrfs-laptop", "swapfile.name = 'a/b'", `swapfile.name: expected the name of a file`},
		{"swap size", "btrfs-laptop", "swapfile.size = 'ram+1GiB'", ""},
		{"swap size in pages", "btrfs-laptop", "swapfile.size = '1048577'", `swapfile.size: expected none, ram, ram+SIZE or a size of at least 1MiB, found "1048577"`},
		{"swap size below", "btrfs-laptop", "swapfile.size = '1020K'", `swapfile.size: expected none, ram`},
		{"swap size at the least", "btrfs-laptop", "swapfile.size = '1M'", ""},
		{"swap size empty", "btrfs-laptop", "swapfile.size = ''", `swapfile.size: expected none, ram`},
		{"swap image none", "btrfs-laptop", "swapfile.image = 0", ""},
		{"swap image at the least", "btrfs-laptop", "swapfile.image = '1MiB'", ""},
		{"swap image below", "btrfs-laptop", "swapfile.image = 1044480", "swapfile.image: expected 0, or 1MiB to 16TiB in whole pages of 4096 bytes, found 1020KiB"},
		{"swap image at the most", "btrfs-laptop", "swapfile.image = '16TiB'", ""},
		{"swap image above", "btrfs-laptop", "swapfile.image = 17592186048512", "swapfile.image: expected 0, or 1MiB to 16TiB in whole pages of 4096 bytes, found 17179869188KiB"},
		{"swap image in pages", "btrfs-laptop", "swapfile.image = 1048577", "swapfile.image: expected 0, or 1MiB to 16TiB in whole pages of 4096 bytes, found 1048577"},

		{"tmpfs in percent", "impermanence", "tmpfs_root.size = '50%'", ""},
		{"tmpfs size", "impermanence", "tmpfs_root.size = '2GiB'", `tmpfs_root.size: expected a number with K, M, G or %, such as 2G, found "2GiB"`},
		{"tmpfs mode", "impermanence", "tmpfs_root.mode = '789'", `tmpfs_root.mode: expected three or four octal digits, such as 755, found "789"`},
		{"persist without tmpfs", "impermanence", "tmpfs_root.size = ''", "persist: nothing is forgotten that would have to be kept: set tmpfs_root.size"},
		{"persist nowhere", "impermanence", "persist.subvolume = ''", "persist.subvolume: expected the subvolume that keeps the directories and files"},
		{"persist unknown", "impermanence", "persist.subvolume = '@persit'", `persist.subvolume: "@persit" is not a subvolume of this layout; did you mean @persist?`},
		{"persist late", "impermanence", "subvolumes = [{name = '@persist', early = false}]", "subvolumes.@persist.early: expected true: what @persist keeps is needed before fstab is read"},
		{"persist at /", "impermanence", "persist.subvolume = '@'", `persist.subvolume: expected a subvolume with a mount point of its own, found "@"`},
		{"persist relative", "impermanence", "persist.files = ['etc/x']", `persist.files[1]: expected an absolute path below /, found "etc/x"`},
		{"persist everything", "impermanence", "persist.directories = ['/']", `persist.directories[4]: expected an absolute path below /, found "/"`},
		{"persist twice", "impermanence", "persist.files = ['/etc/nixos/x']", "persist.files[1]: /etc/nixos and /etc/nixos/x are one inside of the other"},
		{"persist what is near", "impermanence", "persist.files = ['/etc/nixos.conf']", ""},
		{"persist what is kept", "impermanence", "persist.directories = ['/home/x']", "persist.directories[4]: /home/x is kept already: it is on @home, mounted at /home"},

		{"factory none", "btrfs-laptop", "factory.subvolumes = ['!*']", ""},
		{"factory unknown", "btrfs-laptop", "factory.subvolumes = ['@va']", `factory.subvolumes[2]: "@va" is not a subvolume of this layout; did you mean @var?`},
		{"factory without /", "btrfs-laptop", "factory.subvolumes = ['!@']", "factory.subvolumes: expected the subvolume that is mounted at / among them"},
		{"factory not mounted", "btrfs-laptop", "subvolumes = [{name = '@x'}]\nfactory.subvolumes = ['@x']", `factory.subvolumes[2]: "@x" is not mounted`},
		{"factory nested", "btrfs-laptop", "subvolumes = [{name = '@home/x', mount = '/x'}]\nfactory.subvolumes = ['@home/x']", `factory.subvolumes[2]: "@home/x" lies in another subvolume`},
		{"factory not copied on write", "btrfs-laptop", "subvolumes = [{name = '@x', mount = '/x', nodatacow = true}]\nfactory.subvolumes = ['@x']", `factory.subvolumes[2]: "@x" is nodatacow`},
		{"factory names are equal", "btrfs-laptop", "subvolumes = [{name = 'var', mount = '/srv'}]\nfactory.subvolumes = ['var']", `factory.subvolumes[2]: its snapshot would be named @factory-var, as that of "@var"`},
		{"factory name is taken", "btrfs-laptop", "subvolumes = [{name = '@factory-var'}]", "factory.subvolumes[1]: its snapshot would be named @factory-var, as a subvolume is"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := resolveText(t, "extends = '"+test.base+"'\n"+test.change)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s: %v", test.change, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || fault.ClassOf(err) != fault.Config):
				t.Errorf("%s:\n%v\nwant\n%s", test.change, err, test.want)
			}
		})
	}
}

// TestOptionValues gives options the values that the kernel takes, and others.
func TestOptionValues(t *testing.T) {
	tests := []struct{ in, want string }{ // want "" means that it is valid
		{"commit=0", ""}, {"commit=999999999", ""}, {"commit=9999999999", "commit: expected seconds"}, {"commit", "commit: expected seconds, such as commit=30, found"},
		{"commit=soon", "commit: expected seconds"}, {"commit=", "commit: expected seconds"}, {"commit=-1", "commit: expected seconds"},
		{"compress", ""}, {"compress=no", ""}, {"compress=lzo", ""}, {"compress=zlib:9", ""}, {"compress=zlib:10", "compress: expected no value, or"},
		{"compress-force=zstd:1", ""}, {"compress-force=zstd:15", ""}, {"compress-force=zstd:16", "compress-force: expected"}, {"compress-force=zstd:0", "compress-force: expected"},
		{"compress=zst", "compress: expected"}, {"compress=", "compress: expected"}, {"compress=lzo,ro", "compress: expected"},
		{"discard", ""}, {"discard=async", ""}, {"discard=maybe", "discard: expected no value, sync or async"},
		{"fatal_errors=panic", ""}, {"fatal_errors", "fatal_errors: expected bug or panic"},
		{"max_inline=0", ""}, {"max_inline=2k", ""}, {"max_inline=2x", "max_inline: expected bytes"},
		{"metadata_ratio=4", ""}, {"metadata_ratio=", "metadata_ratio: expected a number"},
		{"space_cache=v2", ""}, {"space_cache=v1", "space_cache: expected v2"}, {"space_cache", "space_cache: expected v2"},
		{"thread_pool=1", ""}, {"thread_pool=0", "thread_pool: expected a number of at least 1"},
		{"noatime=5", "noatime takes no value, found \"noatime=5\""}, {"nodatacow=", "nodatacow takes no value"}, {"ssd", ""}, {"x-what=ever", ""},
	}
	for _, test := range tests {
		t.Run(test.in, func(t *testing.T) {
			_, err := resolveText(t, "extends = 'btrfs-laptop'\nroot.options = ['!*', '"+test.in+"']")
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), "root.options[0]: "+test.want)):
				t.Errorf("%v; want %q in it", err, test.want)
			}
		})
	}
	for name := range values {
		if !slices.Contains(btrfsOptions, name) {
			t.Errorf("%s has a value and is no option", name)
		}
	}
}

// TestOptionsOfInit wants mkimage-init to know the options of each mount: they
// are flags of mount(2), which refuses them as text. It is read as text since a
// layout has no business with what an initramfs is made of.
func TestOptionsOfInit(t *testing.T) {
	text, err := os.ReadFile("../builder/fstab/mountflags.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range mountOptions {
		if !strings.Contains(string(text), "\t\""+name+"\": ") && !strings.Contains(string(text), " \""+name+"\": ") {
			t.Errorf("builder/fstab/mountflags.go lacks %s", name)
		}
	}
}

// TestNothing wants every key that must be set to be named, all at once.
func TestNothing(t *testing.T) {
	_, err := resolveText(t, "")
	if err == nil {
		t.Fatal("an empty layout is valid")
	}
	for _, key := range []string{"esp.size", "esp.label", "esp.mount", "root.label", "root.metadata", "subvolumes"} {
		if !strings.Contains(err.Error(), "mine.toml: "+key+": ") {
			t.Errorf("%s is not named in\n%v", key, err)
		}
	}
}

func TestFactoryName(t *testing.T) {
	for in, want := range map[string]string{"@": "@factory", "@var": "@factory-var", "root": "@factory-root"} {
		if got := FactoryName(in); got != want {
			t.Errorf("FactoryName(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		in, text string // text "" means an error
		want     Size
	}{
		{"0", "0", 0}, {"1", "1", 1}, {"1K", "1KiB", 1024}, {"1KiB", "1KiB", 1024}, {"3MiB", "3MiB", 3 << 20}, {"1024MiB", "1GiB", 1 << 30},
		{"2T", "2TiB", 2 << 40}, {"1025", "1025", 1025}, {"8388607T", "8388607TiB", 8388607 << 40}, {"8388608T", "", 0},
		{"9223372036854775807", "9223372036854775807", 1<<63 - 1}, {"9223372036854775808", "", 0},
		{"", "", 0}, {"-1", "", 0}, {"1MB", "", 0}, {"1.5G", "", 0}, {"MiB", "", 0}, {"1 GiB", "", 0}, {"+1", "", 0}, {"1KiBK", "", 0},
	}
	for _, test := range tests {
		var s Size
		err := s.UnmarshalText([]byte(test.in))
		if s != test.want || (err == nil) != (test.text != "") || err == nil && s.String() != test.text {
			t.Errorf("UnmarshalText(%q) = %d (%v), %v; want %d (%s)", test.in, s, s, err, test.want, test.text)
		}
	}
}

func TestSettings(t *testing.T) {
	l, _, err := Load().Resolve("btrfs-laptop", []strict.Setting{{Key: "esp.size", Value: "128MiB"}, {Key: "subvolumes.@home.options", Value: "['nodev']"}})
	if err != nil || l.ESP.Size != 128<<20 || !slices.Equal(l.subvolume("@home").Options, []string{"nodev"}) {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestUnmountable(t *testing.T) {
	for _, tt := range []struct{ options, want string }{
		{"", ""},
		{"subvol=@,noatime,ssd,x-initrd.mount,unknown", ""},
		{"ssd,space_cache=v2", ""},
		{"ssd,space_cache", "space_cache"},
		{"space_cache=v1", "space_cache=v1"},
		{"nospace_cache,norecovery", "nospace_cache"},
		{"ro,norecovery", ""},
		{"norecovery", "norecovery"},
		{"ro,device=/dev/sda", "device=/dev/sda"},
	} {
		got, why := Unmountable(strings.Split(tt.options, ","))
		if got != tt.want || (got == "") != (why == "") {
			t.Errorf("Unmountable(%s) = %q, %q; want %q", tt.options, got, why, tt.want)
		}
	}
}
