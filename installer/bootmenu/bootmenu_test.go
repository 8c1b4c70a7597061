package bootmenu

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/loader"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/installer/durable/cut"
)

// esp returns the files of the ESP of a system with a kernel.
func esp(kernel, profile string) map[string]string {
	entry := func(name, word string) string {
		text, err := bls.Entry{
			Title: name, SortKey: "mkimage-1", Version: kernel, Linux: "/mkimage/" + kernel + "/linux", Initrd: []string{"/mkimage/" + kernel + "/initramfs"},
			Options: "root=PARTUUID=x rw" + word,
		}.Encode()
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	conf, err := bls.Conf{Timeout: 3, Default: "mkimage-" + profile + ".conf"}.Encode()
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"/EFI/BOOT/BOOTX64.EFI":                                "systemd-boot of " + kernel,
		"/loader/loader.conf":                                  string(conf),
		"/loader/entries/mkimage-" + profile + ".conf":         entry(profile, ""),
		"/loader/entries/mkimage-" + profile + "-factory.conf": entry(profile+" as built", " mkimage.factory"),
		"/mkimage/" + kernel + "/linux":                        "kernel " + kernel,
		"/mkimage/" + kernel + "/initramfs":                    "initramfs " + kernel,
	}
}

func treeOf(t testing.TB, files map[string]string) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for name, text := range files {
		if err := loader.Put(tree, name[1:], []byte(text), time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	tree.Freeze()
	return tree
}

func diskOf(files map[string]string) *cut.FS {
	f := cut.New()
	for name, text := range files {
		f.Put(name, text, 0o644, 0)
	}
	return f
}

// boots returns the options of the entry that the menu starts by itself, and of
// the one that starts the system before. All files that they need must be whole.
func boots(f *cut.FS, kernels ...string) (standard, before string, err error) {
	text, ok := f.Text("/loader/loader.conf")
	conf, err := bls.ParseConf([]byte(text))
	if !ok || err != nil {
		return "", "", fmt.Errorf("loader.conf: %v %w", ok, err)
	}
	for _, name := range f.Names() {
		if path.Dir(name) != entriesDir || !strings.HasSuffix(name, ".conf") {
			continue
		}
		text, _ := f.Text(name)
		entry, err := bls.ParseEntry([]byte(text))
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", name, err)
		}
		for _, file := range entry.Files() {
			what := strings.NewReplacer("linux", "kernel").Replace(path.Base(file)) + " " + path.Base(path.Dir(file))
			if got, _ := f.Text(file); got != what {
				return "", "", fmt.Errorf("%s needs %s, which has %q", name, file, got)
			}
		}
		switch {
		case path.Base(name) == conf.Default:
			standard = entry.Options
		case strings.Contains(name, beforeMark):
			if !strings.HasPrefix(entry.Linux, "/mkimage/") {
				return "", "", fmt.Errorf("%s names %s, which a system may remove", name, entry.Linux)
			}
			text, _ := f.Text(entry.Linux)
			before = strings.TrimPrefix(text, "kernel ") + " " + entry.Options
		}
	}
	if standard == "" {
		return "", "", fmt.Errorf("the default entry %q is not there: %q", conf.Default, f.Names())
	}
	return standard, before, nil
}

// TestReplaceCut cuts the change after every write: the menu starts the old
// system, or the new one with a way back.
func TestReplaceCut(t *testing.T) {
	for _, profile := range []string{"fox", "hare"} { // the same name as before, and another one
		t.Run(profile, func(t *testing.T) {
			tree := treeOf(t, esp("6.12", profile))
			run := cut.Run{
				Start: diskOf(esp("6.1", "fox")),
				Do:    func(f *cut.FS) error { return Replace(f, tree, "7f") },
				Check: func(f *cut.FS) error {
					standard, before, err := boots(f)
					if err == nil && strings.Contains(standard, "mkimage.switch=7f") && !strings.Contains(before, "mkimage.back=7f") {
						err = errors.New("there is no way back")
					}
					return err
				},
				Done: func(f *cut.FS) error {
					standard, before, err := boots(f)
					if err == nil && (standard != "root=PARTUUID=x rw mkimage.switch=7f" || before != "6.1 root=PARTUUID=x rw mkimage.back=7f") {
						err = fmt.Errorf("boots %q, before %q", standard, before)
					}
					return err
				},
			}
			states, err := run.Explore()
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d states", states)
		})
	}
}

