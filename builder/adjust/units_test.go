package adjust

import (
	"slices"
	"strings"
	"testing"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/fstree"
	"github.com/6FaNcY9/mkimage/profiles"
)

const usrUnits = "/usr/lib/systemd/system/"

// links returns the symlinks below /etc/systemd/system, one a line.
func links(tree *fstree.Tree) []string {
	var list []string
	dir := tree.Lookup(configDir)
	if dir == nil {
		return nil
	}
	for e := range dir.All() {
		if e.IsSymlink() {
			list = append(list, strings.TrimPrefix(e.Path(), configDir[1:]+"/")+" -> "+e.Link)
		}
	}
	return list
}

func withUnits(u profiles.Units) profiles.Profile {
	p := profile()
	p.Units = u
	return p
}

// TestUnits makes and removes the symlinks that systemctl would; the
// reference's are compared with systemctl itself in TestSystemctl.
func TestUnits(t *testing.T) {
	ssh := "f " + usrUnits + "ssh.service [Install];WantedBy=multi-user.target;Alias=sshd.service;"
	tests := []struct {
		name   string
		source []string
		in     profiles.Units
		want   []string
	}{
		{"target", nil, profiles.Units{Target: "multi-user.target"}, []string{"default.target -> " + usrUnits + "multi-user.target"}},
		{"wanted and alias", []string{ssh}, profiles.Units{Enable: []string{"ssh.service"}},
			[]string{"multi-user.target.wants/ssh.service -> " + usrUnits + "ssh.service", "sshd.service -> " + usrUnits + "ssh.service"}},
		{"required, upheld", []string{"f " + usrUnits + "a.service [Install];RequiredBy=b.target;UpheldBy=c.target d.target;"}, profiles.Units{Enable: []string{"a.service"}},
			[]string{"b.target.requires/a.service -> " + usrUnits + "a.service", "c.target.upholds/a.service -> " + usrUnits + "a.service", "d.target.upholds/a.service -> " + usrUnits + "a.service"}},
		{"instance", []string{"f " + usrUnits + "g@.service [Install];WantedBy=g-%i.target"}, profiles.Units{Enable: []string{"g@x.service"}},
			[]string{"g-x.target.wants/g@x.service -> " + usrUnits + "g@.service"}},
		{"default instance", []string{"f " + usrUnits + "g@.service [Install];WantedBy=g.target;DefaultInstance=tty1"}, profiles.Units{Enable: []string{"g@.service"}},
			[]string{"g.target.wants/g@tty1.service -> " + usrUnits + "g@.service"}},
		{"alias of an instance", []string{"f " + usrUnits + "g@.service [Install];Alias=h@.service"}, profiles.Units{Enable: []string{"g@x.service"}},
			[]string{"h@x.service -> " + usrUnits + "g@.service"}},
		{"also", []string{
			"f " + usrUnits + "a.service [Install];Also=b.socket c.service missing.service a.service", "f " + usrUnits + "b.socket [Install];WantedBy=s.target;Also=a.service",
			"f " + usrUnits + "c.service [Unit];",
		}, profiles.Units{Enable: []string{"a.service"}}, []string{"s.target.wants/b.socket -> " + usrUnits + "b.socket"}},
		{"unit of the administrator", []string{"f /etc/systemd/system/a.service [Install];WantedBy=b.target", "f " + usrUnits + "a.service [Install];WantedBy=c.target"},
			profiles.Units{Enable: []string{"a.service"}}, []string{"b.target.wants/a.service -> /etc/systemd/system/a.service"}},
		{"unmerged", []string{"f /lib/systemd/system/a.service [Install];WantedBy=b.target"}, profiles.Units{Enable: []string{"a.service"}},
			[]string{"b.target.wants/a.service -> /lib/systemd/system/a.service"}},
		{"drop-in", []string{"f " + usrUnits + "a.service [Install];WantedBy=b.target", "f /etc/systemd/system/a.service.d/x.conf [Install];WantedBy=;WantedBy=c.target",
			"f " + usrUnits + "a.service.d/x.conf [Install];WantedBy=d.target"},
			profiles.Units{Enable: []string{"a.service"}}, []string{"c.target.wants/a.service -> " + usrUnits + "a.service"}},
		{"enabled before", []string{"l /lib usr/lib", ssh, "l /etc/systemd/system/multi-user.target.wants/ssh.service /lib/systemd/system/ssh.service"}, profiles.Units{Enable: []string{"ssh.service"}},
			[]string{"multi-user.target.wants/ssh.service -> /lib/systemd/system/ssh.service", "sshd.service -> " + usrUnits + "ssh.service"}},
		{"mask", []string{ssh, "f /etc/systemd/system/x.service x"}, profiles.Units{Mask: []string{"ssh.service", "x.service", "unknown.service"}},
			[]string{"ssh.service -> /dev/null", "unknown.service -> /dev/null", "x.service -> /dev/null"}},
		{"disable", []string{ssh, "l /etc/systemd/system/sshd.service " + usrUnits + "ssh.service", "l /etc/systemd/system/multi-user.target.wants/ssh.service " + usrUnits + "ssh.service",
			"l /etc/systemd/system/other.target.wants/sshd.service ../sshd.service", "l /etc/systemd/system/multi-user.target.wants/x.service " + usrUnits + "x.service"},
			profiles.Units{Disable: []string{"ssh.service"}}, []string{"multi-user.target.wants/x.service -> " + usrUnits + "x.service"}},
		{"disable a template", []string{"f " + usrUnits + "g@.service [Install];WantedBy=g.target", "l /etc/systemd/system/g.target.wants/g@x.service " + usrUnits + "g@.service"},
			profiles.Units{Disable: []string{"g@.service"}}, nil},
		{"disable an instance", []string{"f " + usrUnits + "g@.service [Install];WantedBy=g.target", "l /etc/systemd/system/g.target.wants/g@x.service " + usrUnits + "g@.service", "l /etc/systemd/system/g.target.wants/g@y.service " + usrUnits + "g@.service"},
			profiles.Units{Disable: []string{"g@x.service"}}, []string{"g.target.wants/g@y.service -> " + usrUnits + "g@.service"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tree := makeTree(t, small(test.source...)...)
			apply(t, tree, withUnits(test.in))
			if got := links(tree); !slices.Equal(got, test.want) {
				t.Errorf("symlinks:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
	tree := makeTree(t, small(tests[12].source...)...)
	apply(t, tree, withUnits(tests[12].in))
	check(t, tree, map[string]string{"etc/systemd/system/other.target.wants": "none"})
}

// TestUnitsRefused names what cannot be enabled.
func TestUnitsRefused(t *testing.T) {
	enable := func(name string) profiles.Units { return profiles.Units{Enable: []string{name}} }
	tests := []struct {
		name   string
		source string
		in     profiles.Units
		want   string
	}{
		{"missing", "f " + usrUnits + "ssh.service x", enable("shs.service"), "units.enable[0]: shs.service: the source has no such unit; did you mean ssh.service?"},
		{"missing to disable", "", profiles.Units{Disable: []string{"x.service"}}, "units.disable[0]: x.service: the source has no such unit"},
		{"no unit", "", enable("ssh"), `units.enable[0]: "ssh": expected the name of a unit`},
		{"no unit to mask", "", profiles.Units{Mask: []string{"../x.service"}}, `units.mask[0]: "../x.service"`},
		{"alias", "l " + usrUnits + "sshd.service ssh.service", enable("sshd.service"), "sshd.service: is another name of ssh.service"},
		{"masked", "l /etc/systemd/system/x.service /dev/null", enable("x.service"), "x.service: is masked in the source (/etc/systemd/system/x.service)"},
		{"empty file", "f " + usrUnits + "x.service ", enable("x.service"), "x.service: is masked"},
		{"static", "f " + usrUnits + "x.service [Unit];", enable("x.service"), "x.service: has no [Install] section"},
		{"template", "f " + usrUnits + "g@.service [Install];WantedBy=x.target", enable("g@.service"), "g@.service: is a template without a default instance; name one, such as g@NAME.service"},
		{"alias of another", "f " + usrUnits + "x.service [Install];Alias=y.service", profiles.Units{Enable: []string{"x.service"}},
			"x.service: /etc/systemd/system/y.service is there already and leads to \"/usr/lib/systemd/system/z.service\""},
		{"target", "f " + usrUnits + "x.service [Unit];", profiles.Units{Target: "x.service"}, "units.target: x.service: is masked or no target"},
		{"no target", "", profiles.Units{Target: "multi-usr.target"}, "units.target: multi-usr.target: the source has no such unit; did you mean multi-user.target?"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			source := small("l /etc/systemd/system/y.service " + usrUnits + "z.service")
			if test.source != "" {
				source = append(source, test.source)
			}
			refused(t, makeTree(t, source...), withUnits(test.in), test.want)
		})
	}
	for _, bad := range []string{"WantedBy=%H.target", "Also=x", "Also=%", "Alias=x.socket", "WantedBy=x"} {
		tree := makeTree(t, small("f "+usrUnits+"x.service [Install];"+bad)...)
		err := Apply(tree, makePlan(t, withUnits(enable("x.service")), layout()), Inputs{})
		if fault.ClassOf(err) != fault.Input {
			t.Errorf("%s: %v; want an input error", bad, err)
		}
	}
}

// TestUnitNames takes names apart and expands specifiers.
func TestUnitNames(t *testing.T) {
	for _, name := range []string{"a.service", "a-b.socket", "a@.service", "a@b.service", "a@b@c.target", `dev-disk-by\x2dlabel.swap`} {
		if n, err := parseUnitName(name); err != nil || n.String() != name {
			t.Errorf("parseUnitName(%q) = %v, %v", name, n, err)
		}
	}
	for _, name := range []string{"", ".service", "@.service", "a", "a.conf", "a/b.service", "a b.service", strings.Repeat("a", 248) + ".service"} {
		if n, err := parseUnitName(name); err == nil {
			t.Errorf("parseUnitName(%q) = %v; want an error", name, n)
		}
	}
	n := unitName{"pre-fix", true, "in", ".service"}
	for text, want := range map[string]string{"a": "a", "%%%i%p": "%inpre-fix", "%n %N %j": "pre-fix@in.service pre-fix@in fix"} {
		if got, err := n.expand(text); err != nil || got != want {
			t.Errorf("expand(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}

// FuzzInstall parses unit files: nothing but single words comes out.
func FuzzInstall(f *testing.F) {
	f.Add("[Install]\nWantedBy=a b\\\n c\nAlias=x # no comment\nDefaultInstance=t\n")
	f.Add("[Install]\nWantedBy=a\nWantedBy=\n;x\nAlso=\\")
	f.Fuzz(func(t *testing.T, text string) {
		var i install
		i.parse(text)
		for _, list := range [][]string{i.WantedBy, i.RequiredBy, i.UpheldBy, i.Alias, i.Also} {
			for _, word := range list {
				if word == "" || strings.ContainsAny(word, " \t\n") {
					t.Fatalf("word %q", word)
				}
			}
		}
		if (&i).isEmpty() && strings.HasPrefix(text, "[Install]\nWantedBy=a b") {
			t.Fatalf("nothing found in %q", text)
		}
	})
}

// TestParse reads what systemd.syntax(7) allows.
func TestParse(t *testing.T) {
	var i install
	i.parse("[Unit]\nWantedBy=no.target\n[Install]\n# WantedBy=c.target\n ; x\n WantedBy = a.target \\\n# in between\n  b.target\nWantedBy=c.target\nAlias=x\nAlias=\n\nDefaultInstance=d\nAlso=end\\\n")
	if !slices.Equal(i.WantedBy, []string{"a.target", "b.target", "c.target"}) || i.Alias != nil || i.DefaultInstance != "d" || !slices.Equal(i.Also, []string{"end"}) {
		t.Errorf("parsed %+v", i)
	}
}
