package boot

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/6FaNcY9/mkimage/installer/beside"
)

// DefaultTimeout is how long Run waits for the root device when the command
// line says nothing: twice what the slowest USB bridges need.
const DefaultTimeout = 30 * time.Second

// maxTimeout bounds mkimage.timeout: longer than a day is a typing error.
const maxTimeout = 24 * 60 * 60

// Cmdline is what the kernel's command line asks of the initramfs. Everything
// else on it is for the kernel or for the system, which read it themselves.
type Cmdline struct {
	Root       string        // mkimage.root=, or else root=, as written
	RootFlags  string        // rootflags=, mount options
	RootFSType string        // rootfstype=
	ReadOnly   bool          // the last of ro and rw; rw when neither is there
	Init       string        // init=, a path in the new root
	Subvolume  string        // mkimage.subvol=, instead of the root's own
	Shell      bool          // mkimage.shell
	Install    bool          // mkimage.install: this is an installer medium
	Rescue     bool          // mkimage.rescue: a rescue environment, whatever else is said
	Factory    bool          // mkimage.factory
	Switch     string        // mkimage.switch=ID: an installation, see package beside
	Back       string        // mkimage.back=ID: the system before that installation
	Timeout    time.Duration // mkimage.timeout=SECONDS
	Panic      int           // panic=SECONDS: reboot after a failure; below 0 at once, 0 never
	NoResume   bool          // noresume, or hibernate=noresume
	Resume     string        // resume=, as written: the device to resume from
	// ResumeOffset is resume_offset=, in pages of 4096 bytes; nil when it is
	// not there.
	ResumeOffset *int64
}

// Param is one parameter of a kernel command line.
type Param struct {
	Name, Value string
	HasValue    bool // there was a "=": a bare flag has none
}

// ParseCmdline reads the kernel's command line. Of a parameter given twice the
// last counts. The error names every parameter whose value cannot be used; the
// Cmdline is complete without them.
func ParseCmdline(line string) (Cmdline, error) {
	c := Cmdline{Timeout: DefaultTimeout}
	var errs []error
	ours := ""
	for _, p := range SplitParams(line) {
		if p.Name == "mkimage.root" {
			ours = p.Value
		} else if err := c.apply(p); err != nil {
			errs = append(errs, fmt.Errorf("parameter %s: %w", p.Name, err))
		}
	}
	c.Root = cmp.Or(ours, c.Root)
	return c, errors.Join(errs...)
}

func (c *Cmdline) apply(p Param) (err error) {
	switch p.Name {
	case "root":
		c.Root = p.Value
	case "rootflags":
		c.RootFlags = p.Value
	case "rootfstype":
		c.RootFSType = p.Value
	case "ro":
		c.ReadOnly = true
	case "rw":
		c.ReadOnly = false
	case "init":
		c.Init = p.Value
	case "panic":
		c.Panic, err = number(p.Value, -1, maxTimeout)
	case "noresume":
		c.NoResume = true
	case "hibernate":
		c.NoResume = c.NoResume || p.Value == "noresume"
	case "resume":
		c.Resume = p.Value
	case "resume_offset":
		c.ResumeOffset, err = pageNumber(p.Value)
	case "mkimage.subvol":
		c.Subvolume = p.Value
	case "mkimage.shell":
		c.Shell, err = isSet(p)
	case "mkimage.install":
		c.Install, err = isSet(p)
	case "mkimage.rescue":
		c.Rescue, err = isSet(p)
	case "mkimage.factory":
		c.Factory, err = isSet(p)
	case beside.SwitchWord:
		c.Switch, err = systemID(p.Value)
	case beside.BackWord:
		c.Back, err = systemID(p.Value)
	case "mkimage.timeout":
		var seconds int
		if seconds, err = number(p.Value, 1, maxTimeout); err == nil {
			c.Timeout = time.Duration(seconds) * time.Second
		}
	default:
		if strings.HasPrefix(p.Name, "mkimage.") {
			err = errors.New("unknown; expected mkimage.back, .factory, .install, .rescue, .root, .shell, .subvol, .switch or .timeout")
		}
	}
	return err
}

func systemID(text string) (string, error) {
	if err := beside.CheckID(text); err != nil {
		return "", err
	}
	return text, nil
}

// isSet returns whether a parameter that needs no value is set.
func isSet(p Param) (bool, error) {
	switch {
	case !p.HasValue, p.Value == "1":
		return true, nil
	case p.Value == "0":
		return false, nil
	}
	return false, fmt.Errorf("got %q, expected no value, 0 or 1", p.Value)
}

func number(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("got %q, expected a number of seconds from %d to %d", text, low, high)
	}
	return n, nil
}

func pageNumber(text string) (*int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxPage {
		return nil, fmt.Errorf("got %q, expected a number of pages from 0 to %d", text, int64(maxPage))
	}
	return &n, nil
}

// SplitParams splits a kernel command line as the kernel does (next_arg in
// lib/cmdline.c): at white space outside double quotes, which may stand around
// a whole parameter or around its value. What follows "--" is for init and is
// not returned.
func SplitParams(line string) []Param {
	var params []Param
	for {
		line = strings.TrimLeft(line, " \t\n\v\f\r")
		if line == "" {
			return params
		}
		var word string
		if word, line = nextWord(line); word == "--" {
			return params
		}
		params = append(params, parseParam(word))
	}
}

// nextWord returns the first word with its quotes, and what follows it.
func nextWord(line string) (word, rest string) {
	quoted := false
	for i := range len(line) {
		switch line[i] {
		case '"':
			quoted = !quoted
		case ' ', '\t', '\n', '\v', '\f', '\r':
			if !quoted {
				return line[:i], line[i:]
			}
		}
	}
	return line, ""
}

func parseParam(word string) Param {
	whole := strings.HasPrefix(word, `"`)
	if whole {
		word = strings.TrimSuffix(word[1:], `"`)
	}
	name, value, has := strings.Cut(word, "=")
	if has && !whole && strings.HasPrefix(value, `"`) {
		value = strings.TrimSuffix(value[1:], `"`)
	}
	return Param{Name: name, Value: value, HasValue: has}
}
