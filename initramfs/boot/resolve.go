package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// maxLinks is how many symlinks the kernel follows in one path.
const maxLinks = 40

// Resolve returns where name leads when root is "/": symlinks, absolute ones
// too, stay inside root. The result is an absolute path below root without
// symlinks. What does not exist is kept as it is written.
func Resolve(root, name string) (string, error) {
	links := 0
	done, todo := "/", strings.Split(name, "/")
	for len(todo) > 0 {
		element := todo[0]
		todo = todo[1:]
		next := path.Join(done, element)
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: more than %d symlinks", name, maxLinks)
		}
		if path.IsAbs(target) {
			done = "/"
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return done, nil
}

// defaultInits are tried when the command line names no init.
var defaultInits = []string{"/sbin/init", "/usr/lib/systemd/systemd", "/bin/init"}

// findInit returns the init of the system in root: the one that is asked for,
// else the first of the usual ones.
func findInit(root, asked string) (string, error) {
	if asked != "" {
		err := checkInit(root, asked)
		if err != nil {
			return "", fault.New(fault.Input, near(root, asked), "init=%s: %w", asked, err)
		}
		return asked, nil
	}
	for _, name := range defaultInits {
		if checkInit(root, name) == nil {
			return name, nil
		}
	}
	return "", fault.New(fault.Input, "name it with init=PATH; is the right subvolume mounted as root?",
		"init: none of %s is a program in the root file system", strings.Join(defaultInits, ", "))
}

func checkInit(root, name string) error {
	if !path.IsAbs(name) {
		return errors.New("expected an absolute path")
	}
	real, err := Resolve(root, name)
	if err != nil {
		return err
	}
	st, err := os.Lstat(filepath.Join(root, real))
	switch {
	case errors.Is(err, fs.ErrNotExist) && real != name:
		return fmt.Errorf("leads to %s, which is not there", real)
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("not in the root file system")
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return fmt.Errorf("is a %v, expected a program", st.Mode().Type())
	case st.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("is not executable, its mode is %v", st.Mode().Perm())
	}
	return nil
}

// near returns a hint that shows how far name leads and what is there: at most
// three names, those with the longest common start first.
func near(root, name string) string {
	real, err := Resolve(root, name)
	if err != nil {
		return ""
	}
	dir, missing := path.Dir(real), path.Base(real)
	entries, err := os.ReadDir(filepath.Join(root, dir))
	for err != nil && dir != "/" {
		dir, missing = path.Dir(dir), path.Base(dir)
		entries, err = os.ReadDir(filepath.Join(root, dir))
	}
	if len(entries) == 0 {
		return dir + " is empty"
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
		return commonPrefix(b.Name(), missing) - commonPrefix(a.Name(), missing)
	})
	var names []string
	for _, e := range entries[:min(3, len(entries))] {
		names = append(names, path.Join(dir, e.Name()))
	}
	return "nearest: " + strings.Join(names, ", ")
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
