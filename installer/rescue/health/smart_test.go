package health

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	smartOK = `{"smartctl":{"version":[7,3],"exit_status":0},"device":{"name":"/dev/sda","protocol":"ATA"},"model_name":"Disk One","serial_number":"S1","smart_status":{"passed":true},` +
		`"ata_smart_attributes":{"table":[{"id":5,"raw":{"value":RE}},{"id":9,"raw":{"value":70}},{"id":187,"raw":{"value":0}},{"id":197,"raw":{"value":PE}},{"id":198,"raw":{"value":UN}},{"id":199,"raw":{"value":CR}}]},` +
		`"power_on_time":{"hours":70},"temperature":{"current":TE},"ata_smart_error_log":{"summary":{"count":3}}}`
	nvmeOK = `{"smartctl":{"exit_status":0},"device":{"protocol":"NVMe"},"model_name":"Fast","smart_status":{"passed":true,"nvme":{"value":0}},` +
		`"nvme_smart_health_information_log":{"critical_warning":CW,"temperature":40,"available_spare":SP,"available_spare_threshold":10,"percentage_used":US,"media_errors":ME},"temperature":{"current":40}}`
)

// filled is a text with its words replaced; those that are not named are good.
func filled(text string, pairs ...string) string {
	pairs = append(pairs, "RE", "0", "PE", "0", "UN", "0", "CR", "0", "TE", "40", "CW", "0", "SP", "100", "US", "3", "ME", "0")
	return strings.NewReplacer(pairs...).Replace(text)
}

func TestDecodeSmartctl(t *testing.T) {
	tests := []struct {
		name, in string
		code     int
		want     Verdict
		reason   string // of the verdict
	}{
		{"good", filled(smartOK), 0, OK, "says that it is well"},
		{"reallocated", filled(smartOK, "RE", "1"), 0, Warn, "1 bad sectors were replaced"},
		{"pending", filled(smartOK, "PE", "8", "RE", "1"), 0, Failing, "8 sectors cannot be read"},
		{"uncorrectable", filled(smartOK, "UN", "2"), 0, Failing, "2 errors could not be corrected"},
		{"cable", filled(smartOK, "CR", "5"), 0, Warn, "check the cable"},
		{"hot - 1", filled(smartOK, "TE", "59"), 0, OK, "well"},
		{"hot", filled(smartOK, "TE", "60"), 0, Warn, "60 degrees"},
		{"hot + 1", filled(smartOK, "TE", "61"), 0, Warn, "61 degrees"},
		{"failing by code", filled(smartOK), 8, Failing, "itself says that it is failing"},
		{"failing by status", strings.Replace(filled(smartOK), `"passed":true`, `"passed":false`, 1), 0, Failing, "itself says"},
		{"below threshold", filled(smartOK), 16, Failing, "foretells failure"},
		{"in the past", filled(smartOK), 32, Warn, "in the past"},
		{"log", filled(smartOK), 64, Warn, "its log has errors"},
		{"self-test", filled(smartOK), 128, Warn, "self-tests failed"},
		{"a command failed", strings.Replace(filled(smartOK), `"exit_status":0`, `"messages":[{"string":"no log","severity":"information"}]`, 1), 4, Unknown, "not all could be asked: no log"},
		{"NVMe", filled(nvmeOK), 0, OK, "well"},
		{"spare at its threshold", filled(nvmeOK, "SP", "10"), 0, OK, "well"},
		{"spare below it", filled(nvmeOK, "SP", "9"), 0, Failing, "9% of the spare blocks are left"},
		{"warning of spare", filled(nvmeOK, "CW", "1", "SP", "5"), 0, Failing, "used up"},
		{"warning of temperature", filled(nvmeOK, "CW", "2"), 0, Warn, "too hot"},
		{"two warnings", filled(nvmeOK, "CW", "6"), 0, Failing, "no longer reliable"},
		{"read-only", filled(nvmeOK, "CW", "8"), 0, Failing, "read-only"},
		{"life - 1", filled(nvmeOK, "US", "99"), 0, OK, "well"},
		{"life", filled(nvmeOK, "US", "100"), 0, Warn, "100% of the life"},
		{"media errors", filled(nvmeOK, "ME", "2"), 0, Warn, "2 times"},
		{"not opened", `{"smartctl":{"messages":[{"string":"Permission\u001b[2J denied","severity":"error"}]}}`, 2, "", "cannot ask it: Permission?[2J denied"},
		{"not understood", `{}`, 1, "", "command line"},
		{"no SMART", `{"device":{"protocol":"SCSI"}}`, 0, "", "it has no SMART"},
		{"no JSON", `smartctl 6`, 0, "", "is no JSON"},
		{"too long", strings.Repeat(" ", maxSmart+1), 0, "", "expected at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := DecodeSmartctl([]byte(tt.in), tt.code)
			if tt.want == "" {
				if err == nil || !strings.Contains(err.Error(), tt.reason) {
					t.Errorf("error %v; want %s", err, tt.reason)
				}
				return
			}
			must(t, err)
			if s.Verdict != tt.want || !strings.Contains(s.Reasons[0], tt.reason) {
				t.Errorf("%s %q; want %s %s", s.Verdict, s.Reasons, tt.want, tt.reason)
			}
		})
	}
	s, err := DecodeSmartctl([]byte(filled(smartOK, "RE", "7")), 0)
	must(t, err)
	want := &Smart{Verdict: Warn, Reasons: []string{"7 bad sectors were replaced by spare ones"}, Kind: "ATA", Model: "Disk One", Serial: "S1", Celsius: 40, Hours: 70, ATA: &ATA{Reallocated: 7, Errors: 3}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeNVMe(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		verdict        Verdict
	}{
		{"good", `{"critical_warning":0,"temperature":313,"avail_spare":100,"spare_thresh":10,"percent_used":1,"media_errors":0,"power_on_hours":9}`, "well", OK},
		{"strings", `{"critical_warning":0,"avail_spare":100,"spare_thresh":10,"media_errors":"4"}`, "4 times", Warn},
		{"object", `{"critical_warning":{"value":4,"available_spare":0},"avail_spare":100}`, "no longer reliable", Failing},
		{"nothing", `{}`, "has no critical_warning", ""},
		{"another form", `{"critical_warning":"x"}`, "critical_warning", ""},
		{"no JSON", `NVMe`, "is no JSON", ""},
	} {
		s, err := DecodeNVMe([]byte(tt.in))
		if tt.verdict == "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil || s.Verdict != tt.verdict || !strings.Contains(s.Reasons[0], tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, s, err)
		}
		if tt.name == "good" && (s.Celsius != 40 || s.Hours != 9) {
			t.Errorf("%+v", s)
		}
	}
}

