package adjust

import (
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// configDir is where an administrator's units and symlinks are.
const configDir = "/etc/systemd/system"

// unitDirs are where systemd looks for units, the first wins. /lib is another
// directory than /usr/lib in sources that have not merged the two.
var unitDirs = []string{configDir, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// unit is a unit of the source, as far as enabling it is concerned.
type unit struct {
	name    unitName
	path    string // of its file
	alias   string // the unit that its name is another name of; "" for none
	masked  bool
	install install
}

// install is the [Install] section.
type install struct {
	WantedBy, RequiredBy, UpheldBy, Alias, Also []string
	DefaultInstance                             string
}

// isEmpty reports whether there is nothing that enabling could do.
func (i *install) isEmpty() bool {
	return len(i.WantedBy)+len(i.RequiredBy)+len(i.UpheldBy)+len(i.Alias)+len(i.Also) == 0
}

// loadUnit returns the unit of a name, nil when the source has none.
func (e *editor) loadUnit(name unitName) (*unit, error) {
	u := &unit{name: name}
	for _, file := range []string{name.String(), name.template().String()} {
		if u.path = e.unitPath(file); u.path != "" {
			break
		}
	}
	if u.path == "" {
		return nil, nil
	}
	if c := e.lookup(u.path); c.IsSymlink() {
		if target := path.Base(c.Link); target != path.Base(u.path) && c.Link != "/dev/null" {
			u.alias = target
			return u, nil
		}
	}
	c := e.find(u.path)
	if u.masked = c == nil || c.Size == 0 || !c.IsRegular(); u.masked {
		return u, nil
	}
	return u, e.readInstall(u)
}

// unitPath returns where the file of a unit is, or "".
func (e *editor) unitPath(file string) string {
	for _, dir := range unitDirs {
		if c := e.lookup(dir + "/" + file); c != nil && !c.IsDir() {
			return dir + "/" + file
		}
	}
	return ""
}

// readInstall reads the [Install] sections of a unit's file and its drop-ins.
func (e *editor) readInstall(u *unit) error {
	for _, file := range append([]string{u.path}, e.dropIns(path.Base(u.path))...) {
		text, _, err := e.read(file)
		if err != nil {
			return err
		}
		u.install.parse(text)
	}
	return nil
}

// dropIns returns the drop-ins of a unit's file in the order of their names;
// of equal names the one in the first directory holds.
func (e *editor) dropIns(file string) []string {
	byName := map[string]string{}
	var names []string
	for _, dir := range unitDirs {
		d := e.find(dir + "/" + file + ".d")
		if d == nil {
			continue
		}
		for _, c := range d.Children() {
			if strings.HasSuffix(c.Name, ".conf") && byName[c.Name] == "" {
				byName[c.Name] = dir + "/" + file + ".d/" + c.Name
				names = append(names, c.Name)
			}
		}
	}
	slices.Sort(names)
	var files []string
	for _, name := range names {
		files = append(files, byName[name])
	}
	return files
}

// parse adds what the [Install] sections of a unit file say. Lists are added
// to, and emptied by an empty value.
func (i *install) parse(text string) {
	section := ""
	for _, line := range logicalLines(text) {
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if section != "[Install]" || !ok {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if key == "DefaultInstance" {
			i.DefaultInstance = value
			continue
		}
		list := map[string]*[]string{
			"WantedBy": &i.WantedBy, "RequiredBy": &i.RequiredBy, "UpheldBy": &i.UpheldBy, "Alias": &i.Alias, "Also": &i.Also,
		}[key]
		switch {
		case list == nil:
		case value == "":
			*list = nil
		default:
			*list = append(*list, strings.Fields(value)...)
		}
	}
}

// logicalLines returns the lines of a unit file without comments, those that
// end in a backslash joined with the next; see systemd.syntax(7).
func logicalLines(text string) []string {
	var list []string
	joined, open := "", false
	for _, line := range lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || line == "" && !open {
			continue
		}
		rest, more := strings.CutSuffix(line, `\`)
		joined += rest
		if open = more; open {
			joined += " "
			continue
		}
		list, joined = append(list, joined), ""
	}
	if open {
		list = append(list, joined)
	}
	return list
}

// unitNames returns the names of all units of the source.
func (e *editor) unitNames() []string {
	var names []string
	for _, dir := range unitDirs {
		d := e.find(dir)
		if d == nil {
			continue
		}
		for _, c := range d.Children() {
			if _, err := parseUnitName(c.Name); err == nil && c.Type() != fstree.TypeDir {
				names = append(names, c.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
