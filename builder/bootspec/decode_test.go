package bootspec_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/bootspec"
	"github.com/6FaNcY9/mkimage/builder/fault"
)

// doc writes a document as jq does, with fields of version 1 changed or, where
// the value is "", taken out. More follows it: other keys of the document.
func doc(change map[string]string, more ...string) string {
	fields := map[string]string{
		"init": quote(topA + "/init"), "initrd": quote(ramfs + "/initrd"), "kernel": quote(linux + "/bzImage"), "kernelParams": `["quiet", "loglevel=4"]`,
		"label": `"NixOS Xantusia 25.11.1 (Linux 6.12.1)"`, "system": `"x86_64-linux"`, "toplevel": quote(topA),
	}
	maps.Copy(fields, change)
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if fields[k] != "" {
			lines = append(lines, fmt.Sprintf("    %q: %s", k, fields[k]))
		}
	}
	keys := append([]string{"  \"org.nixos.bootspec.v1\": {\n" + strings.Join(lines, ",\n") + "\n  }"}, more...)
	return "{\n" + strings.Join(keys, ",\n") + "\n}\n"
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

// with changes one field.
func with(key, value string) string { return doc(map[string]string{key: value}) }

func specialisations(text string) string { return `"org.nixos.specialisation.v1": ` + text }

