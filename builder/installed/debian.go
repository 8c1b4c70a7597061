package installed

import (
	"context"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/diff"
	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/source"
)

// debian reads a system of Debian, or of one of its descendants.
func (d *disk) debian(ctx context.Context) error {
	if err := d.dpkg(ctx); err != nil {
		return err
	}
	if err := d.kernels("/lib/modules"); err != nil {
		return err
	}
	if err := d.units(ctx, "/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"); err != nil {
		return err
	}
	text, err := d.view.Text("/etc/os-release")
	d.out.Release = prettyName(text)
	return ignoreAbsent(err)
}

// dpkg reads what is installed.
func (d *disk) dpkg(ctx context.Context) error {
	f, err := d.view.Open(dpkgStatus)
	if err != nil {
		return err
	}
	defer f.Close()
	list, err := source.ReadStatus(&untilDone{ctx, f})
	if err != nil {
		return fault.New(fault.Input, "", "%s: %w", dpkgStatus, err)
	}
	native := "all"
	for _, p := range list {
		if p.Name == "dpkg" {
			native = p.Architecture
		}
	}
	for _, p := range list {
		name := p.Name
		if p.Architecture != native && p.Architecture != "all" && native != "all" {
			name += ":" + p.Architecture // as dpkg names those of another machine
		}
		d.out.Packages = append(d.out.Packages, diff.Package{
			Name: name, Version: p.Version, ID: p.Name + ":" + p.Architecture + "=" + p.Version, Size: p.InstalledSize,
		})
	}
	return nil
}

// prettyName returns PRETTY_NAME of os-release(5).
func prettyName(release string) string {
	for line := range strings.Lines(release) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}
