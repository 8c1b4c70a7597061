package initramfs

import (
	"testing"
)

// FuzzModules reads hostile index files and loads what they name: every module
// is listed once, behind what it says it comes after.
func FuzzModules(f *testing.F) {
	f.Add("k/a.ko: k/b.ko\nk/b.ko:\n", "softdep a pre: b c post: d\n", "alias c b\n", "x.alias=y\x00", "a")
	f.Add("k/a.ko:\nk/b.ko.xz: k/a.ko\n", "softdep a pre: b\nsoftdep b pre: a", "alias z a\nalias z b", "k/c.ko", "z")
	f.Fuzz(func(t *testing.T, dep, softdep, alias, builtin, name string) {
		files, err := parseDep(dep)
		if err != nil {
			return
		}
		x := &index{files: files, soft: parseSoftdep(softdep), alias: parseAlias(alias), builtin: map[string]bool{}}
		parseBuiltin(builtin, x.builtin)
		parseBuiltinInfo(builtin, x.builtin)
		order, err := x.closure([]string{name})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, m := range order {
			if seen[m.name] || moduleName(m.path) != m.name {
				t.Fatalf("%s (%s) is listed twice or by another name", m.name, m.path)
			}
			for _, a := range m.after {
				if !seen[a] {
					t.Fatalf("%s comes before %s", m.name, a)
				}
			}
			seen[m.name] = true
		}
	})
}

func FuzzFirmwareOf(f *testing.F) {
	f.Add(moduleELF("firmware=a/b.bin", "firmware=c"))
	f.Add([]byte("text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := firmwareOf(data)
		if err != nil {
			return
		}
		for _, n := range names {
			if n == "" || len(n) > len(data) {
				t.Fatalf("name of %d bytes from %d", len(n), len(data))
			}
		}
	})
}
