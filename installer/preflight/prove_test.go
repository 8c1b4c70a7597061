package preflight

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/builder/imgtest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/profiles"
)

// proven is what a program prints about a system that recovers.
var proven = []Finding{{Name: "key", Text: "it opens", OK: true, Proof: ProofKey}, {Name: "snapshot", Text: "is there", OK: true, Proof: ProofBackup}}

// unproven is one without its backup disk.
var unproven = []Finding{proven[0], {Name: "backup disk", Text: "is not there", Hint: "plug it in", Proof: ProofBackup, Code: 30}}

func reportText(t testing.TB, list []Finding) string {
	t.Helper()
	text, err := json.Marshal(Report{ReportVersion, list})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// program is a program that prints a text, notes its input, arguments and
// environment in files beside it, and exits with a code.
func program(t *testing.T, body string) string {
	t.Helper()
	imgtest.Need(t, "/bin/sh", "/bin/cat", "/usr/bin/env")
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n/bin/cat > "+name+".in\necho \"$@\" > "+name+".args\n/usr/bin/env > "+name+".env\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func recovery(name string, missing ...string) Recovery {
	p := testPlan()
	p.Profile.Secrets = []profiles.Secret{{Name: "s"}}
	p.Profile.Restore.Disk = "LABEL=backup"
	p.Medium.Installer.Missing = missing
	return Recovery{Plan: p, Program: name, Tree: TreeOf(p, "/top"), Key: []byte("the key"), Backup: "/dev/sdz1", Space: 7, Most: 20 * time.Second}
}

func TestProve(t *testing.T) {
	say := func(list []Finding) string { return "/bin/cat <<'END'\n" + reportText(t, list) + "\nEND\n" }
	tests := []struct {
		name, body string
		missing    []string
		want       []Finding
		err        string
	}{
		{"proved", say(proven), nil, proven, ""},
		{"not proved", say(unproven) + "exit 30", nil, unproven, ""},
		{"waived", say(unproven) + "exit 30", []string{ProofBackup}, []Finding{unproven[0], {"backup disk", "is not there", "plug it in", false, false, true, ProofBackup, 30}}, ""},
		{"other proof waived", say(unproven) + "exit 30", []string{ProofKey}, unproven, ""},
		{"says all is well, and fails", say(proven) + "exit 30", nil, nil, "the program ended with 30, its findings mean 0"},
		{"says it is not, and ends well", say(unproven), nil, nil, "the program ended with 0, its findings mean 30"},
		{"silent", "", nil, nil, "EOF"},
		{"silent, and fails", "echo it is late >&2; exit 3", nil, nil, "exit status 3: it is late"},
		{"killed", "kill -9 $$", nil, nil, "signal: killed"},
		{"garbage", "echo hello", nil, nil, "invalid character"},
		{"more than an object", say(proven) + say(proven), nil, nil, "something after the object"},
		{"an error", `echo '{"code":3,"error":"firstboot.json: version 2","hint":"h"}'; exit 3`, nil, nil, "recovery: firstboot.json: version 2"},
		{"nothing of the backup", say(proven[:1]), nil, nil, "says nothing about the backup"},
		{"nothing of the key", say(proven[1:]), nil, nil, "says nothing about the key"},
		{"nothing at all", say([]Finding{Nothing}), nil, nil, "says nothing about the"},
		{"endless", "exec /bin/cat /dev/zero", nil, nil, "more than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := program(t, tt.body)
			got, err := Prove(context.Background(), recovery(name, tt.missing...))
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || got != nil) || tt.err == "" && err != nil {
				t.Fatalf("%v, %+v; want error %q", err, got, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestProveSecret: the key is in the input of the program, and nowhere else.
func TestProveSecret(t *testing.T) {
	t.Setenv("LEAK", "yes")
	name := program(t, "exit 1")
	if _, err := Prove(context.Background(), recovery(name)); err == nil {
		t.Fatal("a program that fails proves")
	}
	read := func(suffix string) string {
		text, err := os.ReadFile(name + suffix)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := read(".in"); got != "the key" {
		t.Errorf("input %q", got)
	}
	want := "prove --json --root /top/@ --space 7 --mount /var=/top/@var --mount /var/log=/top/@log --key-file - --backup-disk /dev/sdz1\n"
	if got := read(".args"); got != want {
		t.Errorf("arguments %q; want %q", got, want)
	}
	if got := read(".env"); strings.Contains(got, "LEAK") || strings.Contains(got, "the key") {
		t.Errorf("environment %q", got)
	}
	r := recovery(name)
	r.Key, r.Backup = nil, ""
	if args := strings.Join(r.arguments(), " "); strings.Contains(args, "--key-file") || strings.Contains(args, "--backup-disk") {
		t.Errorf("without key and disk: %s", args)
	}
}

func TestProveEnds(t *testing.T) {
	name := program(t, "exec /bin/sleep 60")
	r := recovery(name)
	r.Most = 50 * time.Millisecond
	if _, err := Prove(context.Background(), r); err == nil || !strings.Contains(err.Error(), "not proved after 50ms") {
		t.Errorf("a program that does not end: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Prove(ctx, recovery(name)); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Prove(context.Background(), recovery("/nowhere/program")); err == nil {
		t.Error("a program that is not there proves")
	}
	got, err := Prove(context.Background(), Recovery{Plan: &plan.Plan{}, Program: "/nowhere/program"})
	if err != nil || len(got) != 1 || !got[0].OK || !strings.Contains(got[0].Text, "nothing is to be proved") {
		t.Errorf("nothing to prove: %+v, %v", got, err)
	}
}

// FuzzDecode: what is taken for findings can be told, and its code is right.
func FuzzDecode(f *testing.F) {
	for code, list := range map[int][]Finding{0: proven, 30: unproven} {
		f.Add([]byte(reportText(f, list)), code)
	}
	f.Add([]byte(`{"error":"e","hint":"h","code":3}`), 3)
	f.Add([]byte(`{"version":1,"findings":[{"name":"a","text":"b","ok":false,"warning":true}]}`), 0)
	f.Fuzz(func(t *testing.T, text []byte, code int) {
		list, err := decode(text, code)
		if err != nil {
			if list != nil {
				t.Fatal("findings with an error")
			}
			return
		}
		if len(list) == 0 || len(list) > maxFindings || (Refused(list) == nil) != (code == 0) {
			t.Fatalf("%d findings, code %d: %+v", len(list), code, list)
		}
		var out strings.Builder
		if err := Write(&out, list); err != nil || strings.ContainsAny(out.String(), "\x1b\r\x00") {
			t.Fatalf("%q, %v", out.String(), err)
		}
	})
}

func TestDecodeLimits(t *testing.T) {
	of := func(n int) []Finding {
		list := make([]Finding, n)
		for i := range list {
			list[i] = Finding{Name: fmt.Sprint(i), OK: true}
		}
		return list
	}
	for n, ok := range map[int]bool{0: false, 1: true, maxFindings - 1: true, maxFindings: true, maxFindings + 1: false} {
		if _, err := decode([]byte(reportText(t, of(n))), 0); (err == nil) != ok {
			t.Errorf("%d findings: %v", n, err)
		}
	}
	for _, text := range []string{
		`{"version":2,"findings":[{"name":"a","text":"","ok":true}]}`, `{"version":1,"findings":[{"name":"","text":"","ok":true}]}`,
		`{"version":1,"findings":[{"name":"a","text":"","ok":false}]}`, `{"version":1,"findings":[{"name":"a","text":"","ok":false,"waived":true}]}`,
		`{"version":1,"findings":[{"name":"a","text":"","ok":true,"code":5}]}`, `{"version":1,"findings":[{"name":"a","text":"","ok":true,"more":1}]}`,
	} {
		if list, err := decode([]byte(text), 0); err == nil {
			t.Errorf("%s: %+v", text, list)
		}
	}
}
