package initramfs

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// The forms of these files are those of depmod(8): modules.dep(5), and for the
// others the lines of modprobe.d(5).

// parseDep reads modules.dep: "FILE: FILE...", where the files behind the
// colon are all that the first needs, the last to be loaded first.
func parseDep(text string) (map[string]moduleFile, error) {
	files := map[string]moduleFile{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		file, deps, ok := strings.Cut(line, ":")
		name := moduleName(file)
		if !ok || name == "" || !isLocal(file) {
			return nil, fmt.Errorf("line %d: %.80q is not the path of a module with a colon behind it", number, line)
		}
		m := moduleFile{path: file}
		for dep := range strings.FieldsSeq(deps) {
			d := moduleName(dep)
			if d == "" {
				return nil, fmt.Errorf("line %d: %.80q is not the path of a module", number, dep)
			}
			m.deps = append(m.deps, d)
		}
		slices.Reverse(m.deps)
		// depmod lists what is in updates/ first when names are the same.
		if _, ok := files[name]; !ok {
			files[name] = m
		}
	}
	for name, m := range files {
		for _, d := range m.deps {
			if _, ok := files[d]; !ok {
				return nil, fmt.Errorf("module %s needs %s, which is not listed", name, d)
			}
		}
	}
	return files, nil
}

// isLocal reports whether a path stays below the directory that it is meant
// from.
func isLocal(file string) bool {
	return path.Clean(file) == file && !path.IsAbs(file) && file != ".." && !strings.HasPrefix(file, "../")
}

// parseSoftdep reads lines of the form "softdep NAME pre: NAME... post: NAME...".
// As in modprobe, words before "pre:" and "post:" mean nothing.
func parseSoftdep(text string) map[string]softDeps {
	soft := map[string]softDeps{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "softdep" {
			continue
		}
		name := fold(words[1])
		deps := soft[name]
		var to *[]string
		for _, w := range words[2:] {
			switch {
			case w == "pre:":
				to = &deps.pre
			case w == "post:":
				to = &deps.post
			case to != nil:
				*to = append(*to, w)
			}
		}
		soft[name] = deps
	}
	return soft
}

// parseAlias reads lines of the form "alias ALIAS NAME". Patterns are left
// out: they are for the names of devices.
func parseAlias(text string) map[string][]string {
	alias := map[string][]string{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "alias" || isPattern(words[1]) {
			continue
		}
		key, name := fold(words[1]), fold(words[2])
		if !slices.Contains(alias[key], name) {
			alias[key] = append(alias[key], name)
		}
	}
	return alias
}

// parseBuiltin adds the names of modules.builtin, a list of paths, to names.
func parseBuiltin(text string, names map[string]bool) {
	for line := range strings.Lines(text) {
		if name := moduleName(strings.TrimSpace(line)); name != "" {
			names[name] = true
		}
	}
}

// parseBuiltinInfo adds the aliases of modules.builtin.modinfo to names: its
// form is NAME.KEY=VALUE, each with a zero byte behind it.
func parseBuiltinInfo(text string, names map[string]bool) {
	for field := range strings.SplitSeq(text, "\x00") {
		key, value, _ := strings.Cut(field, "=")
		if _, key, _ = strings.Cut(key, "."); key == "alias" && value != "" && !isPattern(value) {
			names[fold(value)] = true
		}
	}
}

func isPattern(s string) bool { return strings.ContainsAny(s, "*?[") }
