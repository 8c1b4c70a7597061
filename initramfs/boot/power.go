package boot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// power is the kernel's interface for hibernation
// (Documentation/ABI/testing/sysfs-power of Linux).
type power interface {
	read(name string) (string, error)
	write(name, value string) error
}

// sysPower is the folder /sys/power, or one that stands for it.
type sysPower string

func (p sysPower) read(name string) (string, error) { return readLine(filepath.Join(string(p), name)) }

func (p sysPower) write(name, value string) error {
	f, err := os.OpenFile(filepath.Join(string(p), name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// unable returns why the kernel can neither hibernate nor resume, "" when it
// can. It would take the device to resume from without a word.
func unable(p power) string {
	text, err := p.read("disk")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "this kernel was built without hibernation"
	case err != nil:
		return err.Error()
	case strings.Contains(text, "[disabled]"):
		return "this kernel has hibernation disabled, as it does when it is locked down for Secure Boot or told so on the command line"
	}
	return ""
}

// setResume tells the kernel where swap space begins, to hibernate to and to
// resume from. The device goes last, since the kernel looks for a system to
// resume there as soon as it is told; if there is one, this does not return.
func setResume(p power, number string, offset int64) error {
	if err := p.write("resume_offset", strconv.FormatInt(offset, 10)); err != nil {
		return err
	}
	return p.write("resume", number)
}
