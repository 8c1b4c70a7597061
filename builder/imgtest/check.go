package imgtest

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What btrfs check prints about a clean file system, line by line: the figures
// and the UUID vary, the passes are numbered to 7 or 8 by version. Its exit
// status alone proves nothing: some damage is only told on a line between.
var (
	checkStdout = []string{
		`Opening filesystem to check\.\.\.`,
		`Checking filesystem on .+`,
		`UUID: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`,
		`found \d+ bytes used, no error found`,
		`total csum bytes: \d+`,
		`total tree bytes: \d+`,
		`total fs tree bytes: \d+`,
		`total extent tree bytes: \d+`,
		`btree space waste bytes: \d+`,
		`file data blocks allocated: \d+`,
		` referenced \d+`,
	}
	checkStderr = []string{
		`(WARNING: cannot check mount status of .+, continuing because of --force)?`,
		`(\[1/8\] checking log skipped \(none written\))?`,
		`\[\d/[78]\] checking root items`,
		`\[\d/[78]\] checking extents`,
		`\[\d/[78]\] checking free space tree`,
		`\[\d/[78]\] checking fs roots`,
		`\[\d/[78]\] checking (csums against data|only csums items \(without verifying data\))`,
		`\[\d/[78]\] checking root refs( done with fs roots in lowmem mode, skipping)?`,
		`\[\d/[78]\] checking quota groups skipped \(not enabled on this FS\)`,
	}
)

// BtrfsCheck runs btrfs check, data included, on an image that is not mounted,
// in the modes given or else in both, "original" and "lowmem". It fails the
// test on any exit status but 0 and on any line of output that a clean file
// system does not have.
func BtrfsCheck(t testing.TB, image string, modes ...string) {
	t.Helper()
	Need(t, "btrfs")
	if len(modes) == 0 {
		modes = []string{"original", "lowmem"}
	}
	for _, mode := range modes {
		for _, p := range btrfsCheck(mode, image) {
			t.Errorf("btrfs check, mode %s: %s: %s", mode, image, p)
		}
	}
}

func btrfsCheck(mode, image string) []string {
	var stdout, stderr bytes.Buffer
	// Whether it is mounted cannot be known to a user who may not open each loop
	// device that is: without --force one of another program fails the check.
	cmd := exec.Command("btrfs", "check", "--force", "--readonly", "--check-data-csum", "--mode="+mode, image)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var problems []string
	if err := cmd.Run(); err != nil {
		problems = append(problems, err.Error())
	}
	problems = append(problems, unlike("output", stdout.String(), checkStdout)...)
	return append(problems, unlike("messages", stderr.String(), checkStderr)...)
}

// unlike compares output with patterns, one for each line and in that order. A
// pattern that matches the empty line may be passed over.
func unlike(what, out string, patterns []string) (problems []string) {
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		n := 0
		for n < len(patterns) && !fullMatch(patterns[n], line) && fullMatch(patterns[n], "") {
			n++
		}
		if n < len(patterns) && fullMatch(patterns[n], line) {
			patterns = patterns[n+1:]
			continue
		}
		problems = append(problems, fmt.Sprintf("%s: line %q, expected %s", what, line, next(patterns)))
	}
	for _, p := range patterns {
		if !fullMatch(p, "") {
			return append(problems, fmt.Sprintf("%s: ended, expected %s", what, next(patterns)))
		}
	}
	return problems
}

func next(patterns []string) string {
	if len(patterns) == 0 {
		return "the end"
	}
	return fmt.Sprintf("%q", patterns[0])
}

func fullMatch(pattern, line string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(line)
}
