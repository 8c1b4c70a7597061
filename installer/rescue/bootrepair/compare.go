package bootrepair

import (
	"bytes"
	"path"
	"slices"
	"strings"

	espreader "github.com/6FaNcY9/mkimage/builder/esp/reader"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/plan"
)

// file is a file that an ESP lacks.
type file struct {
	path string // from the root, without a leading slash
	data []byte
	why  string // what is wrong with what is there
}

// missing returns the files that an ESP lacks of those that it should have, in an order in
// which each comes behind what it needs: what was there is kept, if it can be used.
//
// What is put on a new ESP besides is not missing on one that is there.
func missing(esp *espreader.FS, want *fstree.Tree, besides map[string][]byte, root ids.UUID) ([]file, error) {
	c := &comparison{esp: esp, want: map[string][]byte{}, root: root, used: map[string]bool{}}
	for e := range want.All() {
		if _, is := besides[e.Path()]; is || !e.IsRegular() {
			continue
		}
		data, inMemory := e.Content.(fstree.Bytes) // as loader makes them
		if !inMemory {
			return nil, fault.New(fault.Internal, "", "%s: expected content in memory", e.Path())
		}
		c.want[e.Path()] = data
		c.order = append(c.order, e.Path())
		c.menu = c.menu || path.Dir(e.Path()) == bls.EntriesDir
	}
	c.entries()
	c.conf()
	c.others()
	slices.SortStableFunc(c.lack, func(a, b file) int { return rank(a.path) - rank(b.path) })
	return c.lack, nil
}

// rank orders files by what they need: kernels, entries that name them, the menu, and the
// program that shows it.
func rank(name string) int {
	switch {
	case strings.HasPrefix(name, bls.EntriesDir+"/"):
		return 1
	case name == bls.ConfFile || name == bls.TypeFile || strings.HasPrefix(name, "grub/"):
		return 2
	case isLoader(name):
		return 3
	}
	return 0
}

// isLoader reports whether a file is a boot loader, which others update too.
func isLoader(name string) bool { return strings.EqualFold(path.Ext(name), ".efi") && !isNixOS(name) }

func isNixOS(name string) bool { return strings.HasPrefix(name, "EFI/nixos/") }

// isByContent reports whether the name of a file says its content: it has no other.
func isByContent(name string) bool {
	return isNixOS(name) || strings.HasPrefix(name, "kernels/") || strings.HasPrefix(name, "mkimage/")
}

// comparison is one run of missing.
type comparison struct {
	esp   *espreader.FS
	want  map[string][]byte
	order []string
	root  ids.UUID
	menu  bool            // there are entries that say what they need, as GRUB's do not
	used  map[string]bool // files that entries name
	names []string        // of the entries that there will be
	lack  []file
}

func (c *comparison) put(name, why string) {
	c.lack = append(c.lack, file{name, c.want[name], why})
}

// entries puts back what of the menu is not there or cannot be started.
func (c *comparison) entries() {
	there := readEntries(c.esp)
	for _, e := range there {
		c.names = append(c.names, e.File)
		if c.problem(e.Entry) == "" {
			c.use(e.Entry)
		}
	}
	for _, name := range c.order {
		if path.Dir(name) != bls.EntriesDir {
			continue
		}
		want, err := bls.ParseEntry(c.want[name])
		if err != nil {
			continue // our own
		}
		why := "is not there"
		i := slices.IndexFunc(there, func(e bls.Named) bool { return e.File == path.Base(name) })
		switch {
		case i >= 0:
			why = c.problem(there[i].Entry)
		case slices.ContainsFunc(there, func(e bls.Named) bool { return sameSystem(e.Entry, want) && c.problem(e.Entry) == "" }):
			why = ""
		case c.exists(name):
			why = "cannot be read"
		}
		if why == "" {
			continue
		}
		c.use(want)
		c.names = append(c.names, path.Base(name))
		c.put(name, why)
	}
}

func (c *comparison) use(e bls.Entry) {
	for _, f := range e.Files() {
		c.used[strings.TrimPrefix(path.Clean(f), "/")] = true
	}
}

// sameSystem reports whether two entries start one generation of a NixOS, whatever they
// are called.
func sameSystem(a, b bls.Entry) bool {
	x, y := initOf(a), initOf(b)
	return x != "" && x == y
}

// initOf returns what an entry has as the init of its system; "" where it starts that in
// another way, as its factory snapshots.
func initOf(e bls.Entry) (init string) {
	for word := range strings.FieldsSeq(e.Options) {
		if strings.HasPrefix(word, "mkimage.") && !strings.HasPrefix(word, plan.RootKey+"=") {
			return ""
		}
		if v, ok := strings.CutPrefix(word, "init="); ok {
			init = v
		}
	}
	return init
}

// problem says why an entry cannot be started, "" where it can: a file is missing that is
// not put back, or its root is none of this disk.
func (c *comparison) problem(e bls.Entry) string {
	files := e.Files()
	if len(files) == 0 {
		return "names nothing to start"
	}
	for _, f := range files {
		name := strings.TrimPrefix(path.Clean(f), "/")
		if _, made := c.want[name]; !made && !c.exists(name) {
			return "names /" + name + ", which is not there"
		}
	}
	if id, ok := rootOf(e); ok && id != c.root {
		return "names the root " + id.String() + ", which is not that of this disk"
	}
	return ""
}

// exists reports whether there is a file with something in it.
func (c *comparison) exists(name string) bool {
	info, err := c.esp.Stat(name)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// conf puts back what the boot loader is told, where that names no entry.
func (c *comparison) conf() {
	if c.want[bls.ConfFile] == nil {
		return
	}
	why := "is not there"
	text, err := c.esp.ReadAtMost(bls.ConfFile, maxEntry)
	if err == nil {
		conf, err := bls.ParseConf(text)
		switch {
		case err != nil || len(text) == 0:
			why = "cannot be read"
		case conf.Default == "" || slices.ContainsFunc(c.names, func(name string) bool { return isDefault(conf.Default, name) }):
			return
		default:
			why = "has the default " + conf.Default + ", which fits no entry"
		}
	}
	c.put(bls.ConfFile, why)
}

// isDefault reports whether the file of an entry fits the pattern of a default; names are
// compared without a count of boots. The boot loader has defaults of its own, with an @.
func isDefault(pattern, file string) bool {
	id, ok := bls.ParseName(file)
	fits, err := path.Match(strings.TrimSuffix(pattern, ".conf"), id)
	return strings.HasPrefix(pattern, "@") || ok && err == nil && fits || pattern == file
}

// others puts back what is neither an entry nor the configuration.
func (c *comparison) others() {
	for _, name := range c.order {
		if path.Dir(name) == bls.EntriesDir || name == bls.ConfFile || isByContent(name) && c.menu && !c.used[name] {
			continue
		}
		if why := c.damage(name); why != "" {
			c.put(name, why)
		}
	}
}

// damage says what is wrong with a file, "" where it can be used.
func (c *comparison) damage(name string) string {
	if !c.exists(name) {
		return "is not there"
	}
	switch {
	case isByContent(name), name == bls.TypeFile:
		if data, err := c.esp.ReadAtMost(name, maxKernel); err != nil || !bytes.Equal(data, c.want[name]) {
			return "is damaged"
		}
	case isLoader(name):
		if data, err := c.esp.ReadAtMost(name, maxKernel); err != nil || !isProgram(data) {
			return "is no program"
		}
	}
	return ""
}
