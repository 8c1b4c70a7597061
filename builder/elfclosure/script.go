package elfclosure

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fstree"
)

// maxScript is how much of a program is looked at for what it starts, in bytes. The
// wrappers of nixpkgs have some 20,000, be they scripts or compiled.
const maxScript = 128 << 10

// maxInterpreterLine is what the kernel reads of a script's first line
// (BINPRM_BUF_SIZE of include/uapi/linux/binfmts.h).
const maxInterpreterLine = 256

// shells are interpreters that run by themselves. Others need a library of modules,
// which nothing in a script names.
var shells = []string{"sh", "bash", "dash", "ash", "busybox", "ksh", "mksh"}

// wrapperMark is what a compiled wrapper of nixpkgs (makeBinaryWrapper) says of itself in
// its data: the command that made it, whose first word is the program.
const wrapperMark = "makeCWrapper '"

// readHead returns at most so many bytes from the beginning of a file.
func readHead(e *fstree.Entry, most int64) (head []byte, err error) {
	if e.Content == nil {
		return make([]byte, min(e.Size, most)), nil
	}
	f, err := e.Content.Open(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head = make([]byte, min(e.Size, most))
	_, err = io.ReadFull(io.NewSectionReader(f, 0, int64(len(head))), head)
	return head, err
}

// wrapperTarget returns the absolute path of the program that a wrapper of nixpkgs
// starts, "" for what is no such wrapper; head is the beginning of a program of size
// bytes. A script is one when a line of it is exec with an absolute path.
func wrapperTarget(head []byte, size int64) string {
	if bytes.HasPrefix(head, []byte("#!")) {
		for line := range strings.Lines(string(head)) {
			if target := execTarget(strings.Fields(line)); target != "" {
				return target
			}
		}
		return ""
	}
	_, rest, ok := bytes.Cut(head, []byte(wrapperMark))
	target, _, closed := bytes.Cut(rest, []byte("'"))
	if !ok || !closed || size > maxScript || len(target) >= maxPath || !bytes.HasPrefix(target, []byte("/")) {
		return ""
	}
	return string(target)
}

// execTarget returns the program of "exec /PROGRAM..." and "exec -a NAME /PROGRAM...".
func execTarget(words []string) string {
	if len(words) < 2 || words[0] != "exec" {
		return ""
	}
	target := words[1]
	if target == "-a" && len(words) > 3 {
		target = words[3]
	}
	if target = strings.Trim(target, `"'`); !strings.HasPrefix(target, "/") || strings.ContainsAny(target, "$\"'`") {
		return ""
	}
	return target
}

// script adds the interpreter of the script e.
func (c *collector) script(files fileSet, e *fstree.Entry, head []byte) error {
	at, err := interpreterOf(head)
	if err != nil {
		return input("%s: %w", e.Path(), err)
	}
	if !slices.Contains(shells, path.Base(at)) {
		return input("%s: is a script for %s, expected an ELF program or a script for a shell: what else it needs is not known", e.Path(), at)
	}
	interpreter, err := c.follow(at)
	if err != nil {
		return err
	}
	if interpreter == nil || !interpreter.IsRegular() {
		return input("%s: is a script for %s, which is not in the system", e.Path(), at)
	}
	start, err := readHead(interpreter, 2)
	if err != nil {
		return input("%s: %w", interpreter.Path(), err)
	}
	if string(start) == "#!" {
		return input("%s: is a script for %s, which is a script itself", e.Path(), at)
	}
	files.add(interpreter)
	files.link(at, interpreter.Path())
	return c.libraries(files, interpreter)
}

// interpreterOf returns the path behind the #! of a script.
func interpreterOf(head []byte) (string, error) {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if len(line) > maxInterpreterLine {
		return "", fmt.Errorf("first line of %d bytes, expected at most %d", len(line), maxInterpreterLine)
	}
	words := strings.Fields(string(line[2:]))
	if len(words) == 0 || !path.IsAbs(words[0]) || strings.ContainsRune(words[0], 0) {
		return "", errors.New("expected #! and the absolute path of an interpreter")
	}
	if path.Base(words[0]) == "env" && len(words) == 2 {
		return "", errors.New("is run by env, expected #! and the interpreter itself")
	}
	return words[0], nil
}