// script is a program that prints a text and exits with a code.
func script(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(name, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return name
}

func TestAskSmart(t *testing.T) {
	good := script(t, "[ \"$6\" = error ] && [ \"$7\" = /dev/sdx ] || exit 1\ncat <<'X'\n"+filled(smartOK)+"\nX\nexit 64")
	nvme := script(t, `[ "$1 $3" = "smart-log /dev/nvme0" ] && echo '{"critical_warning":0,"avail_spare":100}'`)
	for _, tt := range []struct {
		name, disk string
		programs   Programs
		want       Verdict
		reason     string
	}{
		{"smartctl", "/dev/sdx", Programs{Smartctl: good}, Warn, "its log has errors"},
		{"nvme", "/dev/nvme0", Programs{NVMe: nvme}, OK, "well"},
		{"nvme fails", "/dev/nvme1", Programs{NVMe: nvme}, Unknown, "code 1"},
		{"nvme of another disk", "/dev/sdx", Programs{NVMe: nvme}, Unknown, "no smartctl"},
		{"none", "/dev/sdx", Programs{}, Unknown, "there is no smartctl here"},
		{"not there", "/dev/sdx", Programs{Smartctl: "/no/such"}, Unknown, "no such file"},
		{"killed", "/dev/sdx", Programs{Smartctl: script(t, "kill -9 $$")}, Unknown, "signal: killed"},
		{"endless", "/dev/sdx", Programs{Smartctl: script(t, "head -c 3000000 /dev/zero")}, Unknown, "is no JSON"},
	} {
		s, err := AskSmart(t.Context(), tt.programs, tt.disk)
		if err != nil || s.Verdict != tt.want || s.Disk != tt.disk || !strings.Contains(s.Reasons[0], tt.reason) {
			t.Errorf("%s: %+v, %v; want %s %s", tt.name, s, err, tt.want, tt.reason)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := AskSmart(ctx, Programs{Smartctl: good}, "/dev/sdx"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWorst(t *testing.T) {
	for _, tt := range []struct {
		in   []Verdict
		want Verdict
	}{{nil, OK}, {[]Verdict{Unknown, OK}, Unknown}, {[]Verdict{Unknown, Warn}, Warn}, {[]Verdict{Failing, Warn}, Failing}} {
		if got := Worst(tt.in...); got != tt.want {
			t.Errorf("Worst(%v) = %s; want %s", tt.in, got, tt.want)
		}
	}
}

func FuzzDecodeSmartctl(f *testing.F) {
	f.Add([]byte(filled(smartOK, "PE", "1")), 0)
	f.Add([]byte(filled(nvmeOK, "CW", "63")), 255)
	f.Add([]byte(`{"critical_warning":{"value":4}}`), 4)
	f.Fuzz(func(t *testing.T, text []byte, code int) {
		for _, decode := range []func() (*Smart, error){func() (*Smart, error) { return DecodeSmartctl(text, code) }, func() (*Smart, error) { return DecodeNVMe(text) }} {
			s, err := decode()
			if err == nil && (len(s.Reasons) == 0 || rank(s.Verdict) < 0) {
				t.Errorf("%+v", s)
			}
		}
	})
}
