package source

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"path"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
)

// The archives that an image is told to get its updates from. Every Debian
// package comes from them, by whatever mirror.
const (
	publicArchive  = "https://deb.debian.org/debian"
	publicSecurity = "https://deb.debian.org/debian-security"
)

// Mirrors are the archives that packages are fetched from. Which they are
// changes nothing in what is built: apt checks the signatures of Debian's keys.
type Mirrors struct {
	Main     string // URL of an archive of Debian
	Security string // URL of an archive of its security updates
}

// HostMirrors returns the archives that the host's own apt uses, and Debian's
// public ones where it has none, or where there is no apt.
func HostMirrors(ctx context.Context) Mirrors {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(SITE)", "Created-By: Packages").Output()
	if err != nil {
		out = nil // not a Debian host
	}
	return pickMirrors(string(out))
}

// pickMirrors takes lines of label, component and site of the archives that apt
// knows. Where it has not fetched their indices yet it knows no labels, and the
// path has to do, which is the same on nearly all mirrors.
func pickMirrors(lines string) Mirrors {
	var m Mirrors
	for line := range strings.Lines(lines) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 3 || f[1] != "main" || checkMirror(f[2]) != nil {
			continue
		}
		label, site := f[0], f[2]
		if label == "" || strings.HasPrefix(label, "$") {
			label = map[string]string{"debian": "Debian", "debian-security": "Debian-Security"}[path.Base(site)]
		}
		switch {
		case m.Main == "" && label == "Debian":
			m.Main = site
		case m.Security == "" && label == "Debian-Security":
			m.Security = site
		}
	}
	return m.or(Mirrors{Main: publicArchive, Security: publicSecurity})
}

// or returns m with what it lacks taken from other.
func (m Mirrors) or(other Mirrors) Mirrors {
	if m.Main == "" {
		m.Main = other.Main
	}
	if m.Security == "" {
		m.Security = other.Security
	}
	return m
}

// check refuses what is no URL of an archive; an empty one is for or to fill.
func (m Mirrors) check() error {
	for _, site := range []string{m.Main, m.Security} {
		if err := checkMirror(site); site != "" && err != nil {
			return fault.New(fault.Config, "name a mirror such as "+publicArchive, "mirror %w", err)
		}
	}
	return nil
}

// checkMirror accepts the URLs that can stand in a line of sources.list.
func checkMirror(site string) error {
	u, err := url.Parse(site)
	switch {
	case err != nil:
		return fmt.Errorf("%.200q: %w", site, err)
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file":
		return fmt.Errorf("%.200q: expected http, https or file, got %q", site, u.Scheme)
	case u.Scheme != "file" && u.Host == "" || u.Path == "" && u.Scheme == "file":
		return fmt.Errorf("%.200q: names no archive", site)
	case strings.ContainsAny(site, " \t\r\n[]") || strings.HasPrefix(site, "-"):
		return fmt.Errorf("%.200q: holds blanks or brackets", site)
	}
	return nil
}

// rolling are the suites that have neither security updates nor a pocket of
// other updates beside them.
var rolling = map[string]bool{"sid": true, "unstable": true, "experimental": true}

// sourceLines returns the lines of sources.list for a suite.
func (m Mirrors) sourceLines(suite string) []string {
	lines := []string{"deb " + m.Main + " " + suite + " main"}
	if rolling[suite] {
		return lines
	}
	return append(lines,
		"deb "+m.Main+" "+suite+"-updates main",
		"deb "+m.Security+" "+suite+"-security main")
}