func TestDecode(t *testing.T) {
	changed := func(f func(*bootspec.Spec)) *bootspec.Spec {
		s := small(t)
		f(s)
		return s
	}
	for _, tt := range []struct {
		name, in string
		want     *bootspec.Spec
	}{
		{"all that is required, and an initrd", doc(nil), small(t)},
		{"no initrd", with("initrd", ""), changed(func(s *bootspec.Spec) { s.Initrd = bootspec.Path{} })},
		{"null is none", doc(map[string]string{"initrd": "null", "initrdSecrets": "null"}), changed(func(s *bootspec.Spec) { s.Initrd = bootspec.Path{} })},
		{"secrets", with("initrdSecrets", quote(topA+"/bin/append")), changed(func(s *bootspec.Spec) { s.InitrdSecrets = mustPath(t, topA+"/bin/append") })},
		{"no parameters", with("kernelParams", "[]"), changed(func(s *bootspec.Spec) { s.KernelParams = nil })},
		{"parameters", with("kernelParams", `["a=\"b c\"", "ü", "init=/x", " "]`), changed(func(s *bootspec.Spec) { s.KernelParams = []string{`a="b c"`, "ü", "init=/x", " "} })},
		{"a kernel that is a store object", with("kernel", quote(linux)), changed(func(s *bootspec.Spec) { s.Kernel.Rest = "" })},
		{"extensions", doc(nil, `"org.example.a": {"x": [1e999, true, null, {}]}`, `"b": null`), small(t)},
		{
			"the loader's", doc(nil, `"org.nixos.systemd-boot": {"sortKey": "b-nixos", "devicetree": "`+linux+`/dtbs/arm/x.dtb", "uname": 3}`),
			changed(func(s *bootspec.Spec) { s.SortKey, s.DeviceTree = "b-nixos", mustPath(t, linux+"/dtbs/arm/x.dtb") }),
		},
		{"the loader's without anything", doc(nil, `"org.nixos.systemd-boot": {"devicetree": null}`), small(t)},
		{"more archives", doc(nil, `"org.nixos.extra-initrd.v1": {"paths": ["vendorfw/firmware.cpio"]}`), changed(func(s *bootspec.Spec) { s.ExtraInitrds = []string{"vendorfw/firmware.cpio"} })},
		{"no specialisation", doc(nil, specialisations("{}")), small(t)},
		{
			"specialisations", doc(nil, specialisations(`{"b": `+with("label", `"B"`)+`, "a.1_+-": `+doc(nil, specialisations("{}"))+`}`)),
			changed(func(s *bootspec.Spec) {
				s.Specialisations = map[string]*bootspec.Spec{"b": changed(func(s *bootspec.Spec) { s.Label = "B" }), "a.1_+-": small(t)}
			}),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bootspec.Decode("boot.json", []byte(tt.in))
			wantError(t, err, "")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Decode (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	const v1 = "boot.json: org.nixos.bootspec.v1."
	for _, tt := range []struct{ name, in, err string }{
		{"empty", "", "boot.json: line 1: unexpected end of JSON input, expected JSON"},
		{"cut off", doc(nil)[:300], "line 6: unexpected end of JSON input"},
		{"more behind it", doc(nil) + "\n{}", "line 13: invalid character '{' after top-level value, expected JSON"},
		{"not UTF-8", with("label", "\"\xff\""), "bytes that are not UTF-8"},
		{"half a surrogate pair", with("label", `"\ud800"`), v1 + `label: found "` + "\ufffd" + `", expected text`},
		{"no object", `[]`, "boot.json: document: found an array, expected an object"},
		{"key twice", "{\n\"a\": 1,\n\"a\": 2}", `boot.json: line 3: key "a" is there twice`},
		{"key twice, written otherwise", `{"a": 1, "\u0061": 2}`, `key "a" is there twice`},
		{"key twice in an extension", doc(nil, `"x": [{"y": 1, "y": 1}]`), `line 11: key "y" is there twice`},
		{"nothing", `{}`, "boot.json: org.nixos.bootspec.v1: missing"},
		{"of NixOS 22.11", `{"v1": {}}`, "boot.json: org.nixos.bootspec.v1: missing"},
		{"null", `{"org.nixos.bootspec.v1": null}`, "org.nixos.bootspec.v1: found null, expected an object"},
		{"unknown field", with("initrds", "1"), v1 + "initrds: unknown field, expected one of init, initrd, initrdSecrets, kernel,"},
		{"field in another case", with("Label", `"x"`), v1 + "Label: unknown field"},
		{"strange field", with("a\nb", "1"), v1 + `"a\nb": unknown field`},

		{"no init", with("init", ""), v1 + "init: missing"},
		{"no kernel", with("kernel", ""), v1 + "kernel: missing"},
		{"no parameters", with("kernelParams", ""), v1 + "kernelParams: missing"},
		{"no label", with("label", ""), v1 + "label: missing"},
		{"no system", with("system", ""), v1 + "system: missing"},
		{"no toplevel", with("toplevel", ""), v1 + "toplevel: missing"},
		{"kernel is null", with("kernel", "null"), v1 + "kernel: found null, expected a value"},
		{"kernel is a number", with("kernel", "1"), v1 + "kernel: found a number, expected a string"},
		{"label is a boolean", with("label", "true"), v1 + "label: found a boolean, expected a string"},
		{"parameters are a string", with("kernelParams", `"quiet"`), v1 + "kernelParams: found a string, expected an array of strings"},
		{"a parameter is an object", with("kernelParams", `["a", {}]`), v1 + "kernelParams[1]: found an object, expected a string"},
		{"a parameter is empty", with("kernelParams", `["a", ""]`), v1 + `kernelParams[1]: found "", expected text`},
		{"a parameter has a newline", with("kernelParams", `["a\ninitrd /x"]`), v1 + `kernelParams[0]: found "a\ninitrd /x", expected text without control characters`},
		{"a parameter has a control character", with("kernelParams", `["a\u0085"]`), v1 + `kernelParams[0]: found "a\u0085"`},
		{"label has a newline", with("label", `"a\nb"`), v1 + `label: found "a\nb", expected text without control characters`},
		{"label ends in a space", with("label", `"a "`), v1 + `label: found "a ", expected`},
		{"label is empty", with("label", `""`), v1 + `label: found "", expected`},

		{"kernel elsewhere", with("kernel", `"/boot/bzImage"`), v1 + `kernel: path "/boot/bzImage": expected one below /nix/store`},
		{"kernel is the store", with("kernel", `"/nix/store/"`), v1 + `kernel: path "/nix/store/": store path ""`},
		{"initrd leads out", with("initrd", quote(ramfs+"/../x")), v1 + `initrd: path "` + ramfs + `/../x": element "..", expected a clean path`},
		{"init has a dot", with("init", quote(topA+"/./init")), `element ".", expected a clean path`},
		{"init ends in a slash", with("init", quote(topA+"/")), `element "", expected a clean path`},
		{"two slashes", with("init", quote(topA+"//init")), `element "", expected a clean path`},
		{"init has a space", with("init", quote(topA+"/a b")), `element "a b", expected ASCII without spaces`},
		{"init has a quote", with("init", `"`+topA+`/a\"b"`), `element "a\"b", expected ASCII without spaces`},
		{"init has a NUL", with("init", `"`+topA+`/a\u0000"`), `element "a\x00", expected ASCII`},
		{"toplevel is a file", with("toplevel", quote(topA+"/x")), v1 + `toplevel: store path "/nix/store/` + hashA + `-nixos-system-a-25.11/x"`},
		{"secrets are a list", with("initrdSecrets", "[]"), v1 + "initrdSecrets: found an array, expected a string"},

		{"the loader's is a string", doc(nil, `"org.nixos.systemd-boot": "x"`), "boot.json: org.nixos.systemd-boot: found a string, expected an object"},
		{"sort key has a newline", doc(nil, `"org.nixos.systemd-boot": {"sortKey": "a\nb"}`), `org.nixos.systemd-boot.sortKey: found "a\nb", expected text`},
		{"no device tree", doc(nil, `"org.nixos.systemd-boot": {"devicetree": ""}`), `org.nixos.systemd-boot.devicetree: path ""`},
		{"archive elsewhere", doc(nil, `"org.nixos.extra-initrd.v1": {"paths": ["a", "/b"]}`), `org.nixos.extra-initrd.v1.paths[1]: path "/b": element ""`},

		{"specialisations are a list", doc(nil, specialisations("[]")), "boot.json: org.nixos.specialisation.v1: found an array, expected an object"},
		{"specialisations are null", doc(nil, specialisations("null")), "boot.json: org.nixos.specialisation.v1: found null, expected an object"},
		{"one is null", doc(nil, specialisations(`{"x": null}`)), "org.nixos.specialisation.v1.x: found null, expected an object"},
		{"one has nothing", doc(nil, specialisations(`{"x": {}}`)), "org.nixos.specialisation.v1.x.org.nixos.bootspec.v1: missing"},
		{"of a specialisation", doc(nil, specialisations(`{"x": `+doc(nil, specialisations(`{"y": `+doc(nil)+`}`))+`}`)), "org.nixos.specialisation.v1.x.org.nixos.specialisation.v1.y: specialisation of a specialisation, expected none"},
		{"one with a kernel elsewhere", doc(nil, specialisations(`{"x": `+with("kernel", `"/x"`)+`}`)), `boot.json: org.nixos.specialisation.v1.x.org.nixos.bootspec.v1.kernel: path "/x"`},
		{"name leads out", doc(nil, specialisations(`{"../x": `+doc(nil)+`}`)), `org.nixos.specialisation.v1."../x": name of a specialisation, expected letters`},
		{"name with a dot first", doc(nil, specialisations(`{".x": `+doc(nil)+`}`)), `org.nixos.specialisation.v1.".x": name of a specialisation`},
		{"name is empty", doc(nil, specialisations(`{"": `+doc(nil)+`}`)), `org.nixos.specialisation.v1."": name of a specialisation`},
		{"name with a space", doc(nil, specialisations(`{"a b": `+doc(nil)+`}`)), `."a b": name of a specialisation`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bootspec.Decode("boot.json", []byte(tt.in))
			wantError(t, err, tt.err)
		})
	}
	if _, err := bootspec.Decode("boot.json", []byte(`{"v1": {}}`)); fault.HintOf(err) == "" {
		t.Error("a bootspec of NixOS 22.11: no hint; want one")
	}
}

func TestDecodeLimits(t *testing.T) {
	padded := func(n int) string {
		text := doc(nil)
		return text + strings.Repeat(" ", n-len(text))
	}
	nested := func(n int) string { // one level is the document itself
		return doc(nil, `"x": `+strings.Repeat("[", n-1)+strings.Repeat("]", n-1))
	}
	named := func(n int) string { return doc(nil, specialisations(`{"`+strings.Repeat("n", n)+`": `+doc(nil)+`}`)) }
	path := func(n int) string { // of a kernel that is not in the end too long for its name
		return with("kernel", quote(linux+strings.Repeat("/d", (n-len(linux))/2)+strings.Repeat("d", (n-len(linux))%2)))
	}
	for _, tt := range []struct {
		name  string
		text  func(int) string
		limit int
		err   string
	}{
		{"size", padded, 1 << 20, "boot.json: 1048577 bytes, expected at most 1048576"},
		{"depth", nested, 64, "line 11: objects and arrays nest deeper than expected, at most 64"},
		{"name", named, 200, "name of a specialisation of 201 bytes, expected at most 200"},
		{"path", path, 4095, "kernel: path of 4096 bytes, expected at most 4095"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := tt.limit - 1; n <= tt.limit+1; n++ {
				_, err := bootspec.Decode("boot.json", []byte(tt.text(n)))
				want := ""
				if n > tt.limit {
					want = tt.err
				}
				wantError(t, err, want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(golden(f, goldenToplevel(f))[bootspec.FileName]))
	f.Add([]byte(doc(nil, specialisations(`{"x": `+doc(map[string]string{"initrdSecrets": quote(topA + "/s")})+`}`), `"org.nixos.systemd-boot": {"sortKey": "a"}`)))
	f.Add([]byte(doc(nil, `"org.nixos.extra-initrd.v1": {"paths": ["a/b"]}`)))
	f.Fuzz(func(t *testing.T, in []byte) {
		spec, err := bootspec.Decode("boot.json", in)
		if err != nil {
			if fault.ClassOf(err) != fault.Input {
				t.Errorf("error of class %d; want %d: %v", fault.ClassOf(err), fault.Input, err)
			}
			return
		}
		for _, p := range spec.Paths() {
			if again, err := bootspec.ParsePath(p.String()); err != nil || again != p {
				t.Errorf("path %v read again: %v, %v", p, again, err)
			}
		}
		for _, layout := range []bootspec.Layout{bootspec.ByGeneration, bootspec.ByContent} {
			checkReadAgain(t, spec, layout)
		}
	})
}
