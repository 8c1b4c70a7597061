// Command summary reads the output of go test -json and prints a line for each
// package, the output of what failed, the reason of each skip and the counts.
//
// A skip counts as a failure, because a test that did not run proves nothing;
// -allow-skip is a regular expression of reasons that are accepted. Lines that are not JSON are
// printed as they are. A package whose end is not in the output died in the
// middle, and counts as a failure.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of build output
	Elapsed                       float64
	FailedBuild                   string
}

type counts struct {
	passed, failed, skipped, allowed int
	ended                            bool
}

func (c *counts) add(o counts) {
	c.passed += o.passed
	c.failed += o.failed
	c.skipped += o.skipped
	c.allowed += o.allowed
}

type summary struct {
	allowSkip *regexp.Regexp // nil accepts none
	out       io.Writer
	suites    map[string]*counts
	output    map[[2]string][]string // of a package and test, until it ends
	total     counts
}

func main() {
	s := newSummary(os.Stdout)
	flag.Func("allow-skip", "accept skips whose reason matches `regexp`", func(text string) (err error) {
		s.allowSkip, err = regexp.Compile(text)
		return err
	})
	flag.Parse()
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	fmt.Printf("total: %d passed, %d failed, %d skipped", s.total.passed, s.total.failed, s.total.skipped)
	if s.total.allowed > 0 {
		fmt.Printf(", %d left out (%s)", s.total.allowed, s.allowSkip)
	}
	fmt.Println()
	if !s.good() {
		os.Exit(1)
	}
}

// good reports whether tests ran, and all that ran passed.
func (s *summary) good() bool {
	return s.total.passed > 0 && s.total.failed+s.total.skipped == 0
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, suites: map[string]*counts{}, output: map[[2]string][]string{}}
}

// read counts all that is in r, to its end.
func (s *summary) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Fprint(s.out, line)
			} else {
				s.handle(e)
			}
		}
		if err == io.EOF {
			s.endDead()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) handle(e event) {
	key := [2]string{cmp.Or(e.Package, e.ImportPath), e.Test}
	if e.Package == "" { // build output
		s.build(e, key)
		return
	}
	suite := s.suites[e.Package]
	if suite == nil {
		suite = &counts{}
		s.suites[e.Package] = suite
	}
	switch e.Action {
	case "output":
		s.output[key] = append(s.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endSuite(e, suite, key)
			return
		}
		s.endTest(e, suite, key)
	}
}

// build keeps what a build prints and shows it when it fails; the suite that
// needed it fails then by itself.
func (s *summary) build(e event, key [2]string) {
	switch e.Action {
	case "build-output":
		s.output[key] = append(s.output[key], e.Output)
	case "build-fail":
		s.dump(key)
	}
}

// endTest counts a test that ended; what it printed matters only if it did not
// pass.
func (s *summary) endTest(e event, suite *counts, key [2]string) {
	switch e.Action {
	case "pass":
		suite.passed++
	case "fail":
		suite.failed++
		s.dump(key)
	case "skip":
		reason := strings.Join(s.output[key], "")
		if s.allowSkip != nil && s.allowSkip.MatchString(reason) {
			suite.allowed++
			break
		}
		suite.skipped++
		fmt.Fprintf(s.out, "skipped: %s %s\n", e.Package, e.Test)
		s.dump(key)
	}
	delete(s.output, key)
}

// endSuite prints the line of a package. A package that failed although none
// of its tests did (a panic, a time-out, a failed build) counts as a failure.
func (s *summary) endSuite(e event, suite *counts, key [2]string) {
	suite.ended = true
	verdict := "ok  "
	switch {
	case e.Action == "fail":
		verdict = "FAIL"
		if suite.failed == 0 {
			suite.failed++
			s.dumpAll(e.Package)
		}
	case e.Action == "skip": // no test files
		return
	case suite.skipped > 0:
		verdict = "SKIP"
	}
	fmt.Fprintf(s.out, "%s %-60s %4d passed %3d failed %3d skipped %8.1f s\n", verdict, e.Package, suite.passed, suite.failed, suite.skipped+suite.allowed, e.Elapsed)
	s.total.add(*suite)
	delete(s.output, key)
}

// endDead ends the packages whose program died (a signal, os.Exit): nothing
// printed their end.
func (s *summary) endDead() {
	for _, pkg := range slices.Sorted(maps.Keys(s.suites)) {
		if suite := s.suites[pkg]; !suite.ended {
			suite.failed++
			s.dumpAll(pkg)
			s.endSuite(event{Action: "fail", Package: pkg}, suite, [2]string{pkg, ""})
		}
	}
}

func (s *summary) dump(key [2]string) {
	for _, line := range s.output[key] {
		fmt.Fprint(s.out, "    ", line)
	}
	delete(s.output, key)
}

// dumpAll prints what the unfinished tests of a package printed.
func (s *summary) dumpAll(pkg string) {
	var keys [][2]string
	for key := range s.output {
		if key[0] == pkg {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b [2]string) int { return cmp.Compare(a[1], b[1]) })
	for _, key := range keys {
		s.dump(key)
	}
}
