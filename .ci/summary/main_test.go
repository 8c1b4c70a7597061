package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	const (
		start = `{"Action":"start","Package":"p"}` + "\n"
		pass  = `{"Action":"pass","Package":"p","Test":"A"}` + "\n"
		fail  = `{"Action":"output","Package":"p","Test":"B","Output":"a reason\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"B"}` + "\n"
		skip  = `{"Action":"output","Package":"p","Test":"C","Output":"needs root\n"}` + "\n" + `{"Action":"skip","Package":"p","Test":"C"}` + "\n"
		good  = `{"Action":"pass","Package":"p","Elapsed":1}` + "\n"
		bad   = `{"Action":"fail","Package":"p","Elapsed":1}` + "\n"
		half  = `{"Action":"output","Package":"p","Test":"D","Output":"panic: no\n"}` + "\n"
		build = `{"Action":"build-output","ImportPath":"p [p.test]","Output":"no such name\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"p [p.test]"}` + "\n"
	)
	tests := []struct {
		name, allow, in string
		good            bool
		want            counts
		prints          string
	}{
		{"all pass", "", start + pass + good, true, counts{passed: 1}, "ok   p"},
		{"one fails", "", start + pass + fail + bad, false, counts{passed: 1, failed: 1}, "a reason"},
		{"a skip is a failure", "", start + pass + skip + good, false, counts{passed: 1, skipped: 1}, "skipped: p C"},
		{"another reason", "takes minutes", start + pass + skip + good, false, counts{passed: 1, skipped: 1}, "skipped: p C"},
		{"an accepted skip", "takes minutes|needs root", start + pass + skip + good, true, counts{passed: 1, allowed: 1}, "ok   p"},
		{"the package fails and no test of it", "", start + pass + half + bad, false, counts{passed: 1, failed: 1}, "panic: no"},
		{"the program dies", "", start + pass + half, false, counts{passed: 1, failed: 1}, "panic: no"},
		{"the program dies after a failure", "", start + fail, false, counts{failed: 2}, "FAIL p"},
		{"the program never starts", "", start + pass + good + `{"Action":"start","Package":"q"}` + "\n", false, counts{passed: 1, failed: 1}, "FAIL q"},
		{"the build fails", "", build + start + bad, false, counts{failed: 1}, "no such name"},
		{"no test at all", "", start + good, false, counts{}, "ok   p"},
		{"nothing", "", "", false, counts{}, ""},
		{"no JSON", "", "make: ***\n" + start + pass + good, true, counts{passed: 1}, "make: ***"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			s := newSummary(&out)
			if tt.allow != "" {
				s.allowSkip = regexp.MustCompile(tt.allow)
			}
			if err := s.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if s.total != tt.want || s.good() != tt.good {
				t.Errorf("counts = %+v, good %v; want %+v, %v", s.total, s.good(), tt.want, tt.good)
			}
			if !strings.Contains(out.String(), tt.prints) {
				t.Errorf("printed %q; want %q in it", out.String(), tt.prints)
			}
		})
	}
}
