package hibernate

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Power is /sys/power, whose files have one line each. Names are those of the
// kernel's Documentation/ABI/testing/sysfs-power.
type Power interface {
	Read(name string) (string, error) // without the newline
	Write(name, value string) error
}

// PowerDir is the Power at a directory.
type PowerDir string

// Read returns the line in a file.
func (d PowerDir) Read(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(string(d), name))
	return strings.TrimSpace(string(text)), err
}

// Write writes a line as one write(2), which is what sysfs takes.
func (d PowerDir) Write(name, value string) error {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value + "\n")
	return err
}

// Place is where a swapfile begins.
type Place struct {
	Device       string // its path, such as /dev/vda2
	Major, Minor uint32
	Offset       int64 // physical page of the header, the value of resume_offset
}

// resume is the place's device as /sys/power/resume has it.
func (p Place) resume() string { return fmt.Sprintf("%d:%d", p.Major, p.Minor) }

func (p Place) String() string {
	return fmt.Sprintf("offset %d on %s (%s)", p.Offset, p.Device, p.resume())
}

// available returns why the kernel does not hibernate at all, or nil.
func available(power Power) error {
	modes, err := power.Read("disk")
	if err != nil {
		return fmt.Errorf("the kernel cannot hibernate: %w", err)
	}
	if strings.Contains(modes, "[disabled]") {
		return fmt.Errorf("the kernel has hibernation disabled: by lockdown, as with Secure Boot, by nohibernate on its command line, or while a program uses secret memory")
	}
	return nil
}

// set makes the kernel hibernate to a place whose header was seen. It writes
// what differs, the offset first as systemd does: with the new offset on the
// old device the kernel finds no swap area, with the old offset on the new
// device it could find another one.
func set(power Power, p Place) (changed bool, err error) {
	for _, f := range []struct{ name, want string }{
		{"resume_offset", strconv.FormatInt(p.Offset, 10)},
		{"resume", p.resume()},
	} {
		have, err := power.Read(f.name)
		if err != nil {
			return changed, err
		}
		if have == f.want {
			continue
		}
		if err := power.Write(f.name, f.want); err != nil {
			return changed, fmt.Errorf("/sys/power/%s: got %q, expected %q: %w", f.name, have, f.want, err)
		}
		changed = true
		if have, err = power.Read(f.name); err != nil {
			return changed, err
		}
		if have != f.want {
			return changed, fmt.Errorf("/sys/power/%s: the kernel keeps %q, expected %q", f.name, have, f.want)
		}
	}
	return changed, nil
}
