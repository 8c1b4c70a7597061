package nixfixture

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReport(t *testing.T) {
	tests := []struct {
		name, in string
		want     map[string]string
		err      string
	}{
		{"one", "boot\r\nFIXTURE-BEGIN\r\nstate=running\r\nmount./=/dev/vda2[/@] btrfs rw\r\nfailed=\r\nFIXTURE-OK\r\n",
			map[string]string{"state": "running", "mount./": "/dev/vda2[/@] btrfs rw", "failed": ""}, ""},
		{"kernel between", "FIXTURE-BEGIN\n[   12.5] x=1\nstate=running\n[  OK  ] done\nFIXTURE-OK\n", map[string]string{"state": "running"}, ""},
		{"last one", "FIXTURE-BEGIN\na=1\nFIXTURE-OK\nFIXTURE-BEGIN\nb=2\nFIXTURE-OK\nFIXTURE-BEGIN\nc=3\n", map[string]string{"b": "2"}, ""},
		{"empty", "FIXTURE-BEGIN\nFIXTURE-OK\n", map[string]string{}, ""},
		{"no end", "FIXTURE-BEGIN\nstate=running\n", nil, "console of 28 bytes: no FIXTURE-OK"},
		{"no begin", "FIXTURE-OK\nFIXTURE-BEGIN\n", nil, "console of 25 bytes: no FIXTURE-BEGIN before FIXTURE-OK"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseReport(tt.in)
			if text := errorText(err); text != tt.err {
				t.Errorf("error %q; want %q", text, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add("FIXTURE-BEGIN\nstate=running\nFIXTURE-OK\n")
	f.Add("FIXTURE-OK")
	f.Fuzz(func(t *testing.T, console string) {
		facts, err := ParseReport(console)
		if (facts == nil) != (err != nil) {
			t.Errorf("ParseReport = %v, %v; want one of them", facts, err)
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