// TestReplaceFAT: on FAT a power cut may leave a file that was just replaced empty. The
// change comes to its end all the same when it is made again.
func TestReplaceFAT(t *testing.T) {
	for _, profile := range []string{"fox", "hare"} {
		t.Run(profile, func(t *testing.T) {
			tree := treeOf(t, esp("6.12", profile))
			start := diskOf(esp("6.1", "fox"))
			start.FAT()
			states, err := cut.Run{
				Start: start,
				Do:    func(f *cut.FS) error { return Replace(f, tree, "7f") },
				Done: func(f *cut.FS) error {
					standard, before, err := boots(f)
					if err == nil && (standard != "root=PARTUUID=x rw mkimage.switch=7f" || before != "6.1 root=PARTUUID=x rw mkimage.back=7f") {
						err = fmt.Errorf("boots %q, before %q", standard, before)
					}
					return err
				},
			}.Explore()
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d states", states)
		})
	}
}

// TestReplaceTwice installs a third system: the first one and its kernel go.
func TestReplaceTwice(t *testing.T) {
	f := diskOf(esp("6.1", "fox"))
	f.Put("/loader/entries/windows.conf", "title Windows\nefi /EFI/Microsoft/x.efi\n", 0o644, 0)
	f.Put("/EFI/Microsoft/x.efi", "x.efi Microsoft", 0o644, 0)
	for i, kernel := range []string{"6.12", "6.13"} {
		if err := Replace(f, treeOf(t, esp(kernel, "fox")), fmt.Sprint(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	names := strings.Join(f.Names(), " ")
	for name, want := range map[string]bool{
		"/mkimage/6.13/linux": true, "/mkimage/6.12/linux": true, "/mkimage/6.1/": false, "fox-before-1": false, "fox-before-2.conf": true,
		"windows.conf": true, "/EFI/Microsoft/x.efi": true,
	} {
		if strings.Contains(names, name) != want {
			t.Errorf("%s is there: %v; want %v: %s", name, !want, want, names)
		}
	}
	for id, want := range map[string]bool{"1": false, "2": true, "": false} {
		if got, err := Starts(f, id); got != want || err != nil {
			t.Errorf("Starts(%s) = %v, %v; want %v", id, got, err, want)
		}
	}
	standard, before, err := boots(f)
	if err != nil || standard != "root=PARTUUID=x rw mkimage.switch=2" || before != "6.12 root=PARTUUID=x rw mkimage.back=2" {
		t.Errorf("boots %q, before %q, %v", standard, before, err)
	}
}

// TestReplaceBesideFolders: folders of others among the entries and kernels stay.
func TestReplaceBesideFolders(t *testing.T) {
	f := diskOf(esp("6.1", "fox"))
	folders := []string{"/loader/entries/mkimage-saved.conf", "/loader/entries/nixos-saved", "/EFI/nixos/.extra-files"}
	for _, name := range folders {
		f.Put(name+"/x", "title X\nlinux /x\n", 0o644, 0)
	}
	if err := Replace(f, treeOf(t, esp("6.12", "fox")), "7f"); err != nil {
		t.Fatal(err)
	}
	for _, name := range folders {
		if _, ok := f.Text(name + "/x"); !ok {
			t.Errorf("%s is gone", name)
		}
	}
	if got, err := Starts(f, "7f"); !got || err != nil {
		t.Errorf("Starts: %v, %v", got, err)
	}
}

func TestReplaceRefused(t *testing.T) {
	tree := treeOf(t, esp("6.12", "fox"))
	for name, change := range map[string]func(map[string]string){
		"no menu":          func(m map[string]string) { delete(m, "/loader/loader.conf") },
		"no default":       func(m map[string]string) { delete(m, "/loader/entries/mkimage-fox.conf") },
		"a broken default": func(m map[string]string) { m["/loader/entries/mkimage-fox.conf"] = "\x00" },
	} {
		files := esp("6.1", "fox")
		change(files)
		f := diskOf(files)
		before := f.Names()
		if err := Replace(f, tree, "7f"); fault.ClassOf(err) != fault.Target || !slices.Equal(f.Names(), before) {
			t.Errorf("%s: %v, %q; want a target error and nothing changed", name, err, f.Names())
		}
	}
	if err := Replace(diskOf(esp("6.1", "fox")), tree, "../x"); err == nil {
		t.Error("a bad ID is taken")
	}
}
